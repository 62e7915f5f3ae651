// What a changed configuration takes, by table; the numbers are those of the pool's test catalogue.
#include "pg/pool_plan.hpp"

#include <gtest/gtest.h>

#include <functional>

namespace opi::pg {
namespace {

using namespace std::chrono_literals;

PoolConfig config(std::string name, std::string host = "db1") {
  PoolConfig config{.name = std::move(name), .server = {}, .pool = {}};
  config.server.hosts = {{.host = std::move(host), .port = 5432}};
  config.server.user = "admin";
  config.server.database = "opi";
  return config;
}

struct Case {
  std::function<void(PoolConfig&)> change;
  PoolChange takes;
  std::string detail;
};

class PoolPlanTest : public testing::Test {
 protected:
  static void check(const std::vector<Case>& cases) {
    for (const Case& one : cases) {
      PoolConfig wanted = config("main");
      one.change(wanted);
      const PoolPlan plan = plan_pools({config("main")}, {wanted});
      ASSERT_EQ(plan.actions.size(), 1U) << one.detail;
      EXPECT_EQ(plan.actions[0].change, one.takes) << one.detail;
      EXPECT_EQ(plan.actions[0].details, std::vector<std::string>{one.detail});
    }
  }
};

TEST_F(PoolPlanTest, PoolScenario69_LimitsAndWhatLaterDialsLookAtChangeInPlace) {
  check({
      {[](PoolConfig& c) { c.pool.max = 20; }, PoolChange::resize, "max 10 → 20"},
      {[](PoolConfig& c) { c.pool.min = 0; }, PoolChange::resize, "min 2 → 0"},
      {[](PoolConfig& c) { c.pool.acquire_timeout = 5s; }, PoolChange::resize, "acquire_timeout 30.0 s → 5.0 s"},
      {[](PoolConfig& c) { c.pool.reset = ResetProfile::always; }, PoolChange::resize, "reset smart → always"},
      {[](PoolConfig& c) { c.pool.lifetime_jitter = 0.5; }, PoolChange::resize, "lifetime_jitter 0.2 → 0.5"},
      {[](PoolConfig& c) { c.pool.reuse = ReuseOrder::round_robin; }, PoolChange::resize, "reuse last → round robin"},
      {[](PoolConfig& c) { c.server.connect_timeout = 1s; }, PoolChange::resize, "connect_timeout 10.0 s → 1.0 s"},
      {[](PoolConfig& c) { c.server.host_order = HostOrder::balanced; }, PoolChange::resize,
       "load_balance listed → balanced"},
      {[](PoolConfig& c) { c.server.hosts.push_back({.host = "db2", .port = 5432}); }, PoolChange::resize,
       "hosts db1:5432 → db1:5432, db2:5432"},
  });
}

TEST_F(PoolPlanTest, PoolScenario69_WhatASessionHasFromItsStartNeedsNewSessions) {
  check({
      {[](PoolConfig& c) { c.server.user = "other"; }, PoolChange::recycle, "user admin → other"},
      {[](PoolConfig& c) { c.server.tls = TlsMode::require; }, PoolChange::recycle, "tls.mode prefer → require"},
      {[](PoolConfig& c) { c.server.channel_binding = ChannelBinding::require; }, PoolChange::recycle,
       "tls.channel_binding prefer → require"},
      {[](PoolConfig& c) { c.server.statement_timeout = 0ms; }, PoolChange::recycle,
       "statement_timeout 60.0 s → 0.0 ms"},
      {[](PoolConfig& c) { c.server.application_name = "x"; }, PoolChange::recycle, "application_name opi → x"},
      {[](PoolConfig& c) { c.server.target = SessionTarget::primary; }, PoolChange::recycle,
       "target_session_attrs any → primary"},
      {[](PoolConfig& c) { c.server.options = {{"work_mem", "64MB"}}; }, PoolChange::recycle, "options changed"},
  });
}

TEST_F(PoolPlanTest, AnotherServerOrDatabaseReplacesThePool) {
  check({
      {[](PoolConfig& c) { c.server.hosts[0].host = "db2"; }, PoolChange::replace, "hosts db1:5432 → db2:5432"},
      {[](PoolConfig& c) { c.server.database = "shop"; }, PoolChange::replace, "database opi → shop"},
  });
}

TEST_F(PoolPlanTest, TheGravestDifferenceDecidesAndAllAreNamed) {
  PoolConfig wanted = config("main");
  wanted.pool.max = 20;
  wanted.server.user = "other";
  wanted.server.hosts[0].port = 5433;
  const PoolPlan plan = plan_pools({config("main")}, {wanted});
  ASSERT_EQ(plan.actions.size(), 1U);
  EXPECT_EQ(plan.actions[0].change, PoolChange::replace);
  EXPECT_EQ(plan.actions[0].details.size(), 3U);
}

TEST_F(PoolPlanTest, PoolScenario69_TheSameConfigurationIsNoChangeAndSoIsAnotherPassword) {
  PoolConfig present = config("main");
  PoolConfig wanted = config("main");
  present.server.password = []() -> Result<SecretString> { return SecretString("first"); };
  wanted.server.password = []() -> Result<SecretString> { return SecretString("hidden-second"); };
  const PoolPlan plan = plan_pools({present}, {wanted});
  EXPECT_TRUE(plan.empty());
  EXPECT_EQ(plan.to_string(), "nothing to change\n");
  wanted.server.user = "other";
  EXPECT_EQ(plan_pools({present}, {wanted}).to_string().find("hidden"), std::string::npos);
}

TEST_F(PoolPlanTest, PoolsComeAndGo) {
  const PoolPlan plan = plan_pools({config("main"), config("old")}, {config("main"), config("new", "db2")});
  EXPECT_EQ(plan.to_string(),
            "+ new           add       db2:5432 as admin, database opi, 2..10\n"
            "- old           remove    db1:5432 as admin, database opi, 2..10\n"
            "1 to add, 1 to remove\n");
}

TEST_F(PoolPlanTest, PoolScenario82_WhatCannotBeIsRejectedWithTheReasonAndNothingElseIsPlanned) {
  PoolConfig wanted = config("main");
  wanted.pool.min = 20;
  const PoolPlan plan = plan_pools({config("main")}, {wanted, config("extra")});
  EXPECT_TRUE(plan.rejected());
  EXPECT_EQ(plan.to_string(),
            "! main          reject    pool.min: 20 is above pool.max (10)\n"
            "1 to reject\n");
  EXPECT_TRUE(plan_pools({config("main")}, {config("extra")}).rejected()) << "there is always main";
  EXPECT_TRUE(plan_pools({config("main")}, {config("main"), config("main")}).rejected());
}

}  // namespace
}  // namespace opi::pg
