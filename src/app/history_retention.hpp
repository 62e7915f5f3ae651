#pragma once
/// @file
/// Lets go of history that is older than the operator wants to keep.

#include <chrono>
#include <cstdint>

#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "pg/database_pool.hpp"

namespace opi::app {

/// Trims at most once an hour. Threading: one executor's thread.
class HistoryRetention {
 public:
  /// `retention` 0: everything is kept for ever.
  explicit HistoryRetention(std::chrono::milliseconds retention) noexcept : retention_(retention) {}

  /// Deletes, in parts, what is too old, when an hour has passed since the last time (or never did): the number of
  /// entries that went. Errors: those of the pool and of Connection; then it is tried again at the next call.
  Task<Result<std::int64_t>> trim_when_due(pg::DatabasePool* main);

 private:
  std::chrono::milliseconds retention_;
  SteadyTime due_{};
};

}  // namespace opi::app
