#include "integration/provision/provision_fixture.hpp"

namespace opi::provision {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Replay : public ProvisionTest {
 protected:
  void SetUp() override {
    open();
    declare(shop_, {"prod", "staging"});
    manager_ = manager();
    apply_all(*manager_);
  }

  /// Which transaction wrote which row last: of the catalogs, and of the control database.
  std::string fingerprint() const {
    const std::string catalogs =
        "SELECT md5(string_agg(x, ' ' ORDER BY x)) FROM ("
        "SELECT 'd' || oid || ':' || xmin AS x FROM pg_database UNION ALL "
        "SELECT 'r' || oid || ':' || xmin FROM pg_authid UNION ALL "
        "SELECT 'c' || objoid || ':' || xmin FROM pg_shdescription UNION ALL "
        "SELECT 'm' || roleid || ':' || member || ':' || xmin FROM pg_auth_members UNION ALL "
        "SELECT 's' || setrole || ':' || xmin FROM pg_db_role_setting) q";
    const std::string ours =
        "SELECT md5(string_agg(x, ' ' ORDER BY x)) FROM ("
        "SELECT 'd' || id || ':' || xmin AS x FROM opi.deployments UNION ALL "
        "SELECT 'c' || id || ':' || xmin FROM opi.credentials UNION ALL "
        "SELECT 'h' || id || ':' || xmin FROM opi.history UNION ALL "
        "SELECT 's' || id || ':' || xmin FROM opi.servers UNION ALL "
        "SELECT 'p' || pool || ':' || xmin FROM opi.server_pools) q";
    return query(catalogs) + " " + query(ours, control_);
  }

  const std::string shop_ = unique("shop");
  const std::string base_ = shop_ + "_prod";
  std::unique_ptr<DatabaseManager> manager_;
};

TEST_F(Replay, AnUnchangedEstateIsLookedAtAndNothingElse) {
  const auto before = fingerprint();
  const auto stats = manager_->stats();
  EXPECT_TRUE(plan(*manager_).empty()) << to_text(plan(*manager_));
  const auto report = apply_all(*manager_);
  EXPECT_EQ(report.count(DeploymentOutcome::unchanged), 2U);
  EXPECT_EQ(manager_->stats().tenant_connections, stats.tenant_connections);
  EXPECT_EQ(manager_->stats().login_checks, stats.login_checks);
  EXPECT_EQ(manager_->stats().flows, stats.flows);
  EXPECT_EQ(fingerprint(), before);
}

TEST_F(Replay, APassWithNothingToDoCostsTheSameWhateverTheNumberOfDeployments) {
  const auto cost = [&] {
    apply_all(*manager_);  // its connection has prepared what it repeats
    const auto before = manager_->stats().statements;
    apply_all(*manager_);
    return manager_->stats().statements - before;
  };
  const auto of_two = cost();
  declare(unique("wiki"), {"a", "b", "c"});
  apply_all(*manager_);
  EXPECT_EQ(cost(), of_two);
  EXPECT_LE(of_two, 7U) << "four for the inventory, one for clones, two for the server";
}

TEST_F(Replay, AFreshProcessPlansNothingEither) {
  const auto other = manager();
  EXPECT_TRUE(plan(*other).empty());
}

TEST_F(Replay, TheInsideIsLookedAtAndPutRightWhenItsTimeHasCome) {
  execute("REVOKE USAGE ON SCHEMA " + base_ + " FROM " + base_ + "_ro", base_);
  auto settings = this->settings();
  settings.deep_interval = 1h;
  DatabaseManager patient(projects_, main(), settings, tools());
  EXPECT_EQ(apply_all(patient).count(DeploymentOutcome::unchanged), 2U);
  execute("UPDATE opi.deployments SET deep_look_at = now() - interval '2 hours'", control_);
  EXPECT_THAT(to_text(plan(patient)), HasSubstr("USAGE to " + base_ + "_ro"));
  const auto report = apply_all(patient);
  EXPECT_EQ(report.count(DeploymentOutcome::changed), 1U);
  EXPECT_EQ(report.count(DeploymentOutcome::unchanged), 1U);
  EXPECT_EQ(query("SELECT has_schema_privilege('" + base_ + "_ro', '" + base_ + "', 'USAGE')", base_), "t");
  const auto entered = patient.stats().tenant_connections;
  apply_all(patient);
  EXPECT_EQ(patient.stats().tenant_connections, entered) << "not again before its time";
}

TEST_F(Replay, ANewVersionOfAFileThatChangesNothingIsOnlyRecorded) {
  declare(shop_, {"prod", "staging"});
  const auto flows = manager_->stats().flows;
  const auto report = apply_all(*manager_);
  EXPECT_EQ(report.count(DeploymentOutcome::unchanged), 2U);
  EXPECT_EQ(manager_->stats().flows, flows);
  EXPECT_EQ(
      query("SELECT string_agg(DISTINCT blob_id, ' ') FROM opi.deployments WHERE project = '" + shop_ + "'", control_),
      "b2");
}

TEST_F(Replay, APrivilegeThatPublicGotBackIsTakenAgain) {
  execute("GRANT CONNECT, TEMPORARY ON DATABASE " + base_ + " TO PUBLIC");
  EXPECT_THAT(to_text(plan(*manager_)),
              HasSubstr("! drift     " + base_ + std::string(20 - std::min<std::size_t>(20, base_.size()), ' ') +
                        " PUBLIC may"));
  const auto report = apply_all(*manager_);
  EXPECT_EQ(report.count(DeploymentOutcome::changed), 1U);
  EXPECT_EQ(query("SELECT count(*) FROM pg_database d, aclexplode(d.datacl) a WHERE datname = '" + base_ +
                  "' AND a.grantee = 0"),
            "0");
  EXPECT_TRUE(plan(*manager_).empty());
}

TEST_F(Replay, WhatIsOnlyWarnedAboutIsLeftAndHasSinceWhenItWasSeen) {
  auto settings = this->settings();
  settings.drift[DriftField::database_privileges] = DriftPolicy::warn;
  DatabaseManager watching(projects_, main(), settings, tools());
  execute("GRANT CONNECT ON DATABASE " + base_ + " TO PUBLIC");
  EXPECT_THAT(to_text(plan(watching)), HasSubstr("PUBLIC may CONNECT (policy: warn)"));
  const auto report = apply_all(watching);
  EXPECT_EQ(report.count(DeploymentOutcome::unchanged), 2U);
  EXPECT_THAT(report.deployments[0].notes, ElementsAre("PUBLIC may CONNECT"));
  EXPECT_THAT(to_text(plan(watching)), HasSubstr("PUBLIC may CONNECT, since 20"));
  const auto once = query("SELECT string_agg(xmin::text, ' ') FROM opi.drift", control_);
  const auto before = fingerprint();
  apply_all(watching);
  EXPECT_EQ(query("SELECT string_agg(xmin::text, ' ') FROM opi.drift", control_), once) << "seen again: no write";
  EXPECT_EQ(fingerprint(), before);
  execute("REVOKE CONNECT ON DATABASE " + base_ + " FROM PUBLIC");
  apply_all(watching);
  EXPECT_EQ(query("SELECT count(*) FROM opi.drift", control_), "0") << "it is gone";
}

TEST_F(Replay, ADatabaseGetsItsOwnerBack) {
  execute("ALTER DATABASE " + base_ + " OWNER TO postgres");
  EXPECT_THAT(to_text(plan(*manager_)), HasSubstr("belongs to postgres instead of " + base_));
  apply_all(*manager_);
  EXPECT_EQ(query("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = '" + base_ + "'"), base_);
  EXPECT_TRUE(plan(*manager_).empty()) << to_text(plan(*manager_));
}

TEST_F(Replay, RolesAreNarrowedAgainAndLoginsWorkAgain) {
  execute("ALTER ROLE " + base_ + " LOGIN CREATEDB");
  execute("ALTER ROLE " + base_ + "__a NOLOGIN VALID UNTIL '2001-01-01'");
  execute("ALTER ROLE " + base_ + "__a IN DATABASE " + base_ + " SET role = 'none'");
  execute("REVOKE " + base_ + " FROM " + base_ + "__b");
  execute("COMMENT ON ROLE " + base_ + "_ro IS NULL");
  apply_all(*manager_);
  EXPECT_TRUE(plan(*manager_).empty()) << to_text(plan(*manager_));
  auto tenant = log_in(credentials(*manager_, shop_, "prod"));
  ASSERT_TRUE(tenant) << tenant.error().to_string();
  EXPECT_EQ(ask(*tenant, "SELECT current_user"), base_);
  EXPECT_EQ(query("SELECT rolcanlogin OR rolcreatedb FROM pg_roles WHERE rolname = '" + base_ + "'"), "f");
}

TEST_F(Replay, APasswordThatTheTenantChangedIsReportedAndNotReset) {
  const auto credentials = this->credentials(*manager_, shop_, "prod");
  auto tenant = log_in(credentials);
  ASSERT_TRUE(tenant);
  ASSERT_EQ(ask(*tenant, "SET ROLE NONE"), "");
  ASSERT_EQ(ask(*tenant, "ALTER ROLE " + base_ + "__a PASSWORD 'their own choice'"), "");
  const auto planned = plan(*manager_);
  EXPECT_TRUE(planned.empty());
  EXPECT_THAT(to_text(planned), HasSubstr("the password of " + base_ + "__a was changed by somebody; left so"));
  apply_all(*manager_);
  EXPECT_FALSE(log_in(credentials)) << "their password was taken away";
}

TEST_F(Replay, ALoginThatWasDroppedComesBackWithThePasswordThatItsUsersHave) {
  const auto credentials = this->credentials(*manager_, shop_, "prod");
  execute("DROP OWNED BY " + base_ + "__a; DROP ROLE " + base_ + "__a");
  apply_all(*manager_);
  auto tenant = log_in(credentials);
  EXPECT_TRUE(tenant) << tenant.error().to_string();
}

TEST_F(Replay, ADatabaseThatWasDroppedIsMadeAgainAndSaid) {
  execute("DROP DATABASE " + base_ + " WITH (FORCE)");
  EXPECT_THAT(to_text(plan(*manager_)), HasSubstr("is gone; made again, empty"));
  apply_all(*manager_);
  EXPECT_TRUE(log_in(credentials(*manager_, shop_, "prod")));
  EXPECT_TRUE(plan(*manager_).empty()) << to_text(plan(*manager_));
}

TEST_F(Replay, AnEmptyRepositoryTakesNothingAway) {
  projects_.remove("projects/" + shop_ + ".yaml");
  const auto before = fingerprint();
  const auto report = apply_all(*manager_);
  ASSERT_EQ(report.deployments.size(), 2U);
  EXPECT_EQ(report.count(DeploymentOutcome::kept), 2U);
  const std::string held = "no project file declares anything; kept until its removal is confirmed";
  EXPECT_THAT(report.deployments[0].notes, ElementsAre(held));
  EXPECT_EQ(fingerprint(), before);
  EXPECT_THAT(to_text(plan(*manager_)), HasSubstr(shop_ + "/prod: " + held));
}

TEST_F(Replay, ABrokenFileLeavesItsLastGoodVersionInForce) {
  const auto errors = projects_.replace("projects/" + shop_ + ".yaml", "broken", "c2", "name: [");
  EXPECT_FALSE(errors.empty());
  ASSERT_EQ(projects_.errors().size(), 1U);
  EXPECT_TRUE(projects_.errors()[0].last_good_version);
  const auto report = apply_all(*manager_);
  EXPECT_EQ(report.count(DeploymentOutcome::unchanged), 2U);
}

TEST_F(Replay, TheInsideIsLockedAgainWhenItsInputsChange) {
  execute("GRANT ALL ON SCHEMA public TO PUBLIC; ALTER SCHEMA " + base_ + " OWNER TO postgres", base_);
  EXPECT_TRUE(plan(*manager_).empty()) << "an unchanged declaration is no reason to enter the database";
  declare(shop_, {"prod", "staging"}, "{extensions: [citext]}");
  const auto text = to_text(plan(*manager_));
  EXPECT_THAT(text, HasSubstr("PUBLIC may USAGE, CREATE"));
  EXPECT_THAT(text, HasSubstr("belongs to postgres instead of " + base_));
  apply_all(*manager_);
  EXPECT_EQ(query("SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = '" + base_ + "'", base_), base_);
  EXPECT_EQ(
      query("SELECT count(*) FROM pg_namespace n, aclexplode(n.nspacl) a WHERE nspname = 'public' AND a.grantee = 0",
            base_),
      "0");
}

}  // namespace
}  // namespace opi::provision
