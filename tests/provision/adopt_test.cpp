#include "provision/adopt.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "provision/planning_fixture.hpp"

namespace opi::provision {
namespace {

using ::testing::Contains;
using ::testing::Each;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::Not;

/// What the original leaves: role, database and schema of one name, PUBLIC as it comes, nothing of ours.
ObservedServer original_server() {
  auto server = empty_server();
  ObservedRole owner{.name = "shop_prod", .login = true};
  owner.verifier_known = true;
  owner.verifier = "SCRAM-SHA-256$4096:b2xk$b2xk:b2xk";
  server.roles.emplace("shop_prod", owner);
  ObservedDatabase database{.name = "shop_prod", .owner = "shop_prod", .encoding = "UTF8"};
  database.acl = {{.grantee = "", .privileges = "Tc", .grantor = "shop_prod"},
                  {.grantee = "shop_prod", .privileges = "CTc", .grantor = "shop_prod"}};
  server.databases.emplace("shop_prod", database);
  return server;
}

ObservedInside original_inside() {
  ObservedInside inside;
  inside.schemas = {{.name = "shop_prod", .owner = "shop_prod", .acl = {}},
                    {.name = "public", .owner = "pg_database_owner", .acl = {{.grantee = "", .privileges = "U"}}}};
  inside.foreign_objects = {{.type = "TABLE", .identity = "shop_prod.old", .owner = "postgres"}};
  return inside;
}

class Adoption : public ::testing::Test {
 protected:
  DeploymentPlan plan() {
    auto wanted = desired;
    use_journaled_logins(wanted, &known);
    return plan_deployment({.desired = wanted, .server = server, .known = &known, .inside = &inside});
  }
  void with_password() {
    known.credentials = {{.slot = store::LoginSlot::a, .login = "shop_prod", .generation = 1}};
    known.credentials.back().state = store::CredentialState::applied;
    known.credentials.back().verifier = *server.roles.at("shop_prod").verifier;
  }
  Adoption() {
    known.credentials.clear();
    known.deployment.adoption = store::Adoption::full;
  }
  DesiredDeployment desired = shop_prod();
  ObservedServer server = original_server();
  ObservedInside inside = original_inside();
  store::InventoryEntry known = begun_entry();
};

TEST_F(Adoption, WithoutItTheSameIsRefusedAndTheRefusalNamesIt) {
  known.deployment.adoption = store::Adoption::none;
  const auto refused = plan();
  ASSERT_TRUE(refused.refusal);
  EXPECT_THAT(refused.refusal->remedy, HasSubstr("opi adopt shop prod"));
}

TEST_F(Adoption, OnlyAddingChangesNothingThatIsThere) {
  with_password();
  known.deployment.adoption = store::Adoption::additive;
  const auto adopted = plan();
  ASSERT_FALSE(adopted.refusal) << adopted.refusal->to_string();
  for (const auto& action : adopted.actions) EXPECT_TRUE(is_additive(action)) << action.name << ": " << action.detail;
  EXPECT_THAT(adopted.actions, Contains(Field(&Action::kind, ActionKind::create_read_only)));
  EXPECT_THAT(adopted.actions, Not(Contains(Field(&Action::kind, ActionKind::create_schema))));
  EXPECT_THAT(adopted.notes, Contains(HasSubstr("from PUBLIC")));
}

TEST_F(Adoption, FullTakesPublicsRightsAndWhatOthersOwn) {
  with_password();
  const auto adopted = plan();
  EXPECT_THAT(adopted.actions, Contains(Field(&Action::kind, ActionKind::revoke_from_public)));
  EXPECT_THAT(adopted.actions, Contains(Field(&Action::kind, ActionKind::reown_object)));
  EXPECT_THAT(adopted.actions, Each(Field(&Action::sign, Not(Sign::drift))));
}

TEST_F(Adoption, TheOwnerKeepsLoginAndPasswordUntilItsCredentialIsRetired) {
  with_password();
  for (const auto& action : plan().actions) {
    EXPECT_NE(action.kind, ActionKind::set_password);
    EXPECT_FALSE(action.kind == ActionKind::restrict_role && action.subject == "shop_prod") << action.value;
    EXPECT_FALSE(action.kind == ActionKind::create_login && action.subject == "shop_prod__a");
  }
  known.credentials = {{.slot = store::LoginSlot::b, .login = "shop_prod__b", .generation = 1}};
  known.credentials.back().state = store::CredentialState::done;
  EXPECT_FALSE(owner_still_logs_in(&known));
  bool restricted = false;
  for (const auto& action : plan().actions)
    restricted = restricted || (action.kind == ActionKind::restrict_role && action.subject == "shop_prod" &&
                                action.value == "NOLOGIN");
  EXPECT_TRUE(restricted);
}

TEST_F(Adoption, WithoutAPasswordANewLoginIsMadeBesideTheOwner) {
  known.credentials = {{.slot = store::LoginSlot::a, .login = "shop_prod__a", .generation = 1}};
  bool made = false;
  for (const auto& action : plan().actions) {
    made = made || (action.kind == ActionKind::create_login && action.subject == "shop_prod__a");
    EXPECT_FALSE(action.kind == ActionKind::restrict_role && action.subject == "shop_prod") << action.value;
  }
  EXPECT_TRUE(made);
}

TEST(AdoptedPassword, IsReadFromASecretsManifestOrALine) {
  const auto read = [](std::string_view text) {
    auto password = password_from_secret(text, "secret.yaml");
    return password ? std::string(password->reveal()) : "error: " + password.error().to_string();
  };
  EXPECT_EQ(read("kind: Secret\nstringData:\n  DATABASE_PASSWORD: tiger\n"), "tiger");
  EXPECT_EQ(read("kind: Secret\ndata:\n  APP_DATABASE_PASSWORD: dGlnZXI=\n"), "tiger");
  EXPECT_EQ(read("{\"kind\": \"Secret\", \"data\": {\"password\": \"dGlnZXI=\"}}"), "tiger");
  EXPECT_EQ(read("tiger\n"), "tiger");
  EXPECT_THAT(read("kind: Secret\ndata: {user: eA==}\n"), HasSubstr("has no DATABASE_PASSWORD"));
  EXPECT_THAT(read("kind: Secret\ndata: {password: \"=\"}\n"), HasSubstr("not base64"));
  EXPECT_THAT(read("one\ntwo\n"), HasSubstr("secret.yaml"));
}

}  // namespace
}  // namespace opi::provision
