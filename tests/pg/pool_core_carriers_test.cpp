// Connections that carry statements of many callers, beside those that are lent to one.
#include "pg/pool_core_fixture.hpp"

namespace opi::pg {
namespace {

class PoolCoreCarriersTest : public PoolCoreTest {
 protected:
  static Borrower carrier() {
    Borrower borrower(std::source_location::current(), "carrier");
    borrower.carries = true;
    return borrower;
  }
  PoolSlot* take_carrier() { return core_->try_take(carrier(), clock_).slot; }
  std::shared_ptr<PoolWaiter> wait_for_carrier() {
    auto waiter = std::make_shared<PoolWaiter>();
    waiters_.push_back(waiter);
    waiter->borrower = carrier();
    waiter->at_home = true;
    waiter->since = now();
    waiter->deadline = SteadyTime::max();
    act([&](PoolActions& actions) { core_->enqueue(*waiter, now(), actions); });
    return waiter;
  }
  void settle() {
    act([&](PoolActions& actions) { core_->tick(now(), actions); });
  }
};

TEST_F(PoolCoreCarriersTest, ACarrierIsUsedAndIsNoLease) {
  PoolCore& core = open(settings(2, 2));
  PoolSlot* const slot = take_carrier();
  EXPECT_TRUE(core.keep_carrier(slot, now()));
  PoolStats stats = core.stats();
  EXPECT_EQ(stats.used, 1U);
  EXPECT_EQ(stats.carrying, 1U);
  EXPECT_EQ(stats.idle, 1U);
  EXPECT_EQ(stats.acquired, 0U);
  ASSERT_EQ(core.holders(now()).size(), 1U);
  EXPECT_EQ(core.holders(now())[0].task, "carrier");
  EXPECT_NE(core.describe(now()).find("carrier"), std::string::npos);
  pass(1s);
  hand_back(slot);
  stats = core.stats();
  EXPECT_EQ(stats.carrying, 0U);
  EXPECT_EQ(stats.idle, 2U);
  EXPECT_EQ(stats.used_total.count(), 0);
  EXPECT_TRUE(recalled_.empty());
}

TEST_F(PoolCoreCarriersTest, WhoWaitsForAConnectionOfTheirOwnGetsOneBack) {
  open(settings(2, 2));
  PoolSlot* const first = take_carrier();
  PoolSlot* const second = take_carrier();
  const auto waiter = wait();
  ASSERT_EQ(recalled_.size(), 1U) << "one for each";
  settle();
  EXPECT_EQ(recalled_.size(), 1U) << "and only once";
  PoolSlot* const recalled = recalled_.front();
  EXPECT_FALSE(core_->keep_carrier(recalled, now()));
  EXPECT_TRUE(core_->keep_carrier(recalled == first ? second : first, now()));
  const auto next = wait();
  EXPECT_EQ(recalled_.size(), 2U);
  hand_back(recalled);
  EXPECT_TRUE(served(waiter));
  EXPECT_TRUE(pending(next));
  EXPECT_EQ(core_->stats().carrying, 1U);
}

TEST_F(PoolCoreCarriersTest, ACarrierStandsInTheSameQueueAndNeitherSideStarves) {
  open(settings(1, 1));
  PoolSlot* const lease = take();
  const auto carries = wait_for_carrier();
  const auto after = wait();
  hand_back(lease);
  ASSERT_TRUE(served(carries));
  ASSERT_TRUE(pending(after));
  EXPECT_FALSE(core_->keep_carrier(carries->slot, now())) << "it takes what waits now and comes back";
  const auto again = wait_for_carrier();
  hand_back(carries->slot);
  ASSERT_TRUE(served(after));
  hand_back(after->slot);
  EXPECT_TRUE(served(again));
  EXPECT_TRUE(core_->keep_carrier(again->slot, now())) << "nobody else waits";
  EXPECT_EQ(core_->stats().acquired_waiting, 1U) << "a carrier is no acquire";
  hand_back(again->slot);
}

TEST_F(PoolCoreCarriersTest, AWaitingCarrierRecallsNone) {
  open(settings(1, 1));
  take_carrier();
  wait_for_carrier();
  EXPECT_TRUE(recalled_.empty());
}

TEST_F(PoolCoreCarriersTest, ACarrierComesBackWhenItsTimeIsOver) {
  PoolSettings limited = settings(1, 1);
  limited.max_lifetime = 10s;
  limited.lifetime_jitter = 0.0;
  open(limited);
  PoolSlot* const slot = take_carrier();
  pass_ticking(9s);
  EXPECT_TRUE(recalled_.empty());
  pass_ticking(3s);
  ASSERT_EQ(recalled_.size(), 1U);
  EXPECT_TRUE(leaks_.empty());
  release(slot);
  EXPECT_EQ(core_->stats().closed_lifetime, 1U);
}

TEST_F(PoolCoreCarriersTest, PauseRecycleNewSchemaAndASmallerPoolCallItBack) {
  const auto recalls = [&](auto change) {
    open(settings(2, 2));
    PoolSlot* const slot = take_carrier();
    PoolSlot* const other = take();
    recalled_.clear();
    act(change);
    const bool recalled = recalled_ == std::vector<PoolSlot*>{slot};
    hand_back(slot);
    hand_back(other);
    dialing_.clear();
    closing_.clear();
    return recalled;
  };
  EXPECT_TRUE(recalls([&](PoolActions& actions) { core_->pause(true, now(), actions); }));
  EXPECT_TRUE(recalls([&](PoolActions& actions) { core_->recycle(now(), actions); }));
  EXPECT_TRUE(recalls([&](PoolActions& actions) { core_->forget_statements(now(), actions); }));
  EXPECT_TRUE(recalls([&](PoolActions& actions) { core_->begin_close(now(), actions); }));
  EXPECT_FALSE(recalls([&](PoolActions& actions) { core_->resize(settings(2, 3), now(), actions); }));
}

TEST_F(PoolCoreCarriersTest, AStandbyServerCallsItsSiblingsBack) {
  server_.target = SessionTarget::read_write;
  open(settings(2, 2));
  PoolSlot* const carrying = take_carrier();
  PoolSlot* const lease = take();
  EXPECT_FALSE(core_->role_seen(lease, HostRole::standby, now()));
  release(lease, Returned::wrong_role);
  EXPECT_EQ(recalled_, std::vector<PoolSlot*>{carrying});
}

TEST_F(PoolCoreCarriersTest, AHeldCarrierIsNoLeakAndNoDeadlock) {
  PoolSettings watched = settings(1, 1);
  watched.leak_after = 1s;
  open(watched);
  PoolSlot* const slot = take_carrier();
  pass_ticking(5s);
  EXPECT_TRUE(leaks_.empty());
  const int flow = 0;
  const auto waiter = wait(30s, &flow);
  EXPECT_TRUE(pending(waiter));
  hand_back(slot);
  EXPECT_TRUE(served(waiter));
}

}  // namespace
}  // namespace opi::pg
