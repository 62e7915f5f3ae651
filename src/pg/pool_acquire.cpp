// Taking a connection when there is none at hand or it needs something first, and giving one back.
#include "aio/with_deadline.hpp"
#include "pg/pool_state.hpp"
#include "pg/session.hpp"

namespace opi::pg {

// ---- the queue -----------------------------------------------------------------------------------------------------

/// A place in the queue. The coroutine that waits may vanish: then the place is given up, or the connection goes back
/// by itself.
struct PoolState::QueuePlace : PoolWaiter {
  QueuePlace(PoolState* pool, Borrower who) noexcept : pool_(pool) { borrower = who; }
  QueuePlace(const QueuePlace&) = delete;
  QueuePlace& operator=(const QueuePlace&) = delete;
  QueuePlace(QueuePlace&&) = delete;
  QueuePlace& operator=(QueuePlace&&) = delete;
  ~QueuePlace() {
    if (!answered) pool_->core.abandon(*this);
    if (slot != nullptr) pool_->give_back(slot, false);
  }

  bool answered = false;  ///< and no place any more: the coroutine goes on

 private:
  PoolState* pool_;
};

namespace {

/// What `suspend` starts.
struct JoinQueue {
  PoolState* state;
  PoolWaiter* waiter;
  void operator()(Resumption&& resumption, asio::cancellation_slot slot) const {
    waiter->at_home = resumption.is_on(state->executor);
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

Task<Result<>> PoolState::check_alive(PoolSlot* slot, SteadyTime deadline) {
  const SteadyTime begun = now();
  const SteadyTime until = std::min(deadline, begun + core.config().pool.ping_timeout);
  if (!core.looks_at_roles()) {
    auto pong = co_await slot->connection->ping(until);
    core.pinged(now() - begun);
    co_return pong;
  }
  const auto role = co_await slot->connection->ask_role(until);
  core.pinged(now() - begun);
  if (!role) co_return failure(role.error());
  if (core.role_seen(slot, *role, now())) co_return Result<>{};
  co_return failure(ErrorKind::closed, "its server has another role now");
}

/// What a connection needs before it is lent. An error: it is of no use, or the caller was cancelled.
Task<Result<>> PoolState::prepare(PoolSlot* slot, PoolCore::Taken taken, SteadyTime deadline) {
  Connection* const connection = &*slot->connection;
  if (taken.forget_statements) connection->forget_statements();
  if (taken.needs_ping) {
    auto alive = co_await check_alive(slot, deadline);
    if (!alive) {
      if (alive.error().kind != ErrorKind::cancelled) core.suspect_idle(now());
      co_return alive;
    }
  }
  if (hooks.before_acquire) co_return co_await run_hook(hooks.before_acquire, connection, deadline);
  co_return Result<>{};
}

Task<PoolState::Readiness> PoolState::make_ready(PoolSlot* slot, PoolCore::Taken taken, SteadyTime deadline) {
  const auto ready = co_await prepare(slot, taken, deadline);
  if (ready) co_return Readiness::ready;
  co_return ready.error().kind == ErrorKind::cancelled ? Readiness::cancelled : Readiness::useless;
}

void PoolState::evict_stale() {
  PoolActions actions;
  core.evict_stale(now(), actions);
  perform(std::move(actions));
}

AcquireError PoolState::too_late() const {
  AcquireError error;
  error.kind = AcquireErrorKind::timed_out;
  error.pool = core.name();
  return error;
}

// One coroutine however it goes: a second one costs as much as all of the common case. Every failure leaves it at one
// place, for its frame stays below the 1 020 bytes up to which Asio keeps frames for the next coroutine.
Task<Acquired> PoolState::acquire_from(Lease lease, std::optional<PoolCore::Taken> looked, Borrower borrower,
                                       std::optional<SteadyTime> deadline) {
  std::shared_ptr<PoolState> self;  // goes after the place
  QueuePlace place(this, borrower);
  PoolCore::Taken taken = looked.value_or(PoolCore::Taken());
  if (!looked && deadline && *deadline <= now()) {
    place.error = std::make_unique<AcquireError>(too_late());
  } else if (!looked) {
    lease = take_now(place.borrower, taken);
    if (lease && taken.ready && lends_at_once) co_return lease;
  }
  self = shared_from_this();
  const SteadyTime begun = now();
  place.since = begun;
  place.deadline = deadline ? *deadline : begun + acquire_timeout.load(std::memory_order_relaxed);
  for (; !place.error; lease = take_now(place.borrower, taken)) {
    const bool waited = !lease;
    if (waited) {
      co_await suspend(JoinQueue{.state = this, .waiter = &place});
      place.answered = true;
      lease = Lease(std::exchange(place.slot, nullptr));
      taken.forget_statements = place.forget_statements;
      if (!lease) {
        place.error->waited = now() - begun;
        break;
      }
    }
    Readiness ready = Readiness::ready;
    // Cancelled after the answer: the cancellation is not lost, and the connection goes to whoever is next.
    if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none) {
      ready = Readiness::cancelled;
    } else if (taken.needs_ping || taken.forget_statements || hooks.before_acquire) {
      ready = co_await make_ready(lease.slot_, taken, place.deadline);
      if (ready != Readiness::ready) lease.discard();
    }
    if (ready == Readiness::ready) co_return lease;
    core.refused(place.borrower, waited, ready == Readiness::cancelled);
    lease.release();
    if (ready == Readiness::cancelled) {
      place.error = std::make_unique<AcquireError>(error_now(AcquireErrorKind::cancelled, begun));
      break;
    }
    place.since = now();
    place.answered = false;
  }
  co_return std::unexpected(std::move(*place.error));
}

Task<Acquired> PoolState::acquire(AcquireOptions options, std::source_location where) {
  return acquire_from({}, {}, Borrower(where, options.task, options.owner), options.deadline);
}

bool Acquiring::begin(Task<Acquired>& rest) {
  const Borrower borrower(where_);
  PoolCore::Taken taken;
  lease_ = pool_->take_now(borrower, taken);
  if (lease_ && taken.ready && pool_->lends_at_once) return true;
  rest = pool_->acquire_from(std::move(lease_), taken, borrower, {});
  return false;
}

// ---- giving back ---------------------------------------------------------------------------------------------------

/// What the session's use has shown of its server's role.
Returned PoolState::judge_role(PoolSlot* slot) noexcept {
  Connection& connection = *slot->connection;
  const HostRole reported = connection.reported_role();
  const bool refused = connection.take_write_refused();
  const bool unexpected = reported != HostRole::unknown && !core.role_fits(reported);
  if (unexpected && !core.role_seen(slot, reported, now())) return Returned::wrong_role;
  // Without its word: a transaction for reading would be refused so too, so the server is asked.
  slot->role_in_doubt = refused;
  return refused ? Returned::needs_cleaning : Returned::clean;
}

/// One session has met a table that changed; the others need not.
void PoolState::note_schema_change() noexcept {
  PoolActions actions;
  core.forget_statements(now(), actions);
  perform(std::move(actions));
  if (on_schema_change) on_schema_change(core.config().server);
}

Returned PoolState::judge(PoolSlot* slot, bool discard) noexcept {
  Connection& connection = *slot->connection;
  const ResetProfile profile = reset_profile.load(std::memory_order_relaxed);
  if (!connection.take_touched() && !discard && profile != ResetProfile::always && !hooks.after_release) {
    return Returned::clean;
  }
  connection.on_notice(nullptr);
  if (connection.take_plan_was_stale()) note_schema_change();
  if (connection.ended_by_server()) return Returned::lost_server;
  if (discard || connection.broken() || connection.transaction_status() == TransactionStatus::active) {
    return Returned::broken;
  }
  const Returned role = core.looks_at_roles() ? judge_role(slot) : Returned::clean;
  if (role == Returned::clean && (hooks.after_release || connection.needs_reset(profile))) {
    return Returned::needs_cleaning;
  }
  return role;
}

void PoolState::give_back(PoolSlot* slot, bool discard) noexcept {
  Returned how = judge(slot, discard);
  const SteadyTime time = clock.coarse();
  if (tracer != nullptr) tracer->released(core.name(), std::max(time - slot->since, SteadyTime::duration::zero()));
  if (how == Returned::clean) {
    Connection& connection = *slot->connection;
    PoolCore::Handed handed = core.hand_back(slot, time, clock, !connection.unlooked());
    if (!handed.done && connection.unlooked() && !connection.check_idle()) how = Returned::lost_server;
    if (handed.look && how == Returned::clean) handed = core.hand_back(slot, time, clock);
    if (handed.wake != nullptr) handed.wake->resumption.post();
    if (handed.drain) schedule_drain();
    if (handed.done) return;
  }
  PoolActions actions;
  std::shared_ptr<PoolState> last;
  if (core.release(slot, how, now(), actions)) last = std::move(keep_alive);
  perform(std::move(actions));
}

void Lease::give_back(bool discard) noexcept {
  PoolSlot* const slot = std::exchange(slot_, nullptr);
  slot->pool->give_back(slot, discard);
}

Connection PoolState::detach(PoolSlot* slot) noexcept {
  Connection connection = std::move(*slot->connection);
  connection.on_idle_event(nullptr);
  connection.look_later(false);
  slot->connection.reset();
  PoolActions actions;
  std::shared_ptr<PoolState> last;
  if (core.detach(slot, now(), actions)) last = std::move(keep_alive);
  perform(std::move(actions));
  return connection;
}

}  // namespace opi::pg
