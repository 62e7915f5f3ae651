#pragma once
/// @file
/// What a DatabasePool, its leases and its background tasks share: the core, and the hands that do what it decides.

#include <atomic>
#include <boost/asio/steady_timer.hpp>

#include "aio/task_scope.hpp"
#include "pg/pool_core.hpp"

namespace opi::pg {

/// Lives until the pool and the last lease are gone. Background work runs on `executor`; everything else from any
/// thread.
struct DatabasePool::State : std::enable_shared_from_this<DatabasePool::State> {
  State(asio::any_io_executor executor, PoolConfig config, aio::BlockingPool& blocking, Logger log, const Clock& clock);

  SteadyTime now() const noexcept { return clock.steady(); }
  AcquireError error_now(AcquireErrorKind kind, SteadyTime begun) const {
    return core.error_now(kind, now() - begun, now());
  }

  /// Does what the core decided: wakes at once, the rest on the executor.
  void perform(PoolActions&& actions);
  /// A lease ends. Never throws: what cannot be done in the background is done by closing.
  void give_back(PoolSlot* slot, bool discard) noexcept;
  /// The server spoke on a connection that nobody is using, or that is lent and quiet.
  void idle_event(PoolSlot* slot);

  // On the executor.
  Task<Result<>> start(SteadyTime deadline);
  Task<Result<bool>> recover(SteadyTime deadline);
  Task<Result<>> close(SteadyTime deadline);

  const asio::any_io_executor executor;
  const PoolConfig config;
  aio::BlockingPool& blocking;
  const Logger log;
  const Clock& clock;
  PoolCore core;
  std::atomic<bool> finished = false;         ///< closed: no background any more
  std::function<void(bool)> on_availability;  ///< on the executor

 private:
  /// One slot in the hands of a background task; a task that ends without an answer gives the slot up.
  class Hold;

  void run_background(PoolActions actions);
  void drop(PoolSlot* slot) noexcept;
  void arm_timer();
  void on_timer();
  void report(const PoolActions::Leak& leak) const;
  void announce(bool available);
  Task<> dial(Hold hold);
  Task<> clean(Hold hold);
  Task<> close_connection(Hold hold);
  /// Returns when the core's version differs from `seen`.
  Task<Result<>> wait_for_change(std::uint64_t seen);
  Task<Result<>> finish_closing(SteadyTime deadline);

  asio::steady_timer timer_;
  aio::TaskScope dials_;
  aio::TaskScope ends_;  ///< cleaning and closing
  std::uint64_t observers_ = 0;
  bool start_called_ = false;
  bool close_called_ = false;
  SteadyTime close_deadline_ = SteadyTime::max();  ///< goodbyes wait no longer
  Result<> close_result_;
};

}  // namespace opi::pg
