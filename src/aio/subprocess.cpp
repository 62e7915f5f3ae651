#include "aio/subprocess.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/write.hpp>
#include <csignal>

#include "aio/child_process.hpp"
#include "aio/gate.hpp"
#include "aio/io_error.hpp"
#include "aio/task_scope.hpp"
#include "aio/with_deadline.hpp"

namespace opi::aio {

namespace {

/// What one run shares between its tasks; it lives in run_command's frame, which joins them.
struct Exchange {
  ChildProcess child;
  std::string input;
  std::size_t output_max;
  std::size_t error_output_max;
  Gate reading;  ///< held by the tasks that read
  std::string output = {};
  std::string error_output = {};
  bool overflowed = false;
};

/// Feeds the child; one that does not read its input to the end is not an error.
Task<> feed(Exchange* exchange) {
  auto& pipe = exchange->child.input();
  if (!exchange->input.empty()) (void)co_await asio::async_write(pipe, asio::buffer(exchange->input), as_result);
  boost::system::error_code ignored;
  pipe.close(ignored);
}

Task<> collect_output(Exchange* exchange) {
  const auto pass = exchange->reading.enter();
  std::array<char, 16384> buffer{};
  for (;;) {
    const auto [ec, size] = co_await exchange->child.output().async_read_some(asio::buffer(buffer), as_result);
    if (ec) co_return;
    if (exchange->output.size() + size > exchange->output_max) {
      exchange->overflowed = true;
      exchange->child.signal_group(SIGKILL);
      co_return;
    }
    exchange->output.append(buffer.data(), size);
  }
}

Task<> collect_error_output(Exchange* exchange) {
  const auto pass = exchange->reading.enter();
  std::array<char, 4096> buffer{};
  for (;;) {
    const auto [ec, size] = co_await exchange->child.error_output().async_read_some(asio::buffer(buffer), as_result);
    if (ec) co_return;
    const std::size_t room = exchange->error_output_max - exchange->error_output.size();
    exchange->error_output.append(buffer.data(), std::min(room, size));
  }
}

/// The end of every run: nobody of the group is left, every pipe is read to its end (or given up after `grace`, when a
/// process that left the group still holds one).
Task<int> finish(Exchange* exchange, TaskScope* tasks, bool ended, std::chrono::milliseconds grace) {
  const int code = co_await exchange->child.end(ended ? std::chrono::milliseconds(0) : grace, SIGTERM);
  co_await exchange->reading.close(std::chrono::steady_clock::now() + grace);
  tasks->cancel();
  co_await tasks->join();
  co_return code;
}

}  // namespace

Task<Result<CommandResult>> run_command(Command command, SteadyTime deadline) {
  const auto executor = co_await asio::this_coro::executor;
  const std::string name = command.argv.empty() ? std::string() : command.argv.front();
  auto child = ChildProcess::start(executor, ChildSettings{.argv = std::move(command.argv),
                                                           .environment = std::move(command.environment),
                                                           .secret_environment = std::move(command.secret_environment),
                                                           .directory = std::move(command.directory)});
  if (!child) co_return failure(std::move(child).error());
  Exchange exchange{.child = *std::move(child),
                    .input = std::move(command.input),
                    .output_max = command.output_max,
                    .error_output_max = command.error_output_max,
                    .reading = Gate(executor)};
  TaskScope tasks(executor, Logger(), name);
  tasks.spawn("input", feed(&exchange));
  tasks.spawn("output", collect_output(&exchange));
  tasks.spawn("error output", collect_error_output(&exchange));

  auto ended = co_await with_deadline(exchange.child.wait(), deadline, fmt::format("{} did not end in time", name));
  co_await asio::this_coro::throw_if_cancelled(false);  // we may be cancelled by now, and still clean up
  const int code = co_await shielded(finish(&exchange, &tasks, ended.has_value(), command.grace));
  co_await asio::this_coro::throw_if_cancelled(true);
  if (exchange.overflowed)
    co_return failure(ErrorKind::exhausted, fmt::format("{} wrote more than {} bytes", name, exchange.output_max));
  if (!ended) co_return failure(std::move(ended).error());
  co_return CommandResult{
      .exit_code = code, .output = std::move(exchange.output), .error_output = std::move(exchange.error_output)};
}

Result<std::string> find_program(std::string_view program, std::string_view path) {
  if (program.empty()) return failure(ErrorKind::invalid, "a program's name is empty");
  if (program.contains('/')) {
    std::string direct(program);
    if (::access(direct.c_str(), X_OK) == 0) return direct;
    return failure(ErrorKind::not_found, fmt::format("no program at {}", program));
  }
  while (!path.empty()) {
    const auto end = path.find(':');
    const std::string_view directory = path.substr(0, end);
    path = end == std::string_view::npos ? std::string_view() : path.substr(end + 1);
    if (directory.empty()) continue;  // "" would mean the working directory: never
    std::string candidate = fmt::format("{}/{}", directory, program);
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return failure(ErrorKind::not_found, fmt::format("no program {} on PATH", program));
}

}  // namespace opi::aio
