// Scenarios of the pool's test catalogue that the core decides alone: sizes, pauses, epochs, counters, deadlocks.
#include "pg/pool_core_fixture.hpp"

namespace opi::pg {
namespace {

class PoolCoreScenarioTest : public PoolCoreTest {
 protected:
  void resize(std::uint32_t min, std::uint32_t max) {
    act([&](PoolActions& actions) { core_->resize(settings(min, max), now(), actions); });
  }
  void recycle() {
    act([&](PoolActions& actions) { core_->recycle(now(), actions); });
  }
  void pause(bool paused) {
    act([&](PoolActions& actions) { core_->pause(paused, now(), actions); });
  }
  std::vector<PoolSlot*> take_all() {
    std::vector<PoolSlot*> slots;
    while (PoolSlot* const slot = take()) slots.push_back(slot);
    return slots;
  }
  std::vector<std::shared_ptr<PoolWaiter>> wait_times(int count) {
    std::vector<std::shared_ptr<PoolWaiter>> waiters;
    for (int waiter = 0; waiter < count; ++waiter) waiters.push_back(wait());
    return waiters;
  }
  static auto served_of(const std::vector<std::shared_ptr<PoolWaiter>>& waiters) {
    return std::ranges::count_if(waiters, [](const auto& waiter) { return served(waiter); });
  }
  const int flow_a_ = 0, flow_b_ = 0;
};

// ---- deadlock ------------------------------------------------------------------------------------------------------

TEST_F(PoolCoreScenarioTest, PoolScenario09_TheLastOfTheHoldersThatAllWaitIsToldAtOnce) {
  open(settings(2, 2));
  PoolSlot* const first = take(&flow_a_);
  PoolSlot* const second = take(&flow_b_);
  const auto one = wait(30s, &flow_a_);
  EXPECT_TRUE(pending(one)) << "the other flow may still give back";
  const auto two = wait(30s, &flow_b_);
  ASSERT_TRUE(failed(two, AcquireErrorKind::deadlocked));
  EXPECT_EQ(two->error->holders.size(), 2U);
  EXPECT_TRUE(two->error->to_error().to_string().contains("everyone who holds a connection waits for another one"));
  EXPECT_EQ(core_->stats().deadlocked, 1U);
  release(second);
  EXPECT_EQ(one->slot, second) << "who was told gives back, and the other flow goes on";
  release(first);
}

TEST_F(PoolCoreScenarioTest, PoolScenario09_OneFlowThatHoldsAllAndAsksForMoreIsTold) {
  open(settings(1, 1));
  take(&flow_a_);
  EXPECT_TRUE(failed(wait(30s, &flow_a_), AcquireErrorKind::deadlocked));
}

TEST_F(PoolCoreScenarioTest, PoolScenario09_NothingIsClaimedWhereItIsNotCertain) {
  open(settings(2, 2));
  PoolSlot* const tagged = take(&flow_a_);
  PoolSlot* const untagged = take();
  const auto waiting = wait(30s, &flow_a_);
  EXPECT_TRUE(pending(waiting)) << "the holder without a tag may give back";
  EXPECT_TRUE(pending(wait())) << "a newcomer that holds nothing does not close the circle";
  release(untagged, Returned::broken);
  EXPECT_TRUE(pending(wait(30s, &flow_b_))) << "a place is being freed";
  close_ends();
  EXPECT_TRUE(pending(wait(30s, &flow_b_))) << "a connection is being dialled";
  dial_succeeds();
  EXPECT_TRUE(served(waiting));
  release(tagged);
}

// ---- outages -------------------------------------------------------------------------------------------------------

TEST_F(PoolCoreScenarioTest, PoolScenario32_GivingUpIsToldOnceAndLaterGrowthWorks) {
  PoolSettings patient = settings(1, 3);
  patient.give_up_after = 5'000ms;
  make(patient);
  act([&](PoolActions& actions) { core_->open(now(), actions); });
  for (int outage = 1; outage <= 2; ++outage) {
    const SteadyTime begun = now();
    while (now() - begun < 60s) {
      if (!dialing_.empty()) dial_fails();
      if (now() - begun < 4s) EXPECT_EQ(gave_up_, outage - 1);
      pass_ticking(100ms);
    }
    EXPECT_EQ(gave_up_, outage);
    while (dialing_.empty()) pass_ticking(100ms);
    dial_succeeds();
    const auto slots = take_all();
    ASSERT_EQ(slots.size(), 1U);
    const auto waiter = wait();
    while (!dialing_.empty()) dial_succeeds();
    EXPECT_TRUE(served(waiter)) << "growth works again";
    release(waiter->slot, Returned::broken);
    release(slots[0], Returned::broken);
    while (!closing_.empty()) close_ends();
  }
}

TEST_F(PoolCoreScenarioTest, PoolScenario45_OnlyAFatalErrorMakesTheSiblingsSuspect) {
  PoolSettings careful = settings(3, 4);
  careful.ping_after_idle = 3'600'000ms;
  open(careful);
  const auto next_needs_ping = [&] {
    pass(1ms);
    PoolSlot* const slot = take();
    const bool needs = needs_ping_;
    release(slot);
    return needs;
  };
  release(take(), Returned::broken);  // an operation was abandoned: the server is well
  EXPECT_FALSE(next_needs_ping());
  close_ends();
  dial_fails(server_says(ErrorKind::denied, "28P01"));
  EXPECT_FALSE(next_needs_ping());
  EXPECT_EQ(core_->stats().idle, 2U) << "a refused login clears nothing";
  pass(1ms);
  release(take(), Returned::lost_server);
  pass(1ms);
  EXPECT_NE(take(), nullptr);
  EXPECT_TRUE(needs_ping_);
}

TEST_F(PoolCoreScenarioTest, PoolScenario46_AConnectionThatBreaksWhileOpeningIsReturnedOnce) {
  make(settings(1, 2));
  act([&](PoolActions& actions) { core_->open(now(), actions); });
  PoolSlot* const slot = dialing_.front();
  const auto waiter = wait();
  dial_succeeds();
  EXPECT_EQ(waiter->slot, slot);
  EXPECT_FALSE(core_->take_for_inspection(slot, now())) << "the server ends it before the waiter has run";
  release(slot, Returned::lost_server);
  EXPECT_EQ(closing_, std::vector<PoolSlot*>{slot});
  EXPECT_EQ(core_->lent(), 0U);
  close_ends();
  while (!dialing_.empty()) dial_succeeds();
  EXPECT_EQ(take_all().size(), core_->stats().used);
  EXPECT_EQ(core_->stats().closed_broken, 1U);
}

TEST_F(PoolCoreScenarioTest, AJumpOfTheCalendarChangesNothing) {
  PoolSettings brief = settings(1, 1);
  brief.max_lifetime = brief.idle_timeout = brief.leak_after = brief.ping_after_idle = 60'000ms;
  open(brief);
  const auto waiter = [&] {
    take();
    return wait(30s);
  }();
  for (const auto jump : {-24h, 48h}) {
    clock_.set_wall(clock_.wall() + jump);
    act([&](PoolActions& actions) { core_->tick(now(), actions); });
    EXPECT_TRUE(pending(waiter));
    EXPECT_TRUE(leaks_.empty() && closing_.empty());
  }
}

// ---- size ----------------------------------------------------------------------------------------------------------

TEST_F(PoolCoreScenarioTest, PoolScenario66_GrowingServesWhoWaits) {
  open(settings(1, 1));
  take();
  const auto waiters = wait_times(6);
  EXPECT_TRUE(dialing_.empty());
  resize(1, 4);
  EXPECT_FALSE(dialing_.empty()) << "at once, without another acquire";
  while (!dialing_.empty()) dial_succeeds();
  EXPECT_EQ(served_of(waiters), 3);
}

TEST_F(PoolCoreScenarioTest, PoolScenario67_ShrinkingBelowWhatIsLentClosesOnReturn) {
  open(settings(4, 4));
  const auto slots = take_all();
  ASSERT_EQ(slots.size(), 4U);
  const auto waiter = wait();
  shrunk_ = true;
  resize(1, 2);
  EXPECT_TRUE(closing_.empty()) << "what is lent is in use";
  hand_back(slots[0]);
  hand_back(slots[1]);
  EXPECT_EQ(closing_.size(), 2U);
  EXPECT_TRUE(pending(waiter)) << "not with a connection above the new max";
  hand_back(slots[2]);
  EXPECT_TRUE(served(waiter));
  close_ends();
  close_ends();
  shrunk_ = false;
  EXPECT_TRUE(dialing_.empty());
  EXPECT_EQ(core_->stats().closed_surplus, 2U);
  EXPECT_EQ(core_->total(), 2U);
}

TEST_F(PoolCoreScenarioTest, PoolScenario67_BurstsOfShrinkingAndGrowingKeepTheCounts) {
  std::minstd_rand random(67);
  open(settings(2, 8));
  shrunk_ = true;
  std::vector<PoolSlot*> lent;
  for (int step = 0; step < 4'000; ++step) {
    switch (random() % 6) {
      case 0: {
        const auto max = static_cast<std::uint32_t>(1 + random() % 12);
        resize(std::min<std::uint32_t>(2, max), max);
        break;
      }
      case 1:
      case 2:
        if (PoolSlot* const slot = take()) lent.push_back(slot);
        break;
      case 3:
        if (!lent.empty()) hand_back(pop(lent));
        break;
      case 4:
        if (!dialing_.empty()) dial_succeeds();
        break;
      default:
        if (!closing_.empty()) close_ends();
    }
    const PoolStats stats = core_->stats();
    ASSERT_EQ(stats.used, lent.size());
    // Growing never makes what shrinking has not closed yet.
    ASSERT_TRUE(stats.dialing == 0 || stats.idle + stats.used + stats.dialing <= 12U);
    if (HasFatalFailure()) return;
  }
  resize(2, 3);
  while (!lent.empty()) hand_back(pop(lent));
  while (!closing_.empty() || !dialing_.empty()) {
    if (!closing_.empty()) close_ends();
    if (!dialing_.empty()) dial_succeeds();
  }
  EXPECT_GE(core_->stats().idle, 2U);
  EXPECT_LE(core_->total(), 3U);
}

TEST_F(PoolCoreScenarioTest, PoolScenario68_ResizedToNothingAndBack) {
  open(settings(2, 2));
  PoolSlot* const held = take();
  shrunk_ = true;
  resize(0, 0);
  EXPECT_EQ(closing_.size(), 1U);
  const auto waiter = wait();
  EXPECT_TRUE(pending(waiter));
  hand_back(held);
  EXPECT_EQ(closing_.size(), 2U);
  close_ends();
  close_ends();
  EXPECT_EQ(core_->total(), 0U);
  EXPECT_TRUE(dialing_.empty());
  resize(1, 2);
  shrunk_ = false;
  ASSERT_FALSE(dialing_.empty());
  dial_succeeds();
  EXPECT_TRUE(served(waiter));
}

TEST_F(PoolCoreScenarioTest, PoolScenario68_ResizingAfterCloseIsNothing) {
  open(settings(1, 1));
  act([&](PoolActions& actions) { core_->begin_close(now(), actions); });
  close_ends();
  const std::uint32_t max = core_->stats().max;
  resize(5, 9);
  EXPECT_TRUE(dialing_.empty());
  EXPECT_EQ(core_->stats().max, max);
}

TEST_F(PoolCoreScenarioTest, PoolScenario71_AnEpochDrainClosesIdleOnesAtOnceAndLentOnesWhenTheyReturn) {
  open(settings(3, 3));
  PoolSlot* const held = take();
  PoolSlot* const other = take();
  recycle();
  EXPECT_EQ(closing_.size(), 1U);
  const auto waiter = wait();
  hand_back(held);
  EXPECT_EQ(closing_.size(), 2U);
  EXPECT_TRUE(pending(waiter)) << "not with a connection of the old epoch";
  while (!closing_.empty()) close_ends();
  ASSERT_FALSE(dialing_.empty());
  dial_succeeds();
  EXPECT_TRUE(served(waiter));
  release(other, Returned::needs_cleaning);
  EXPECT_TRUE(cleaning_.empty()) << "what will be closed is not cleaned first";
  EXPECT_EQ(core_->stats().closed_recycled, 3U);
  while (!closing_.empty()) close_ends();
  while (!dialing_.empty()) dial_succeeds();
  hand_back(waiter->slot);
  EXPECT_EQ(core_->stats().idle, 3U) << "new ones stay";
}

TEST_F(PoolCoreScenarioTest, PoolScenario71_ADialOfTheOldEpochIsNotPooled) {
  make(settings(1, 1));
  act([&](PoolActions& actions) { core_->open(now(), actions); });
  recycle();
  dial_succeeds();
  EXPECT_EQ(closing_.size(), 1U);
  EXPECT_EQ(core_->stats().idle, 0U);
}

// ---- pause ---------------------------------------------------------------------------------------------------------

TEST_F(PoolCoreScenarioTest, PoolScenario80_APauseHoldsAcquiresAndResumingServesThemInOrder) {
  open(settings(2, 2));
  PoolSlot* const held = take();
  pause(true);
  EXPECT_EQ(take(), nullptr) << "an idle connection stays idle";
  const auto waiters = wait_times(3);
  EXPECT_EQ(served_of(waiters), 0);
  hand_back(held);
  EXPECT_EQ(served_of(waiters), 0);
  EXPECT_EQ(core_->stats().idle, 2U);
  EXPECT_TRUE(dialing_.empty());
  pause(false);
  EXPECT_TRUE(served(waiters[0]) && served(waiters[1]) && pending(waiters[2]));
  hand_back(waiters[0]->slot);
  EXPECT_TRUE(served(waiters[2]));
}

TEST_F(PoolCoreScenarioTest, PoolScenario80_WhoWaitsInAPauseTimesOutWithThatReasonAndCloseEndsIt) {
  open(settings(1, 1));
  pause(true);
  const auto brief = wait(100ms);
  pass_ticking(200ms);
  ASSERT_TRUE(failed(brief, AcquireErrorKind::timed_out));
  EXPECT_TRUE(brief->error->to_error().to_string().contains("the pool is paused"));
  const auto waiter = wait();
  act([&](PoolActions& actions) { core_->begin_close(now(), actions); });
  EXPECT_TRUE(failed(waiter, AcquireErrorKind::closed));
  pause(false);
  EXPECT_EQ(take(), nullptr) << "resuming does not reopen";
}

TEST_F(PoolCoreScenarioTest, PoolScenario81_SuspendingAStreamOfShortUsesFailsNobody) {
  open(settings(3, 3));
  std::vector<std::shared_ptr<PoolWaiter>> waiters;
  std::vector<PoolSlot*> lent;
  for (int round = 0; round < 200; ++round) {
    if (round % 20 == 5) pause(true);
    if (round % 20 == 15) pause(false);
    if (PoolSlot* const slot = take()) {
      lent.push_back(slot);
    } else {
      waiters.push_back(wait());
    }
    if (lent.size() > 1) hand_back(pop(lent));
    for (const auto& waiter : waiters) {
      ASSERT_FALSE(waiter->error);
      if (served(waiter)) lent.push_back(waiter->slot);
    }
    std::erase_if(waiters, [](const auto& waiter) { return served(waiter); });
    pass(1ms);
  }
  pause(false);
  while (!lent.empty()) hand_back(pop(lent));
  for (int round = 0; round < 200 && !waiters.empty(); ++round) {
    for (const auto& waiter : waiters) {
      if (served(waiter)) hand_back(std::exchange(waiter->slot, nullptr)), waiter->since = {};
    }
    std::erase_if(waiters, [](const auto& waiter) { return waiter->since == SteadyTime{}; });
  }
  EXPECT_TRUE(waiters.empty());
}

// ---- counters ------------------------------------------------------------------------------------------------------

TEST_F(PoolCoreScenarioTest, PoolScenario84_EveryEndOfAnAcquireHasItsCounter) {
  PoolSettings small = settings(1, 1);
  small.max_waiting = 2;
  open(small);
  PoolSlot* slot = take();
  const auto waited = wait();
  const auto cancelled = wait();
  const auto refused_full = wait();
  ASSERT_TRUE(failed(refused_full, AcquireErrorKind::queue_full));
  cancel(cancelled);
  hand_back(slot);
  slot = waited->slot;
  const auto late = wait(10ms);
  pass_ticking(20ms);
  ASSERT_TRUE(failed(late, AcquireErrorKind::timed_out));
  EXPECT_TRUE(failed(wait(-1ms), AcquireErrorKind::timed_out)) << "already too late";
  release(slot, Returned::broken);
  const auto unlucky = wait();
  close_ends();
  dial_fails();
  ASSERT_TRUE(failed(unlucky, AcquireErrorKind::unavailable));
  const PoolStats stats = core_->stats();
  EXPECT_EQ(stats.acquired, 2U);
  EXPECT_EQ(stats.acquired_waiting, 1U);
  EXPECT_EQ(stats.cancelled, 1U);
  EXPECT_EQ(stats.refused_full, 1U);
  EXPECT_EQ(stats.timed_out, 2U);
  EXPECT_EQ(stats.failed_unavailable, 1U);
  EXPECT_EQ(stats.waiting, 0U);
}

TEST_F(PoolCoreScenarioTest, PoolScenario85_WaitingIsSplitByWhatItEndedWith) {
  open(settings(1, 2));
  PoolSlot* const first = take();
  EXPECT_EQ(core_->stats().waited_queue.count(), 0U) << "who found one did not wait";

  const auto for_return = wait();
  pass(10ms);
  hand_back(first);
  const auto for_dial = wait();
  pass(100ms);
  dial_succeeds();
  ASSERT_TRUE(served(for_return) && served(for_dial));
  const auto for_reset = wait();
  release(for_return->slot, Returned::needs_cleaning);
  pass(1s);
  clean_ends(true);
  ASSERT_TRUE(served(for_reset));
  core_->pinged(1ms);

  const PoolStats stats = core_->stats();
  EXPECT_EQ(stats.waited_queue.count(), 1U);
  EXPECT_EQ(stats.waited_queue.sum(), 10ms);
  EXPECT_EQ(stats.waited_dial.count(), 1U);
  EXPECT_EQ(stats.waited_dial.sum(), 100ms);
  EXPECT_EQ(stats.waited_reset.count(), 1U);
  EXPECT_EQ(stats.waited_reset.sum(), 1s);
  EXPECT_EQ(stats.pings.count(), 1U);
  EXPECT_EQ(stats.waited_total, 1'110ms);
  EXPECT_EQ(stats.dialed.count(), 2U);
}

}  // namespace
}  // namespace opi::pg
