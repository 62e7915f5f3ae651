// What the pool's core decides while its server is away, starting, full, or refuses our login.
#include "pg/pool_core_fixture.hpp"

namespace opi::pg {
namespace {

TEST_F(PoolCoreTest, PoolScenario26_ARefusedDialFailsAllWaitersWithTheServersError) {
  make(settings(0, 5));
  act([&](PoolActions& actions) { core_->open(now(), actions); });
  const auto first = wait();
  const auto second = wait();
  dial_fails();
  for (const auto& waiter : {first, second}) {
    ASSERT_TRUE(failed(waiter, AcquireErrorKind::unavailable));
    EXPECT_EQ(waiter->error->last_error, "connection refused by db:5432 [ECONNREFUSED]");
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

}  // namespace
}  // namespace opi::pg
