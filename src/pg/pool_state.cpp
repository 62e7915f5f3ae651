// The hands of the pool: what the core decides is done here, off the caller's path.
#include "pg/pool_state.hpp"

#include <fmt/format.h>

#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>

#include "aio/with_deadline.hpp"
#include "pg/duration_text.hpp"

namespace opi::pg {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds reset_timeout = 5s;
constexpr std::chrono::milliseconds close_timeout = 2s;

std::uint64_t seed_of(const void* pool, SteadyTime now) {
  return reinterpret_cast<std::uintptr_t>(pool) ^ static_cast<std::uint64_t>(now.time_since_epoch().count());
}

}  // namespace

DatabasePool::State::State(asio::any_io_executor on, PoolConfig pool_config, aio::BlockingPool& pool, Logger logger,
                           const Clock& time)
    : executor(std::move(on)),
      config(std::move(pool_config)),
      blocking(pool),
      log(std::move(logger)),
      clock(time),
      core(config.name, config.pool, seed_of(this, time.steady())),
      timer_(executor),
      dials_(executor, log, "pool " + config.name + " dials"),
      ends_(executor, log, "pool " + config.name + " closes") {}

class DatabasePool::State::Hold {
 public:
  Hold(std::shared_ptr<State> state, PoolSlot* slot) noexcept : state_(std::move(state)), slot_(slot) {}
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
  std::shared_ptr<State> state_;
  PoolSlot* slot_;
};

void DatabasePool::State::drop(PoolSlot* slot) noexcept {
  slot->connection.reset();
  PoolActions actions;
  core.closed(slot, now(), actions);
  perform(std::move(actions));
}

void DatabasePool::State::perform(PoolActions&& actions) {
  for (const auto& waiter : actions.wake) waiter->resumption.post();
  for (Resumption& observer : actions.observers) observer.post();
  actions.wake.clear();
  actions.observers.clear();
  if (!actions.for_background()) return;
  if (finished) {
    for (PoolSlot* const slot : actions.close) drop(slot);
    return;
  }
  asio::post(executor, [state = shared_from_this(), work = std::move(actions)]() mutable {
    state->run_background(std::move(work));
  });
}

void DatabasePool::State::run_background(PoolActions actions) {
  const auto self = shared_from_this();
  // A scope that is closing drops the task, and its Hold gives the slot up.
  for (PoolSlot* const slot : actions.dial) dials_.spawn("dial", dial(Hold(self, slot)));
  for (PoolSlot* const slot : actions.clean) ends_.spawn("clean", clean(Hold(self, slot)));
  for (PoolSlot* const slot : actions.close) ends_.spawn("close", close_connection(Hold(self, slot)));
  for (const PoolActions::Leak& leak : actions.leaks) report(leak);
  if (actions.availability) announce(*actions.availability);
  if (actions.rearm) arm_timer();
}

void DatabasePool::State::arm_timer() {
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

void DatabasePool::State::on_timer() {
  PoolActions actions;
  core.tick(now(), actions);
  perform(std::move(actions));
}

void DatabasePool::State::report(const PoolActions::Leak& leak) const {
  const Holder& holder = leak.holder;
  const std::string what =
      fmt::format("connection {} {}, {}{}{}", leak.returned ? "is back after" : "held since",
                  duration_text(holder.since), holder.place, holder.task.empty() ? "" : ", ", holder.task);
  if (leak.returned) {
    log.info(config.name, what);
  } else {
    log.warn(config.name, what);
  }
}

void DatabasePool::State::announce(bool available) {
  const PoolStats stats = core.stats();
  if (available) {
    log.info(config.name, fmt::format("available, PostgreSQL {}", stats.server_version));
  } else if (!core.closing()) {
    log.warn(config.name, fmt::format("unavailable: {}; retrying in the background", stats.last_error));
  }
  if (on_availability) on_availability(available);
}

// ---- tasks ---------------------------------------------------------------------------------------------------------

Task<> DatabasePool::State::dial(Hold hold) {
  auto connection =
      co_await Connection::connect(executor, config.server, blocking, now() + config.server.connect_timeout);
  PoolActions actions;
  if (!connection) {
    const std::string peer = config.server.hosts.empty() ? std::string() : to_string(config.server.hosts.back());
    core.dial_failed(hold.settle(), connection.error(), peer, now(), actions);
  } else {
    PoolSlot* const slot = hold.settle();
    std::string version = connection->server_version_text();
    slot->connection.emplace(std::move(*connection));
    slot->connection->on_idle_event(std::make_shared<const std::function<void()>>([weak = weak_from_this(), slot] {
      if (const auto state = weak.lock()) state->idle_event(slot);
    }));
    core.dialed(slot, std::move(version), now(), actions);
  }
  perform(std::move(actions));
}

Task<> DatabasePool::State::clean(Hold hold) {
  Connection& connection = *hold.slot()->connection;
  auto how = connection.check_idle() ? PoolCore::Cleaned::untouched : PoolCore::Cleaned::unusable;
  if (how == PoolCore::Cleaned::untouched && connection.needs_reset(config.pool.reset)) {
    const auto done = co_await connection.reset(config.pool.reset, now() + reset_timeout);
    how = done ? PoolCore::Cleaned::reset : PoolCore::Cleaned::unusable;
    if (!done && done.error().kind != ErrorKind::cancelled) {
      log.warn(config.name, "a connection could not be reset and is closed: " + done.error().to_string());
    }
  }
  PoolActions actions;
  core.cleaned(hold.settle(), how, now(), actions);
  perform(std::move(actions));
}

Task<> DatabasePool::State::close_connection(Hold hold) {
  co_await hold.slot()->connection->close(std::min(now() + close_timeout, close_deadline_));
  hold.slot()->connection.reset();
  PoolActions actions;
  core.closed(hold.settle(), now(), actions);
  perform(std::move(actions));
}

// ---- leases --------------------------------------------------------------------------------------------------------

void DatabasePool::State::give_back(PoolSlot* slot, bool discard) noexcept {
  Connection& connection = *slot->connection;
  connection.on_notice(nullptr);
  Returned how = Returned::clean;
  if (connection.ended_by_server()) {
    how = Returned::lost_server;
  } else if (discard || connection.broken() || connection.transaction_status() == TransactionStatus::active) {
    how = Returned::broken;
  } else if (connection.needs_reset(config.pool.reset)) {
    how = Returned::needs_cleaning;
  }
  PoolActions actions;
  core.release(slot, how, now(), actions);
  if (!actions.empty()) perform(std::move(actions));
}

void DatabasePool::State::idle_event(PoolSlot* slot) {
  if (!core.take_for_inspection(slot, now())) return;
  const bool alive = slot->connection->check_idle();
  PoolActions actions;
  core.inspected(slot, alive, now(), actions);
  perform(std::move(actions));
}

// ---- lifespan ------------------------------------------------------------------------------------------------------

namespace {

struct Observe {
  PoolCore* core;
  std::uint64_t id;
  std::uint64_t seen;
  std::function<void(PoolActions&&)> perform;
  void operator()(Resumption resumption, asio::cancellation_slot slot) const {
    if (slot.is_connected()) {
      slot.assign([stop = *this](asio::cancellation_type) {
        PoolActions actions;
        stop.core->stop_observing(stop.id, actions);
        stop.perform(std::move(actions));
      });
    }
    PoolActions actions;
    core->observe(id, seen, std::move(resumption), actions);
    perform(std::move(actions));
  }
};

}  // namespace

Task<Result<>> DatabasePool::State::wait_for_change(std::uint64_t seen) {
  const auto self = shared_from_this();
  Observe observe{
      .core = &core, .id = ++observers_, .seen = seen, .perform = [weak = weak_from_this()](PoolActions&& actions) {
        if (const auto state = weak.lock()) state->perform(std::move(actions));
      }};
  co_await suspend(std::move(observe));
  const auto cancelled = (co_await asio::this_coro::cancellation_state).cancelled();
  if (cancelled != asio::cancellation_type::none) co_return failure(ErrorKind::cancelled, "waiting for a change");
  co_return Result<>{};
}

Task<Result<>> DatabasePool::State::start(SteadyTime deadline) {
  const auto self = shared_from_this();
  if (start_called_) co_return failure(ErrorKind::internal, "pool " + config.name + " was started before");
  start_called_ = true;
  if (auto valid = validate(config); !valid) co_return failure(std::move(valid.error()));
  const SteadyTime begun = now();
  PoolActions actions;
  core.open(begun, actions);
  perform(std::move(actions));
  for (;;) {
    const std::uint64_t seen = core.version();
    const PoolStats stats = core.stats();
    if (core.closing()) co_return failure(ErrorKind::closed, "pool " + config.name + " was closed");
    if (stats.dials_failed > 0) {
      Error error(ErrorKind::unavailable, fmt::format("pool {}: {}", config.name, stats.last_error));
      error.code = stats.last_sqlstate;
      co_return failure(std::move(error));
    }
    if (stats.idle + stats.used >= std::max(config.pool.min, 1U)) {
      log.info(config.name, fmt::format("{} of {}..{} open, {}, PostgreSQL {}", stats.idle + stats.used, stats.min,
                                        stats.max, duration_text(now() - begun), stats.server_version));
      co_return Result<>{};
    }
    auto waited =
        co_await aio::with_deadline(wait_for_change(seen), deadline,
                                    fmt::format("pool {} is not open yet; it goes on in the background", config.name));
    if (!waited) co_return waited;
  }
}

Task<Result<bool>> DatabasePool::State::recover(SteadyTime deadline) {
  const auto self = shared_from_this();
  const std::uint64_t failed_before = core.stats().dials_failed;
  PoolActions actions;
  core.retry_now(now(), actions);
  perform(std::move(actions));
  for (;;) {
    const std::uint64_t seen = core.version();
    const PoolStats stats = core.stats();
    if (stats.available && stats.idle + stats.used > 0) co_return true;
    if (core.closing() || stats.dials_failed > failed_before) co_return false;
    const auto waited = co_await aio::with_deadline(wait_for_change(seen), deadline, "recovering");
    if (!waited) co_return false;
  }
}

Task<Result<>> DatabasePool::State::close(SteadyTime deadline) {
  const auto self = shared_from_this();
  if (close_called_) {  // another call is closing, or has closed
    while (!finished) {
      const std::uint64_t seen = core.version();
      if (finished) break;
      co_await wait_for_change(seen);
    }
    co_return close_result_;
  }
  close_called_ = true;
  close_deadline_ = deadline;
  const SteadyTime begun = now();
  PoolActions actions;
  core.begin_close(begun, actions);
  perform(std::move(actions));
  timer_.cancel();
  dials_.cancel();
  co_await dials_.join();
  close_result_ = co_await finish_closing(deadline);
  // Closings are bounded by themselves; cleanings stop now.
  ends_.cancel();
  co_await ends_.join();
  on_availability = nullptr;
  finished = true;
  PoolActions last;
  core.begin_close(now(), last);  // wakes who waits for the end of this call
  perform(std::move(last));
  log.info(config.name, fmt::format("closed, {} leaked, {}", core.lent(), duration_text(now() - begun)));
  co_return close_result_;
}

Task<Result<>> DatabasePool::State::finish_closing(SteadyTime deadline) {
  for (;;) {
    const std::uint64_t seen = core.version();
    if (core.total() == 0) co_return Result<>{};
    auto waited = co_await aio::with_deadline(wait_for_change(seen), deadline, "closing");
    if (!waited) break;
  }
  const std::vector<Holder> holders = core.holders(now());
  if (holders.empty()) co_return Result<>{};
  Error error(ErrorKind::timed_out,
              fmt::format("pool {}: {} connections were not given back", config.name, holders.size()));
  for (const Holder& holder : holders) {
    const std::string line = fmt::format("held since {}, {}{}{}", duration_text(holder.since), holder.place,
                                         holder.task.empty() ? "" : ", ", holder.task);
    log.warn(config.name, "closed with a connection out: " + line);
    error.causes.push_back(line);
  }
  co_return failure(std::move(error));
}

}  // namespace opi::pg
