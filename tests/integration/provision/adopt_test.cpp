// A database as the original makes it: role, database and schema of one name, the application logs in as the owner.
#include "integration/provision/provision_fixture.hpp"

namespace opi::provision {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Adopt : public ProvisionTest {
 protected:
  void SetUp() override {
    open();
    manager_ = manager();
    declare(shop_, {"prod"}, "{schemas: [{postfix: audit}]}");
    execute("CREATE ROLE " + base_ + " LOGIN PASSWORD 'tiger'");
    execute("CREATE DATABASE " + base_ + " OWNER " + base_);
    execute("CREATE SCHEMA " + base_ + " AUTHORIZATION " + base_ + "; CREATE TABLE " + base_ +
                ".item (id serial PRIMARY KEY); CREATE VIEW " + base_ + ".items AS SELECT id FROM " + base_ +
                ".item; CREATE FUNCTION " + base_ + ".one() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TYPE " +
                base_ + ".mood AS ENUM ('good'); INSERT INTO " + base_ + ".item VALUES (DEFAULT); CREATE TABLE " +
                base_ + ".log (id int) PARTITION BY RANGE (id); CREATE TABLE " + base_ + ".log_one PARTITION OF " +
                base_ + ".log FOR VALUES FROM (1) TO (9)",
            base_);
  }
  AdoptOrder order(store::Adoption how_far, const std::string& password = "tiger") {
    AdoptOrder order{.how_far = how_far};
    if (!password.empty()) order.password = SecretString(password);
    return order;
  }
  DeploymentReport adopt(AdoptOrder order) {
    auto report = await(manager_->adopt(shop_, "prod", std::move(order), cause_));
    if (!report) throw std::runtime_error(report.error().to_string());
    if (report->error) throw std::runtime_error(report->error->to_string());
    return *std::move(report);
  }
  /// As the application that was there before.
  std::string ask_as_owner(const std::string& sql) {
    auto settings = tenant_settings(server_.server_settings(), base_, SecretString("tiger"), base_);
    auto session = await(pg::Connection::connect(io_.get_executor(), settings, blocking_, in(20s)));
    return session ? ask(*session, sql) : session.error().to_string();
  }
  std::string public_may_connect() const {
    return query(
        "SELECT count(*) FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a "
        "WHERE datname = '" +
        base_ + "' AND a.grantee = 0 AND a.privilege_type = 'CONNECT'");
  }
  std::string foreign_owned() const {
    return query("SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE nspname = '" +
                     base_ + "' AND relkind IN ('r', 'p', 'v', 'S') AND pg_get_userbyid(relowner) <> '" + base_ + "'",
                 base_);
  }
  const std::string shop_ = unique("shop");
  const std::string base_ = shop_ + "_prod";
  std::unique_ptr<DatabaseManager> manager_;
};

TEST_F(Adopt, WithoutItNothingIsTaken) {
  EXPECT_EQ(apply(*manager_).count(DeploymentOutcome::refused), 1U);
  EXPECT_THAT(to_text(plan(*manager_)), HasSubstr("opi adopt " + shop_ + " prod"));
}

TEST_F(Adopt, TheReportSaysWhatWouldChangeAndChangesNothing) {
  const auto report = await(manager_->adopt_report(shop_, "prod", true));
  ASSERT_TRUE(report) << report.error().to_string();
  const auto text = to_text(*report);
  EXPECT_THAT(text, HasSubstr("TABLE belongs to postgres instead of " + base_));
  EXPECT_THAT(text, HasSubstr("PUBLIC"));
  EXPECT_THAT(text, Not(HasSubstr("  ! ")));
  EXPECT_EQ(query("SELECT count(*) FROM opi.deployments", control_), "0");
  EXPECT_EQ(query("SELECT count(*) FROM pg_roles WHERE rolname LIKE '" + base_ + "\\_%'"), "0");
}

TEST_F(Adopt, OnlyAddingLeavesEverythingThatWasThereAndHandsOutTheOldPassword) {
  adopt(order(store::Adoption::additive));
  EXPECT_EQ(ask_as_owner("SELECT count(*) FROM " + base_ + ".one()"), "1");
  EXPECT_EQ(public_may_connect(), "1");
  EXPECT_EQ(foreign_owned(), "5");
  EXPECT_EQ(query("SELECT count(*) FROM pg_roles WHERE rolname = '" + base_ + "_ro'"), "1");
  const auto credentials = this->credentials(*manager_, shop_, "prod");
  EXPECT_EQ(credentials.user, base_);
  EXPECT_EQ(std::string(credentials.password.reveal()), "tiger");
  EXPECT_TRUE(plan(*manager_).empty()) << to_text(plan(*manager_));
  EXPECT_EQ(apply(*manager_).count(DeploymentOutcome::unchanged), 1U) << "a pass takes no further step by itself";
}

TEST_F(Adopt, FullMakesItAsAllOthersAndTheOwnerStillLogsIn) {
  adopt(order(store::Adoption::additive));
  adopt(order(store::Adoption::full, ""));
  EXPECT_EQ(public_may_connect(), "0");
  EXPECT_EQ(foreign_owned(), "0");
  EXPECT_EQ(query("SELECT pg_get_userbyid(proowner) FROM pg_proc WHERE proname = 'one' AND pronamespace = '" + base_ +
                      "'::regnamespace",
                  base_),
            base_);
  EXPECT_EQ(query("SELECT pg_get_userbyid(typowner) FROM pg_type WHERE typname = 'mood'", base_), base_);
  EXPECT_EQ(ask_as_owner("SELECT current_user || ' ' || current_schema()"), base_ + " " + base_);
  EXPECT_EQ(ask_as_owner("INSERT INTO item DEFAULT VALUES RETURNING id"), "2");
  EXPECT_EQ(std::string(credentials(*manager_, shop_, "prod").password.reveal()), "tiger");
  EXPECT_TRUE(plan(*manager_).empty()) << to_text(plan(*manager_));
}

TEST_F(Adopt, AtOnceInFull) {
  adopt(order(store::Adoption::full));
  EXPECT_EQ(foreign_owned(), "0");
  EXPECT_EQ(ask_as_owner("SELECT 1"), "1");
  EXPECT_EQ(apply(*manager_).count(DeploymentOutcome::unchanged), 1U);
}

TEST_F(Adopt, APasswordThatDoesNotOpenTheDatabaseChangesNothing) {
  const auto report = await(manager_->adopt(shop_, "prod", order(store::Adoption::full, "lion"), cause_));
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().to_string(), HasSubstr("nothing was changed"));
  EXPECT_THAT(report.error().to_string(), Not(HasSubstr("lion")));
  EXPECT_EQ(query("SELECT count(*) FROM opi.deployments", control_), "0");
  EXPECT_EQ(ask_as_owner("SELECT 1"), "1");
}

TEST_F(Adopt, WithoutAPasswordBothTheOldAndTheNewLoginWork) {
  adopt(order(store::Adoption::full, ""));
  EXPECT_EQ(credentials(*manager_, shop_, "prod").user, base_ + "__a");
  auto tenant = log_in(credentials(*manager_, shop_, "prod"));
  ASSERT_TRUE(tenant) << tenant.error().to_string();
  EXPECT_EQ(ask(*tenant, "SELECT current_user"), base_);
  EXPECT_EQ(ask_as_owner("SELECT 1"), "1");
  EXPECT_TRUE(plan(*manager_).empty()) << to_text(plan(*manager_));
}

class AdoptedRotation : public Adopt, public ::testing::WithParamInterface<store::Adoption> {
 protected:
  void rotate() {
    auto report = await(manager_->rotate({.project = shop_}, cause_, RotationPace::seamless));
    ASSERT_TRUE(report) << report.error().to_string();
    for (const auto& one : report->deployments) EXPECT_FALSE(one.error) << one.error->to_string();
  }
  void let_overlap_and_grace_pass() const {
    execute("UPDATE opi.credentials SET overlap_until = now(), grace_until = now() WHERE overlap_until IS NOT NULL",
            control_);
  }
};

TEST_P(AdoptedRotation, TheOwnerKeepsItsLoginUntilItsFirstRotationHasPassedItsOverlap) {
  adopt(order(GetParam()));
  rotate();
  EXPECT_EQ(credentials(*manager_, shop_, "prod").user, base_ + "__b");
  apply_all(*manager_);
  EXPECT_EQ(ask_as_owner("SELECT 1"), "1") << "within the overlap";
  let_overlap_and_grace_pass();
  apply_all(*manager_);
  EXPECT_THAT(ask_as_owner("SELECT 1"), HasSubstr("not permitted to log in"));
  auto tenant = log_in(credentials(*manager_, shop_, "prod"));
  ASSERT_TRUE(tenant) << tenant.error().to_string();
  EXPECT_EQ(ask(*tenant, "SELECT current_user"), base_);
  apply_all(*manager_);  // makes the first login of its own
  EXPECT_TRUE(plan(*manager_).empty()) << to_text(plan(*manager_));
  rotate();
  EXPECT_EQ(credentials(*manager_, shop_, "prod").user, base_ + "__a");
}

INSTANTIATE_TEST_SUITE_P(Both, AdoptedRotation, ::testing::Values(store::Adoption::additive, store::Adoption::full),
                         [](const auto& one) { return std::string(to_string(one.param)); });

TEST_F(Adopt, WhatWeMadeIsNotAdopted) {
  const auto wiki = unique("wiki");
  declare(wiki, {"prod"});
  apply(*manager_, {.project = wiki});
  const auto report = await(manager_->adopt(wiki, "prod", order(store::Adoption::full, ""), cause_));
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().to_string(), HasSubstr("it was made by us"));
}

}  // namespace
}  // namespace opi::provision
