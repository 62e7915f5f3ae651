// Several hosts and several pools with a driver that is not there: which host a dial goes to, what one pool learns for
// the others, and what happens when servers change their roles.
#include <map>

#include "pg/pool_core_fixture.hpp"

namespace opi::pg {
namespace {

/// A pool of its own beside the fixture's, on the same governor.
class PoolCoreHostsTest : public PoolCoreTest {
 protected:
  struct Pool {
    std::unique_ptr<PoolCore> core;
    std::vector<PoolSlot*> dialing, closing;
    int woken = 0;
  };

  static ServerSettings cluster(std::vector<std::string> names, SessionTarget target = SessionTarget::any) {
    ServerSettings server;
    for (std::string& name : names) server.hosts.push_back({.host = std::move(name), .port = 5432});
    server.target = target;
    return server;
  }
  Pool& add(ServerSettings server, PoolSettings limits) {
    Pool& pool = *pools_.emplace_back(std::make_unique<Pool>());
    pool.core = std::make_unique<PoolCore>(PoolConfig{.name = "pool", .server = std::move(server), .pool = limits}, 7,
                                           BackoffLimits{.jitter = 0.0}, governor_);
    pool.core->on_wake([&pool] { ++pool.woken; });
    with(pool, [&](PoolActions& actions) { pool.core->open(now(), actions); });
    return pool;
  }
  template <class Step>
  void with(Pool& pool, Step step) {
    PoolActions actions;
    step(actions);
    pool.dialing.insert(pool.dialing.end(), actions.dial.begin(), actions.dial.end());
    pool.closing.insert(pool.closing.end(), actions.close.begin(), actions.close.end());
    PoolWaiters ready;
    if (actions.drain) pool.core->take_ready(ready);
    note_woken(ready);
  }
  /// As the driver does with what the governor wakes.
  void tick(Pool& pool) {
    with(pool, [&](PoolActions& actions) { pool.core->tick(now(), actions); });
  }
  void reach(Pool& pool, HostRole role = HostRole::primary) {
    PoolSlot* const slot = pop(pool.dialing);
    EXPECT_NE(pool.core->host_reached(slot, role, now()), Fit::none);
    with(pool, [&](PoolActions& actions) { pool.core->dialed(slot, "15.20", now(), actions); });
  }
  /// Every host in turn: what `roles` has is reached, the others refuse. The host that was taken, "" for none.
  std::string dial(Pool& pool, const std::map<std::string, HostRole>& roles) {
    PoolSlot* const slot = pop(pool.dialing);
    for (;;) {
      const std::string host = pool.core->target(slot).host;
      tried_.push_back(host);
      const auto known = roles.find(host);
      if (known == roles.end()) {
        pool.core->host_failed(slot, refused, now());
      } else if (pool.core->host_reached(slot, known->second, now()) == Fit::good) {
        with(pool, [&](PoolActions& actions) { pool.core->dialed(slot, "15.20", now(), actions); });
        return host;
      }
      if (!pool.core->try_next_host(slot, now())) break;
    }
    if (slot->second_best) {
      pool.core->use_second_best(slot);
      const std::string host = slot->gate->host().host;
      with(pool, [&](PoolActions& actions) { pool.core->dialed(slot, "15.20", now(), actions); });
      return host;
    }
    with(pool, [&](PoolActions& actions) { pool.core->dial_failed(slot, refused, "db", now(), actions); });
    return "";
  }
  std::shared_ptr<PoolWaiter> wait_in(Pool& pool) {
    auto waiter = std::make_shared<PoolWaiter>();
    waiters_.push_back(waiter);
    waiter->at_home = true;
    waiter->since = now();
    waiter->deadline = now() + 30s;
    with(pool, [&](PoolActions& actions) { pool.core->enqueue(*waiter, now(), actions); });
    return waiter;
  }
  PoolSlot* take_from(Pool& pool) {
    for (;;) {
      const auto taken = pool.core->try_take(Borrower(std::source_location::current()), clock_);
      if (!taken.stale) return taken.slot;
      with(pool, [&](PoolActions& actions) { pool.core->evict_stale(now(), actions); });
    }
  }

  std::shared_ptr<DialGovernor> governor_ = std::make_shared<DialGovernor>(
      GovernorLimits{.outage = {.jitter = 0.0}, .asks_again = {.most = 2s, .jitter = 0.0}});
  std::vector<std::unique_ptr<Pool>> pools_;
  std::vector<std::string> tried_;
};

TEST_F(PoolCoreHostsTest, PoolScenario44_TheFirstListedHostThatIsUpIsTaken) {
  Pool& pool = add(cluster({"a", "b", "c"}), settings(2, 4));
  EXPECT_EQ(dial(pool, {{"b", HostRole::primary}, {"c", HostRole::primary}}), "b");
  EXPECT_EQ(dial(pool, {{"b", HostRole::primary}, {"c", HostRole::primary}}), "b") << "in flight since before";
  tried_.clear();
  const auto waiter = wait_in(pool);
  PoolSlot* const lent = take_from(pool);
  ASSERT_NE(lent, nullptr);
  (void)wait_in(pool);
  while (!pool.dialing.empty()) dial(pool, {{"b", HostRole::primary}});
  for (const std::string& host : tried_) EXPECT_EQ(host, "b") << "a is known to be down: nobody waits for it";
}

TEST_F(PoolCoreHostsTest, PoolScenario44_ADownHostIsProbedInItsPlaceWhenItsTimeComes) {
  Pool& pool = add(cluster({"a", "b"}), settings(1, 4));
  EXPECT_EQ(dial(pool, {{"b", HostRole::primary}}), "b");
  pass(100ms);
  with(pool, [&](PoolActions& actions) { pool.core->recycle(now(), actions); });
  while (!pool.closing.empty()) {
    PoolSlot* const slot = pop(pool.closing);
    with(pool, [&](PoolActions& actions) { pool.core->closed(slot, now(), actions); });
  }
  ASSERT_EQ(pool.dialing.size(), 1U);
  EXPECT_EQ(dial(pool, {{"a", HostRole::primary}, {"b", HostRole::primary}}), "a");
}

TEST_F(PoolCoreHostsTest, PoolScenario44_BalancedConnectionsAreSpreadAlsoWhenTheFirstHostIsDown) {
  ServerSettings server = cluster({"a", "b", "c"});
  server.host_order = HostOrder::balanced;
  Pool& pool = add(server, settings(6, 6));
  std::map<std::string, int> counts;
  for (int round = 0; round < 20 && pool.core->stats().idle < 6; ++round) {
    while (!pool.dialing.empty()) ++counts[dial(pool, {{"b", HostRole::primary}, {"c", HostRole::primary}})];
    pass(10ms);
    tick(pool);
  }
  EXPECT_EQ(counts["b"], 3);
  EXPECT_EQ(counts["c"], 3);
}

TEST_F(PoolCoreHostsTest, PoolScenario44_TheRoleIsLookedForAndRemembered) {
  const std::map<std::string, HostRole> roles = {{"a", HostRole::standby}, {"b", HostRole::primary}};
  Pool& writes = add(cluster({"a", "b"}, SessionTarget::read_write), settings(1, 4));
  EXPECT_EQ(dial(writes, roles), "b");
  EXPECT_EQ(tried_, (std::vector<std::string>{"a", "b"}));
  tried_.clear();
  Pool& also = add(cluster({"a", "b"}, SessionTarget::read_write), settings(1, 4));
  EXPECT_EQ(dial(also, roles), "b");
  EXPECT_EQ(tried_, (std::vector<std::string>{"b"})) << "another pool has looked";
  tried_.clear();
  Pool& reads = add(cluster({"b", "a"}, SessionTarget::prefer_standby), settings(1, 4));
  EXPECT_EQ(dial(reads, roles), "a");
  EXPECT_EQ(tried_, (std::vector<std::string>{"a"}));
  tried_.clear();
  pass(11s);  // role_recheck
  Pool& later = add(cluster({"a", "b"}, SessionTarget::read_write), settings(1, 4));
  EXPECT_EQ(dial(later, roles), "b");
  EXPECT_EQ(tried_, (std::vector<std::string>{"a", "b"}));
}

TEST_F(PoolCoreHostsTest, PoolScenario44_ThePrimaryWillDoWhereAStandbyIsPreferredAndNoneIsUp) {
  Pool& pool = add(cluster({"a", "b"}, SessionTarget::prefer_standby), settings(1, 4));
  EXPECT_EQ(dial(pool, {{"a", HostRole::primary}}), "a");
  EXPECT_EQ(tried_, (std::vector<std::string>{"a", "b"}));
}

TEST_F(PoolCoreHostsTest, PoolScenario44_NoHostOfTheRoleKeepsWaitersAndIsTriedAgainWithinTheRecheck) {
  Pool& pool = add(cluster({"a", "b"}, SessionTarget::primary), settings(1, 4));
  const auto waiter = wait_in(pool);
  EXPECT_EQ(dial(pool, {{"a", HostRole::standby}, {"b", HostRole::standby}}), "");
  EXPECT_TRUE(pending(waiter)) << "the cluster is about to choose a primary";
  for (int round = 0; round < 20; ++round) {
    pass(10s);
    tick(pool);
    ASSERT_EQ(pool.dialing.size(), 1U) << round;
    if (round < 19) dial(pool, {{"a", HostRole::standby}, {"b", HostRole::standby}});
  }
  EXPECT_EQ(dial(pool, {{"a", HostRole::standby}, {"b", HostRole::primary}}), "b");
}

TEST_F(PoolCoreHostsTest, PoolScenario43_ADemotedPrimaryIsFencedForEveryPoolBeforeItIsLentAgain) {
  Pool& first = add(cluster({"a", "b"}, SessionTarget::read_write), settings(3, 3));
  Pool& second = add(cluster({"a", "b"}, SessionTarget::read_write), settings(2, 2));
  Pool& reads = add(cluster({"a"}), settings(1, 1));
  while (!first.dialing.empty()) reach(first);
  while (!second.dialing.empty()) reach(second);
  while (!reads.dialing.empty()) reach(reads, HostRole::unknown);
  PoolSlot* const refused_a_write = take_from(first);
  PoolSlot* const lent = take_from(first);
  EXPECT_FALSE(first.core->role_seen(refused_a_write, HostRole::standby, now()));
  with(first, [&](PoolActions& a) { first.core->release(refused_a_write, Returned::wrong_role, now(), a); });
  EXPECT_EQ(first.closing.size(), 2U) << "itself and its idle sibling";
  EXPECT_EQ(first.core->hand_back(lent, now(), clock_).done, false) << "the lent one when it comes back";
  with(first, [&](PoolActions& a) { first.core->release(lent, Returned::clean, now(), a); });
  EXPECT_EQ(first.closing.size(), 3U);
  EXPECT_GE(second.woken, 1);
  EXPECT_EQ(take_from(second), nullptr) << "also before it was told";
  EXPECT_EQ(second.closing.size(), 2U);
  EXPECT_NE(take_from(reads), nullptr) << "who takes any server does not care";
  EXPECT_EQ(first.core->stats().fenced, 1U);
  EXPECT_EQ(first.core->stats().closed_fenced, 3U);
  while (!second.closing.empty()) {
    PoolSlot* const slot = pop(second.closing);
    with(second, [&](PoolActions& a) { second.core->closed(slot, now(), a); });
  }
  ASSERT_FALSE(second.dialing.empty());
  EXPECT_EQ(dial(second, {{"a", HostRole::standby}, {"b", HostRole::primary}}), "b");
}

TEST_F(PoolCoreHostsTest, PoolScenario29_WhatOnePoolFoundOutFailsTheAcquiresOfTheOthersAtOnce) {
  Pool& first = add(cluster({"a"}), settings(1, 4));
  Pool& second = add(cluster({"a"}), settings(0, 4));
  reach(second);  // shows that the server is there
  EXPECT_EQ(dial(first, {}), "");
  with(second, [&](PoolActions& a) { second.core->recycle(now(), a); });
  while (!second.closing.empty()) {
    PoolSlot* const slot = pop(second.closing);
    with(second, [&](PoolActions& a) { second.core->closed(slot, now(), a); });
  }
  const auto waiter = wait_in(second);
  ASSERT_TRUE(failed(waiter, AcquireErrorKind::unavailable));
  EXPECT_EQ(waiter->error->peer, "a:5432");
  EXPECT_EQ(waiter->error->attempt, 1U);
  EXPECT_EQ(waiter->error->next_attempt_in, 100ms);
  EXPECT_TRUE(second.dialing.empty());
  pass(100ms);
  tick(second);
  ASSERT_EQ(second.dialing.size(), 1U) << "it probes too: the other may be closed";
  tick(first);
  EXPECT_TRUE(first.dialing.empty()) << "one at a time";
  reach(second);
  EXPECT_GE(first.woken, 1);
  tick(first);
  ASSERT_EQ(first.dialing.size(), 1U);
  reach(first);
  EXPECT_TRUE(first.core->stats().available);
}

TEST_F(PoolCoreHostsTest, PoolScenario30_AfterARestartManyPoolsComeBackWithoutAHerd) {
  std::vector<Pool*> all;
  for (int index = 0; index < 10; ++index) all.push_back(&add(cluster({"a"}), settings(8, 8)));
  std::size_t dials = 0;
  for (Pool* pool : all) {
    while (!pool->dialing.empty()) dial(*pool, {});
  }
  const SteadyTime back = now() + 5s;
  std::size_t most = 0;
  std::size_t failures = 0;
  std::uint32_t open = 0;
  for (int step = 0; step < 2'000 && open < 80; ++step) {
    pass(10ms);
    std::size_t in_flight = 0;
    open = 0;
    for (Pool* pool : all) {
      tick(*pool);
      in_flight += pool->dialing.size();
    }
    most = std::max(most, in_flight);
    if (now() < back) ASSERT_LE(in_flight, 1U) << "a single prober while it is down";
    for (Pool* pool : all) {
      const std::size_t begun = pool->dialing.size();
      for (std::size_t dial = 0; dial < begun; ++dial) {
        ++dials;
        if (now() >= back) {
          reach(*pool);
        } else {
          ++failures;
          PoolSlot* const slot = pop(pool->dialing);
          with(*pool, [&](PoolActions& a) { pool->core->dial_failed(slot, refused, "a", now(), a); });
        }
      }
      open += pool->core->stats().idle;
    }
  }
  EXPECT_EQ(open, 80U);
  EXPECT_LE(failures, 8U) << "0.1 + 0.2 + … of five seconds, whatever the number of pools";
  EXPECT_LE(most, 64U);
  EXPECT_LE(dials - failures, 81U);
}

}  // namespace
}  // namespace opi::pg
