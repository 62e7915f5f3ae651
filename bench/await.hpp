#pragma once
/// @file
/// Runs a coroutine to its end, for what measures and is none.

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <optional>
#include <utility>

#include "aio/task.hpp"

namespace opi::bench {

/// What `task` returned; its exception is thrown. What else runs on `context` goes on meanwhile, and stays.
template <class T>
T await(asio::io_context& context, Task<T> task) {
  std::optional<T> outcome;
  std::exception_ptr failed;
  bool ended = false;
  auto wrapped = [](Task<T> inner, std::optional<T>* into) -> Task<> { into->emplace(co_await std::move(inner)); };
  asio::co_spawn(context, wrapped(std::move(task), &outcome), [&](std::exception_ptr error) {
    failed = std::move(error);
    ended = true;
  });
  context.restart();
  while (!ended && context.run_one() != 0) {
  }
  if (failed) std::rethrow_exception(failed);
  return *std::move(outcome);
}

}  // namespace opi::bench
