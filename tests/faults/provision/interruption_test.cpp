// A server that crashes, a pass that is cancelled: what was begun is continued.

#include "integration/provision/provision_fixture.hpp"

namespace opi::provision {
namespace {

class Interrupted : public ProvisionTest {};

TEST_F(Interrupted, AServerThatCrashesInTheMiddleLosesNothingThatWasJournaled) {
  test::PostgresServer fragile;
  auto config = pool_config();
  config.server = fragile.server_settings(fragile.create_database("control"));
  open({config});
  const auto shop = unique("shop");
  declare(shop, {"prod"});
  bool crashed = false;
  const auto unlucky = manager([&](std::string_view step) {
    if (step == "logins" && !std::exchange(crashed, true)) fragile.restart(test::PostgresStop::immediate);
  });
  const auto report = apply(*unlucky);
  EXPECT_TRUE(crashed);
  ASSERT_TRUE(report.deployments.at(0).error);
  EXPECT_NE(report.deployments[0].outcome, DeploymentOutcome::refused);
  await(pools_->recover("main", in(20s)));
  EXPECT_EQ(apply_all(*unlucky).count(DeploymentOutcome::created), 1U);
  const auto credentials = this->credentials(*unlucky, shop, "prod");
  const auto settings =
      tenant_settings(fragile.server_settings(), credentials.user, credentials.password, credentials.database);
  EXPECT_EQ(await(prove_login(settings, &blocking_, in(20s))).verdict, LoginVerdict::works);
}

TEST_F(Interrupted, APassThatIsCancelledStopsItsFlowsGivesBackEverythingAndIsContinued) {
  open();
  const auto shop = unique("shop");
  declare(shop, {"a", "b", "c", "d", "e"});
  asio::cancellation_signal stop;
  bool asked = false;
  const auto manager = this->manager([&](std::string_view step) {
    if (step == "database" && !std::exchange(asked, true)) {
      asio::post(io_, [&stop] { stop.emit(asio::cancellation_type::terminal); });
    }
  });
  bool ended = false;
  asio::co_spawn(
      io_, manager->apply({}, cause_),
      asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr, const Result<ApplyReport>&) { ended = true; }));
  const auto last = in(30s);
  io_.restart();
  while (!ended && io_.run_one_until(last) > 0) {
  }
  ASSERT_TRUE(ended);
  EXPECT_EQ(main().stats().used, 0U) << main().describe();
  const auto report = apply_all(*manager);
  EXPECT_EQ(report.count(DeploymentOutcome::unchanged) + report.count(DeploymentOutcome::created), 5U);
  EXPECT_GE(report.count(DeploymentOutcome::created), 1U);
}

}  // namespace
}  // namespace opi::provision
