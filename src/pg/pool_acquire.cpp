// Taking a connection when there is none at hand or it needs something first, and giving one back.
#include "aio/with_deadline.hpp"
#include "pg/pool_state.hpp"

namespace opi::pg {

// ---- the queue -----------------------------------------------------------------------------------------------------

/// A place in the queue. The coroutine that waits may vanish: then the place is given up, or the connection goes back
/// by itself.
struct PoolState::QueuePlace : PoolWaiter {
  explicit QueuePlace(PoolState* pool) noexcept : pool_(pool) {}
  QueuePlace(const QueuePlace&) = delete;
  QueuePlace& operator=(const QueuePlace&) = delete;
  QueuePlace(QueuePlace&&) = delete;
  QueuePlace& operator=(QueuePlace&&) = delete;
  ~QueuePlace() {
    pool_->core.abandon(*this);
    if (slot != nullptr) pool_->give_back(slot, false);
  }

 private:
  PoolState* pool_;
};

namespace {

/// What `suspend` starts.
struct JoinQueue {
  PoolState* state;
  PoolWaiter* waiter;
  void operator()(Resumption resumption, asio::cancellation_slot slot) const {
    waiter->at_home = resumption.executor() == state->executor;
    waiter->resumption = std::move(resumption);
    if (slot.is_connected()) {
      // Called on the waiter's executor and only while it is suspended here: both are there.
      slot.assign([pool = state, entry = waiter](asio::cancellation_type) {
        PoolActions actions;
        pool->core.cancel(*entry, pool->now(), actions);
        pool->perform(std::move(actions));
      });
    }
    const auto keep = state->shared_from_this();  // once answered, the waiter goes on elsewhere
    PoolActions actions;
    state->core.enqueue(*waiter, waiter->since, actions);
    if (!actions.empty()) state->perform(std::move(actions));
  }
};

}  // namespace

// ---- acquire -------------------------------------------------------------------------------------------------------

Task<Result<>> PoolState::check_alive(Connection* connection, SteadyTime deadline) {
  const SteadyTime begun = now();
  auto pong = co_await connection->ping(std::min(deadline, begun + core.config().pool.ping_timeout));
  core.pinged(now() - begun);
  co_return pong;
}

/// What a connection needs before it is lent. An error: it is of no use, or the caller was cancelled.
Task<Result<>> PoolState::make_ready(Connection* connection, PoolCore::Taken taken, SteadyTime deadline) {
  if (taken.forget_statements) co_return failure(ErrorKind::closed, "its prepared statements are of another schema");
  if (taken.needs_ping) {
    auto alive = co_await check_alive(connection, deadline);
    if (!alive) {
      if (alive.error().kind != ErrorKind::cancelled) core.suspect_idle(now());
      co_return alive;
    }
  }
  if (hooks.before_acquire) co_return co_await run_hook(hooks.before_acquire, connection, deadline);
  co_return Result<>{};
}

Task<Acquired> PoolState::acquire_slowly(std::shared_ptr<PoolState> self, PoolCore::Taken taken, Borrower borrower,
                                         SteadyTime begun, SteadyTime deadline) {
  for (;;) {
    while (taken.stale) {
      PoolActions actions;
      core.evict_stale(now(), actions);
      perform(std::move(actions));
      taken = core.try_take(borrower, clock.coarse(), clock);
    }
    bool waited = false;
    if (taken.slot == nullptr) {
      QueuePlace place(this);
      place.borrower = borrower;
      place.since = now();
      place.deadline = deadline;
      co_await suspend(JoinQueue{.state = this, .waiter = &place});
      taken.slot = std::exchange(place.slot, nullptr);
      taken.forget_statements = place.forget_statements;
      if (taken.slot == nullptr) {
        place.error->waited = now() - begun;
        co_return std::unexpected(std::move(*place.error));
      }
      waited = true;
    }
    Lease lease(this, taken.slot);
    Result<> ready;
    // Cancelled after the answer: the cancellation is not lost, and the connection goes to whoever is next.
    bool cancelled = (co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none;
    if (!cancelled && (taken.needs_ping || taken.forget_statements || hooks.before_acquire)) {
      ready = co_await make_ready(&*lease, taken, deadline);
      cancelled = !ready && ready.error().kind == ErrorKind::cancelled;
    }
    if (!cancelled && ready) co_return lease;
    core.refused(waited, cancelled);
    if (ready) {
      lease.release();
    } else {
      lease.discard();
    }
    if (cancelled) co_return std::unexpected(error_now(AcquireErrorKind::cancelled, begun));
    taken = core.try_take(borrower, clock.coarse(), clock);
  }
}

// ---- giving back ---------------------------------------------------------------------------------------------------

Returned PoolState::judge(const Connection& connection, bool discard) const noexcept {
  if (connection.ended_by_server()) return Returned::lost_server;
  if (discard || connection.broken() || connection.transaction_status() == TransactionStatus::active) {
    return Returned::broken;
  }
  if (hooks.after_release || connection.needs_reset(reset_profile.load(std::memory_order_relaxed))) {
    return Returned::needs_cleaning;
  }
  return Returned::clean;
}

void PoolState::give_back(PoolSlot* slot, bool discard) noexcept {
  slot->connection->on_notice(nullptr);
  const Returned how = judge(*slot->connection, discard);
  const SteadyTime time = clock.coarse();
  if (tracer != nullptr) tracer->released(core.name(), std::max(time - slot->since, SteadyTime::duration::zero()));
  if (how == Returned::clean) {
    const PoolCore::Handed handed = core.hand_back(slot, time, clock);
    if (handed.wake != nullptr) handed.wake->resumption.post();
    if (handed.drain) schedule_drain();
    if (handed.done) return;
  }
  PoolActions actions;
  std::shared_ptr<PoolState> last;
  if (core.release(slot, how, now(), actions)) last = std::move(keep_alive);
  perform(std::move(actions));
}

Connection PoolState::detach(PoolSlot* slot) noexcept {
  Connection connection = std::move(*slot->connection);
  connection.on_idle_event(nullptr);
  slot->connection.reset();
  PoolActions actions;
  std::shared_ptr<PoolState> last;
  if (core.detach(slot, now(), actions)) last = std::move(keep_alive);
  perform(std::move(actions));
  return connection;
}

}  // namespace opi::pg
