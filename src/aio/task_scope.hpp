#pragma once
/// @file
/// Owns concurrent tasks: starts them, stops them, waits for them, and loses no exception.

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <list>
#include <string>

#include "aio/task.hpp"
#include "base/log.hpp"

namespace opi::aio {

/// A nursery of tasks on one executor.
///
/// Ownership: owns every task spawned in it; destroy it only after `join()` returned (asserted).
/// Threading: all members on the executor's thread.
/// Cancellation: `cancel()` emits terminal cancellation to every running task; `join()` itself is shielded.
/// Errors: an exception that leaves a task is logged with the task's name and counted, and ends only that task.
class TaskScope {
 public:
  TaskScope(asio::any_io_executor executor, Logger log, std::string name);
  ~TaskScope();
  TaskScope(const TaskScope&) = delete;
  TaskScope& operator=(const TaskScope&) = delete;

  /// Starts `task` by posting it. After `cancel()` a new task is refused: dropped without running; returns false.
  bool spawn(std::string name, Task<> task);
  /// Asks every task to stop and refuses new ones.
  void cancel();
  /// Returns when the last task has ended. May be called once tasks are cancelled or to let them finish.
  Task<> join();

  std::size_t running() const noexcept { return running_.size(); }
  std::uint64_t failed() const noexcept { return failed_; }
  asio::any_io_executor executor() const { return executor_; }

 private:
  struct Running {
    std::string name;
    asio::cancellation_signal stop;
  };
  asio::any_io_executor executor_;
  Logger log_;
  std::string name_;
  std::list<Running> running_;
  asio::steady_timer ended_;  ///< cancelled whenever a task ends
  bool stopping_ = false;
  std::uint64_t failed_ = 0;
};

}  // namespace opi::aio
