#pragma once
/// @file
/// What a DatabasePool, its leases and its background tasks share: the core, and the hands that do what it decides.

#include <atomic>
#include <boost/asio/steady_timer.hpp>

#include "aio/task_scope.hpp"
#include "pg/carriers.hpp"
#include "pg/database_pool.hpp"
#include "pg/loop_turn.hpp"
#include "pg/pool_core.hpp"

namespace opi::pg {

/// Lives until the pool and the last lease are gone. Background work runs on `executor`; everything else from any
/// thread.
struct PoolState final : std::enable_shared_from_this<PoolState>, private LoopTurn::Work {
  PoolState(asio::any_io_executor executor, PoolConfig config, aio::BlockingPool& blocking, Logger log,
            const Clock& clock, PoolAttachments attachments);

  SteadyTime now() const noexcept { return clock.steady(); }
  AcquireError error_now(AcquireErrorKind kind, SteadyTime begun) const {
    return core.error_now(kind, now() - begun, now());
  }

  /// The deadline was over before anything was touched.
  AcquireError too_late() const;

  /// An idle connection, and what it needs before it is used; or an empty lease.
  Lease take_now(const Borrower& borrower, PoolCore::Taken& taken) {
    for (;;) {
      taken = core.try_take(borrower, clock);
      if (!taken.stale) return Lease(taken.slot);
      evict_stale();
    }
  }
  void evict_stale();
  Task<Acquired> acquire(AcquireOptions options, std::source_location where);
  /// Goes on from `take_now`, if somebody has looked already. No deadline: acquire_timeout.
  Task<Acquired> acquire_from(Lease lease, std::optional<PoolCore::Taken> looked, Borrower borrower,
                              std::optional<SteadyTime> deadline);
  /// Does what the core decided: wakes at once, the rest on the executor.
  void perform(PoolActions&& actions);
  /// A lease ends. Never throws: what cannot be done in the background is done by closing.
  void give_back(PoolSlot* slot, bool discard) noexcept;
  Connection detach(PoolSlot* slot) noexcept;
  void resize(PoolSettings settings);
  void pause(bool paused);

  /// Once, before anything else.
  void listen_to_governor();

  // On the executor.
  Task<Result<>> start(SteadyTime deadline);
  Task<Result<bool>> recover(SteadyTime deadline);
  Task<Result<>> close(SteadyTime deadline);

  const asio::any_io_executor executor;
  aio::BlockingPool& blocking;
  const Logger log;
  const Clock& clock;
  const PoolHooks hooks;
  PoolTracer* const tracer;
  const std::function<void(const ServerSettings&)> on_schema_change;
  const bool lends_at_once;  ///< nothing runs before a connection is lent
  PoolCore core;
  Carriers carriers;
  // Of the configuration, for the paths that must not take the lock once more.
  std::atomic<ResetProfile> reset_profile;
  std::atomic<std::chrono::milliseconds> acquire_timeout;
  std::atomic<std::chrono::milliseconds> statement_timeout;
  std::atomic<std::uint32_t> max_waiting;
  std::atomic<bool> finished = false;         ///< closed: no background any more
  std::function<void(bool)> on_availability;  ///< on the executor
  std::shared_ptr<PoolState> keep_alive;      ///< the pool is gone, leases are out: the last one takes it

 private:
  /// One slot in the hands of a background task; a task that ends without an answer gives the slot up.
  class Hold;
  /// A visit on the executor to those who were answered.
  class Drain;
  struct QueuePlace;

  Returned judge(PoolSlot* slot, bool discard) noexcept;
  void note_schema_change() noexcept;
  Returned judge_role(PoolSlot* slot) noexcept;
  void idle_event(PoolSlot* slot);
  void run_background(PoolActions actions);
  void drop(PoolSlot* slot) noexcept;
  void schedule_drain();
  void at_end_of_turn() override { resume_ready(); }
  void in_a_later_turn() noexcept override { post_drain(); }
  void post_drain() noexcept;
  void resume_ready();
  void drop_ready() noexcept;
  void arm_timer();
  void on_timer();
  void report(const PoolActions::Leak& leak) const;
  void announce(bool available);
  enum class Readiness { ready, useless, cancelled };
  Task<Readiness> make_ready(PoolSlot* slot, PoolCore::Taken taken, SteadyTime deadline);
  Task<Result<>> prepare(PoolSlot* slot, PoolCore::Taken taken, SteadyTime deadline);
  Task<Result<>> check_alive(PoolSlot* slot, SteadyTime deadline);
  Task<Result<>> run_hook(PoolHooks::Step hook, Connection* connection, SteadyTime deadline);
  struct Dial;
  Task<Result<Connection>> reach_host(Dial* dial, SteadyTime deadline);
  Task<Result<Connection>> reach_server(Dial* dial);
  Task<Result<Connection>> connect(Dial* dial);
  Task<> dial(Hold hold);
  Task<Result<bool>> clean_session(PoolSlot* slot);
  Task<Result<>> check_role(PoolSlot* slot);
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
