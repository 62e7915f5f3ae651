#pragma once
/// @file
/// The pool's core with a driver that is not there and a clock that moves by hand.

#include <gtest/gtest.h>

#include <algorithm>
#include "base/clock.hpp"

#include "pg/pool_core.hpp"

namespace opi::pg {

using namespace std::chrono_literals;

inline const Error refused = Error(ErrorKind::unavailable, "connection refused by db:5432").with_code("ECONNREFUSED");
inline Error server_says(ErrorKind kind, std::string sqlstate) {
  Error error(kind, "db:5432: the server said " + sqlstate);
  error.code = std::move(sqlstate);
  return error;
}

/// Does what a driver would, with connections that are not there: dials and closes stay pending until the test ends
/// them.
class PoolCoreTest : public testing::Test {
 protected:
  static PoolSettings settings(std::uint32_t min, std::uint32_t max) {
    PoolSettings settings;
    settings.min = min;
    settings.max = max;
    settings.max_lifetime = 0ms;
    settings.idle_timeout = 0ms;
    settings.ping_after_idle = 0ms;
    settings.leak_after = 0ms;
    return settings;
  }
  PoolCore& make(PoolSettings with) {
    core_ = std::make_unique<PoolCore>(PoolConfig{.name = "main", .server = server_, .pool = with}, 7,
                                       BackoffLimits{.jitter = 0.0});
    return *core_;
  }
  PoolCore& open(PoolSettings with) {
    make(with);
    act([&](PoolActions& actions) { core_->open(now(), actions); });
    while (!dialing_.empty()) dial_succeeds();
    return *core_;
  }

  SteadyTime now() const { return clock_.steady(); }
  void pass(std::chrono::nanoseconds time) { clock_.advance(time); }
  /// Moves the clock in steps as small as the core asks for, and ticks it.
  void pass_ticking(std::chrono::nanoseconds time) {
    const SteadyTime until = now() + time;
    while (now() < until) {
      const SteadyTime next = std::min(core_->arm(now()), until);
      clock_.advance(std::max<std::chrono::nanoseconds>(next - now(), 1ms));
      act([&](PoolActions& actions) { core_->tick(now(), actions); });
    }
  }

  template <class Step>
  void act(Step step) {
    PoolActions actions;
    step(actions);
    dialing_.insert(dialing_.end(), actions.dial.begin(), actions.dial.end());
    closing_.insert(closing_.end(), actions.close.begin(), actions.close.end());
    cleaning_.insert(cleaning_.end(), actions.clean.begin(), actions.clean.end());
    recalled_.insert(recalled_.end(), actions.recall.begin(), actions.recall.end());
    for (const auto& leak : actions.leaks) leaks_.push_back(leak);
    if (actions.availability) availability_.push_back(*actions.availability);
    gave_up_ += actions.gave_up ? 1 : 0;
    note_woken(actions.wake);
    if (actions.drain) {
      PoolWaiters ready;
      core_->take_ready(ready);
      note_woken(ready);
    }
    const PoolStats stats = core_->stats();
    if (!shrunk_) ASSERT_LE(stats.idle + stats.used + stats.dialing + stats.closing, stats.max);
    ASSERT_TRUE(stats.idle == 0 || stats.waiting == 0 || stats.paused) << "somebody waits beside an idle connection";
    ASSERT_EQ(stats.dialing, dialing_.size());
    ASSERT_EQ(stats.closing, closing_.size());
  }

  PoolSlot* take(const void* owner = nullptr) {
    PoolCore::Taken taken;
    for (;;) {
      taken = core_->try_take(Borrower(std::source_location::current(), "test", owner), clock_);
      if (!taken.stale) break;
      act([&](PoolActions& actions) { core_->evict_stale(now(), actions); });
    }
    needs_ping_ = taken.needs_ping;
    return taken.slot;
  }
  std::shared_ptr<PoolWaiter> wait(std::chrono::nanoseconds patience = 30s, const void* owner = nullptr) {
    auto waiter = std::make_shared<PoolWaiter>();
    waiters_.push_back(waiter);
    waiter->borrower = Borrower(std::source_location::current(), "test", owner);
    waiter->at_home = at_home_;
    waiter->since = now();
    waiter->deadline = now() + patience;
    act([&](PoolActions& actions) { core_->enqueue(*waiter, now(), actions); });
    return waiter;
  }
  void cancel(const std::shared_ptr<PoolWaiter>& waiter) {
    act([&](PoolActions& actions) { core_->cancel(*waiter, now(), actions); });
  }
  void release(PoolSlot* slot, Returned how = Returned::clean) {
    act([&](PoolActions& actions) { core_->release(slot, how, now(), actions); });
  }
  /// As a lease does: the short way when there is one.
  void hand_back(PoolSlot* slot) {
    const PoolCore::Handed handed = core_->hand_back(slot, now(), clock_);
    if (!handed.done) return release(slot);
    act([&](PoolActions& actions) {
      actions.drain = handed.drain;
      if (handed.wake != nullptr) actions.wake.push_back(*handed.wake);
    });
  }
  void note_woken(PoolWaiters& answered) {
    while (!answered.empty()) {
      PoolWaiter& waiter = answered.front();
      answered.pop_front();
      woken_.push_back(*std::ranges::find(waiters_, &waiter, &std::shared_ptr<PoolWaiter>::get));
    }
  }
  static PoolSlot* pop(std::vector<PoolSlot*>& slots) {
    PoolSlot* const slot = slots.front();
    slots.erase(slots.begin());
    return slot;
  }
  void dial_succeeds() {
    PoolSlot* const slot = pop(dialing_);
    if (server_.target != SessionTarget::any) (void)core_->host_reached(slot, HostRole::primary, now());
    act([&](PoolActions& actions) { core_->dialed(slot, "15.20", now(), actions); });
  }
  void dial_fails(const Error& error = refused) {
    PoolSlot* const slot = pop(dialing_);
    act([&](PoolActions& actions) { core_->dial_failed(slot, error, "db:5432", now(), actions); });
  }
  void close_ends() {
    PoolSlot* const slot = pop(closing_);
    act([&](PoolActions& actions) { core_->closed(slot, now(), actions); });
  }
  void clean_ends(bool usable) {
    PoolSlot* const slot = pop(cleaning_);
    const auto how = usable ? PoolCore::Cleaned::reset : PoolCore::Cleaned::unusable;
    act([&](PoolActions& actions) { core_->cleaned(slot, how, now(), actions); });
  }
  static bool served(const std::shared_ptr<PoolWaiter>& waiter) { return waiter->slot != nullptr; }
  static bool pending(const std::shared_ptr<PoolWaiter>& waiter) { return waiter->slot == nullptr && !waiter->error; }
  static bool failed(const std::shared_ptr<PoolWaiter>& waiter, AcquireErrorKind kind) {
    return waiter->error && waiter->error->kind == kind;
  }

  ManualClock clock_;
  ServerSettings server_ = {};  ///< of the pools that are made from now on
  std::vector<PoolSlot*> dialing_, closing_, cleaning_, recalled_;
  std::vector<PoolActions::Leak> leaks_;
  std::vector<bool> availability_;
  std::vector<std::shared_ptr<PoolWaiter>> woken_;
  std::vector<std::shared_ptr<PoolWaiter>> waiters_;  ///< outlive the core, which they are linked into
  std::unique_ptr<PoolCore> core_;
  int gave_up_ = 0;
  bool at_home_ = true;
  bool needs_ping_ = false;
  bool shrunk_ = false;  ///< what is lent may exceed the smaller max until it is back
};

}  // namespace opi::pg
