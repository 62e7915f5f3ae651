#include "integration/provision/provision_fixture.hpp"

namespace opi::provision {
namespace {

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
  test::PostgresServer second_;
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
