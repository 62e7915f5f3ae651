#include "cli/psql.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "cli/files.hpp"

extern char** environ;  // NOLINT(readability-redundant-declaration): POSIX does not declare it

namespace opi::cli {

namespace {

// The number that the password file has in psql; libpq reopens it by name at each connection.
constexpr int passfile_descriptor = 3;

// psql alone decides what Ctrl-C means while it runs.
class SignalsIgnored {
 public:
  SignalsIgnored() {
    struct sigaction ignore{};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGINT, &ignore, &interrupt_);
    ::sigaction(SIGQUIT, &ignore, &quit_);
  }
  SignalsIgnored(const SignalsIgnored&) = delete;
  SignalsIgnored& operator=(const SignalsIgnored&) = delete;
  ~SignalsIgnored() {
    ::sigaction(SIGINT, &interrupt_, nullptr);
    ::sigaction(SIGQUIT, &quit_, nullptr);
  }

 private:
  struct sigaction interrupt_{};
  struct sigaction quit_{};
};

// Ours, less what is for us alone and what would steer libpq away from the target.
std::vector<std::string> psql_environment(const PsqlTarget& target) {
  std::vector<std::string> variables;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    if (text.starts_with("OPI_") || text.starts_with("SOPS_") || text.starts_with("PG")) continue;
    variables.emplace_back(text);
  }
  variables.push_back("PGHOST=" + target.host);
  variables.push_back(fmt::format("PGPORT={}", target.port));
  variables.push_back("PGDATABASE=" + target.database);
  variables.push_back("PGUSER=" + target.user);
  variables.push_back(fmt::format("PGPASSFILE=/dev/fd/{}", passfile_descriptor));
  return variables;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  result.reserve(texts.size() + 1);
  for (auto& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

Error psql_error(int why) {
  if (why == ENOENT) {
    return Error(ErrorKind::not_found, "psql is not on this machine").with_remedy("install postgresql-client");
  }
  return system_error(ErrorKind::internal, "cannot run psql", why);
}

Result<pid_t> spawn_psql(const PsqlTarget& target, const std::vector<std::string>& arguments, int passfile) {
  std::vector<std::string> argv{"psql"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  auto environment = psql_environment(target);
  posix_spawn_file_actions_t actions{};
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, passfile, passfile_descriptor);
  posix_spawnattr_t attributes{};
  ::posix_spawnattr_init(&attributes);
  sigset_t defaults;
  sigemptyset(&defaults);
  for (const int signal : {SIGINT, SIGQUIT, SIGPIPE, SIGTERM}) sigaddset(&defaults, signal);
  ::posix_spawnattr_setsigdefault(&attributes, &defaults);
  sigset_t none;
  sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  pid_t pid = -1;
  const int failed =
      ::posix_spawnp(&pid, "psql", &actions, &attributes, pointers(argv).data(), pointers(environment).data());
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return failure(psql_error(failed));
  return pid;
}

}  // namespace

SecretString passfile_line(const PsqlTarget& target) {
  std::string line;
  line.reserve(4 * 64 + 2 * target.password.size());
  const std::string port = std::to_string(target.port);
  for (const std::string_view field :
       {std::string_view(target.host), std::string_view(port), std::string_view(target.database),
        std::string_view(target.user), target.password.reveal()}) {
    if (!line.empty()) line += ':';
    for (const char c : field) {
      if (c == ':' || c == '\\') line += '\\';
      line += c;
    }
  }
  line += '\n';
  return SecretString::take(std::move(line));
}

Result<int> run_psql(const PsqlTarget& target, const std::vector<std::string>& arguments) {
  const Descriptor created(::memfd_create("passfile", MFD_CLOEXEC));
  if (created.get() < 0) return failure(psql_error(errno));
  // A number above the one it gets in psql: duplicating it there is then never onto itself, which would keep CLOEXEC.
  const Descriptor passfile(::fcntl(created.get(), F_DUPFD_CLOEXEC, passfile_descriptor + 1));
  const SecretString line = passfile_line(target);
  // libpq ignores a password file that others could read.
  if (passfile.get() < 0 || ::fchmod(passfile.get(), 0600) != 0 ||
      ::write(passfile.get(), line.reveal_c_str(), line.size()) != static_cast<ssize_t>(line.size())) {
    return failure(psql_error(errno));
  }
  const SignalsIgnored ignored;
  auto pid = spawn_psql(target, arguments, passfile.get());
  if (!pid) return failure(std::move(pid.error()));
  int status = 0;
  while (::waitpid(*pid, &status, 0) < 0) {
    if (errno != EINTR) return failure(psql_error(errno));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace opi::cli
