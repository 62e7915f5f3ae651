// Dies after each step of a creation and goes on: the same password, the same end.

#include "integration/provision/provision_fixture.hpp"

namespace opi::provision {
namespace {

class KillWalk : public ProvisionTest {
 protected:
  /// The names of all steps of one creation, each as often as it comes.
  std::vector<std::string> steps_of_a_creation() {
    const auto probe = unique("probe");
    declare(probe, {"prod"}, config_);
    std::vector<std::string> steps;
    const auto manager = this->manager([&](std::string_view step) { steps.emplace_back(step); });
    apply_all(*manager);
    projects_.remove("projects/" + probe + ".yaml");
    return steps;
  }
  std::string journaled_verifier(const std::string& login) const {
    return query("SELECT coalesce(string_agg(verifier, ' '), '') FROM opi.credentials WHERE login = '" + login + "'",
                 control_);
  }
  const std::string config_ = "{extensions: [citext], schemas: [{postfix: audit}]}";
};

TEST_F(KillWalk, DeadAfterAnyStepTheNextPassEndsWithTheJournaledPassword) {
  open();
  const auto steps = steps_of_a_creation();
  ASSERT_GE(steps.size(), 14U);
  for (std::size_t last = 0; last < steps.size(); ++last) {
    SCOPED_TRACE("died at step " + std::to_string(last) + ": " + steps[last]);
    const auto project = "k" + std::to_string(last) + "x" + number_;
    const auto login = project + "_prod__a";
    declare(project, {"prod"}, config_);
    std::size_t step = 0;
    const auto dying = manager([&](std::string_view) {
      if (step++ == last) throw std::runtime_error("died");
    });
    const auto died = apply(*dying, {.project = project});
    ASSERT_EQ(died.count(DeploymentOutcome::failed), 1U);
    const auto journaled = journaled_verifier(login);

    const auto survivor = manager();
    const auto report = apply(*survivor, {.project = project});
    ASSERT_FALSE(report.deployments.at(0).error) << report.deployments[0].error->to_string();
    if (!journaled.empty()) EXPECT_EQ(journaled_verifier(login), journaled);
    EXPECT_EQ(query("SELECT rolpassword FROM pg_authid WHERE rolname = '" + login + "'"), journaled_verifier(login));
    EXPECT_EQ(query("SELECT count(*) FROM pg_database WHERE datname = '" + project + "_prod' AND datallowconn"), "1");
    auto tenant = log_in(credentials(*survivor, project, "prod"));
    ASSERT_TRUE(tenant) << tenant.error().to_string();
    const auto left = await(survivor->plan({.project = project}));
    ASSERT_TRUE(left);
    EXPECT_TRUE(left->empty()) << to_text(*left);
  }
}

TEST_F(KillWalk, AServerThatCrashesInTheMiddleLosesNothingThatWasJournaled) {
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

TEST_F(KillWalk, APassThatIsCancelledStopsItsFlowsGivesBackEverythingAndIsContinued) {
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
