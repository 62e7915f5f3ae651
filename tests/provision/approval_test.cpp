#include "provision/approval.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "provision/planning_fixture.hpp"

namespace opi::provision {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

DeploymentPlan with_foreign_owner() {
  const auto desired = shop_prod();
  const auto known = finished_entry(desired);
  auto server = finished_server();
  server.databases.at("shop_prod").owner = "somebody";
  return plan_deployment({.desired = desired, .server = server, .known = &known});
}

TEST(Approval, OnlyKindsUnderThePolicyAreDemanded) {
  const auto plan = with_foreign_owner();
  ASSERT_FALSE(plan.actions.empty());
  EXPECT_THAT(demanded_approval(plan.actions, {}), IsEmpty());
  EXPECT_THAT(demanded_approval(plan.actions, {ApprovalKind::drop}), IsEmpty());
  EXPECT_THAT(demanded_approval(plan.actions, {ApprovalKind::change_owner, ApprovalKind::drop}),
              ElementsAre("change-owner"));
}

TEST(Approval, WhatGoesForGoodIsADropAndATombstoneIsNone) {
  for (const auto kind : {ActionKind::drop_database, ActionKind::drop_role})
    EXPECT_EQ(approval_kind({.kind = kind, .sign = Sign::remove}), ApprovalKind::drop);
  for (const auto kind : {ActionKind::bury, ActionKind::disable_login, ActionKind::end_sessions})
    EXPECT_FALSE(approval_kind({.kind = kind, .sign = Sign::remove}));
}

TEST(Approval, WhoApprovesARotationApprovesWhatItDoesToTheLoginThatTakesOver) {
  DeploymentPlan plan{.project = "shop", .deployment = "prod"};
  plan.actions = {{.kind = ActionKind::rotate_login, .sign = Sign::change, .subject = "shop_prod__b"}};
  const ApprovedEffects approved(plan);
  for (const auto kind : {ActionKind::enable_login, ActionKind::set_password, ActionKind::verify_login}) {
    const Action action{.kind = kind, .subject = "shop_prod__b"};
    EXPECT_FALSE(approved.refusal_of(std::vector{action})) << to_string(kind);
  }
  const Action other{.kind = ActionKind::enable_login, .subject = "shop_prod__a"};
  EXPECT_TRUE(approved.refusal_of(std::vector{other}));
  const Action ends{.kind = ActionKind::disable_login, .subject = "shop_prod__b"};
  EXPECT_TRUE(approved.refusal_of(std::vector{ends}));
}

TEST(Approval, KindsHaveOneNameEach) {
  for (const auto kind : {ApprovalKind::drop, ApprovalKind::clone_over, ApprovalKind::change_owner})
    EXPECT_EQ(approval_kind_named(to_string(kind)), kind);
  EXPECT_FALSE(approval_kind_named("DROP"));
}

TEST(Approval, AnApprovedPlanAllowsItsOwnActionsAndNoOther) {
  const auto plan = with_foreign_owner();
  const ApprovedEffects approved(plan);
  EXPECT_FALSE(approved.refusal_of(plan.actions));
  auto another = plan.actions.front();
  another.subject = "other";
  const auto refusal = approved.refusal_of(std::vector{another});
  ASSERT_TRUE(refusal);
  EXPECT_THAT(refusal->message, HasSubstr("the world has moved since the plan"));
  EXPECT_EQ(refusal->handling(), Handling::needs_person);
}

TEST(Approval, ADigestIsTakenFromItsFirstEightDigitsOn) {
  EXPECT_TRUE(parse_digest("7c1e04d2"));
  EXPECT_TRUE(parse_digest(std::string(64, 'a')));
  for (const auto* bad : {"", "7c1e04d", "7C1E04D2", "7c1e04dg", "7c1e04d2 "}) EXPECT_FALSE(parse_digest(bad)) << bad;
  EXPECT_TRUE(same_digest("7c1e04d2", "7c1e04d2aa"));
  EXPECT_FALSE(same_digest("7c1e04d2", "7c1e04d3aa"));
  EXPECT_FALSE(same_digest("7c1e", "7c1e04d3aa")) << "too short to say anything";
}

TEST(Approval, TheDigestCoversWhatTheDeclarationAsksForAndNotOnlyTheNamesOfActions) {
  const auto known = begun_entry();
  auto desired = shop_prod();
  const auto digest = [&] {
    return Plan{.deployments = {plan_deployment({.desired = desired, .server = empty_server(), .known = &known})}}
        .digest();
  };
  const auto before = digest();
  EXPECT_EQ(digest(), before);
  desired.schemas = {"shop_prod", "shop_prod_b", "shop_prod_a"};
  const auto one_order = digest();
  desired.schemas = {"shop_prod", "shop_prod_a", "shop_prod_b"};
  EXPECT_NE(digest(), one_order) << "another search_path";
  EXPECT_NE(one_order, before);
}

TEST(Approval, APlanSaysWhatNeedsApproval) {
  auto plan = with_foreign_owner();
  plan.approval = demanded_approval(plan.actions, {ApprovalKind::change_owner});
  const Plan all{.deployments = {plan}};
  EXPECT_THAT(to_text(all), HasSubstr("needs approval: change-owner"));
  EXPECT_THAT(to_json(all), HasSubstr("\"approval\":[\"change-owner\"]"));
}

}  // namespace
}  // namespace opi::provision
