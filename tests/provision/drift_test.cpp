#include "provision/drift.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "provision/planning_fixture.hpp"

namespace opi::provision {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// A finished deployment of which somebody changed two things: who may connect, and the connection limit.
class DriftOfTwo : public ::testing::Test {
 protected:
  DriftOfTwo() {
    auto& database = server.databases.at("shop_prod");
    database.acl.push_back({.privileges = "c", .grantor = "shop_prod"});
    database.connection_limit = 3;
  }
  DeploymentPlan plan() const {
    return plan_deployment({.desired = desired, .server = server, .known = &known, .policies = &policies});
  }
  static std::string text(DeploymentPlan one) {
    Plan whole;
    whole.deployments.push_back(std::move(one));
    return to_text(whole);
  }

  DesiredDeployment desired = shop_prod();
  ObservedServer server = finished_server();
  store::InventoryEntry known = finished_entry(desired);
  DriftPolicies policies;
};

TEST_F(DriftOfTwo, IsFixedUnlessSomebodySaysOtherwise) {
  const auto planned = plan();
  EXPECT_EQ(planned.actions.size(), 2U);
  EXPECT_EQ(planned.drifts.size(), 2U);
  EXPECT_THAT(text(planned), HasSubstr("PUBLIC may CONNECT (policy: fix)"));
}

TEST_F(DriftOfTwo, EachFieldHasAPolicyOfItsOwn) {
  policies[DriftField::connection_limit] = DriftPolicy::warn;
  const auto planned = plan();
  ASSERT_EQ(planned.actions.size(), 1U);
  EXPECT_EQ(planned.actions[0].kind, ActionKind::revoke_from_public);
  EXPECT_THAT(text(planned), HasSubstr("connection limit 3 → none (policy: warn)"));
  policies[DriftField::connection_limit] = DriftPolicy::ignore;
  policies[DriftField::database_privileges] = DriftPolicy::ignore;
  const auto ignored = plan();
  EXPECT_THAT(ignored.actions, IsEmpty());
  EXPECT_THAT(ignored.drifts, IsEmpty());
}

TEST_F(DriftOfTwo, AChangedDeclarationIsDoneWhateverThePolicies) {
  policies.of.fill(DriftPolicy::ignore);
  desired.connection_limit = 50;
  const auto inside = finished_inside();
  const auto planned = plan_deployment(
      {.desired = desired, .server = server, .known = &known, .inside = &inside, .policies = &policies});
  ASSERT_EQ(planned.actions.size(), 1U);
  EXPECT_EQ(planned.actions[0].sign, Sign::change);
}

TEST_F(DriftOfTwo, SaysSinceWhenItHasBeenSeen) {
  const auto key = plan().drifts.at(0).key;
  known.drift.push_back({.key = key, .seen_at = WallTime{std::chrono::hours{24}}});
  EXPECT_THAT(text(plan()), HasSubstr("PUBLIC may CONNECT, since 1970-01-02 00:00Z (policy: fix)"));
}

TEST_F(DriftOfTwo, IsRecordedWhenItAppearsAndWhenItIsGone) {
  const auto found = plan().drifts;
  known.drift.push_back({.key = found[0].key});
  known.drift.push_back({.key = "gone"});
  known.drift.push_back({.key = "of the inside", .inside = true});
  const auto change = drift_change(known, found, false);
  ASSERT_EQ(change.appeared.size(), 1U);
  EXPECT_EQ(change.appeared[0].key, found[1].key);
  EXPECT_THAT(change.gone, ::testing::ElementsAre("gone")) << "the inside was not looked at";
  known.drift = {{.key = found[0].key}, {.key = found[1].key}};
  EXPECT_TRUE(drift_change(known, found, false).empty());
}

TEST_F(DriftOfTwo, ATenantsPasswordIsSetBackOnlyWhereTheOperatorSaysSo) {
  server = finished_server();
  server.roles.at("shop_prod__a").verifier = "SCRAM-SHA-256$4096:b3RoZXI=$b3RoZXI=:b3RoZXI=";
  EXPECT_THAT(plan().actions, IsEmpty());
  policies[DriftField::passwords] = DriftPolicy::fix;
  const auto planned = plan();
  ASSERT_EQ(planned.actions.size(), 1U);
  EXPECT_EQ(planned.actions[0].kind, ActionKind::set_password);
  EXPECT_EQ(planned.drifts.at(0).field, DriftField::passwords);
}

TEST(DriftFields, HaveNamesAndSentencesOfTheirOwn) {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < drift_field_count; ++i) {
    EXPECT_TRUE(names.insert(to_string(static_cast<DriftField>(i))).second);
    EXPECT_TRUE(about(static_cast<DriftField>(i)).ends_with('.'));
  }
}

}  // namespace
}  // namespace opi::provision
