#include "support/git_repository.hpp"

#include <fmt/format.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <stdexcept>

#include "aio/byte_stream.hpp"
#include "aio/subprocess.hpp"
#include "aio/tcp_listener.hpp"
#include "aio/with_deadline.hpp"
#include "support/in_time.hpp"
#include "support/run_coroutine.hpp"

namespace opi::test {

namespace {

using namespace std::chrono_literals;

std::vector<std::string> clean_environment() {
  const char* path = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe)
  return {fmt::format("PATH={}", path != nullptr ? path : "/usr/bin:/bin"), "HOME=/nonexistent", "LC_ALL=C",
          "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1"};
}

std::string data(const std::string& text) {
  return fmt::format("data {}\n{}\n", text.size(), text);
}

/// One commit in the language of git fast-import.
std::string stream_of(const std::vector<FileChange>& changes, const CommitOptions& options, bool has_parent) {
  const std::string who = fmt::format("{} {} +0000\n", options.author, std::time(nullptr));
  std::string stream = fmt::format("commit refs/heads/{}\nauthor {}committer {}", options.branch, who, who);
  stream += data("a change");
  if (has_parent) stream += fmt::format("from refs/heads/{}^0\n", options.branch);
  if (options.orphan) stream += "deleteall\n";
  for (const auto& change : changes) {
    if (change.remove)
      stream += fmt::format("D {}\n", change.path);
    else if (change.mode == "160000")
      stream += fmt::format("M 160000 {} {}\n", change.content, change.path);
    else
      stream += fmt::format("M {} inline {}\n", change.mode, change.path) + data(change.content);
  }
  return stream;
}

std::string trimmed(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

/// Until somebody accepts connections there.
Task<bool> answers(std::uint16_t port, SteadyTime deadline) {
  while (std::chrono::steady_clock::now() < deadline) {
    auto stream = co_await aio::connect_tcp(nullptr, "127.0.0.1", port, deadline);
    if (stream) co_return true;
    co_await aio::sleep_for(5ms);
  }
  co_return false;
}

std::uint16_t free_port() {
  asio::io_context context;
  return aio::TcpListener::open(context.get_executor(), "127.0.0.1", 0).value().port();
}

}  // namespace

std::string run_git(const std::vector<std::string>& arguments, std::string input) {
  aio::Command command{.argv = {"git"}, .environment = clean_environment(), .input = std::move(input)};
  command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
  const auto result = run_coroutine(aio::run_command(std::move(command), in(60s)));
  if (!result) throw std::runtime_error("git: " + result.error().to_string());
  if (result->exit_code != 0)
    throw std::runtime_error(fmt::format("git {}: {}", arguments.at(0), result->error_output));
  return result->output;
}

GitRepository::GitRepository(std::filesystem::path path) : path_(std::move(path)) {
  run_git({"init", "--quiet", "--bare", "--initial-branch=main", "--", path_.string()});
}

std::string GitRepository::commit(const std::vector<FileChange>& changes, const CommitOptions& options) {
  const std::string ref = "refs/heads/" + options.branch;
  const bool exists = !run_git({"--git-dir", path_.string(), "for-each-ref", "--format=%(objectname)", ref}).empty();
  run_git({"--git-dir", path_.string(), "fast-import", "--quiet", "--force"},
          stream_of(changes, options, exists && !options.orphan));
  return head(options.branch);
}

void GitRepository::delete_branch(const std::string& branch) {
  run_git({"--git-dir", path_.string(), "update-ref", "-d", "refs/heads/" + branch});
}

std::string GitRepository::head(const std::string& branch) const {
  return trimmed(run_git({"--git-dir", path_.string(), "rev-parse", "refs/heads/" + branch}));
}

std::string GitRepository::blob(const std::string& path) const {
  return trimmed(run_git({"--git-dir", path_.string(), "rev-parse", "refs/heads/main:" + path}));
}

GitDaemon::GitDaemon(std::filesystem::path base, std::uint16_t port) {
  // A free port may be taken by somebody else before the daemon has it: try again with another.
  for (int attempt = 0; attempt < 5; ++attempt) {
    port_ = port != 0 ? port : free_port();
    auto child = aio::ChildProcess::start(
        context_.get_executor(),
        {.argv = {"git", "daemon", "--reuseaddr", "--export-all", "--listen=127.0.0.1", fmt::format("--port={}", port_),
                  "--base-path=" + base.string(), "--", base.string()},
         .environment = clean_environment(),
         .input = aio::ChildStream::nothing,
         .output = aio::ChildStream::nothing,
         .error_output = aio::ChildStream::nothing});
    if (!child) throw std::runtime_error("git daemon: " + child.error().to_string());
    child_.emplace(*std::move(child));
    if (run_coroutine(context_, answers(port_, in(10s)))) return;
    child_.reset();
  }
  throw std::runtime_error("git daemon does not answer");
}

GitDaemon::~GitDaemon() {
  if (child_) (void)run_coroutine(context_, child_->end(2s, SIGTERM));
}

std::string GitDaemon::url(const std::string& name) const {
  return fmt::format("git://127.0.0.1:{}/{}", port_, name);
}

}  // namespace opi::test
