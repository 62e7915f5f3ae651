#pragma once
/// @file
/// Threads for calls that block: name lookup, scrypt, file trees, libpq's blocking calls.

#include <boost/asio/thread_pool.hpp>
#include <type_traits>

#include "aio/task.hpp"

namespace opi::aio {

/// Ownership: joins its threads when destroyed; work that was not started by `stop()` is dropped.
/// Threading: `run` from any executor; the function runs on one of the pool's threads and the caller resumes on its own executor.
/// Cancellation: a call that has started cannot be interrupted; the awaiting coroutine waits for it. Give every call a bound.
/// Errors: an exception of the function is rethrown to the caller.
class BlockingPool {
 public:
  explicit BlockingPool(std::size_t threads);
  ~BlockingPool();
  BlockingPool(const BlockingPool&) = delete;
  BlockingPool& operator=(const BlockingPool&) = delete;

  /// Runs `function` (moved into the pool) on a pool thread and returns what it returned.
  template <class Function>
  Task<std::invoke_result_t<Function>> run(Function function);

 private:
  asio::thread_pool threads_;
};

}  // namespace opi::aio
