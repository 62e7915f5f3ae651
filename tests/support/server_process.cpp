#include "support/server_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <stdexcept>

extern char** environ;

namespace opi::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* server_user = "postgres";

}  // namespace

std::string read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::string text;
  std::array<char, 65'536> part{};  // in large parts: logs reach many megabytes
  while (in.read(part.data(), part.size()) || in.gcount() > 0)
    text.append(part.data(), static_cast<std::size_t>(in.gcount()));
  return text;
}

bool as_root() {
  return ::geteuid() == 0;
}

void give_to_server_user(const fs::path& path) {
  if (!as_root()) return;
  const passwd* entry = ::getpwnam(server_user);
  if (entry == nullptr) throw std::runtime_error("run as root, the tests need a user `postgres`");
  if (::chown(path.c_str(), entry->pw_uid, entry->pw_gid) != 0) throw std::runtime_error("chown " + path.string());
}

std::vector<std::string> as_server_user(std::vector<std::string> command) {
  std::vector<std::string> argv = {"setpriv", "--pdeathsig", "QUIT"};
  if (as_root()) {
    argv.insert(argv.end(), {"--reuid", server_user, "--regid", server_user, "--init-groups", "--no-new-privs"});
  }
  argv.emplace_back("--");
  argv.insert(argv.end(), std::make_move_iterator(command.begin()), std::make_move_iterator(command.end()));
  return argv;
}

pid_t spawn(const std::vector<std::string>& command, int input, const fs::path& output) {
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  if (input >= 0) {
    posix_spawn_file_actions_adddup2(&files, input, 0);
  } else {
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  }
  posix_spawn_file_actions_addopen(&files, 1, output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  posix_spawn_file_actions_adddup2(&files, 1, 2);
  posix_spawn_file_actions_addchdir_np(&files, "/");
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t all;
  sigset_t none;
  sigfillset(&all);
  sigemptyset(&none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  pid_t pid = 0;
  const int failed = posix_spawnp(&pid, argv[0], &files, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (failed != 0) throw std::runtime_error(command.front() + " cannot be started");
  return pid;
}

std::optional<int> wait_for_exit(pid_t pid, int pidfd, SteadyTime deadline) {
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - steady_now()).count();
    pollfd watched{.fd = pidfd, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&watched, 1, static_cast<int>(std::max<long>(left, 0)));
    if (ready > 0) {
      int status = 0;
      ::waitpid(pid, &status, 0);
      return status;
    }
    if (ready == 0) return std::nullopt;
  }
}

int open_pidfd(pid_t pid) {
  return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
}

void run_to_end(const std::vector<std::string>& command, const fs::path& output) {
  const pid_t pid = spawn(command, -1, output);
  const Descriptor pidfd(open_pidfd(pid));
  const std::optional<int> status = wait_for_exit(pid, pidfd.get(), steady_now() + std::chrono::seconds{60});
  if (!status) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
  if (!status || *status != 0) throw std::runtime_error(command.back() + " failed:\n" + read_text(output));
}

/// A folder for temporary files that the server's user can pass through.

}  // namespace opi::test
