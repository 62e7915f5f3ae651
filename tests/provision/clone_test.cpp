#include "provision/clone.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "provision/approval.hpp"
#include "provision/clone_template.hpp"
#include "provision/planning_fixture.hpp"

namespace opi::provision {
namespace {

using project::CloneFrom;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

/// shop/copy, which is declared as a copy of shop/prod.
class Clone : public ::testing::Test {
 protected:
  Clone() {
    desired.deployment = "copy";
    desired.names = {
        .base = "shop_copy", .login_a = "shop_copy__a", .login_b = "shop_copy__b", .read_only = "shop_copy_ro"};
    desired.database = "shop_copy";
    desired.schemas = {"shop_copy", "shop_copy_audit"};
    desired.clone = DesiredClone{.source = "prod"};
  }
  CloneDecision decide() {
    return decide_clone({.desired = desired,
                         .known = known ? &*known : nullptr,
                         .record = record ? &*record : nullptr,
                         .source = source ? &*source : nullptr,
                         .coming = coming,
                         .versions = &versions,
                         .tools = &tools,
                         .server_version = 150020,
                         .database_there = there});
  }
  void has_a_database() {
    known = finished_entry(desired);
    known->deployment.id = 8;
    known->deployment.database_name = desired.database;
  }
  /// What was decided has been done.
  void done(const CloneDecision& decision) {
    has_a_database();
    record = decision.make;
    record->id = 1;
    record->state = store::CloneState::done;
    known->deployment.generation = record->generation;
    known->deployment.database_name = record->database;
  }
  DesiredDeployment desired = shop_prod();
  std::optional<store::InventoryEntry> known;
  std::optional<store::CloneRecord> record;
  std::optional<store::InventoryEntry> source = finished_entry(shop_prod());
  const DesiredDeployment* coming = nullptr;
  ToolVersions versions{.pg_dump = 15, .pg_restore = 15};
  CloneTools tools;
  bool there = true;
};

TEST_F(Clone, ANewDeploymentBeginsAsACopy) {
  const auto decision = decide();
  ASSERT_TRUE(decision.make);
  EXPECT_EQ(decision.make->from, "shop_prod");
  EXPECT_EQ(decision.make->database, "shop_copy");
  EXPECT_EQ(decision.make->generation, 0);
  EXPECT_FALSE(decision.over);
}

TEST_F(Clone, OnceIsOnce) {
  done(decide());
  EXPECT_FALSE(decide().make);
  EXPECT_TRUE(decide().notes.empty());
}

TEST_F(Clone, OnceNeverReplacesADatabaseThatWasThereBefore) {
  has_a_database();
  const auto decision = decide();
  EXPECT_FALSE(decision.make);
  EXPECT_THAT(decision.notes, ElementsAre(HasSubstr("it is not replaced")));
}

TEST_F(Clone, ForceMakesANewGenerationAndOnlyOne) {
  has_a_database();
  desired.clone->force = true;
  auto decision = decide();
  ASSERT_TRUE(decision.make);
  EXPECT_TRUE(decision.over);
  EXPECT_EQ(decision.make->database, "shop_copy_v1");
  EXPECT_EQ(decision.make->replaces, "shop_copy");
  done(decision);
  EXPECT_FALSE(decide().make) << "force-clone stays in the file";
  desired.source.blob = "b2";
  EXPECT_FALSE(decide().make) << "whatever else changes in the file";
}

TEST_F(Clone, AlwaysCopiesForEachVersionOfTheFile) {
  desired.clone->mode = CloneFrom::Mode::always;
  done(decide());
  EXPECT_FALSE(decide().make);
  desired.source.blob = "b2";
  const auto decision = decide();
  ASSERT_TRUE(decision.make);
  EXPECT_EQ(decision.make->database, "shop_copy_v1");
}

TEST_F(Clone, ADatabaseThatIsGoneIsCopiedAgainAndNotMadeEmpty) {
  done(decide());
  there = false;
  const auto decision = decide();
  ASSERT_TRUE(decision.make);
  EXPECT_FALSE(decision.over);
  EXPECT_EQ(decision.make->database, "shop_copy");
}

TEST_F(Clone, WhatWasInterruptedGoesAndIsBegunAgain) {
  record = *decide().make;
  record->id = 1;
  known = begun_entry();
  const auto decision = decide();
  ASSERT_TRUE(decision.discard);
  EXPECT_EQ(decision.discard->database, "shop_copy");
  ASSERT_TRUE(decision.make);
  EXPECT_EQ(decision.make->id, 0);
}

TEST_F(Clone, ACopyThatIsWholeGoesOn) {
  record = *decide().make;
  record->id = 1;
  record->state = store::CloneState::copied;
  known = begun_entry();
  const auto decision = decide();
  EXPECT_FALSE(decision.discard);
  ASSERT_TRUE(decision.make);
  EXPECT_EQ(decision.make->id, 1);
}

TEST_F(Clone, AnInterruptedCopyThatIsNoLongerAskedForGoes) {
  record = *decide().make;
  record->id = 1;
  record->state = store::CloneState::copied;
  desired.clone.reset();
  const auto decision = decide();
  EXPECT_TRUE(decision.discard);
  EXPECT_FALSE(decision.make);
}

TEST_F(Clone, WaitsForItsSourceUnlessThatIsMadeInTheSamePass) {
  source.reset();
  EXPECT_TRUE(decide().waiting);
  const auto prod = shop_prod();
  coming = &prod;
  const auto decision = decide();
  EXPECT_FALSE(decision.waiting);
  ASSERT_TRUE(decision.make);
  EXPECT_EQ(decision.make->from, "shop_prod");
}

TEST_F(Clone, ProgramsThatAreTooOldOrMissingAreRefusedBeforeAnythingIsMade) {
  versions.pg_dump = 14;
  auto decision = decide();
  ASSERT_TRUE(decision.refusal);
  EXPECT_FALSE(decision.make);
  EXPECT_THAT(decision.refusal->to_string(), HasSubstr("of version 14, the server of 15"));
  EXPECT_THAT(decision.refusal->remedy, HasSubstr("clone.pg_dump"));
  versions.pg_dump = failure(ErrorKind::not_found, "no program pg_dump on PATH");
  decision = decide();
  ASSERT_TRUE(decision.refusal);
  EXPECT_THAT(decision.refusal->to_string(), HasSubstr("no program pg_dump on PATH"));
  versions = {.pg_dump = 17, .pg_restore = 16};
  EXPECT_TRUE(decide().refusal) << "16 does not understand what 17 writes";
}

TEST_F(Clone, ByTemplateNoProgramIsNeeded) {
  desired.clone->by_template = true;
  versions.pg_dump = 12;
  const auto decision = decide();
  EXPECT_FALSE(decision.refusal);
  EXPECT_FALSE(decision.needs_versions);
  ASSERT_TRUE(decision.make);
  EXPECT_EQ(decision.make->from, "shop_prod");
}

TEST(TakeOver, OwnersComeFirstRightsOfOthersAndDefaultsGo) {
  using How = RoleMention::How;
  const Mentions mentions{
      .objects = {{.how = How::privilege, .type = "view", .identity = "s.v", .role = "shop_prod_ro"},
                  {.how = How::owner, .type = "aggregate", .identity = "s.\"All\"(integer)", .role = "shop_prod"}},
      .defaults = {{.role = "shop_prod", .object = 'f', .grantees = {"shop_prod", "shop_prod_ro"}},
                   {.role = "shop_prod", .schema = "s", .object = 'r', .grantees = {""}}}};
  EXPECT_FALSE(beyond_template(mentions));
  const std::string defaults = "ALTER DEFAULT PRIVILEGES FOR ROLE \"shop_prod\" ";
  EXPECT_EQ(take_over_text(mentions, "shop_copy"),
            "ALTER ROUTINE s.\"All\"(integer) OWNER TO \"shop_copy\";\n"
            "REVOKE ALL ON TABLE s.v FROM \"shop_prod_ro\" CASCADE;\n" +
                defaults + "REVOKE ALL ON FUNCTIONS FROM \"shop_prod_ro\";\n" + defaults +
                "GRANT ALL ON FUNCTIONS TO \"shop_prod\";\n" + defaults + "GRANT EXECUTE ON FUNCTIONS TO PUBLIC;\n" +
                defaults + "IN SCHEMA \"s\" REVOKE ALL ON TABLES FROM PUBLIC;\n");
}

TEST(TakeOver, WhatPostgresqlGivesToNobodyElseIsNamed) {
  using How = RoleMention::How;
  EXPECT_EQ(beyond_template({.objects = {{.type = "extension", .identity = "citext", .role = "shop_prod"}}}),
            "extension citext belongs to shop_prod");
  EXPECT_EQ(beyond_template(
                {.objects = {{.how = How::other, .type = "policy", .identity = "p on s.t", .role = "shop_prod"}}}),
            "policy p on s.t names role shop_prod");
}

TEST_F(Clone, SchemasOfTheSourceGetTheNamesOfTheCopy) {
  EXPECT_THAT(renamed_schemas(desired, "shop_prod"),
              ElementsAre(Pair("shop_prod", "shop_copy"), Pair("shop_prod_audit", "shop_copy_audit")));
}

TEST_F(Clone, ProgramVersionsAreRead) {
  EXPECT_EQ(*parse_program_version("pg_dump (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)\n"), 15);
  EXPECT_EQ(*parse_program_version("pg_restore (PostgreSQL) 18beta1\n"), 18);
  for (const auto* bad : {"", "pg_dump", "(PostgreSQL) ", "(PostgreSQL) x"}) EXPECT_FALSE(parse_program_version(bad));
}

TEST_F(Clone, ACopyOverIsUnderApproval) {
  has_a_database();
  desired.clone->force = true;
  const auto decision = decide();
  desired.database = decision.make->database;
  const auto plan =
      plan_deployment({.desired = desired, .server = empty_server(), .known = &*known, .clone = &decision});
  ASSERT_FALSE(plan.refusal) << plan.refusal->to_string();
  EXPECT_THAT(demanded_approval(plan.actions, {ApprovalKind::clone_over}), ElementsAre("clone-over"));
  EXPECT_THAT(
      to_text({.deployments = {plan}}),
      HasSubstr(
          "~ copy      database shop_copy_v1 from shop/prod (shop_prod), pg_dump | pg_restore; shop_copy is kept"));
}

}  // namespace
}  // namespace opi::provision
