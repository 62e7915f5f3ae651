#include <algorithm>
#include <sstream>

#include "integration/provision/provision_fixture.hpp"

namespace opi::provision {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// A second server as pool "analytics".
class Servers : public ProvisionTest {
 protected:
  pg::PoolConfig further_config() {
    pg::PoolConfig config{.name = "analytics", .server = second_.server_settings("postgres"), .pool = {}};
    config.pool.min = 0;
    config.pool.max = 3;
    return config;
  }
  std::unique_ptr<DatabaseManager> manager_for(std::vector<std::string> projects) {
    auto settings = this->settings();
    settings.rules.pool_projects["analytics"] = std::move(projects);
    settings.plan_deadline = 5s;
    return std::make_unique<DatabaseManager>(projects_, main(), settings, tools());
  }
  /// The most sessions that the second server has had at once, as its log has it.
  int most_sessions() const {
    std::istringstream log(second_.log_text());
    int open = 0;
    int most = 0;
    for (std::string line; std::getline(log, line);) {
      if (line.find("connection authorized:") != std::string::npos) most = std::max(most, ++open);
      if (line.find("disconnection:") != std::string::npos) --open;
    }
    return most;
  }
  Task<> taken(ConnectionBudget* budget, std::string name, std::uint32_t count, SteadyTime deadline,
               std::vector<std::string>* order, std::vector<ConnectionBudget::Room>* held) {
    auto room = co_await budget->take(&main(), count, deadline);
    order->push_back(name + (room ? "" : ": " + std::string(to_string(room.error().kind))));
    if (room) held->push_back(*std::move(room));
  }
  test::PostgresServer second_{{.settings = {{"log_connections", "on"}, {"log_disconnections", "on"}}}};
  const std::string shop_ = unique("shop");
};

TEST_F(Servers, ADatabaseLivesOnThePoolThatItsProjectNames) {
  open({pool_config(), further_config()});
  const auto manager = manager_for({"*"});
  declare(shop_, {"prod"}, "{pool: analytics}");
  apply_all(*manager);
  const auto base = shop_ + "_prod";
  EXPECT_EQ(second_.query_as_superuser("SELECT count(*) FROM pg_database WHERE datname = '" + base + "'"), "1");
  EXPECT_EQ(query("SELECT count(*) FROM pg_roles WHERE rolname LIKE '" + shop_ + "%'"), "0");
  const auto credentials = this->credentials(*manager, shop_, "prod");
  EXPECT_EQ(credentials.port(), second_.port());
  const auto settings =
      tenant_settings(second_.server_settings(), credentials.user, credentials.password, credentials.database);
  const auto proof = await(prove_login(settings, &blocking_, in(20s)));
  EXPECT_EQ(proof.verdict, LoginVerdict::works) << proof.error.to_string();
  EXPECT_EQ(proof.current_user, base);
  EXPECT_TRUE(plan(*manager).empty()) << to_text(plan(*manager));
}

TEST_F(Servers, AProjectThatMayNotUseThePoolIsRefused) {
  open({pool_config(), further_config()});
  const auto manager = manager_for({"others"});
  declare(shop_, {"prod"}, "{pool: analytics}");
  const auto report = apply(*manager);
  ASSERT_EQ(report.deployments.size(), 1U);
  EXPECT_EQ(report.deployments[0].outcome, DeploymentOutcome::refused);
  EXPECT_THAT(report.deployments[0].error->to_string(), HasSubstr("pool \"analytics\" is not open to project"));
}

TEST_F(Servers, AServerThatIsDownMakesItsDeploymentsWaitAndNobodyElse) {
  open({pool_config(), further_config()});
  const auto manager = manager_for({"*"});
  const auto wiki = unique("wiki");
  declare(shop_, {"prod"}, "{pool: analytics}");
  declare(wiki, {"prod"});
  second_.stop();
  const auto report = apply(*manager);
  ASSERT_EQ(report.deployments.size(), 2U);
  EXPECT_EQ(report.deployments[0].outcome, DeploymentOutcome::waiting) << report.deployments[0].error->to_string();
  EXPECT_EQ(report.deployments[1].outcome, DeploymentOutcome::created);
  second_.start();
  await(pools_->recover("analytics", in(20s)));
  EXPECT_EQ(apply_all(*manager).count(DeploymentOutcome::created), 1U);
}

TEST_F(Servers, NoMoreConnectionsAreOpenToOneThanItsBudget) {
  open({pool_config(), further_config()});
  auto settings = this->settings();
  settings.rules.pool_projects["analytics"] = {"*"};
  settings.parallelism = 6;
  settings.connections["analytics"] = 5;  // three of the pool, two beside it
  DatabaseManager manager(projects_, main(), settings, tools());
  declare(shop_, {"a", "b", "c", "d", "e", "f", "g", "h"}, "{pool: analytics}");
  EXPECT_EQ(apply_all(manager).count(DeploymentOutcome::created), 8U);
  EXPECT_EQ(manager.stats().tenant_connections + manager.stats().login_checks, 16U);
  EXPECT_LE(most_sessions(), 5);
  EXPECT_GE(most_sessions(), 4) << "they are used side by side";
}

TEST_F(Servers, RoomIsGivenInOrderAndGivenBack) {
  open({pool_config()});
  ConnectionBudget budget({.all = {{"main", 7}}});  // the pool has four
  std::vector<std::string> order;
  std::vector<ConnectionBudget::Room> held;
  const auto take = [&](std::string name, std::uint32_t count, SteadyTime deadline) {
    asio::co_spawn(io_, taken(&budget, std::move(name), count, deadline, &order, &held),
                   [](const std::exception_ptr&) {});
    io_.restart();
    io_.poll();
  };
  take("first", 2, in(20s));
  take("two", 2, in(20s));
  take("one, though it would fit", 1, in(20s));
  EXPECT_THAT(order, ElementsAre("first"));
  take("late", 1, in(0s));
  io_.restart();
  while (order.size() < 2 && io_.run_one_until(in(20s)) > 0) {
  }
  EXPECT_THAT(order, ElementsAre("first", HasSubstr("late: ")));
  held.clear();
  io_.restart();
  io_.poll();
  EXPECT_THAT(order, ElementsAre("first", HasSubstr("late: "), "two", "one, though it would fit"));
}

TEST_F(Servers, WithoutMainNothingHappensAndEverythingIsDoneWhenItIsBack) {
  auto config = pool_config();
  config.server = second_.server_settings(second_.create_database("control"));
  config.pool.acquire_timeout = 2s;
  open({config});
  auto settings = this->settings();
  settings.plan_deadline = 2s;
  DatabaseManager manager(projects_, main(), settings, tools());
  declare(shop_, {"prod"});
  second_.stop();
  const auto down = await(manager.apply({}, cause_));
  ASSERT_FALSE(down);
  EXPECT_TRUE(down.error().kind == ErrorKind::unavailable || down.error().kind == ErrorKind::timed_out)
      << down.error().to_string();
  EXPECT_FALSE(await(manager.plan()));
  second_.start();
  await(pools_->recover("main", in(20s)));
  EXPECT_EQ(apply_all(manager).count(DeploymentOutcome::created), 1U);
}

}  // namespace
}  // namespace opi::provision
