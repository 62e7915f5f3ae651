#pragma once
/// @file
/// Asks the server to stop what a session runs, over a connection of the request's own.

#include <memory>

#include "aio/blocking_pool.hpp"
#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"

struct pg_conn;

namespace opi::pg {

/// May be sent again and again, also after its session is gone. Cheap to copy.
class CancelRequest {
 public:
  /// Of the session's present server process. `possible()` is false where the request would be less protected than the
  /// session: before version 17 libpq sends it in plain text.
  explicit CancelRequest(pg_conn* session);
  bool possible() const noexcept { return request_ != nullptr; }

  /// Sends it on `blocking` and returns when the server has closed the request's connection: it has signalled the
  /// process by then, so a statement that is sent later is not hit. It says nothing of what the signal did; one that
  /// came before its statement began is lost. Errors: timed_out (the request may still be under way), unavailable,
  /// cancelled.
  Task<Result<>> send(aio::BlockingPool* blocking, SteadyTime deadline) const;

 private:
  std::shared_ptr<void> request_;
};

}  // namespace opi::pg
