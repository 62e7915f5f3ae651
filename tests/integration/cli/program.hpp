#pragma once
/// @file
/// The program itself as a child, for tests that look at it as its users do.

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "aio/child_process.hpp"
#include "aio/subprocess.hpp"
#include "support/run_coroutine.hpp"
#include "support/temporary_directory.hpp"

namespace opi::test {

namespace fs = std::filesystem;

inline std::vector<std::string> program_environment(const std::vector<std::string>& more) {
  std::vector<std::string> environment{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME=/nonexistent",
                                       "TZ=UTC"};
  for (const char* name : {"ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS", "OPI_SECRET_LEDGER"}) {
    if (const char* value = std::getenv(name)) environment.push_back(std::string(name) + "=" + value);
  }
  environment.insert(environment.end(), more.begin(), more.end());
  return environment;
}

inline std::vector<std::string> program_argv(const std::vector<std::string>& arguments) {
  std::vector<std::string> argv{OPI_PROGRAM};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return argv;
}

/// Keeps what `opi` said where ./test looks for secrets in it, when it asks for that. Answers to the commands whose
/// purpose is to print a secret are no logs.
inline void keep_log(const std::vector<std::string>& arguments, std::string_view output, std::string_view errors) {
  const char* folder = std::getenv("OPI_TEST_LOGS");
  if (folder == nullptr || *folder == '\0') return;
  static int number = 0;
  std::ofstream file(fs::path(folder) /
                     ("opi-" + std::to_string(::getpid()) + "-" + std::to_string(++number) + ".log"));
  const std::string command = arguments.empty() ? "" : arguments.front();
  const bool prints_secrets = command == "credentials" || command == "psql" || command == "age" || command == "sops";
  file << command << '\n' << errors << (prints_secrets ? std::string_view{} : output);
}

/// Runs `opi` with `arguments` in `folder` to its end.
inline aio::CommandResult run_opi(const fs::path& folder, const std::vector<std::string>& arguments,
                                  const std::vector<std::string>& environment = {}) {
  aio::Command command{
      .argv = program_argv(arguments), .environment = program_environment(environment), .directory = folder.string()};
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  auto result = run_coroutine(aio::run_command(std::move(command), deadline), std::chrono::minutes(3));
  if (!result) throw std::runtime_error(result.error().to_string());
  keep_log(arguments, result->output, result->error_output);
  return std::move(*result);
}

/// `opi` while it runs.
class RunningOpi {
 public:
  RunningOpi(const fs::path& folder, const std::vector<std::string>& arguments,
             const std::vector<std::string>& environment = {})
      : arguments_(arguments), child_(start(context_, folder, arguments, environment)) {
    asio::co_spawn(context_, read(&child_.output(), &text_), [](std::exception_ptr) {});
    asio::co_spawn(context_, read(&child_.error_output(), &text_), [](std::exception_ptr) {});
  }

  RunningOpi(const RunningOpi&) = delete;
  RunningOpi& operator=(const RunningOpi&) = delete;
  ~RunningOpi() { keep_log(arguments_, text_, {}); }

  /// Until it has said `text`, on either stream; false when it does not in time.
  bool says(std::string_view text, std::chrono::seconds patience = std::chrono::seconds(60)) {
    const auto last = std::chrono::steady_clock::now() + patience;
    context_.restart();
    while (text_.find(text) == std::string::npos && std::chrono::steady_clock::now() < last) {
      if (context_.run_one_for(std::chrono::milliseconds(50)) == 0 && context_.stopped()) break;
    }
    return text_.find(text) != std::string::npos;
  }
  /// Reads what it says for a while, and does nothing else.
  void listen(std::chrono::milliseconds duration) {
    context_.restart();
    (void)context_.run_for(duration);
  }
  void signal(int number) { ::kill(child_.pid(), number); }
  /// Its exit code; 128 + signal when one ended it.
  int wait() {
    auto ended = run_coroutine(context_, child_.wait());
    if (!ended) throw std::runtime_error(ended.error().to_string());
    return child_.reap();
  }
  const std::string& text() const noexcept { return text_; }
  pid_t pid() const noexcept { return child_.pid(); }

 private:
  static aio::ChildProcess start(asio::io_context& context, const fs::path& folder,
                                 const std::vector<std::string>& arguments,
                                 const std::vector<std::string>& environment) {
    auto child = aio::ChildProcess::start(context.get_executor(), {.argv = program_argv(arguments),
                                                                   .environment = program_environment(environment),
                                                                   .directory = folder.string(),
                                                                   .input = aio::ChildStream::nothing});
    if (!child) throw std::runtime_error(child.error().to_string());
    return std::move(*child);
  }
  static Task<> read(asio::posix::stream_descriptor* from, std::string* into) {
    std::array<char, 4096> buffer{};
    for (;;) {
      const auto [ec, size] = co_await from->async_read_some(asio::buffer(buffer), as_result);
      if (ec) co_return;
      into->append(buffer.data(), size);
    }
  }

  std::vector<std::string> arguments_;
  asio::io_context context_;
  aio::ChildProcess child_;
  std::string text_;
};

/// A folder that other users can pass through (the private server's, when the tests run as root).
class OpenFolder {
 public:
  OpenFolder() { fs::permissions(folder_.path(), fs::perms(0755)); }
  const fs::path& path() const noexcept { return folder_.path(); }
  void write(const fs::path& name, std::string_view text) const {
    fs::create_directories((path() / name).parent_path());
    std::ofstream(path() / name) << text;
  }

 private:
  TemporaryDirectory folder_;
};

/// A project file with one component that uses a database and `deployments` named d1, d2 …
inline std::string project_yaml(const std::string& name, int deployments = 1) {
  std::string text = "name: " + name +
                     "\nclusters: [local]\nservices: [postgresql-database]\ncomponents:\n"
                     "  - {name: web, type: deployment, uses-services: [postgresql-database]}\ndeployments:\n";
  for (int i = 1; i <= deployments; ++i) {
    text += "  - {name: d" + std::to_string(i) + ", cluster: local, components: [{reference: web, image: \"x:1\"}]}\n";
  }
  return text;
}

}  // namespace opi::test
