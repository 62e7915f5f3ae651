// A plan that somebody has seen, and nothing else, is done.
#include "integration/provision/provision_fixture.hpp"

namespace opi::provision {
namespace {

using ::testing::HasSubstr;

class Approvals : public ProvisionTest {
 protected:
  void SetUp() override {
    open();
    declare(shop_, {"prod"});
  }
  std::unique_ptr<DatabaseManager> careful(ApprovalKind kind = ApprovalKind::change_owner, StepHook hook = {}) {
    auto settings = this->settings();
    settings.approval = {kind};
    return std::make_unique<DatabaseManager>(projects_, main(), settings, tools(std::move(hook)));
  }
  Result<ApplyReport> apply_digest(DatabaseManager& manager, const std::string& digest) {
    return await(manager.apply({}, cause_, {}, digest));
  }
  std::string owner() const {
    return query("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = '" + base_ + "'");
  }
  const std::string shop_ = unique("shop");
  const std::string base_ = shop_ + "_prod";
};

TEST_F(Approvals, TheDigestOfThePlanThatIsShownAppliesIt) {
  const auto manager = this->manager();
  const auto report = apply_digest(*manager, plan(*manager).digest().substr(0, 8));
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->count(DeploymentOutcome::created), 1U);
  EXPECT_THAT(query("SELECT message FROM opi.history WHERE action = 'approve_plan'", control_), HasSubstr("digest "));
}

TEST_F(Approvals, AWorldThatMovedRefusesTheDigestAndNothingIsDone) {
  const auto manager = this->manager();
  const auto digest = plan(*manager).digest();
  declare(shop_, {"prod", "staging"});
  const auto report = apply_digest(*manager, digest);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind, ErrorKind::conflict);
  EXPECT_THAT(report.error().to_string(), HasSubstr("the world has moved"));
  EXPECT_EQ(query("SELECT count(*) FROM pg_roles WHERE rolname LIKE '" + shop_ + "%'"), "0");
}

TEST_F(Approvals, WhatMovesBetweenThePlanAndTheLockIsRefusedToo) {
  const auto first = this->manager();
  apply_all(*first);
  execute("ALTER DATABASE " + base_ + " CONNECTION LIMIT 5");
  const auto manager = this->manager([&](std::string_view step) {
    if (step == "locked") execute("GRANT CONNECT ON DATABASE " + base_ + " TO PUBLIC");
  });
  const auto report = apply_digest(*manager, plan(*manager).digest());
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->deployments.at(0).outcome, DeploymentOutcome::refused);
  EXPECT_THAT(report->deployments[0].error->to_string(), HasSubstr("was not in it"));
  EXPECT_EQ(query("SELECT datconnlimit FROM pg_database WHERE datname = '" + base_ + "'"), "5") << "nothing was done";
}

TEST_F(Approvals, AnActionUnderApprovalWaitsForItsDigest) {
  apply_all(*manager());
  execute("ALTER DATABASE " + base_ + " OWNER TO postgres");
  const auto manager = careful();
  const auto waiting = apply(*manager);
  EXPECT_EQ(waiting.deployments.at(0).outcome, DeploymentOutcome::refused);
  EXPECT_THAT(waiting.deployments[0].error->to_string(), HasSubstr("needs approval: change-owner"));
  EXPECT_EQ(owner(), "postgres");
  const auto single = await(manager->create_resources_for_deployment(shop_, "prod", cause_));
  ASSERT_TRUE(single);
  EXPECT_EQ(single->outcome, DeploymentOutcome::refused) << "the way in by one deployment is guarded too";
  EXPECT_EQ(owner(), "postgres");
  const auto report = apply_digest(*manager, plan(*manager).digest());
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->count(DeploymentOutcome::changed), 1U);
  EXPECT_EQ(owner(), base_);
}

TEST_F(Approvals, ARemovalUnderApprovalWaitsForItsDigestAndATombstoneDoesNot) {
  declare(unique("other"), {"prod"});
  apply_all(*manager());
  projects_.remove("projects/" + shop_ + ".yaml");
  const auto manager = careful(ApprovalKind::drop);
  EXPECT_EQ(apply(*manager).count(DeploymentOutcome::disabled), 1U);
  execute("UPDATE opi.deployments SET remove_after = now() WHERE state = 'tombstone'", control_);
  const auto waiting = apply(*manager);
  ASSERT_EQ(waiting.count(DeploymentOutcome::refused), 1U);
  EXPECT_EQ(owner(), base_) << "it is still there";
  EXPECT_THAT(to_text(plan(*manager)), HasSubstr("needs approval: drop"));
  const auto report = apply_digest(*manager, plan(*manager).digest());
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->count(DeploymentOutcome::removed), 1U);
  EXPECT_EQ(owner(), "");
  EXPECT_EQ(
      query("SELECT string_agg(DISTINCT outcome::text, ' ') FROM opi.history WHERE action LIKE 'drop%'", control_),
      "succeeded");
}

TEST_F(Approvals, ARotationThatWasInThePlanIsDone) {
  apply_all(*manager());
  auto settings = this->settings();
  settings.rotation.interval = std::chrono::seconds{1};
  execute("UPDATE opi.credentials SET published_at = now() - interval '1 hour'", control_);
  DatabaseManager manager(projects_, main(), settings, tools());
  const auto report = apply_digest(manager, plan(manager).digest());
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_FALSE(report->deployments.at(0).error) << report->deployments[0].error->to_string();
  EXPECT_EQ(credentials(manager, shop_, "prod").user, base_ + "__b");
}

}  // namespace
}  // namespace opi::provision
