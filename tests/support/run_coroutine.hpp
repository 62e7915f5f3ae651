#pragma once
/// @file
/// Runs one coroutine to its end in a test, with a deadline, and hands its value or exception to the test.

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <exception>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "aio/task.hpp"

namespace opi::test {

inline constexpr std::chrono::seconds run_deadline{60};

/// Spawns `task` on `context` and runs that until the task has ended. Throws std::runtime_error when the deadline
/// passes first; rethrows the task's exception. What else was started on `context` is left as it is: run it again to go
/// on.
template <class T>
T run_coroutine(asio::io_context& context, Task<T> task, std::chrono::milliseconds deadline = run_deadline) {
  using Value = std::conditional_t<std::is_void_v<T>, char, T>;
  std::optional<Value> value;
  std::exception_ptr exception = nullptr;
  bool ended = false;
  auto wrapped = [](Task<T> inner, std::optional<Value>* into) -> Task<> {
    if constexpr (std::is_void_v<T>) {
      co_await std::move(inner);
      into->emplace();
    } else {
      into->emplace(co_await std::move(inner));
    }
  };
  asio::co_spawn(context, wrapped(std::move(task), &value), [&](std::exception_ptr e) {
    exception = std::move(e);
    ended = true;
  });
  const auto last = std::chrono::steady_clock::now() + deadline;
  context.restart();
  while (!ended) {
    if (context.run_one_until(last) > 0) continue;
    if (ended) break;
    if (std::chrono::steady_clock::now() >= last) throw std::runtime_error("the coroutine did not end in time");
    throw std::runtime_error("the coroutine waits for something that nobody will do");
  }
  if (exception) std::rethrow_exception(exception);
  if constexpr (!std::is_void_v<T>) return std::move(*value);
}

/// The same on a fresh io_context, for coroutines that bring nothing of their own.
template <class T>
T run_coroutine(Task<T> task, std::chrono::milliseconds deadline = run_deadline) {
  asio::io_context context;
  return run_coroutine(context, std::move(task), deadline);
}

}  // namespace opi::test
