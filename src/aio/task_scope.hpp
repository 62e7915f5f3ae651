#pragma once
/// @file
/// Owns concurrent tasks: starts them, stops them, waits for them, and loses no exception.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "aio/task.hpp"
#include "base/log.hpp"

namespace opi::aio {

/// Who a task is, for those it asks for something (AcquireOptions::owner of a pool). Valid while the task runs.
struct TaskTag {
  const void* id = nullptr;  ///< no other running task has it
  std::string_view name = {};
};

/// A nursery of tasks on one executor.
///
/// Ownership: owns every task spawned in it; destroy it only after `join()` returned (asserted).
/// Threading: all members on the executor's thread.
/// Cancellation: `cancel()` emits terminal cancellation to every running task; `join()` itself is shielded.
/// Errors: an exception that leaves a task is logged with the task's name and counted, and ends only that task; an
/// operation_aborted after `cancel()` is not a failure.
class TaskScope {
 public:
  TaskScope(asio::any_io_executor executor, Logger log, std::string name);
  ~TaskScope();
  TaskScope(const TaskScope&) = delete;
  TaskScope& operator=(const TaskScope&) = delete;

  /// Starts `task` by posting it. After `cancel()` a new task is refused: dropped without running; returns false. One
  /// that was posted but had not begun when `cancel()` came is dropped as well.
  bool spawn(std::string name, Task<> task);
  /// The same for a task that is told who it is: `begin` makes it, on the executor.
  bool spawn(std::string name, std::move_only_function<Task<>(TaskTag)> begin);
  /// Asks every task to stop and refuses new ones.
  void cancel();
  /// Returns when the last task has ended. May be called once tasks are cancelled or to let them finish.
  Task<> join();

  std::size_t running() const noexcept;
  std::uint64_t failed() const noexcept;
  asio::any_io_executor executor() const;

 private:
  struct State;  ///< shared with the tasks, which therefore never touch a scope that is gone
  std::shared_ptr<State> state_;
};

}  // namespace opi::aio
