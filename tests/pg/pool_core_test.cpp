// The pool's decisions, every interleaving exact: the clock moves by hand, dials succeed or fail when the test says so.
#include "pg/pool_core.hpp"

#include <gtest/gtest.h>

#include "base/clock.hpp"
#include "pg/pool_core_fixture.hpp"

namespace opi::pg {
namespace {

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
  core_->refused(Borrower(), true, true);
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
  EXPECT_NE(leaks_[0].holder.place.find("pg/pool_core_fixture.hpp:"), std::string::npos) << leaks_[0].holder.place;
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
  core_->try_take(Borrower(std::source_location::current(), "reconcile shop"), clock_);
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
  const auto waiter = waiters_.emplace_back(std::make_shared<PoolWaiter>());
  waiter->since = now();
  waiter->deadline = now() + 7ms;
  core_->enqueue(*waiter, now(), actions);
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
