#pragma once
/// @file
/// Runs a function over pieces of a range on the blocking pool, several pieces at once.

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <cstddef>
#include <exception>
#include <vector>

#include "aio/blocking_pool.hpp"
#include "aio/task.hpp"
#include "aio/task_scope.hpp"

namespace opi::aio {

/// What became of one piece.
struct SliceOutcome {
  bool run = false;
  std::exception_ptr failed = nullptr;
};

template <class Function>
Task<> run_slice(BlockingPool* pool, const Function* function, std::size_t from, std::size_t to,
                 SliceOutcome* outcome) {
  struct Call {
    const Function* function;
    std::size_t from;
    std::size_t to;
    SliceOutcome* outcome;
    void operator()() const {
      outcome->run = true;
      (*function)(from, to);
    }
  };
  try {
    co_await pool->run(Call{.function = function, .from = from, .to = to, .outcome = outcome});
  } catch (...) {
    if (outcome->run) outcome->failed = std::current_exception();
  }
}

/// Calls `(*function)(from, to)` for at most `slices` pieces that make up [0, count), each on a thread of the pool,
/// and returns when all have ended. False: the caller was cancelled, or the pool is going, before every piece had
/// begun; what has begun is waited for. Ownership: `pool` and `function` outlive the call. Threading: `function` is
/// called by several threads at once. Errors: the exception of the first piece that threw.
template <class Function>
Task<bool> run_in_slices(BlockingPool* pool, std::size_t count, std::size_t slices, const Function* function) {
  const std::size_t pieces = std::min(count, std::max<std::size_t>(slices, 1));
  std::vector<SliceOutcome> outcomes(pieces);
  TaskScope scope(co_await asio::this_coro::executor, Logger{}, "slices");
  for (std::size_t i = 0; i < pieces; ++i) {
    scope.spawn("slice", run_slice(pool, function, count * i / pieces, count * (i + 1) / pieces, &outcomes[i]));
  }
  co_await scope.join();
  for (const auto& outcome : outcomes) {
    if (outcome.failed) std::rethrow_exception(outcome.failed);
  }
  co_return std::ranges::all_of(outcomes, &SliceOutcome::run);
}

}  // namespace opi::aio
