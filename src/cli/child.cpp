#include "cli/child.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "cli/files.hpp"

extern char** environ;  // NOLINT(readability-redundant-declaration): POSIX does not declare it

namespace opi::cli {
namespace {

constexpr std::size_t output_bytes_max = std::size_t{1} << 20U;

class SpawnSettings {
 public:
  SpawnSettings() {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawnattr_init(&attributes_);
    sigset_t defaults;
    sigemptyset(&defaults);
    for (const int signal : {SIGINT, SIGQUIT, SIGPIPE, SIGTERM}) sigaddset(&defaults, signal);
    ::posix_spawnattr_setsigdefault(&attributes_, &defaults);
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGDEF);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;
  ~SpawnSettings() {
    ::posix_spawnattr_destroy(&attributes_);
    ::posix_spawn_file_actions_destroy(&actions_);
  }
  posix_spawn_file_actions_t* actions() noexcept { return &actions_; }

  Result<pid_t> spawn(const std::vector<std::string>& command, const std::vector<std::string>& environment) {
    auto argv = command;
    auto variables = environment;
    pid_t pid = -1;
    const int failed = ::posix_spawnp(&pid, argv.front().c_str(), &actions_, &attributes_, pointers(argv).data(),
                                      pointers(variables).data());
    if (failed != 0) {
      return failure(system_error(failed == ENOENT ? ErrorKind::not_found : ErrorKind::internal,
                                  "cannot run " + command.front(), failed));
    }
    return pid;
  }

 private:
  static std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> result;
    for (auto& text : texts) result.push_back(text.data());
    result.push_back(nullptr);
    return result;
  }
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

class SignalsLeftToChild {
 public:
  SignalsLeftToChild() {
    struct sigaction ignore{};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGINT, &ignore, &interrupt_);
    ::sigaction(SIGQUIT, &ignore, &quit_);
  }
  SignalsLeftToChild(const SignalsLeftToChild&) = delete;
  SignalsLeftToChild& operator=(const SignalsLeftToChild&) = delete;
  ~SignalsLeftToChild() {
    ::sigaction(SIGINT, &interrupt_, nullptr);
    ::sigaction(SIGQUIT, &quit_, nullptr);
  }

 private:
  struct sigaction interrupt_{};
  struct sigaction quit_{};
};

Result<int> wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return failure(system_error(ErrorKind::internal, "cannot wait for a program", errno));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

Result<std::vector<std::string>> split_words(std::string_view command) {
  std::vector<std::string> words;
  std::string word;
  bool in_word = false;
  char quote = '\0';
  for (std::size_t i = 0; i < command.size(); ++i) {
    const char c = command[i];
    const bool escapes = c == '\\' && quote != '\'' && i + 1 < command.size();
    if (escapes) {
      word.push_back(command[++i]);
      in_word = true;
    } else if (quote != '\0' ? c == quote : c == '\'' || c == '"') {
      quote = quote == '\0' ? c : '\0';
      in_word = true;
    } else if (quote == '\0' && (c == ' ' || c == '\t' || c == '\n')) {
      if (in_word) words.push_back(std::exchange(word, {}));
      in_word = false;
    } else {
      word.push_back(c);
      in_word = true;
    }
  }
  if (quote != '\0') return failure(ErrorKind::invalid, "a command with a quote that does not end");
  if (in_word) words.push_back(std::move(word));
  if (words.empty()) return failure(ErrorKind::invalid, "an empty command");
  return words;
}

std::vector<std::string> child_environment(const std::vector<std::string>& more) {
  constexpr std::array<std::string_view, 3> kept_back{"SOPS_AGE_KEY=", "SOPS_AGE_KEY_CONTENT=", "OPI_"};
  std::vector<std::string> variables;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    if (std::ranges::any_of(kept_back, [&](std::string_view start) { return text.starts_with(start); })) continue;
    variables.emplace_back(text);
  }
  variables.insert(variables.end(), more.begin(), more.end());
  return variables;
}

Result<int> run_on_terminal(const std::vector<std::string>& command) {
  const SignalsLeftToChild signals;
  SpawnSettings settings;
  const auto pid = settings.spawn(command, child_environment());
  if (!pid) return failure(pid.error());
  return wait_for(*pid);
}

Result<SecretString> output_of(const std::vector<std::string>& command, const std::vector<std::string>& environment) {
  std::array<int, 2> ends{-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return failure(system_error(ErrorKind::internal, "cannot make a pipe", errno));
  const Descriptor read_end(ends[0]);
  Descriptor write_end(ends[1]);
  SpawnSettings settings;
  ::posix_spawn_file_actions_addopen(settings.actions(), STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(settings.actions(), write_end.get(), STDOUT_FILENO);
  const auto pid = settings.spawn(command, environment);
  write_end.close();
  if (!pid) return failure(pid.error());
  auto text = read_all(read_end.get(), output_bytes_max);
  if (!text) ::kill(*pid, SIGTERM);
  const auto code = wait_for(*pid);
  if (!text) return failure(std::move(text.error()).while_doing("the output of " + command.front()));
  SecretString output = SecretString::take(std::move(*text));
  if (!code) return failure(code.error());
  if (*code != 0) return failure(ErrorKind::invalid, fmt::format("{} ended with code {}", command.front(), *code));
  return output;
}

}  // namespace opi::cli
