#include "integration/provision/provision_fixture.hpp"

namespace opi::provision {
namespace {

using ::testing::HasSubstr;

class Refusal : public ProvisionTest {
 protected:
  void SetUp() override {
    open();
    manager_ = manager();
  }
  DeploymentReport only(const ApplyReport& report) {
    EXPECT_EQ(report.deployments.size(), 1U);
    return report.deployments.at(0);
  }
  const std::string shop_ = unique("shop");
  const std::string base_ = shop_ + "_prod";
  std::unique_ptr<DatabaseManager> manager_;
};

TEST_F(Refusal, AForeignDatabaseIsNotTouched) {
  execute("CREATE DATABASE " + base_);
  const auto before = query("SELECT xmin FROM pg_database WHERE datname = '" + base_ + "'");
  declare(shop_, {"prod"});
  const auto report = only(apply(*manager_));
  EXPECT_EQ(report.outcome, DeploymentOutcome::refused);
  EXPECT_THAT(report.error->to_string(), HasSubstr(shop_ + "/prod: database \"" + base_ +
                                                   "\" exists, belongs to \"postgres\" and is not ours; not touched"));
  EXPECT_EQ(query("SELECT xmin FROM pg_database WHERE datname = '" + base_ + "'"), before);
  EXPECT_EQ(query("SELECT count(*) FROM pg_roles WHERE rolname LIKE '" + shop_ + "%'"), "0");
}

TEST_F(Refusal, AForeignDatabaseIsNotEvenEnteredToPlan) {
  execute("CREATE DATABASE " + base_);
  declare(shop_, {"prod"});
  EXPECT_EQ(plan(*manager_).counts().refused, 1U);
  EXPECT_EQ(manager_->stats().tenant_connections, 0U);
}

TEST_F(Refusal, AForeignRoleIsNotTouched) {
  execute("CREATE ROLE " + base_ + "__a LOGIN PASSWORD 'theirs'");
  const auto before = query("SELECT rolpassword FROM pg_authid WHERE rolname = '" + base_ + "__a'");
  declare(shop_, {"prod"});
  const auto report = only(apply(*manager_));
  EXPECT_EQ(report.outcome, DeploymentOutcome::refused);
  EXPECT_THAT(report.error->to_string(), HasSubstr("role \"" + base_ + "__a\" exists and is not ours; not touched"));
  EXPECT_EQ(query("SELECT rolpassword FROM pg_authid WHERE rolname = '" + base_ + "__a'"), before);
  EXPECT_EQ(query("SELECT count(*) FROM opi.deployments", control_), "0") << "what is refused is not declared";
}

TEST_F(Refusal, WhatAnotherControlDatabaseMadeIsNotTouched) {
  declare(shop_, {"prod"});
  apply_all(*manager_);
  execute("DELETE FROM opi.deployments WHERE project = '" + shop_ + "'", control_);
  const auto report = only(apply(*manager_));
  EXPECT_EQ(report.outcome, DeploymentOutcome::refused);
  EXPECT_THAT(report.error->to_string(),
              HasSubstr("is stamped for this deployment by another control database; not touched"));
}

TEST_F(Refusal, TwoDeclarationsOfOneNameAreRefusedBeforeAnySqlAndTheRestGoesOn) {
  declare(shop_ + "-a", {"prod", "test"});
  declare(shop_, {"a-prod"});
  const auto report = apply(*manager_);
  ASSERT_EQ(report.deployments.size(), 3U);
  EXPECT_EQ(report.count(DeploymentOutcome::refused), 2U);
  EXPECT_EQ(report.count(DeploymentOutcome::created), 1U);
  EXPECT_FALSE(report.succeeded());
  EXPECT_EQ(query("SELECT count(*) FROM pg_roles WHERE rolname = '" + shop_ + "_a_prod'"), "0");
}

TEST_F(Refusal, ARoleThatTurnsUpBetweenPlanAndLockIsSeen) {
  declare(shop_, {"prod"});
  bool planted = false;
  manager_ = manager([&](std::string_view step) {
    if (step == "locked" && !planted) execute("CREATE ROLE " + base_);
    planted = true;
  });
  const auto report = only(apply(*manager_));
  EXPECT_TRUE(planted);
  EXPECT_EQ(report.outcome, DeploymentOutcome::refused);
  EXPECT_EQ(query("SELECT shobj_description(oid, 'pg_authid') IS NULL FROM pg_roles WHERE rolname = '" + base_ + "'"),
            "t");
}

TEST_F(Refusal, ARoleThatTurnsUpBetweenLookAndSqlIsSeenToo) {
  declare(shop_, {"prod"});
  bool planted = false;
  manager_ = manager([&](std::string_view step) {
    if (step == "intent" && !planted) {
      planted = true;
      execute("CREATE ROLE " + base_);
    }
  });
  const auto report = only(apply(*manager_));
  EXPECT_TRUE(planted);
  EXPECT_EQ(report.outcome, DeploymentOutcome::refused) << (report.error ? report.error->to_string() : "");
  EXPECT_EQ(manager_->stats().retries, 1U);
}

TEST_F(Refusal, AWarningThatAPrivilegeStaysIsAnError) {
  declare(shop_, {"prod"});
  apply_all(*manager_);
  // Granted by somebody whose grants the owner cannot revoke.
  execute("CREATE ROLE granter" + number_ + "; GRANT CONNECT ON DATABASE " + base_ + " TO granter" + number_ +
          " WITH GRANT OPTION; SET ROLE granter" + number_ + "; GRANT CONNECT ON DATABASE " + base_ + " TO PUBLIC");
  const auto report = only(apply(*manager_));
  EXPECT_EQ(report.outcome, DeploymentOutcome::failed);
  ASSERT_TRUE(report.error);
  EXPECT_EQ(report.error->kind, ErrorKind::denied);
  EXPECT_THAT(report.error->to_string(), HasSubstr("PUBLIC keeps CONNECT"));
  EXPECT_THAT(query("SELECT last_error FROM opi.deployments WHERE project = '" + shop_ + "'", control_),
              HasSubstr("PUBLIC keeps CONNECT"));
}

/// What somebody does between the password's setting and its proof.
struct Spoiled {
  const char* name;
  const char* sql;   ///< $ is the deployment's name
  const char* said;  ///< nullptr: it is mended in the same pass
  const char* mended = "";
};

class LoginVerdicts : public Refusal, public ::testing::WithParamInterface<Spoiled> {
 protected:
  std::string filled(std::string text) const {
    for (auto at = text.find('$'); at != std::string::npos; at = text.find('$')) text.replace(at, 1, base_);
    return text;
  }
  std::string verifier() const { return query("SELECT rolpassword FROM pg_authid WHERE rolname = '" + base_ + "__a'"); }
};

TEST_P(LoginVerdicts, AreToldApartAndNoneLeadsToAnotherPassword) {
  declare(shop_, {"prod"});
  std::string journaled;
  const auto spoiling = manager([&](std::string_view step) {
    if (step != "applied" || !journaled.empty()) return;
    journaled = verifier();
    execute(filled(GetParam().sql));
  });
  const auto report = only(apply(*spoiling));
  ASSERT_THAT(journaled, HasSubstr("SCRAM-SHA-256$"));
  if (GetParam().said == nullptr) {
    EXPECT_FALSE(report.error) << report.error->to_string();
  } else {
    ASSERT_TRUE(report.error);
    EXPECT_THAT(report.error->to_string(), HasSubstr(GetParam().said));
    EXPECT_EQ(verifier(), journaled) << "its password is as it was";
    if (const std::string mended = GetParam().mended; !mended.empty()) execute(filled(mended));
    apply_all(*manager_);
  }
  EXPECT_EQ(verifier(), journaled);
  EXPECT_EQ(query("SELECT max(generation) FROM opi.credentials", control_), "1");
  EXPECT_TRUE(log_in(credentials(*manager_, shop_, "prod")));
}

INSTANTIATE_TEST_SUITE_P(Reasons, LoginVerdicts,
                         ::testing::Values(Spoiled{"AnotherPassword", "ALTER ROLE $__a PASSWORD 'other'", nullptr},
                                           Spoiled{"Expired", "ALTER ROLE $__a VALID UNTIL '2001-01-01'",
                                                   "may not log in or has expired; its password is not touched"},
                                           Spoiled{"NoLogin", "ALTER ROLE $__a NOLOGIN", "refused"},
                                           Spoiled{"LimitOfTheRole", "ALTER ROLE $__a CONNECTION LIMIT 0",
                                                   "no connection free", "ALTER ROLE $__a CONNECTION LIMIT -1"},
                                           Spoiled{"NoDatabase", "DROP DATABASE $", nullptr},
                                           Spoiled{"NoConnect", "REVOKE CONNECT ON DATABASE $ FROM $, $__a",
                                                   "may not connect"}),
                         [](const auto& one) { return one.param.name; });

TEST_F(Refusal, AServerThatDoesNotAnswerSaysNothingOfThePassword) {
  auto settings = tenant_settings(server_.server_settings(), "nobody", SecretString("x"), "postgres");
  auto proof = await(prove_login(settings, &blocking_, in(20s)));
  EXPECT_EQ(proof.verdict, LoginVerdict::wrong_password) << "what the server says of a role that is not there";
  settings.hosts.front().port = 1;
  proof = await(prove_login(settings, &blocking_, in(20s)));
  EXPECT_EQ(proof.verdict, LoginVerdict::unreachable) << proof.error.to_string();
}

}  // namespace
}  // namespace opi::provision
