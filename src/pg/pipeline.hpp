#pragma once
/// @file
/// Prepared statements of many independent callers on one connection, without waiting for each other's answers.

#include <cstddef>
#include <functional>
#include <memory>

#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "pg/connection.hpp"

namespace opi::pg {

/// Takes a connection over until it is finished or destroyed. Each statement is prepared at its first use, in the same
/// go, and runs as a transaction of its own: a failure does not touch its neighbours. Answers come in the order of
/// sending. Only statements that leave session and transaction alone belong here (`Statement::multiplexable`).
///
/// Ownership: the connection outlives it and runs nothing else meanwhile; its idle handler is put aside and comes back.
///
/// Threading: everything on the executor the connection was dialled with, which runs one thing at a time.
///
/// Cancellation: none of a single statement: whoever is not interested any more ignores its answer. `finish` is not
/// cancellable.
///
/// Errors: of a statement, those of Connection::query_prepared, and it is prepared again in the same cases. The loss of
/// the connection is ErrorKind::unavailable for every statement that has no answer: one that was sent may have run.
class Pipeline {
 public:
  /// Called once for each statement that was sent, never from within `send`. It may send; it must not throw, and not
  /// destroy the pipeline.
  using Completion = std::move_only_function<void(Result<ResultSet>)>;

  /// `on_loss` is called when the connection is lost, after the completions that this costs.
  explicit Pipeline(Connection& connection, std::function<void()> on_loss = {});
  /// What has no answer yet is completed with ErrorKind::cancelled, and the connection then needs `recover`; otherwise
  /// it is as before.
  ~Pipeline();
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  /// Sends now, as far as the socket takes it. An error: nothing was sent and `done` is dropped; closed (the connection
  /// is not usable, or the pipeline is finishing), invalid, exhausted (`in_flight_max`).
  Result<> send(Statement statement, Params params, Completion done);
  static constexpr std::size_t in_flight_max = 65'536;

  /// Statements without an answer.
  std::size_t in_flight() const noexcept;
  /// False once the connection is lost or the pipeline is finished: `send` will fail.
  bool usable() const noexcept;

  /// Refuses new statements, waits for the answers that are under way and gives the connection back. An error (lost, or
  /// not answered by the deadline): the rest was completed with it, and the connection is broken.
  Task<Result<>> finish(SteadyTime deadline);

 private:
  class State;
  std::shared_ptr<State> state_;  ///< stays while it calls completions
};

}  // namespace opi::pg
