#include <sys/stat.h>

#include <filesystem>

#include "aio/subprocess.hpp"
#include "integration/provision/provision_fixture.hpp"
#include "support/temporary_directory.hpp"

namespace opi::provision {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Removal : public ProvisionTest {
 protected:
  void SetUp() override {
    open();
    prepare_estate();
  }
  void prepare_estate() {
    declare(shop_, {"prod"});
    declare(unique("other"), {"prod"});
    manager_ = manager();
    apply_all(*manager_);
  }

  void take_away() { projects_.remove("projects/" + shop_ + ".yaml"); }
  DeploymentReport pass(DatabaseManager& with) {
    for (auto& one : apply(with).deployments) {
      if (one.project == shop_) return one;
    }
    return {};
  }
  DeploymentReport pass() { return pass(*manager_); }
  /// As if the grace period were over.
  void let_grace_pass() const {
    execute("UPDATE opi.deployments SET remove_after = now() WHERE state = 'tombstone'", control_);
  }
  std::string state() const {
    return query("SELECT state FROM opi.deployments WHERE project = '" + shop_ + "'", control_);
  }
  std::string roles() const {
    return query("SELECT count(*) FROM pg_roles WHERE rolname IN ('" + base_ + "', '" + base_ + "__a', '" + base_ +
                 "__b', '" + base_ + "_ro')");
  }
  bool database_there() const {
    return query("SELECT count(*) FROM pg_database WHERE datname = '" + base_ + "'") == "1";
  }
  void expect_gone() {
    EXPECT_FALSE(database_there());
    EXPECT_EQ(roles(), "0");
    EXPECT_EQ(state(), "");
    EXPECT_NE(query("SELECT count(*) FROM opi.history WHERE project = '" + shop_ + "' AND action = 'drop_database'",
                    control_),
              "0")
        << "the history stays";
  }

  const std::string shop_ = unique("shop");
  const std::string base_ = shop_ + "_prod";
  std::unique_ptr<DatabaseManager> manager_;
};

TEST_F(Removal, WhatIsNoLongerDeclaredIsDisabledAndItsDataIsKept) {
  auto session = log_in(credentials(*manager_, shop_, "prod"));
  ASSERT_TRUE(session);
  ASSERT_EQ(ask(*session, "CREATE TABLE goods AS SELECT 1 AS id"), "");
  const auto last = credentials(*manager_, shop_, "prod");
  take_away();
  EXPECT_THAT(to_text(plan(*manager_)), HasSubstr("- tombstone " + base_));
  const auto report = pass();
  EXPECT_EQ(report.outcome, DeploymentOutcome::disabled) << (report.error ? report.error->to_string() : "");
  EXPECT_EQ(state(), "tombstone");
  EXPECT_FALSE(log_in(last));
  EXPECT_EQ(ask(*session, "SELECT 1").substr(0, 5), "error") << "its session was ended";
  EXPECT_EQ(query("SELECT id FROM " + base_ + ".goods", base_), "1");
  EXPECT_EQ(pass().outcome, DeploymentOutcome::kept);
  EXPECT_TRUE(plan(*manager_).empty()) << to_text(plan(*manager_));
}

TEST_F(Removal, DeclaredAgainBeforeTheEndItIsBackWithItsDataAndItsPassword) {
  auto session = log_in(credentials(*manager_, shop_, "prod"));
  ASSERT_TRUE(session);
  ASSERT_EQ(ask(*session, "CREATE TABLE goods AS SELECT 1 AS id"), "");
  const auto before = credentials(*manager_, shop_, "prod");
  take_away();
  pass();
  declare(shop_, {"prod"});
  EXPECT_THAT(to_text(plan(*manager_)), HasSubstr("is declared again: may log in again"));
  EXPECT_EQ(pass().outcome, DeploymentOutcome::changed);
  EXPECT_EQ(state(), "ready");
  auto again = log_in(before);
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(ask(*again, "SELECT id FROM goods"), "1");
  EXPECT_TRUE(plan(*manager_).empty()) << to_text(plan(*manager_));
  EXPECT_EQ(
      query("SELECT remove_after IS NULL AND tombstone_at IS NULL FROM opi.deployments WHERE project = '" + shop_ + "'",
            control_),
      "t");
}

TEST_F(Removal, AfterItsGraceItGoesWithEverythingThatItsRolesHadAnywhere) {
  // In other databases: rights on the database, an object of its own, rights on somebody else's.
  const auto foreign = server_.create_database("foreign");
  execute("GRANT ALL ON DATABASE " + foreign + " TO " + base_ +
              "; CREATE TABLE theirs (id int); GRANT SELECT ON theirs TO " + base_ +
              "_ro; CREATE SCHEMA guest AUTHORIZATION " + base_ +
              "; CREATE TABLE guest.mine (id int); ALTER TABLE "
              "guest.mine OWNER TO " +
              base_ + "__a",
          foreign);
  execute("GRANT ALL ON TABLESPACE pg_default TO " + base_ + "__b");
  auto session = log_in(credentials(*manager_, shop_, "prod"));
  ASSERT_TRUE(session);
  take_away();
  pass();
  EXPECT_EQ(pass().outcome, DeploymentOutcome::kept);
  let_grace_pass();
  EXPECT_THAT(to_text(plan(*manager_)), HasSubstr("- database  " + base_));
  const auto report = pass();
  EXPECT_EQ(report.outcome, DeploymentOutcome::removed) << (report.error ? report.error->to_string() : "");
  expect_gone();
  EXPECT_EQ(query("SELECT count(*) FROM pg_tables WHERE tablename = 'theirs'", foreign), "1");
  EXPECT_EQ(query("SELECT count(*) FROM pg_namespace WHERE nspname = 'guest'", foreign), "0");
  EXPECT_TRUE(plan(*manager_).empty());
}

TEST_F(Removal, WhatOthersBuiltUponItsObjectsStopsTheRemovalAndIsLeft) {
  const auto foreign = server_.create_database("foreign");
  execute("CREATE SCHEMA guest AUTHORIZATION " + base_ +
              "; CREATE TABLE guest.mine (id int); ALTER TABLE guest.mine "
              "OWNER TO " +
              base_ + "; CREATE VIEW theirs AS SELECT id FROM guest.mine",
          foreign);
  take_away();
  pass();
  let_grace_pass();
  const auto report = pass();
  EXPECT_EQ(report.outcome, DeploymentOutcome::failed);
  ASSERT_TRUE(report.error);
  EXPECT_THAT(report.error->to_string(), HasSubstr("in database " + foreign));
  EXPECT_EQ(query("SELECT count(*) FROM pg_views WHERE viewname = 'theirs'", foreign), "1");
  execute("DROP VIEW theirs", foreign);
  EXPECT_EQ(pass().outcome, DeploymentOutcome::removed);
  expect_gone();
}

TEST_F(Removal, WhatIsNotOursAnyMoreIsNotRemoved) {
  take_away();
  pass();
  let_grace_pass();
  execute("ALTER DATABASE " + base_ + " OWNER TO postgres");
  const auto report = pass();
  EXPECT_EQ(report.outcome, DeploymentOutcome::refused);
  EXPECT_THAT(report.error->to_string(), HasSubstr("belongs to \"postgres\" now; not removed"));
  EXPECT_TRUE(database_there());
  EXPECT_EQ(roles(), "4");
}

TEST_F(Removal, TheLastDumpIsTheOwnersOnlyAndHasTheData) {
  test::TemporaryDirectory folder;
  auto settings = this->settings();
  settings.dump.directory = folder.path().string();
  DatabaseManager careful(projects_, main(), settings, tools());
  auto session = log_in(credentials(*manager_, shop_, "prod"));
  ASSERT_TRUE(session);
  ASSERT_EQ(ask(*session, "CREATE TABLE goods AS SELECT 'nails' AS name"), "");
  take_away();
  pass(careful);
  let_grace_pass();
  const auto report = pass(careful);
  EXPECT_EQ(report.outcome, DeploymentOutcome::removed) << (report.error ? report.error->to_string() : "");
  expect_gone();
  std::vector<std::filesystem::path> files;
  for (const auto& file : std::filesystem::directory_iterator(folder.path())) files.push_back(file.path());
  ASSERT_EQ(files.size(), 1U);
  EXPECT_THAT(files[0].filename().string(), ::testing::MatchesRegex(base_ + "-[0-9a-f]+[.]dump"));
  struct stat status{};
  ASSERT_EQ(::stat(files[0].c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  // It is one that pg_restore takes, and the data is in it.
  const auto restored = await(aio::run_command(
      {.argv = {"pg_restore", "--data-only", "--file=-", files[0].string()}, .environment = {"PATH=/usr/bin:/bin"}},
      in(20s)));
  ASSERT_TRUE(restored) << restored.error().to_string();
  EXPECT_THAT(restored->output, HasSubstr("nails"));
}

TEST_F(Removal, WithoutItsDumpNothingIsRemoved) {
  auto settings = this->settings();
  settings.dump.directory = "/nowhere/at/all";
  DatabaseManager careful(projects_, main(), settings, tools());
  take_away();
  pass(careful);
  let_grace_pass();
  const auto report = pass(careful);
  EXPECT_EQ(report.outcome, DeploymentOutcome::failed);
  EXPECT_THAT(report.error->to_string(), HasSubstr("its last dump"));
  EXPECT_TRUE(database_there());
}

TEST_F(Removal, AMassDeletionWaitsForAWordAndAWordIsEnough) {
  auto settings = this->settings();
  settings.removal.most = 1;
  DatabaseManager braked(projects_, main(), settings, tools());
  declare(unique("third"), {"prod"});
  apply_all(braked);
  take_away();
  projects_.remove("projects/" + unique("other") + ".yaml");
  EXPECT_EQ(apply(braked).count(DeploymentOutcome::kept), 2U);
  EXPECT_EQ(state(), "ready");
  const auto held = await(braked.undeclared());
  ASSERT_TRUE(held);
  ASSERT_EQ(held->size(), 2U);
  EXPECT_EQ(held->at(1).step, RemovalStep::hold);
  EXPECT_FALSE(await(braked.confirm_removal({.project = unique("third")}, cause_, false))) << "that one is declared";
  const auto confirmed = await(braked.confirm_removal({.project = shop_}, cause_, true));
  ASSERT_TRUE(confirmed) << confirmed.error().to_string();
  EXPECT_THAT(*confirmed, ElementsAre(shop_ + "/prod"));
  EXPECT_EQ(pass(braked).outcome, DeploymentOutcome::disabled);
  EXPECT_EQ(pass(braked).outcome, DeploymentOutcome::removed) << "without a grace period, as was said";
  EXPECT_EQ(apply(braked).count(DeploymentOutcome::kept) + apply(braked).count(DeploymentOutcome::disabled), 1U);
}

TEST_F(Removal, KeepIsTheProjectsWordOrAPersons) {
  declare(shop_, {"prod"}, "{deletion: keep}");
  apply_all(*manager_);
  const auto login = credentials(*manager_, shop_, "prod");
  take_away();
  EXPECT_EQ(pass().outcome, DeploymentOutcome::kept);
  EXPECT_TRUE(log_in(login)) << "left as it is";
  declare(shop_, {"prod"});
  apply_all(*manager_);
  take_away();
  pass();
  ASSERT_TRUE(await(manager_->keep_undeclared({.project = shop_}, cause_)));
  let_grace_pass();
  EXPECT_EQ(pass().outcome, DeploymentOutcome::kept);
  EXPECT_TRUE(database_there());
  EXPECT_EQ(query("SELECT count(*) FROM opi.history WHERE action = 'keep_undeclared'", control_), "1");
}

TEST_F(Removal, ATombstoneThatSomebodyLetInAgainIsClosedAgain) {
  take_away();
  pass();
  execute("ALTER ROLE " + base_ + "__a LOGIN");
  EXPECT_THAT(to_text(plan(*manager_)), HasSubstr("! drift"));
  pass();
  EXPECT_EQ(query("SELECT rolcanlogin FROM pg_roles WHERE rolname = '" + base_ + "__a'"), "f");
  EXPECT_EQ(state(), "tombstone");
}

/// The same with an admin that has CREATEROLE and CREATEDB and nothing else.
class ModestRemoval : public Removal, public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    const auto admin = "remover" + number_;
    execute("CREATE ROLE " + admin + " LOGIN CREATEROLE CREATEDB " + GetParam() +
            " PASSWORD 'modest'; ALTER DATABASE " + control_ + " OWNER TO " + admin);
    auto config = pool_config();
    config.server = server_.server_settings(control_, admin, "modest");
    open({config});
    prepare_estate();
  }
};

TEST_P(ModestRemoval, EndsSessionsAndLeavesNothing) {
  auto session = log_in(credentials(*manager_, shop_, "prod"));
  ASSERT_TRUE(session);
  take_away();
  const auto buried = pass();
  EXPECT_EQ(buried.outcome, DeploymentOutcome::disabled) << (buried.error ? buried.error->to_string() : "");
  EXPECT_EQ(ask(*session, "SELECT 1").substr(0, 5), "error");
  let_grace_pass();
  const auto report = pass();
  EXPECT_EQ(report.outcome, DeploymentOutcome::removed) << (report.error ? report.error->to_string() : "");
  expect_gone();
}

INSTANTIATE_TEST_SUITE_P(Admins, ModestRemoval, ::testing::Values("INHERIT", "NOINHERIT"),
                         [](const auto& tested) { return std::string(tested.param); });

}  // namespace
}  // namespace opi::provision
