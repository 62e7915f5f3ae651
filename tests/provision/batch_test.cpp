#include "provision/batch.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "provision/login_check.hpp"
#include "provision/planning_fixture.hpp"

namespace opi::provision {
namespace {

Error with_code(const char* code, ErrorKind kind = ErrorKind::internal, const char* message = "x") {
  return Error(kind, message).with_code(code);
}

TEST(WorldMoved, AlreadyExistsIsTwoSqlstatesAndConcurrencyHasItsOwn) {
  for (const auto* code : {"42P04", "42710", "42P06", "23505", "40P01", "40001", "55006"})
    EXPECT_TRUE(world_moved(with_code(code))) << code;
  EXPECT_TRUE(world_moved(with_code("XX000", ErrorKind::internal, "tuple concurrently updated")));
  EXPECT_TRUE(world_moved(with_code("XX000", ErrorKind::internal, "tuple concurrently deleted")));
}

TEST(WorldMoved, NothingElseIsTriedAgain) {
  for (const auto* code : {"42501", "28P01", "53300", "57014", "", "01006"})
    EXPECT_FALSE(world_moved(with_code(code))) << code;
  EXPECT_FALSE(world_moved(with_code("XX000", ErrorKind::internal, "cache lookup failed for role 7")));
}

TEST(BatchText, ChangesTheRoleOnlyWhereItMust) {
  const auto desired = shop_prod();
  const auto facts = facts_15();
  const std::vector<Action> actions{{.kind = ActionKind::create_schema, .subject = "shop_prod"},
                                    {.kind = ActionKind::grant_schema_usage, .subject = "shop_prod"},
                                    {.kind = ActionKind::revoke_public_schema, .subject = "public"}};
  EXPECT_EQ(batch_text(actions, {.facts = facts, .desired = desired}),
            "SET LOCAL ROLE \"shop_prod\";\n"
            "CREATE SCHEMA \"shop_prod\" AUTHORIZATION \"shop_prod\";\n"
            "GRANT USAGE ON SCHEMA \"shop_prod\" TO \"shop_prod_ro\";\n"
            "SET LOCAL ROLE NONE;\n"
            "REVOKE ALL ON SCHEMA public FROM PUBLIC;\n");
}

TEST(LoginVerdict, TellsTheReasonsApart) {
  EXPECT_EQ(verdict_of(with_code("28P01", ErrorKind::denied)), LoginVerdict::wrong_password);
  EXPECT_EQ(verdict_of(with_code("28000", ErrorKind::denied)), LoginVerdict::refused);
  EXPECT_EQ(verdict_of(with_code("53300", ErrorKind::exhausted)), LoginVerdict::full);
  EXPECT_EQ(verdict_of(with_code("3D000", ErrorKind::not_found)), LoginVerdict::no_database);
  EXPECT_EQ(verdict_of(with_code("42501", ErrorKind::denied)), LoginVerdict::not_permitted);
  EXPECT_EQ(verdict_of(with_code("", ErrorKind::unavailable)), LoginVerdict::unreachable);
  EXPECT_EQ(verdict_of(with_code("", ErrorKind::timed_out)), LoginVerdict::unreachable);
  EXPECT_EQ(verdict_of(with_code("57P03", ErrorKind::unavailable)), LoginVerdict::unreachable);
  EXPECT_EQ(verdict_of(with_code("XX000")), LoginVerdict::other);
}

}  // namespace
}  // namespace opi::provision
