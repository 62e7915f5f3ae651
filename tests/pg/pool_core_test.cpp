// The pool's decisions, every interleaving exact: the clock moves by hand, dials succeed or fail when the test says so.
#include "pg/pool_core.hpp"

#include <gtest/gtest.h>

#include "base/clock.hpp"

namespace opi::pg {
namespace {

using namespace std::chrono_literals;

const Error refused(ErrorKind::unavailable, "connection refused by db:5432");
Error server_says(ErrorKind kind, std::string sqlstate) {
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
    core_ = std::make_unique<PoolCore>("main", with, 7, BackoffLimits{.jitter = 0.0});
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
    for (const auto& leak : actions.leaks) leaks_.push_back(leak);
    if (actions.availability) availability_.push_back(*actions.availability);
    woken_.insert(woken_.end(), actions.wake.begin(), actions.wake.end());
    const PoolStats stats = core_->stats();
    ASSERT_LE(stats.idle + stats.used + stats.dialing + stats.closing, stats.max);
    ASSERT_TRUE(stats.idle == 0 || stats.waiting == 0) << "somebody waits beside an idle connection";
    ASSERT_EQ(stats.dialing, dialing_.size());
    ASSERT_EQ(stats.closing, closing_.size());
  }

  PoolSlot* take() {
    PoolCore::Taken taken;
    act([&](PoolActions& actions) {
      taken = core_->try_take(Borrower(std::source_location::current(), "test"), now(), actions);
    });
    needs_ping_ = taken.needs_ping;
    return taken.slot;
  }
  std::shared_ptr<PoolWaiter> wait(std::chrono::nanoseconds patience = 30s) {
    auto waiter = std::make_shared<PoolWaiter>();
    waiter->since = now();
    waiter->deadline = now() + patience;
    act([&](PoolActions& actions) { core_->enqueue(waiter, now(), actions); });
    return waiter;
  }
  void cancel(const std::shared_ptr<PoolWaiter>& waiter) {
    act([&](PoolActions& actions) { core_->cancel(*waiter, now(), actions); });
  }
  void release(PoolSlot* slot, Returned how = Returned::clean) {
    act([&](PoolActions& actions) { core_->release(slot, how, now(), actions); });
  }
  static PoolSlot* pop(std::vector<PoolSlot*>& slots) {
    PoolSlot* const slot = slots.front();
    slots.erase(slots.begin());
    return slot;
  }
  void dial_succeeds() {
    PoolSlot* const slot = pop(dialing_);
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
  std::unique_ptr<PoolCore> core_;
  std::vector<PoolSlot*> dialing_, closing_, cleaning_;
  std::vector<PoolActions::Leak> leaks_;
  std::vector<bool> availability_;
  std::vector<std::shared_ptr<PoolWaiter>> woken_;
  bool needs_ping_ = false;
};

TEST_F(PoolCoreTest, OpenDialsTheMinimumAtOnce) {
  make(settings(3, 5));
  act([&](PoolActions& actions) { core_->open(now(), actions); });
  EXPECT_EQ(dialing_.size(), 3U);
}

TEST_F(PoolCoreTest, OpenWithoutAMinimumDialsOnceToKnowTheServer) {
  make(settings(0, 5));
  act([&](PoolActions& actions) { core_->open(now(), actions); });
  EXPECT_EQ(dialing_.size(), 1U);
}

TEST_F(PoolCoreTest, PoolScenario03_TakingFromAnEmptyPoolSaysSoAtOnce) {
  open(settings(0, 1));
  PoolSlot* const only = take();
  ASSERT_NE(only, nullptr);
  EXPECT_EQ(take(), nullptr);
}

TEST_F(PoolCoreTest, PoolScenario06_WaitersAreServedInArrivalOrderAndNewcomersDoNotBarge) {
  open(settings(1, 1));
  PoolSlot* slot = take();
  const auto first = wait();
  const auto second = wait();
  release(slot);
  EXPECT_TRUE(served(first));
  EXPECT_EQ(take(), nullptr) << "a newcomer finds nothing: the connection itself was handed over";
  const auto third = wait();
  release(first->slot);
  EXPECT_TRUE(served(second));
  EXPECT_TRUE(pending(third));
  release(second->slot);
  EXPECT_TRUE(served(third));
  EXPECT_EQ(woken_, (std::vector<std::shared_ptr<PoolWaiter>>{first, second, third}));
}

TEST_F(PoolCoreTest, PoolScenario08_ASpikeEndsWithFewerThanSevenConnections) {
  // 50 requests at once, 5 connections, a dial takes 150 ms, a query 2 ms.
  open(settings(5, 50));
  std::vector<PoolSlot*> busy;
  for (int request = 0; request < 5; ++request) busy.push_back(take());
  std::vector<std::shared_ptr<PoolWaiter>> queue;
  for (int request = 0; request < 45; ++request) queue.push_back(wait());
  std::size_t turn = 0;
  for (int step = 0; step < 10; ++step) {
    pass(2ms);
    std::vector<PoolSlot*> next;
    for (PoolSlot* const slot : busy) {
      release(slot);
      if (turn < queue.size()) next.push_back(queue[turn++]->slot);
    }
    busy = next;
  }
  EXPECT_EQ(turn, 45U);
  for (const auto& waiter : queue) EXPECT_TRUE(served(waiter));
  pass(150ms);
  while (!dialing_.empty()) dial_succeeds();
  EXPECT_LT(core_->total(), 7U);
}

TEST_F(PoolCoreTest, DialsForWaitersRampUpWhileTheyKeepWaiting) {
  open(settings(1, 20));
  take();
  for (int waiter = 0; waiter < 15; ++waiter) wait();
  EXPECT_EQ(dialing_.size(), 1U);
  dial_succeeds();
  EXPECT_EQ(dialing_.size(), 2U);
  dial_succeeds();
  dial_succeeds();
  EXPECT_GE(dialing_.size(), 4U);
}

TEST_F(PoolCoreTest, AWaiterTakesWhicheverComesFirst) {
  open(settings(1, 2));
  PoolSlot* const slot = take();
  const auto waiter = wait();
  EXPECT_EQ(dialing_.size(), 1U);
  release(slot);
  EXPECT_EQ(waiter->slot, slot);
  dial_succeeds();
  EXPECT_EQ(core_->stats().idle, 1U);
}

TEST_F(PoolCoreTest, PoolScenario11_TheQueueIsBoundedAndTheCountFalls) {
  PoolSettings small = settings(1, 1);
  small.max_waiting = 2;
  open(small);
  take();
  const auto first = wait();
  wait();
  const auto third = wait();
  EXPECT_TRUE(failed(third, AcquireErrorKind::queue_full));
  EXPECT_EQ(third->error->holders.size(), 1U);
  cancel(first);
  EXPECT_TRUE(failed(first, AcquireErrorKind::cancelled));
  EXPECT_TRUE(pending(wait()));
}

TEST_F(PoolCoreTest, PoolScenario12_AWaiterPastItsDeadlineIsSkippedAtTheHandover) {
  open(settings(1, 1));
  PoolSlot* const slot = take();
  const auto impatient = wait(10ms);
  const auto patient = wait();
  pass(20ms);
  release(slot);  // before the timer ticked
  EXPECT_TRUE(failed(impatient, AcquireErrorKind::timed_out));
  EXPECT_EQ(patient->slot, slot);
}

TEST_F(PoolCoreTest, PoolScenario14_AndScenario16_CancellationAndHandoverExcludeEachOther) {
  open(settings(1, 1));
  PoolSlot* const slot = take();
  const auto first = wait();
  const auto second = wait();
  release(slot);
  cancel(first);  // too late: the answer stands, and the first gives the connection on
  EXPECT_TRUE(served(first));
  EXPECT_FALSE(first->error);
  core_->refused(true, true);
  release(first->slot);
  EXPECT_EQ(second->slot, slot);
  EXPECT_EQ(core_->stats().cancelled, 1U);
  EXPECT_EQ(core_->stats().acquired, 2U);
}

TEST_F(PoolCoreTest, PoolScenario17_ADialGoesOnWithoutItsAcquirer) {
  open(settings(1, 2));
  take();
  const auto waiter = wait();
  cancel(waiter);
  EXPECT_EQ(dialing_.size(), 1U);
  dial_succeeds();
  EXPECT_EQ(core_->stats().idle, 1U);
}

TEST_F(PoolCoreTest, PoolScenario26_ARefusedDialFailsAllWaitersWithTheServersError) {
  make(settings(0, 5));
  act([&](PoolActions& actions) { core_->open(now(), actions); });
  const auto first = wait();
  const auto second = wait();
  dial_fails();
  for (const auto& waiter : {first, second}) {
    ASSERT_TRUE(failed(waiter, AcquireErrorKind::unavailable));
    EXPECT_EQ(waiter->error->last_error, "connection refused by db:5432");
    EXPECT_EQ(waiter->error->attempt, 1U);
    EXPECT_EQ(waiter->error->next_attempt_in, 100ms);
    EXPECT_EQ(waiter->error->peer, "db:5432");
  }
  EXPECT_TRUE(failed(wait(), AcquireErrorKind::unavailable)) << "known down: fails at once";
}

TEST_F(PoolCoreTest, PoolScenario27_AFailedDialLeavesNobodyHanging) {
  open(settings(1, 3));
  PoolSlot* const slot = take();
  const auto first = wait();
  const auto second = wait();
  const auto third = wait();
  dial_fails();
  EXPECT_TRUE(pending(first)) << "a connection is in use: it may come back";
  release(slot);
  EXPECT_TRUE(served(first));
  pass_ticking(200ms);
  ASSERT_EQ(dialing_.size(), 1U) << "the next dial does not need another acquire";
  dial_succeeds();
  EXPECT_TRUE(served(second));
  release(first->slot);
  EXPECT_TRUE(served(third));
}

TEST_F(PoolCoreTest, AFailedDialFailsWaitersOnceTheLastConnectionIsGoneToo) {
  open(settings(0, 2));
  PoolSlot* const slot = take();
  const auto waiter = wait();
  dial_fails();
  EXPECT_TRUE(pending(waiter));
  release(slot, Returned::lost_server);
  EXPECT_TRUE(failed(waiter, AcquireErrorKind::unavailable));
}

TEST_F(PoolCoreTest, PoolScenario29_AnOutageIsProbedByOneDialAtATimeWithGrowingPauses) {
  open(settings(2, 10));
  std::vector<PoolSlot*> slots = {take(), take()};
  for (PoolSlot* const slot : slots) release(slot, Returned::lost_server);
  while (!closing_.empty()) close_ends();
  std::vector<std::chrono::milliseconds> attempts;
  const SteadyTime down_since = now();
  while (now() - down_since < 120s) {
    if (!dialing_.empty()) {
      if (!core_->stats().available) EXPECT_EQ(dialing_.size(), 1U);
      attempts.push_back(std::chrono::duration_cast<std::chrono::milliseconds>(now() - down_since));
      while (!dialing_.empty()) dial_fails();
    }
    pass_ticking(10ms);
  }
  // 0, then after 0.1 0.2 0.4 0.8 1.6 3.2 6.4 12.8 25.6 s, then every 30 s.
  EXPECT_GE(attempts.size(), 11U);
  EXPECT_LE(attempts.size(), 14U);
  EXPECT_EQ(availability_, (std::vector<bool>{true, false}));
  while (dialing_.empty()) pass_ticking(10ms);
  EXPECT_TRUE(failed(wait(), AcquireErrorKind::unavailable)) << "known down: nobody waits for a probe";
  dial_succeeds();
  EXPECT_NE(take(), nullptr);
  EXPECT_TRUE(core_->stats().available);
  while (!dialing_.empty()) dial_succeeds();
  EXPECT_EQ(core_->total(), 2U);
}

TEST_F(PoolCoreTest, TheRefillAfterAnOutageRampsUp) {
  make(settings(10, 10));
  act([&](PoolActions& actions) { core_->open(now(), actions); });
  while (!dialing_.empty()) dial_fails();
  pass_ticking(200ms);
  ASSERT_EQ(dialing_.size(), 1U);
  dial_succeeds();
  EXPECT_EQ(dialing_.size(), 1U);
  dial_succeeds();
  EXPECT_EQ(dialing_.size(), 2U);
}

TEST_F(PoolCoreTest, AVolleyOfFailedDialsIsOneFailure) {
  make(settings(5, 5));
  act([&](PoolActions& actions) { core_->open(now(), actions); });
  for (int dial = 0; dial < 5; ++dial) {
    pass(1ms);
    dial_fails();
  }
  EXPECT_EQ(core_->error_now(AcquireErrorKind::unavailable, 0ns, now()).attempt, 1U);
  EXPECT_EQ(core_->stats().dials_failed, 5U);
}

TEST_F(PoolCoreTest, PoolScenario31_StartingUpAndTooManyClientsKeepWaitersQueued) {
  for (const auto& error : {server_says(ErrorKind::unavailable, "57P03"), server_says(ErrorKind::exhausted, "53300")}) {
    make(settings(0, 2));
    dialing_.clear();
    act([&](PoolActions& actions) { core_->open(now(), actions); });
    const auto waiter = wait();
    dial_fails(error);
    EXPECT_TRUE(pending(waiter)) << error.code;
    EXPECT_TRUE(pending(wait()));
    pass_ticking(150ms);
    ASSERT_EQ(dialing_.size(), 1U);
    dial_succeeds();
    EXPECT_TRUE(served(waiter));
    dialing_.clear();
  }
}

TEST_F(PoolCoreTest, PoolScenario31_WrongPasswordsAndMissingDatabasesAreNotRetriedAsOutages) {
  for (const auto& error : {server_says(ErrorKind::denied, "28P01"), server_says(ErrorKind::denied, "28000"),
                            server_says(ErrorKind::not_found, "3D000")}) {
    make(settings(1, 2));
    dialing_.clear();
    act([&](PoolActions& actions) { core_->open(now(), actions); });
    const auto waiter = wait();
    dial_fails(error);
    ASSERT_TRUE(failed(waiter, AcquireErrorKind::unavailable)) << error.code;
    EXPECT_EQ(waiter->error->sqlstate, error.code);
    EXPECT_EQ(core_->stats().last_sqlstate, error.code);
    pass_ticking(29s);
    EXPECT_TRUE(dialing_.empty()) << error.code;
    pass_ticking(2s);
    EXPECT_EQ(dialing_.size(), 1U) << error.code;
    dialing_.clear();
  }
}

TEST_F(PoolCoreTest, RecoverDialsAtOnce) {
  make(settings(1, 2));
  act([&](PoolActions& actions) { core_->open(now(), actions); });
  dial_fails(server_says(ErrorKind::not_found, "3D000"));
  act([&](PoolActions& actions) { core_->retry_now(now(), actions); });
  ASSERT_EQ(dialing_.size(), 1U);
  dial_succeeds();
  EXPECT_EQ(core_->stats().last_sqlstate, "");
  EXPECT_TRUE(core_->stats().available);
}

TEST_F(PoolCoreTest, PoolScenario34_AFailedGrowthDialDoesNotBlockLaterGrowth) {
  open(settings(1, 3));
  PoolSlot* const slot = take();
  wait();
  dial_fails();
  release(slot);
  EXPECT_TRUE(core_->stats().available) << "connections are open: the pool serves";
  pass_ticking(200ms);
  ASSERT_EQ(dialing_.size(), 1U);
  dial_succeeds();
  EXPECT_EQ(core_->stats().idle, 1U);
}

TEST_F(PoolCoreTest, PoolScenario13_ASlotIsFreeOnlyWhenItsSocketIsClosed) {
  open(settings(1, 1));
  PoolSlot* const slot = take();
  const auto waiter = wait();
  release(slot, Returned::broken);
  EXPECT_TRUE(dialing_.empty()) << "the old socket still counts";
  close_ends();
  ASSERT_EQ(dialing_.size(), 1U);
  dial_succeeds();
  EXPECT_TRUE(served(waiter));
}

TEST_F(PoolCoreTest, PoolScenario18_CleaningKeepsItsPlaceAndEndsInIdleOrClosed) {
  open(settings(1, 1));
  release(take(), Returned::needs_cleaning);
  EXPECT_EQ(core_->stats().used, 1U);
  EXPECT_EQ(core_->lent(), 0U);
  const auto waiter = wait();
  clean_ends(true);
  EXPECT_TRUE(served(waiter));
  EXPECT_EQ(core_->stats().resets, 1U);
  release(waiter->slot, Returned::needs_cleaning);
  clean_ends(false);
  EXPECT_EQ(closing_.size(), 1U);
  close_ends();
  EXPECT_EQ(dialing_.size(), 1U);
}

TEST_F(PoolCoreTest, PoolScenario57_AConnectionThatIsNeverIdleExpiresOnReturn) {
  PoolSettings brief = settings(1, 1);
  brief.max_lifetime = 1'000ms;
  brief.lifetime_jitter = 0.0;
  open(brief);
  PoolSlot* const slot = take();
  const auto waiter = wait();
  pass(1'001ms);
  release(slot);
  EXPECT_TRUE(pending(waiter));
  EXPECT_EQ(core_->stats().closed_lifetime, 1U);
  close_ends();
  dial_succeeds();
  EXPECT_TRUE(served(waiter));
}

TEST_F(PoolCoreTest, PoolScenario57_AnIdleConnectionExpiresAndIsReplaced) {
  PoolSettings brief = settings(2, 2);
  brief.max_lifetime = 1'000ms;
  brief.lifetime_jitter = 0.0;
  open(brief);
  pass_ticking(1'200ms);
  EXPECT_EQ(closing_.size(), 2U);
  close_ends();
  close_ends();
  EXPECT_EQ(dialing_.size(), 2U);
}

TEST_F(PoolCoreTest, PoolScenario58_ConnectionsBornTogetherDoNotExpireTogether) {
  PoolSettings spread = settings(50, 50);
  spread.max_lifetime = 1'000'000ms;
  spread.lifetime_jitter = 0.2;
  open(spread);
  std::set<SteadyTime> ends;
  std::vector<PoolSlot*> slots;
  while (PoolSlot* const slot = take()) slots.push_back(slot);
  for (const PoolSlot* const slot : slots) {
    ends.insert(slot->expires);
    EXPECT_GE(slot->expires - now(), 800s);
    EXPECT_LE(slot->expires - now(), 1'000s);
  }
  EXPECT_GT(ends.size(), 45U);
  EXPECT_GT(*ends.rbegin() - *ends.begin(), 100s);
}

TEST_F(PoolCoreTest, PoolScenario61_IdleTimeoutKeepsTheMinimumAndCountsFromTheReturn) {
  PoolSettings idle = settings(1, 3);
  idle.idle_timeout = 1'000ms;
  open(idle);
  std::vector<PoolSlot*> slots = {take()};
  const auto second = wait();
  const auto third = wait();
  while (!dialing_.empty()) dial_succeeds();
  pass_ticking(5s);
  EXPECT_TRUE(closing_.empty()) << "in use is not idle";
  release(slots[0]);
  release(second->slot);
  release(third->slot);
  pass_ticking(900ms);
  EXPECT_TRUE(closing_.empty());
  pass_ticking(400ms);
  EXPECT_EQ(closing_.size(), 2U);
  EXPECT_EQ(core_->stats().closed_idle, 2U);
  EXPECT_EQ(core_->stats().idle, 1U);
}

TEST_F(PoolCoreTest, PoolScenario62_TheMinimumIsRefilled) {
  open(settings(2, 3));
  release(take(), Returned::broken);
  EXPECT_EQ(dialing_.size(), 1U);
}

TEST_F(PoolCoreTest, PoolScenario63_OneTickFindsExpiredIdleAndLeaked) {
  PoolSettings all = settings(0, 4);
  all.idle_timeout = 1'000ms;
  all.leak_after = 1'000ms;
  open(all);
  PoolSlot* const held = take();
  const auto second = wait();
  while (!dialing_.empty()) dial_succeeds();
  release(second->slot);
  pass(1'500ms);
  act([&](PoolActions& actions) { core_->tick(now(), actions); });
  EXPECT_EQ(core_->stats().closed_idle, 1U);
  EXPECT_EQ(core_->stats().leaks, 1U);
  release(held);
}

TEST_F(PoolCoreTest, PoolScenario65_ZeroMeansOffEverywhere) {
  open(settings(1, 2));
  PoolSlot* const slot = take();
  pass_ticking(48h);
  EXPECT_TRUE(leaks_.empty());
  release(slot);
  pass_ticking(48h);
  EXPECT_TRUE(closing_.empty());
  EXPECT_EQ(take(), slot);
  EXPECT_FALSE(needs_ping_);
}

TEST_F(PoolCoreTest, PoolScenario89_ALeakIsReportedOnceAndItsReturnToo) {
  PoolSettings leaky = settings(1, 1);
  leaky.leak_after = 1'000ms;
  open(leaky);
  PoolSlot* const slot = take();
  pass_ticking(10s);
  ASSERT_EQ(leaks_.size(), 1U);
  EXPECT_FALSE(leaks_[0].returned);
  EXPECT_NE(leaks_[0].holder.place.find("pg/pool_core_test.cpp:"), std::string::npos) << leaks_[0].holder.place;
  release(slot);
  ASSERT_EQ(leaks_.size(), 2U);
  EXPECT_TRUE(leaks_[1].returned);
}

TEST_F(PoolCoreTest, LongIdleConnectionsWantAPingAndSoDoSiblingsOfALostOne) {
  PoolSettings careful = settings(3, 3);
  careful.ping_after_idle = 1'000ms;
  open(careful);
  PoolSlot* const first = take();
  EXPECT_FALSE(needs_ping_);
  PoolSlot* const second = take();
  pass(10ms);
  release(second);
  pass(10ms);
  release(first, Returned::lost_server);
  EXPECT_EQ(take(), second);
  EXPECT_TRUE(needs_ping_) << "one fatal error condemns the siblings";
  release(second);
  EXPECT_EQ(take(), second);
  EXPECT_FALSE(needs_ping_);
  release(second);
  pass(1'001ms);
  EXPECT_EQ(take(), second);
  EXPECT_TRUE(needs_ping_);
}

TEST_F(PoolCoreTest, AConnectionThatSpokeWhileLentIsInspectedBeforeItIsUsedAgain) {
  open(settings(1, 1));
  PoolSlot* const slot = take();
  EXPECT_FALSE(core_->take_for_inspection(slot, now()));
  release(slot);
  EXPECT_EQ(cleaning_.size(), 1U);
  clean_ends(true);
  EXPECT_EQ(take(), slot);
  release(slot);
  EXPECT_TRUE(cleaning_.empty());
  ASSERT_TRUE(core_->take_for_inspection(slot, now()));
  EXPECT_EQ(take(), nullptr) << "never hands out a connection that is being inspected";
  const auto waiter = wait();
  act([&](PoolActions& actions) { core_->inspected(slot, true, now(), actions); });
  EXPECT_EQ(waiter->slot, slot);
  release(slot);
  ASSERT_TRUE(core_->take_for_inspection(slot, now()));
  act([&](PoolActions& actions) { core_->inspected(slot, false, now(), actions); });
  EXPECT_EQ(closing_.size(), 1U);
}

TEST_F(PoolCoreTest, PoolScenario74_CloseFailsWaitersAndClosesWhatIsIdle) {
  open(settings(2, 2));
  PoolSlot* const slot = take();
  PoolSlot* const other = take();
  const auto waiter = wait();
  release(other, Returned::needs_cleaning);
  act([&](PoolActions& actions) { core_->begin_close(now(), actions); });
  EXPECT_TRUE(failed(waiter, AcquireErrorKind::closed));
  EXPECT_TRUE(failed(wait(), AcquireErrorKind::closed));
  clean_ends(true);
  EXPECT_EQ(closing_.size(), 1U);
  release(slot);
  EXPECT_EQ(closing_.size(), 2U);
  close_ends();
  close_ends();
  EXPECT_EQ(core_->total(), 0U);
  EXPECT_TRUE(dialing_.empty());
  EXPECT_EQ(availability_, (std::vector<bool>{true, false}));
}

TEST_F(PoolCoreTest, PoolScenario75_AConnectionDialledDuringCloseIsClosed) {
  make(settings(1, 1));
  act([&](PoolActions& actions) { core_->open(now(), actions); });
  act([&](PoolActions& actions) { core_->begin_close(now(), actions); });
  dial_succeeds();
  EXPECT_EQ(closing_.size(), 1U);
  EXPECT_EQ(core_->stats().idle, 0U);
  EXPECT_EQ(availability_, (std::vector<bool>{}));
}

TEST_F(PoolCoreTest, TimedOutSaysWhoHoldsAndWhatTheLastDialSaid) {
  open(settings(1, 1));
  PoolCore::Taken taken;
  act([&](PoolActions& actions) {
    taken = core_->try_take(Borrower(std::source_location::current(), "reconcile shop"), now(), actions);
  });
  pass(28'400ms);
  const auto waiter = wait(30s);
  pass_ticking(30s);
  ASSERT_TRUE(failed(waiter, AcquireErrorKind::timed_out));
  const std::string text = waiter->error->to_error().to_string();
  EXPECT_NE(text.find("pool main: acquire timed out after 30.0 s"), std::string::npos) << text;
  EXPECT_NE(text.find("1 held since 58.4 s, pg/pool_core_test.cpp:"), std::string::npos) << text;
  EXPECT_NE(text.find("reconcile shop"), std::string::npos) << text;
}

TEST_F(PoolCoreTest, TheTimerIsSetForTheEarliestDeadline) {
  open(settings(1, 1));
  take();
  EXPECT_LE(core_->arm(now()) - now(), 5s);
  PoolActions actions;
  auto waiter = std::make_shared<PoolWaiter>();
  waiter->since = now();
  waiter->deadline = now() + 7ms;
  core_->enqueue(waiter, now(), actions);
  EXPECT_TRUE(actions.rearm);
  EXPECT_EQ(core_->arm(now()), waiter->deadline);
}

// Scenarios 20 and 83 for the core: any order of events keeps the four states within max and loses nobody.
TEST_F(PoolCoreTest, PoolScenario83_RandomEventsKeepTheInvariants) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    std::minstd_rand random(seed);
    dialing_.clear();
    closing_.clear();
    cleaning_.clear();
    woken_.clear();
    PoolSettings busy = settings(2, 5);
    busy.max_waiting = 8;
    busy.max_lifetime = 5'000ms;
    busy.idle_timeout = 500ms;
    make(busy);
    act([&](PoolActions& actions) { core_->open(now(), actions); });
    std::vector<PoolSlot*> lent;
    std::vector<std::shared_ptr<PoolWaiter>> waiters;
    const auto collect = [&] {
      std::erase_if(waiters, [&](const std::shared_ptr<PoolWaiter>& waiter) {
        if (waiter->slot != nullptr) lent.push_back(waiter->slot);
        return !pending(waiter);
      });
    };
    const auto any = [&](auto& from) {
      std::swap(from[random() % from.size()], from.back());
      auto chosen = from.back();
      from.pop_back();
      return chosen;
    };
    for (int step = 0; step < 3'000; ++step) {
      switch (random() % 10) {
        case 0:
        case 1:
          if (PoolSlot* const slot = take()) {
            lent.push_back(slot);
          } else {
            waiters.push_back(wait(std::chrono::milliseconds(random() % 300)));
          }
          break;
        case 2:
        case 3:
          if (!lent.empty()) release(any(lent), static_cast<Returned>(random() % 4));
          break;
        case 4:
          if (!dialing_.empty()) random() % 3 == 0 ? dial_fails() : dial_succeeds();
          break;
        case 5:
          if (!closing_.empty()) close_ends();
          break;
        case 6:
          if (!cleaning_.empty()) clean_ends(random() % 2 == 0);
          break;
        case 7:
          if (!waiters.empty()) cancel(waiters[random() % waiters.size()]);
          break;
        default: pass_ticking(std::chrono::milliseconds(random() % 20));
      }
      collect();
      if (HasFatalFailure()) return;
    }
    // Everything comes back: everybody is answered, and the minimum is there again.
    for (int round = 0; round < 200; ++round) {
      while (!lent.empty()) release(any(lent));
      while (!closing_.empty()) close_ends();
      while (!cleaning_.empty()) clean_ends(true);
      while (!dialing_.empty()) dial_succeeds();
      collect();
      if (round == 0) pass_ticking(31s);
    }
    EXPECT_TRUE(waiters.empty()) << seed;
    EXPECT_EQ(core_->stats().waiting, 0U);
    EXPECT_GE(core_->stats().idle, 2U) << seed;
    EXPECT_EQ(core_->lent(), 0U);
  }
}

}  // namespace
}  // namespace opi::pg
