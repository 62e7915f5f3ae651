// The hands of the pool: what the core decides is done here, off the caller's path.
#include "pg/pool_state.hpp"

#include <fmt/format.h>

#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>

#include "aio/with_deadline.hpp"
#include "pg/dial_outcome.hpp"
#include "pg/duration_text.hpp"

namespace opi::pg {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds reset_timeout = 5s;
constexpr std::chrono::milliseconds close_timeout = 2s;
/// The pool itself ends: its idle sessions are told goodbye, and nobody needs their places any more.
constexpr std::chrono::milliseconds last_goodbye = 1ms;

std::uint64_t seed_of(const void* pool, SteadyTime now) {
  return reinterpret_cast<std::uintptr_t>(pool) ^ static_cast<std::uint64_t>(now.time_since_epoch().count());
}

}  // namespace

PoolState::PoolState(asio::any_io_executor on, PoolConfig config, aio::BlockingPool& pool, Logger logger,
                     const Clock& time, PoolAttachments attachments)
    : executor(std::move(on)),
      blocking(pool),
      log(std::move(logger)),
      clock(time),
      hooks(std::move(attachments.hooks)),
      tracer(attachments.tracer),
      on_schema_change(std::move(attachments.on_schema_change)),
      lends_at_once(!hooks.before_acquire && tracer == nullptr),
      core(config, seed_of(this, time.steady()), {}, std::move(attachments.governor)),
      carriers(*this),
      reset_profile(config.pool.reset),
      acquire_timeout(config.pool.acquire_timeout),
      statement_timeout(config.server.statement_timeout),
      max_waiting(config.pool.max_waiting),
      timer_(executor),
      dials_(executor, log, "pool " + config.name + " dials"),
      ends_(executor, log, "pool " + config.name + " closes") {}

void PoolState::listen_to_governor() {
  core.on_wake([weak = weak_from_this()] {
    const auto state = weak.lock();
    if (!state || state->finished) return;
    asio::post(state->executor, [state] { state->on_timer(); });
  });
}

class PoolState::Hold {
 public:
  Hold(std::shared_ptr<PoolState> state, PoolSlot* slot) noexcept : state_(std::move(state)), slot_(slot) {}
  Hold(Hold&& other) noexcept : state_(std::move(other.state_)), slot_(std::exchange(other.slot_, nullptr)) {}
  Hold& operator=(Hold&&) = delete;
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;
  ~Hold() {
    if (slot_ != nullptr) state_->drop(slot_);
  }
  PoolSlot* slot() const noexcept { return slot_; }
  /// The core has heard what became of it.
  PoolSlot* settle() noexcept { return std::exchange(slot_, nullptr); }

 private:
  std::shared_ptr<PoolState> state_;
  PoolSlot* slot_;
};

void PoolState::drop(PoolSlot* slot) noexcept {
  slot->connection.reset();
  PoolActions actions;
  core.closed(slot, now(), actions);
  perform(std::move(actions));
}

/// Destroyed without having run (the event loop is being torn down), it drops the coroutines that were to be resumed.
class PoolState::Drain {
 public:
  explicit Drain(std::shared_ptr<PoolState> state) noexcept : state_(std::move(state)) {}
  Drain(Drain&&) noexcept = default;
  Drain& operator=(Drain&&) = delete;
  Drain(const Drain&) = delete;
  Drain& operator=(const Drain&) = delete;
  ~Drain() {
    if (state_) state_->drop_ready();
  }
  void operator()() { std::exchange(state_, nullptr)->resume_ready(); }

 private:
  std::shared_ptr<PoolState> state_;
};

void PoolState::schedule_drain() {
  if (!LoopTurn::put_off(std::shared_ptr<Work>(shared_from_this(), this), executor)) post_drain();
}

void PoolState::post_drain() noexcept {
  asio::post(executor, Drain(shared_from_this()));
}

void PoolState::resume_ready() {
  const auto self = shared_from_this();
  /// A coroutine's exception that reaches the event loop must not keep the others from going on.
  struct Rest {
    PoolWaiters waiters;
    ~Rest() {
      while (!waiters.empty()) take().post();
    }
    Resumption take() {
      PoolWaiter& waiter = waiters.front();
      waiters.pop_front();
      return std::move(waiter.resumption);  // the waiter may be gone as soon as it is resumed
    }
  } ready;
  core.take_ready(ready.waiters);
  while (!ready.waiters.empty()) ready.take().resume();
}

void PoolState::drop_ready() noexcept {
  PoolWaiters ready;
  core.take_ready(ready);
  while (!ready.empty()) {
    PoolWaiter& waiter = ready.front();
    ready.pop_front();
    const Resumption dropped = std::move(waiter.resumption);
  }
}

void PoolState::perform(PoolActions&& actions) {
  while (!actions.wake.empty()) {
    PoolWaiter& waiter = actions.wake.front();
    actions.wake.pop_front();
    waiter.resumption.post();
  }
  if (actions.drain) schedule_drain();
  for (Resumption& observer : actions.observers) observer.post();
  actions.observers.clear();
  actions.drain = false;
  if (!actions.for_background()) return;
  if (finished) {
    for (PoolSlot* const slot : actions.close) drop(slot);
    return;
  }
  asio::post(executor, [state = shared_from_this(), work = std::move(actions)]() mutable {
    state->run_background(std::move(work));
  });
}

void PoolState::run_background(PoolActions actions) {
  const auto self = shared_from_this();
  // A scope that is closing drops the task, and its Hold gives the slot up.
  for (PoolSlot* const slot : actions.dial) dials_.spawn("dial", dial(Hold(self, slot)));
  for (PoolSlot* const slot : actions.clean) ends_.spawn("clean", clean(Hold(self, slot)));
  for (PoolSlot* const slot : actions.close) ends_.spawn("close", close_connection(Hold(self, slot)));
  for (PoolSlot* const slot : actions.recall) carriers.recall(slot);
  for (const PoolActions::Leak& leak : actions.leaks) report(leak);
  if (actions.availability) announce(*actions.availability);
  if (actions.gave_up && hooks.gave_up) hooks.gave_up(core.stats());
  if (actions.rearm) arm_timer();
}

void PoolState::arm_timer() {
  if (core.closing()) {
    timer_.cancel();
    return;
  }
  const SteadyTime current = now();
  timer_.expires_after(std::max(core.arm(current) - current, SteadyTime::duration::zero()));
  timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    if (error) return;
    if (const auto state = weak.lock()) state->on_timer();
  });
}

void PoolState::on_timer() {
  PoolActions actions;
  core.tick(now(), actions);
  perform(std::move(actions));
}

void PoolState::report(const PoolActions::Leak& leak) const {
  const Holder& holder = leak.holder;
  const std::string what =
      fmt::format("connection {} {}, {}{}{}", leak.returned ? "is back after" : "held since",
                  duration_text(holder.since), holder.place, holder.task.empty() ? "" : ", ", holder.task);
  if (leak.returned) {
    log.info(core.name(), what);
  } else {
    log.warn(core.name(), what);
  }
}

void PoolState::announce(bool available) {
  const PoolStats stats = core.stats();
  if (available) {
    log.info(core.name(), fmt::format("available, PostgreSQL {}", stats.server_version));
  } else if (!core.closing()) {
    log.warn(core.name(), fmt::format("unavailable: {}; retrying in the background", stats.last_error));
  }
  if (on_availability) on_availability(available);
}

// ---- tasks ---------------------------------------------------------------------------------------------------------

namespace {

/// Also of a hook that throws.
Task<Result<>> call_hook(PoolHooks::Step hook, Connection* connection) {
  std::string thrown;
  try {
    co_return co_await hook(connection);
  } catch (const boost::system::system_error& error) {
    if (error.code() == asio::error::operation_aborted) co_return failure(ErrorKind::cancelled, "a hook was cancelled");
    thrown = error.what();
  } catch (const std::exception& error) {
    thrown = error.what();
  }
  co_return failure(ErrorKind::internal, "a hook threw: " + thrown);
}

}  // namespace

Task<Result<>> PoolState::run_hook(PoolHooks::Step hook, Connection* connection, SteadyTime deadline) {
  return aio::with_deadline(call_hook(std::move(hook), connection), std::min(deadline, now() + hooks.deadline),
                            "a hook of pool " + core.name() + " took too long");
}

/// One dial on its way through the hosts.
struct PoolState::Dial {
  PoolSlot* slot;
  ServerSettings server;
  SteadyTime deadline;
  DialErrors errors;
  std::string peer = {};  ///< the last one that was tried
};

/// One host, and what it is when that matters.
Task<Result<Connection>> PoolState::reach_host(Dial* dial, SteadyTime deadline) {
  const HostPort host = core.target(dial->slot);
  dial->peer = to_string(host);
  auto connection = co_await Connection::connect_host(executor, dial->server, host, blocking, deadline);
  if (!connection) {
    core.host_failed(dial->slot, connection.error(), now());
    co_return connection;
  }
  HostRole role = HostRole::unknown;
  if (dial->server.target != SessionTarget::any) {
    const auto asked = co_await role_of(&*connection, deadline);
    if (!asked) co_return failure(asked.error());
    role = *asked;
  }
  const Fit fit = core.host_reached(dial->slot, role, now());
  if (fit != Fit::none) co_return connection;
  co_await connection->close(now() + close_timeout);
  co_return failure(wrong_role(dial->peer, role));
}

/// The hosts in the core's order, until one will do. Each has an equal share of the time that is left.
Task<Result<Connection>> PoolState::reach_server(Dial* dial) {
  Connection second_best;
  for (;;) {
    const auto share = static_cast<std::int64_t>(dial->slot->route.size() + 1);
    auto connection = co_await reach_host(dial, now() + (dial->deadline - now()) / share);
    if (connection && dial->slot->second_best != dial->slot->gate) co_return connection;
    if (connection) {
      second_best = std::move(*connection);
    } else {
      const bool over = ends_search(connection.error());
      dial->errors.add(std::move(connection.error()));
      if (over) break;
    }
    if (!core.try_next_host(dial->slot, now())) break;
  }
  if (second_best.broken()) co_return failure(dial->errors.take());
  core.use_second_best(dial->slot);
  co_return second_best;
}

Task<Result<Connection>> PoolState::connect(Dial* dial) {
  auto connection = co_await reach_server(dial);
  if (!connection || !hooks.after_connect) co_return connection;
  auto prepared = co_await run_hook(hooks.after_connect, &*connection, SteadyTime::max());
  if (prepared) co_return connection;
  co_await connection->close(now() + close_timeout);
  co_return failure(std::move(prepared.error()).while_doing("preparing a new connection"));
}

Task<> PoolState::dial(Hold hold) {
  ServerSettings server = core.config().server;
  const SteadyTime deadline = now() + server.connect_timeout;
  const SessionTarget target = server.target;
  Dial dial{.slot = hold.slot(), .server = std::move(server), .deadline = deadline, .errors = DialErrors(target)};
  const std::uint64_t span = tracer != nullptr ? tracer->dial_begun(core.name()) : 0;
  auto connection = co_await connect(&dial);
  if (tracer != nullptr) tracer->dial_ended(span, connection ? nullptr : &connection.error());
  PoolActions actions;
  if (!connection) {
    core.dial_failed(hold.settle(), connection.error(), std::move(dial.peer), now(), actions);
  } else {
    PoolSlot* const slot = hold.settle();
    std::string version = connection->server_version_text();
    slot->pool = this;
    slot->connection.emplace(std::move(*connection));
    slot->connection->on_idle_event(std::make_shared<const std::function<void()>>([weak = weak_from_this(), slot] {
      if (const auto state = weak.lock()) state->idle_event(slot);
    }));
    slot->connection->look_later(true);
    core.dialed(slot, std::move(version), now(), actions);
  }
  perform(std::move(actions));
}

/// After 25006: the server is asked what it is. An error: it will not do any more, or does not answer.
Task<Result<>> PoolState::check_role(PoolSlot* slot) {
  const auto role = co_await slot->connection->ask_role(now() + reset_timeout);
  if (!role) co_return failure(role.error());
  if (core.role_seen(slot, *role, now())) co_return Result<>{};
  log.warn(core.name(), slot->connection->peer() + " is a " + std::string(to_string(*role)) + " now; it is left");
  co_return failure(ErrorKind::closed, "its server has another role now");
}

/// True when something was reset. An error: close it.
Task<Result<bool>> PoolState::clean_session(PoolSlot* slot) {
  Connection* const connection = &*slot->connection;
  if (!connection->check_idle()) co_return failure(ErrorKind::closed, "the session is over");
  if (hooks.after_release) {
    if (auto done = co_await run_hook(hooks.after_release, connection, SteadyTime::max()); !done) {
      co_return failure(std::move(done.error()));
    }
  }
  const ResetProfile profile = reset_profile;
  const bool resets = connection->needs_reset(profile);
  if (resets) {
    auto done = co_await connection->reset(profile, now() + reset_timeout);
    if (!done) co_return failure(std::move(done.error()));
  }
  if (std::exchange(slot->role_in_doubt, false)) {
    if (auto checked = co_await check_role(slot); !checked) co_return failure(std::move(checked.error()));
  }
  if (!connection->check_idle()) co_return failure(ErrorKind::closed, "the session is over");
  co_return resets;
}

Task<> PoolState::clean(Hold hold) {
  const auto done = co_await clean_session(hold.slot());
  auto how = PoolCore::Cleaned::unusable;
  if (done) {
    how = *done ? PoolCore::Cleaned::reset : PoolCore::Cleaned::untouched;
  } else if (done.error().kind != ErrorKind::cancelled && done.error().kind != ErrorKind::closed) {
    log.warn(core.name(), "a connection could not be reset and is closed: " + done.error().to_string());
  }
  PoolActions actions;
  core.cleaned(hold.settle(), how, now(), actions);
  perform(std::move(actions));
}

Task<> PoolState::close_connection(Hold hold) {
  Connection& connection = *hold.slot()->connection;
  if (hooks.before_close) hooks.before_close(connection);
  const auto patience = core.closing() && !connection.recoverable() ? last_goodbye : close_timeout;
  co_await connection.close(std::min(now() + patience, close_deadline_));
  hold.slot()->connection.reset();
  PoolActions actions;
  core.closed(hold.settle(), now(), actions);
  perform(std::move(actions));
}

void PoolState::idle_event(PoolSlot* slot) {
  if (!core.take_for_inspection(slot, now())) return;
  const bool alive = slot->connection->check_idle();
  PoolActions actions;
  core.inspected(slot, alive, now(), actions);
  perform(std::move(actions));
}

// ---- changes while running -----------------------------------------------------------------------------------------

void PoolState::resize(PoolSettings settings) {
  reset_profile = settings.reset;
  acquire_timeout = settings.acquire_timeout;
  max_waiting = settings.max_waiting;
  PoolActions actions;
  core.resize(settings, now(), actions);
  perform(std::move(actions));
}

void PoolState::pause(bool paused) {
  PoolActions actions;
  core.pause(paused, now(), actions);
  perform(std::move(actions));
}

}  // namespace opi::pg
