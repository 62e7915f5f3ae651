#include "provision/rotation.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "provision/planning_fixture.hpp"

namespace opi::provision {
namespace {

using store::CredentialState;
using store::LoginSlot;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// A deployment whose login b took over from a, seen at some moment of the overlap.
class Fates : public ::testing::Test {
 protected:
  Fates() {
    known.credentials.front().overlap_until = WallTime{};
    known.credentials.front().grace_until = WallTime{};
    known.credentials.push_back({.id = 2,
                                 .slot = LoginSlot::b,
                                 .login = "shop_prod__b",
                                 .generation = 1,
                                 .state = CredentialState::done,
                                 .verifier = test_verifier});
    auto& role = server.roles.at("shop_prod__b");
    role.login = true;
    role.verifier = test_verifier;
  }
  PlanInput input() const { return {.desired = desired, .server = server, .known = &known}; }
  LoginFate of_a() const { return fate_of(input(), LoginSlot::a); }
  std::vector<ActionKind> kinds() const {
    std::vector<ActionKind> all;
    for (const auto& action : plan_deployment(input()).actions) all.push_back(action.kind);
    return all;
  }
  store::CredentialSummary& a() { return known.credentials.front(); }

  DesiredDeployment desired = shop_prod();
  ObservedServer server = finished_server();
  store::InventoryEntry known = finished_entry(desired);
};

TEST_F(Fates, WithinItsOverlapTheReplacedLoginStaysAsItIs) {
  EXPECT_EQ(of_a(), LoginFate::replaced);
  EXPECT_EQ(fate_of(input(), LoginSlot::b), LoginFate::in_use);
  EXPECT_THAT(kinds(), IsEmpty());
  server.roles.at("shop_prod__a").login = false;
  EXPECT_THAT(kinds(), ElementsAre(ActionKind::enable_login)) << "what was promised is kept";
}

TEST_F(Fates, AfterItsOverlapALoginWithSessionsGoesOnAndOneWithoutEnds) {
  a().overlap_over = true;
  EXPECT_EQ(of_a(), LoginFate::replaced) << "its sessions were not counted";
  server.sessions["shop_prod__a"] = 2;
  EXPECT_EQ(of_a(), LoginFate::replaced);
  EXPECT_THAT(kinds(), IsEmpty());
  server.sessions["shop_prod__a"] = 0;
  EXPECT_EQ(of_a(), LoginFate::ending);
  EXPECT_THAT(kinds(), ElementsAre(ActionKind::disable_login, ActionKind::end_sessions));
}

TEST_F(Fates, AfterItsGraceALoginEndsWhateverItsSessions) {
  a().overlap_over = a().grace_over = true;
  server.sessions["shop_prod__a"] = 5;
  EXPECT_EQ(of_a(), LoginFate::ending);
}

TEST_F(Fates, OneThatWasDisabledIsNotEnabledAgain) {
  a().overlap_over = true;
  server.roles.at("shop_prod__a").login = false;
  server.sessions["shop_prod__a"] = 1;
  EXPECT_EQ(of_a(), LoginFate::ending) << "somebody came in between the look and the commit";
  EXPECT_THAT(kinds(), ElementsAre(ActionKind::end_sessions));
  server.roles.erase("shop_prod__a");
  EXPECT_THAT(kinds(), IsEmpty());
  EXPECT_TRUE(plan_deployment(input()).to_record) << "its password is still to be forgotten";
}

TEST_F(Fates, ARetiredLoginIsIdleAndIsKeptOut) {
  known.credentials.erase(known.credentials.begin());
  EXPECT_EQ(of_a(), LoginFate::idle);
  EXPECT_THAT(kinds(), ElementsAre(ActionKind::restrict_role));
  EXPECT_FALSE(plan_deployment(input()).refusal) << "its password is known: that of the other login";
}

TEST_F(Fates, AnIncomingLoginGetsItsPasswordAndMayLogInInOneTransaction) {
  known.credentials.erase(known.credentials.begin());
  known.credentials.push_back({.id = 3,
                               .slot = LoginSlot::a,
                               .login = "shop_prod__a",
                               .generation = 2,
                               .state = CredentialState::intent,
                               .verifier = "SCRAM-SHA-256$4096:bmV3$bmV3:bmV3"});
  server.roles.at("shop_prod__a").login = false;
  const auto plan = plan_deployment(input());
  EXPECT_THAT(kinds(), ElementsAre(ActionKind::enable_login, ActionKind::set_password));
  for (const auto& action : plan.actions) {
    EXPECT_EQ(action.sign, Sign::change);
    EXPECT_EQ(stage_of(action.kind), Stage::logins);
  }
  EXPECT_EQ(current_login(known)->id, 3);
  EXPECT_EQ(replaced_login(known), nullptr);
}

TEST(RotationIsDue, WhenThePasswordIsOldAndNothingIsInTheWay) {
  const auto desired = shop_prod();
  auto known = finished_entry(desired);
  const RotationRules rules{.interval = std::chrono::hours{100}};
  const WallTime published{std::chrono::hours{1'000}};
  known.credentials.front().published_at = published;
  EXPECT_FALSE(rotation_is_due(rules, &known, published + std::chrono::hours{79}));
  EXPECT_TRUE(rotation_is_due(rules, &known, published + std::chrono::hours{100})) << "spread over its last fifth";
  EXPECT_FALSE(rotation_is_due({}, &known, published + std::chrono::hours{1'000'000})) << "on demand only";
  EXPECT_FALSE(rotation_is_due(rules, nullptr, published));
  auto tombstone = known;
  tombstone.deployment.state = store::DeploymentState::tombstone;
  EXPECT_FALSE(rotation_is_due(rules, &tombstone, published + std::chrono::hours{200}));
  known.credentials.push_back(known.credentials.front());
  known.credentials.back().slot = LoginSlot::b;
  known.credentials.back().overlap_until = published;
  EXPECT_FALSE(rotation_is_due(rules, &known, published + std::chrono::hours{200})) << "the last one is not over";
}

TEST(RotationIsDue, IsShownInThePlan) {
  const auto desired = shop_prod();
  const auto known = finished_entry(desired);
  const auto server = finished_server();
  const auto plan = plan_deployment({.desired = desired, .server = server, .known = &known, .rotate = true});
  ASSERT_EQ(plan.actions.size(), 1U);
  EXPECT_EQ(plan.actions[0].kind, ActionKind::rotate_login);
  EXPECT_EQ(plan.actions[0].name, "shop_prod__b");
  EXPECT_THAT(plan.actions[0].detail, HasSubstr("takes over from shop_prod__a"));
}

}  // namespace
}  // namespace opi::provision
