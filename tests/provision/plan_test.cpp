#include "provision/plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "provision/planning_fixture.hpp"

namespace opi::provision {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<ActionKind> kinds(const DeploymentPlan& plan) {
  std::vector<ActionKind> all;
  for (const auto& action : plan.actions) all.push_back(action.kind);
  return all;
}

/// Differences that are shown and left.
std::vector<std::string> left(const DeploymentPlan& plan) {
  std::vector<std::string> all;
  for (const auto& drift : plan.drifts) {
    if (drift.policy == DriftPolicy::warn) all.push_back(drift.detail);
  }
  return all;
}

DeploymentPlan plan_of(const DesiredDeployment& desired, const ObservedServer& server,
                       const store::InventoryEntry* known = nullptr, const ObservedInside* inside = nullptr) {
  return plan_deployment({.desired = desired, .server = server, .known = known, .inside = inside});
}

TEST(Plan, FromNothingEverythingIsCreatedInTheOrderThatLeavesNoGap) {
  const auto desired = shop_prod();
  const auto server = empty_server();
  const auto plan = plan_of(desired, server);
  ASSERT_FALSE(plan.refusal);
  EXPECT_THAT(kinds(plan),
              ElementsAre(ActionKind::create_owner, ActionKind::create_read_only, ActionKind::create_database,
                          ActionKind::revoke_from_public, ActionKind::grant_connect, ActionKind::open_database,
                          ActionKind::create_schema, ActionKind::grant_schema_usage, ActionKind::revoke_public_schema,
                          ActionKind::default_privileges, ActionKind::create_login, ActionKind::create_login));
  for (const auto& action : plan.actions) EXPECT_EQ(action.sign, Sign::create) << action.name;
  EXPECT_TRUE(plan.first_time);
}

TEST(Plan, NothingIsToDoWhenEverythingIsThere) {
  const auto desired = shop_prod();
  const auto server = finished_server();
  const auto known = finished_entry(desired);
  const auto plan = plan_of(desired, server, &known);
  EXPECT_THAT(plan.actions, IsEmpty());
  EXPECT_THAT(plan.notes, IsEmpty());
  EXPECT_FALSE(plan.to_record);
  EXPECT_FALSE(needs_inside_look(desired, server, &known));
}

TEST(Plan, AnUnchangedInsideIsNotPlannedEither) {
  const auto desired = shop_prod();
  const auto known = finished_entry(desired);
  const auto inside = finished_inside();
  EXPECT_THAT(plan_of(desired, finished_server(), &known, &inside).actions, IsEmpty());
}

TEST(Plan, ARoleWithoutOurStampIsRefusedAndNothingIsPlanned) {
  const auto desired = shop_prod();
  auto server = empty_server();
  server.roles.emplace("shop_prod", ObservedRole{.name = "shop_prod", .login = true});
  const auto plan = plan_of(desired, server);
  ASSERT_TRUE(plan.refusal);
  EXPECT_EQ(plan.refusal->kind, ErrorKind::conflict);
  EXPECT_EQ(plan.refusal->handling(), Handling::needs_person);
  EXPECT_EQ(plan.refusal->message, "shop/prod: role \"shop_prod\" exists and is not ours; not touched");
  EXPECT_THAT(plan.actions, IsEmpty());
}

TEST(Plan, ARoleStampedForAnotherDeploymentIsRefusedWithItsName) {
  const auto desired = shop_prod();
  for (const bool finished : {false, true}) {
    auto server = finished_server();
    server.roles.at("shop_prod__b").comment =
        Stamp{.id = "ff", .project = "shop-old", .deployment = "prod"}.to_comment();
    const auto known = finished ? finished_entry(desired) : begun_entry();
    const auto plan = plan_of(desired, server, &known);
    ASSERT_TRUE(plan.refusal);
    EXPECT_THAT(plan.refusal->message, HasSubstr("role \"shop_prod__b\" is stamped for shop-old/prod; not touched"));
  }
}

TEST(Plan, AStampOfAnotherControlDatabaseIsForeign) {
  const auto desired = shop_prod();
  const auto server = finished_server();
  auto known = begun_entry();
  known.deployment.stamp = "another";
  const auto plan = plan_of(desired, server, &known);
  ASSERT_TRUE(plan.refusal);
  EXPECT_THAT(plan.refusal->message, HasSubstr("by another control database"));
}

TEST(Plan, ADatabaseOfSomebodyElseIsRefusedEvenWhenTheRoleIsOurs) {
  const auto desired = shop_prod();
  auto server = empty_server();
  server.roles.emplace("shop_prod", role_named("shop_prod"));
  server.databases.emplace("shop_prod", ObservedDatabase{.name = "shop_prod", .owner = "bob", .encoding = "UTF8"});
  const auto known = begun_entry();
  const auto plan = plan_of(desired, server, &known);
  ASSERT_TRUE(plan.refusal);
  EXPECT_THAT(plan.refusal->message,
              HasSubstr("database \"shop_prod\" exists, belongs to \"bob\" and is not ours; not touched"));
}

TEST(Plan, WhatADeadPassLeftIsContinuedAndNotRepeated) {
  const auto desired = shop_prod();
  auto known = begun_entry();
  auto server = empty_server();
  server.roles.emplace("shop_prod", role_named("shop_prod"));
  server.roles.emplace("shop_prod_ro", role_named("shop_prod_ro"));
  ObservedDatabase closed{.name = "shop_prod", .owner = "shop_prod", .encoding = "UTF8", .allow_connections = false};
  closed.acl = {{.grantee = "shop_prod", .privileges = "CTc", .grantor = "shop_prod"},
                {.grantee = "", .privileges = "Tc", .grantor = "shop_prod"}};
  server.databases.emplace("shop_prod", closed);
  const auto plan = plan_of(desired, server, &known);
  ASSERT_FALSE(plan.refusal);
  EXPECT_THAT(kinds(plan),
              ElementsAre(ActionKind::revoke_from_public, ActionKind::grant_connect, ActionKind::open_database,
                          ActionKind::create_schema, ActionKind::grant_schema_usage, ActionKind::revoke_public_schema,
                          ActionKind::default_privileges, ActionKind::create_login, ActionKind::create_login));
}

TEST(Plan, AJournaledPasswordIsSetAgainUntilItIsKnownToBeApplied) {
  const auto desired = shop_prod();
  const auto server = finished_server();
  const auto inside = finished_inside();
  auto known = begun_entry();
  EXPECT_THAT(kinds(plan_of(desired, server, &known, &inside)), ElementsAre(ActionKind::set_password));
  known.credentials.front().state = store::CredentialState::applied;
  EXPECT_THAT(kinds(plan_of(desired, server, &known, &inside)), ElementsAre(ActionKind::verify_login));
  known.credentials.front().state = store::CredentialState::verified;
  const auto plan = plan_of(desired, server, &known, &inside);
  EXPECT_THAT(plan.actions, IsEmpty());
  EXPECT_TRUE(plan.to_record);
}

TEST(Plan, ALoginWhosePasswordWeDoNotKnowIsNeverGivenANewOne) {
  const auto desired = shop_prod();
  const auto server = finished_server();
  auto known = begun_entry();
  known.credentials.clear();
  const auto plan = plan_of(desired, server, &known);
  ASSERT_TRUE(plan.refusal);
  EXPECT_THAT(plan.refusal->message, HasSubstr("its password is not in the control database"));
}

TEST(Plan, APasswordThatSomebodyChangedIsReportedAndLeftAlone) {
  const auto desired = shop_prod();
  const auto known = finished_entry(desired);
  auto server = finished_server();
  server.roles.at("shop_prod__a").verifier = "SCRAM-SHA-256$4096:b3RoZXI=$b3RoZXI=:b3RoZXI=";
  const auto plan = plan_of(desired, server, &known);
  EXPECT_THAT(plan.actions, IsEmpty());
  EXPECT_THAT(left(plan), ElementsAre(HasSubstr("the password of shop_prod__a was changed by somebody")));
}

/// One difference on a finished deployment, and what is done about it.
struct DriftCase {
  const char* name;
  void (*change)(ObservedServer&);
  ActionKind expected;
  const char* detail;
};

class PlanDrift : public ::testing::TestWithParam<DriftCase> {};

TEST_P(PlanDrift, IsNamedAndPutRight) {
  const auto desired = shop_prod();
  const auto known = finished_entry(desired);
  auto server = finished_server();
  GetParam().change(server);
  const auto plan = plan_of(desired, server, &known);
  ASSERT_FALSE(plan.refusal) << plan.refusal->to_string();
  ASSERT_THAT(kinds(plan), ElementsAre(GetParam().expected));
  EXPECT_EQ(plan.actions.front().sign, Sign::drift);
  EXPECT_THAT(plan.actions.front().detail, HasSubstr(GetParam().detail));
}

INSTANTIATE_TEST_SUITE_P(
    OneAtATime, PlanDrift,
    ::testing::Values(
        DriftCase{"PublicMayConnect",
                  [](ObservedServer& s) {
                    s.databases.at("shop_prod").acl.push_back({.privileges = "c", .grantor = "shop_prod"});
                  },
                  ActionKind::revoke_from_public, "PUBLIC may CONNECT"},
        DriftCase{"OwnerOfTheDatabase", [](ObservedServer& s) { s.databases.at("shop_prod").owner = "bob"; },
                  ActionKind::set_database_owner, "belongs to bob instead of shop_prod"},
        DriftCase{"ReaderLostConnect", [](ObservedServer& s) { s.databases.at("shop_prod").acl.pop_back(); },
                  ActionKind::grant_connect, "CONNECT to shop_prod_ro"},
        DriftCase{"ConnectionLimit", [](ObservedServer& s) { s.databases.at("shop_prod").connection_limit = 3; },
                  ActionKind::set_connection_limit, "connection limit 3 → none"},
        DriftCase{"OwnerMayLogIn", [](ObservedServer& s) { s.roles.at("shop_prod").login = true; },
                  ActionKind::restrict_role, "was given LOGIN"},
        DriftCase{"LoginIsSuperuser", [](ObservedServer& s) { s.roles.at("shop_prod__a").superuser = true; },
                  ActionKind::restrict_role, "was given SUPERUSER"},
        DriftCase{"IdleLoginMayLogIn", [](ObservedServer& s) { s.roles.at("shop_prod__b").login = true; },
                  ActionKind::restrict_role, "was given LOGIN"},
        DriftCase{"StampGone", [](ObservedServer& s) { s.roles.at("shop_prod_ro").comment.clear(); },
                  ActionKind::stamp_role, "our stamp"},
        DriftCase{"LoginDisabled", [](ObservedServer& s) { s.roles.at("shop_prod__a").login = false; },
                  ActionKind::enable_login, "may not log in"},
        DriftCase{"LoginExpired", [](ObservedServer& s) { s.roles.at("shop_prod__a").expired = true; },
                  ActionKind::enable_login, "has expired"},
        DriftCase{"NoMemberAnyMore", [](ObservedServer& s) { s.roles.at("shop_prod__a").memberships.clear(); },
                  ActionKind::grant_owner, "to shop_prod__a"},
        DriftCase{"ActsAsItself",
                  [](ObservedServer& s) { s.roles.at("shop_prod__a").settings.front().value = "shop_prod__a"; },
                  ActionKind::set_login_role, "acts as shop_prod__a instead of shop_prod"},
        DriftCase{"SearchPath",
                  [](ObservedServer& s) { s.roles.at("shop_prod__b").settings.back().value = "evil, shop_prod"; },
                  ActionKind::set_search_path, "evil, shop_prod → shop_prod"},
        DriftCase{"LoginDropped", [](ObservedServer& s) { s.roles.erase("shop_prod__b"); }, ActionKind::create_login,
                  "rotation"}),
    [](const auto& tested) { return tested.param.name; });

TEST(Plan, ADroppedDatabaseIsMadeAgainAndCalledDrift) {
  const auto desired = shop_prod();
  const auto known = finished_entry(desired);
  auto server = finished_server();
  server.databases.clear();
  const auto plan = plan_of(desired, server, &known);
  ASSERT_FALSE(plan.actions.empty());
  EXPECT_EQ(plan.actions.front().kind, ActionKind::create_database);
  EXPECT_EQ(plan.actions.front().sign, Sign::drift);
  EXPECT_THAT(plan.actions.front().detail, HasSubstr("made again, empty"));
}

TEST(Plan, AChangedDeclarationIsAChangeAndNotDrift) {
  auto desired = shop_prod();
  const auto known = finished_entry(desired);
  desired.connection_limit = 50;
  desired.schemas.emplace_back("shop_prod_audit");
  desired.extensions = {"citext"};
  const auto server = finished_server();
  EXPECT_TRUE(needs_inside_look(desired, server, &known));
  const auto inside = finished_inside();
  const auto plan = plan_of(desired, server, &known, &inside);
  EXPECT_THAT(kinds(plan),
              ElementsAre(ActionKind::set_connection_limit, ActionKind::create_schema, ActionKind::grant_schema_usage,
                          ActionKind::create_extension, ActionKind::set_search_path, ActionKind::set_search_path));
  EXPECT_EQ(plan.actions.front().sign, Sign::change);
  EXPECT_EQ(plan.actions.front().detail, "connection limit none → 50");
  EXPECT_EQ(plan.actions[1].sign, Sign::create);
}

TEST(Plan, SearchPathsAreComparedAsTheServerKeepsThem) {
  auto desired = shop_prod();
  desired.schemas = {"shop_prod", "shop_prod_audit"};
  const auto known = finished_entry(desired);
  auto server = finished_server();
  server.roles.at("shop_prod__a").settings.back().value = "shop_prod, shop_prod_audit";
  server.roles.at("shop_prod__b").settings.back().value = "\"shop_prod\", \"shop_prod_audit\"";
  EXPECT_THAT(plan_of(desired, server, &known).actions, IsEmpty());
}

TEST(Plan, AnAdminWithoutSuperuserGrantsItselfTheOwnerFirst) {
  const auto desired = shop_prod();
  const auto known = begun_entry();
  auto server = finished_server();
  server.facts = {.version = 150020, .version_text = "15.20", .admin = "opi_admin", .superuser = false};
  const auto inside = finished_inside();
  EXPECT_EQ(kinds(plan_of(desired, server, &known, &inside)).front(), ActionKind::grant_to_admin);
  server.foreign_memberships = {{.role = "shop_prod", .member = "opi_admin"}};
  EXPECT_THAT(kinds(plan_of(desired, server, &known, &inside)), ElementsAre(ActionKind::set_password));
}

TEST(Plan, ADeploymentThatNamesAnotherServerIsRefusedAndNotMadeThereEmpty) {
  auto desired = shop_prod();
  auto known = finished_entry(desired);
  known.deployment.server_id = 1;
  desired.pool = "analytics";
  const auto server = empty_server();
  const auto plan = plan_deployment({.desired = desired, .server = server, .known = &known, .server_id = 2});
  ASSERT_TRUE(plan.refusal);
  EXPECT_THAT(plan.refusal->message,
              HasSubstr("lives on pool \"main\"; moving it to \"analytics\" is not supported yet"));
  const auto there = finished_server();
  EXPECT_FALSE(plan_deployment({.desired = desired, .server = there, .known = &known, .server_id = 1}).refusal)
      << "another pool that leads to the same server";
}

TEST(Plan, ADatabaseThatSomebodyClosedStaysClosed) {
  const auto desired = shop_prod();
  const auto known = finished_entry(desired);
  auto server = finished_server();
  server.databases.at("shop_prod").allow_connections = false;
  const auto plan = plan_of(desired, server, &known);
  EXPECT_THAT(plan.actions, IsEmpty());
  EXPECT_THAT(left(plan), ElementsAre(HasSubstr("was closed to connections by somebody; left closed")));
}

TEST(Plan, SomebodyElsesMembershipIsReportedAndLeft) {
  const auto desired = shop_prod();
  const auto known = finished_entry(desired);
  auto server = finished_server();
  server.foreign_memberships = {{.role = "shop_prod", .member = "bob"}, {.role = "other", .member = "eve"}};
  const auto plan = plan_of(desired, server, &known);
  EXPECT_THAT(plan.actions, IsEmpty());
  EXPECT_THAT(left(plan), ElementsAre(HasSubstr("role bob was made a member of shop_prod")));
  EXPECT_FALSE(plan.drifts.at(0).ours);
}

TEST(Plan, APublicSchemaThatWeMayNotLockIsReported) {
  const auto desired = shop_prod();
  auto server = empty_server();
  server.facts = {.version = 140012, .version_text = "14.12", .admin = "opi_admin", .superuser = false};
  const auto plan = plan_of(desired, server);
  for (const auto& action : plan.actions) EXPECT_NE(action.kind, ActionKind::revoke_public_schema);
  EXPECT_THAT(plan.notes, ElementsAre(HasSubstr("schema public of shop_prod belongs to postgres")));
}

TEST(PlanDigest, IsEqualForTheSameEffectsAndForThemOnly) {
  const auto desired = shop_prod();
  const auto server = empty_server();
  const Plan one{.deployments = {plan_of(desired, server)}};
  Plan reworded = one;
  reworded.deployments.front().actions.front().detail = "said in other words";
  reworded.deployments.front().notes.emplace_back("seen");
  EXPECT_EQ(one.digest(), reworded.digest());
  Plan other = one;
  other.deployments.front().actions.pop_back();
  EXPECT_NE(one.digest(), other.digest());
  other = one;
  other.deployments.front().actions.front().value = "LOGIN";
  EXPECT_NE(one.digest(), other.digest());
  EXPECT_EQ(one.digest().size(), 64U);
}

TEST(PlanText, ReadsLikeAPlan) {
  auto desired = shop_prod();
  const auto server = empty_server();
  Plan plan{.deployments = {plan_of(desired, server)}};
  auto drifted = finished_server();
  drifted.databases.at("shop_prod").acl.push_back({.privileges = "c", .grantor = "shop_prod"});
  const auto known = finished_entry(desired);
  plan.deployments.push_back(plan_of(desired, drifted, &known));
  const auto text = to_text(plan);
  EXPECT_THAT(text, HasSubstr("shop/prod on main (PostgreSQL 15.20)\n"
                              "  + role      shop_prod            owner, NOLOGIN\n"));
  EXPECT_THAT(text, HasSubstr("  + database  shop_prod            owner shop_prod, template0, UTF8\n"
                              "  + revoke    database shop_prod   CONNECT, TEMPORARY from PUBLIC\n"));
  EXPECT_THAT(text, HasSubstr("  + schema    shop_prod            in shop_prod\n"));
  EXPECT_THAT(text, HasSubstr("  + login     shop_prod__a         SCRAM-SHA-256, SET ROLE shop_prod\n"));
  EXPECT_THAT(text, HasSubstr("  ! drift     shop_prod            PUBLIC may CONNECT (policy: fix)\n"));
  EXPECT_THAT(text, HasSubstr("12 to create, 0 to change, 0 to remove, 1 drift to fix"));
  EXPECT_THAT(text, HasSubstr("digest " + plan.digest().substr(0, 8)));
  EXPECT_EQ(to_text(Plan{}), "0 deployments, nothing to do\n");
}

TEST(PlanJson, HasStableKeysAndTheFullDigest) {
  const auto desired = shop_prod();
  const auto server = empty_server();
  const Plan plan{.deployments = {plan_of(desired, server)}};
  const auto text = to_json(plan);
  EXPECT_THAT(text, HasSubstr("\"digest\":\"" + plan.digest() + "\""));
  EXPECT_THAT(text, HasSubstr("\"sign\":\"create\",\"kind\":\"create_owner\""));
  EXPECT_THAT(
      text, HasSubstr("\"counts\":{\"create\":12,\"change\":0,\"remove\":0,\"drift\":0,\"refused\":0,\"waiting\":0}"));
}

}  // namespace
}  // namespace opi::provision
