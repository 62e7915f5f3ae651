// How a pool begins and ends, and how someone waits for it to change.
#include <fmt/format.h>

#include "aio/with_deadline.hpp"
#include "pg/duration_text.hpp"
#include "pg/pool_state.hpp"

namespace opi::pg {
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

Task<Result<>> PoolState::wait_for_change(std::uint64_t seen) {
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

Task<Result<>> PoolState::start(SteadyTime deadline) {
  const auto self = shared_from_this();
  if (start_called_) co_return failure(ErrorKind::internal, "pool " + core.name() + " was started before");
  start_called_ = true;
  const PoolConfig config = core.config();
  if (auto valid = validate(config); !valid) co_return failure(std::move(valid.error()));
  const SteadyTime begun = now();
  PoolActions actions;
  core.open(begun, actions);
  perform(std::move(actions));
  for (;;) {
    const std::uint64_t seen = core.version();
    const PoolStats stats = core.stats();
    if (core.closing()) co_return failure(ErrorKind::closed, "pool " + core.name() + " was closed");
    if (stats.dials_failed > 0 || core.unreachable()) {
      const AcquireError trouble = core.error_now(AcquireErrorKind::unavailable, {}, now());
      Error error(ErrorKind::unavailable, fmt::format("pool {}: {}", core.name(), trouble.last_error));
      error.code = trouble.sqlstate;
      co_return failure(std::move(error));
    }
    if (stats.idle + stats.used >= std::max(config.pool.min, 1U)) {
      log.info(core.name(), fmt::format("{} of {}..{} open, {}, PostgreSQL {}", stats.idle + stats.used, stats.min,
                                        stats.max, duration_text(now() - begun), stats.server_version));
      co_return Result<>{};
    }
    auto waited =
        co_await aio::with_deadline(wait_for_change(seen), deadline,
                                    fmt::format("pool {} is not open yet; it goes on in the background", core.name()));
    if (!waited) co_return waited;
  }
}

Task<Result<bool>> PoolState::recover(SteadyTime deadline) {
  const auto self = shared_from_this();
  const std::uint64_t failed_before = core.stats().dials_failed;
  for (;;) {
    const std::uint64_t seen = core.version();
    // Also where a connection is open: others may wait for the next dial. And again after each change: places may have
    // been taken by what was closing.
    PoolActions actions;
    core.retry_now(now(), actions);
    perform(std::move(actions));
    const PoolStats stats = core.stats();
    if (stats.available && stats.idle + stats.used > 0) co_return true;
    if (core.closing() || stats.dials_failed > failed_before) co_return false;
    const auto waited = co_await aio::with_deadline(wait_for_change(seen), deadline, "recovering");
    if (!waited) co_return false;
  }
}

Task<Result<>> PoolState::close(SteadyTime deadline) {
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
  carriers.begin_close(deadline);
  dials_.cancel();
  co_await dials_.join();
  close_result_ = co_await finish_closing(deadline);
  co_await carriers.end();
  // Closings are bounded by themselves; cleanings stop now.
  ends_.cancel();
  co_await ends_.join();
  on_availability = nullptr;
  finished = true;
  PoolActions last;
  core.begin_close(now(), last);  // wakes who waits for the end of this call
  perform(std::move(last));
  log.info(core.name(), fmt::format("closed, {} leaked, {}", core.lent(), duration_text(now() - begun)));
  co_return close_result_;
}

Task<Result<>> PoolState::finish_closing(SteadyTime deadline) {
  for (;;) {
    const std::uint64_t seen = core.version();
    if (core.total() == 0) co_return Result<>{};
    auto waited = co_await aio::with_deadline(wait_for_change(seen), deadline, "closing");
    if (!waited) break;
  }
  const std::vector<Holder> holders = core.holders(now());
  if (holders.empty()) co_return Result<>{};
  Error error(ErrorKind::timed_out,
              fmt::format("pool {}: {} connections were not given back", core.name(), holders.size()));
  for (const Holder& holder : holders) {
    const std::string line = fmt::format("held since {}, {}{}{}", duration_text(holder.since), holder.place,
                                         holder.task.empty() ? "" : ", ", holder.task);
    log.warn(core.name(), "closed with a connection out: " + line);
    error.causes.push_back(line);
  }
  co_return failure(std::move(error));
}

}  // namespace opi::pg
