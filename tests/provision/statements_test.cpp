#include "provision/statements.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "provision/planning_fixture.hpp"

namespace opi::provision {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Statements : public ::testing::Test {
 protected:
  std::vector<std::string> of(Action action) {
    return statements_for(
        action,
        {.facts = facts, .desired = desired, .stamp = "it's ours", .verifiers = {{"shop_prod__a", test_verifier}}});
  }
  DesiredDeployment desired = shop_prod();
  ServerFacts facts = facts_15();
};

TEST_F(Statements, AGroupIsCreatedWithItsStamp) {
  EXPECT_THAT(of({.kind = ActionKind::create_owner, .subject = "shop_prod"}),
              ElementsAre("CREATE ROLE \"shop_prod\" NOLOGIN", "COMMENT ON ROLE \"shop_prod\" IS 'it''s ours'"));
}

TEST_F(Statements, AnAdminBefore16GrantsItselfTheNewOwner) {
  facts.superuser = false;
  facts.admin = "opi_admin";
  EXPECT_THAT(of({.kind = ActionKind::create_owner, .subject = "shop_prod"}),
              ElementsAre("CREATE ROLE \"shop_prod\" NOLOGIN", "COMMENT ON ROLE \"shop_prod\" IS 'it''s ours'",
                          "GRANT \"shop_prod\" TO \"opi_admin\""));
  facts.version = 160004;
  EXPECT_EQ(of({.kind = ActionKind::create_owner, .subject = "shop_prod"}).size(), 2U)
      << "createrole_self_grant did it";
}

TEST_F(Statements, ADatabaseIsBornClosedFromTemplate0) {
  EXPECT_THAT(of({.kind = ActionKind::create_database, .subject = "shop_prod", .value = "-1"}),
              ElementsAre("CREATE DATABASE \"shop_prod\" OWNER \"shop_prod\" TEMPLATE template0 ENCODING 'UTF8' "
                          "ALLOW_CONNECTIONS false"));
  EXPECT_THAT(of({.kind = ActionKind::create_database, .subject = "shop_prod", .value = "20"}).front(),
              ::testing::EndsWith("ALLOW_CONNECTIONS false CONNECTION LIMIT 20"));
}

TEST_F(Statements, ALoginComesWithMembershipAndSettingsSoThatItNeverActsAsItself) {
  desired.schemas = {"shop_prod", "shop_prod_audit"};
  EXPECT_THAT(of({.kind = ActionKind::create_login, .subject = "shop_prod__a", .value = "LOGIN"}),
              ElementsAre("CREATE ROLE \"shop_prod__a\" LOGIN PASSWORD '" + std::string(test_verifier) + "'",
                          "COMMENT ON ROLE \"shop_prod__a\" IS 'it''s ours'", "GRANT \"shop_prod\" TO \"shop_prod__a\"",
                          "ALTER ROLE \"shop_prod__a\" IN DATABASE \"shop_prod\" SET role = 'shop_prod'",
                          "ALTER ROLE \"shop_prod__a\" IN DATABASE \"shop_prod\" SET search_path = \"shop_prod\", "
                          "\"shop_prod_audit\""));
  EXPECT_EQ(of({.kind = ActionKind::create_login, .subject = "shop_prod__b", .value = "NOLOGIN"}).front(),
            "CREATE ROLE \"shop_prod__b\" NOLOGIN");
}

TEST_F(Statements, MembershipsAreExplicitFrom16On) {
  facts.version = 170002;
  EXPECT_THAT(of({.kind = ActionKind::grant_owner, .subject = "shop_prod__a"}),
              ElementsAre("GRANT \"shop_prod\" TO \"shop_prod__a\" WITH INHERIT TRUE, SET TRUE"));
}

TEST_F(Statements, DefaultPrivilegesBelongToTheOwnerWhoeverRunsThem) {
  EXPECT_THAT(
      of({.kind = ActionKind::default_privileges, .subject = "shop_prod"}),
      ElementsAre("ALTER DEFAULT PRIVILEGES FOR ROLE \"shop_prod\" GRANT SELECT ON TABLES TO \"shop_prod_ro\"",
                  "ALTER DEFAULT PRIVILEGES FOR ROLE \"shop_prod\" GRANT SELECT ON SEQUENCES TO \"shop_prod_ro\""));
}

TEST_F(Statements, NamesAreQuotedWhateverTheyHold) {
  EXPECT_THAT(of({.kind = ActionKind::create_schema, .subject = "a\"; DROP TABLE x; --"}),
              ElementsAre("CREATE SCHEMA \"a\"\"; DROP TABLE x; --\" AUTHORIZATION \"shop_prod\""));
}

TEST_F(Statements, ProvingALoginIsNoStatement) {
  EXPECT_THAT(of({.kind = ActionKind::verify_login, .subject = "shop_prod__a"}), IsEmpty());
}

TEST_F(Statements, EveryKindButCopiesAndProofsHasOne) {
  for (int kind = 0; kind < static_cast<int>(ActionKind::verify_login); ++kind) {
    const Action action{.kind = static_cast<ActionKind>(kind), .subject = "x", .value = "y"};
    EXPECT_EQ(of(action).empty(), stage_of(action.kind) == Stage::copy) << kind;
  }
}

TEST_F(Statements, ExtensionsAndSchemasAreMadeAsTheOwner) {
  EXPECT_FALSE(runs_as_admin({.kind = ActionKind::create_extension}, facts));
  EXPECT_FALSE(runs_as_admin({.kind = ActionKind::create_schema}, facts));
  EXPECT_FALSE(runs_as_admin({.kind = ActionKind::revoke_from_public}, facts));
  EXPECT_TRUE(runs_as_admin({.kind = ActionKind::set_database_owner}, facts));
  EXPECT_TRUE(runs_as_admin({.kind = ActionKind::create_login}, facts));
}

}  // namespace
}  // namespace opi::provision
