#include "project/naming.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace opi::project {
namespace {

TEST(Naming, NamesAreProjectAndDeploymentWithUnderscores) {
  struct Row {
    const char* project;
    const char* deployment;
    const char* base;
  };
  for (const Row& row : {Row{"shop", "prod", "shop_prod"}, Row{"shop-x7k", "pre-prod", "shop_x7k_pre_prod"},
                         Row{"Shop", "PROD", "shop_prod"}, Row{"a", "b", "a_b"}}) {
    const DatabaseNames names = database_names(row.project, row.deployment);
    EXPECT_EQ(names.base, row.base);
    EXPECT_EQ(names.login_a, std::string(row.base) + "__a");
    EXPECT_EQ(names.login_b, std::string(row.base) + "__b");
    EXPECT_EQ(names.read_only, std::string(row.base) + "_ro");
  }
}

TEST(Naming, ABaseThatFitsWithItsLongestEndingStaysWholeAndOneByteMoreIsHashed) {
  const std::string project(20, 'p');
  const std::string fits(37, 'd');
  EXPECT_EQ(database_names(project, fits).base, project + "_" + fits) << "58 bytes, and _v999 makes 63";
  const DatabaseNames cut = database_names(project, fits + "e");
  EXPECT_EQ(cut.base.size(), 58U);
  // The first 8 digits of what sha256sum says of the uncut 59 bytes.
  EXPECT_EQ(cut.base, project + "_" + std::string(28, 'd') + "_" + "25fd1db4");
}

TEST(Naming, LongNamesThatDifferOnlyBehindTheCutStayApartAndEveryNameFits) {
  const std::string project(30, 'p');
  const DatabaseNames one = database_names(project, std::string(62, 'd') + "1");
  const DatabaseNames two = database_names(project, std::string(62, 'd') + "2");
  EXPECT_NE(one.base, two.base);
  for (const std::string& name : {one.base + "_v999", one.login_a, one.login_b, one.read_only}) {
    EXPECT_LE(name.size(), 63U);
  }
}

TEST(Naming, DerivedNamesAreLoginsReadOnlyRoleAndGenerations) {
  for (const char* name :
       {"shop_api__a", "shop_api__b", "shop_api_ro", "shop_api_v1", "shop_api_v999", "shop_api_v0"}) {
    EXPECT_TRUE(is_derived_name("shop_api", name)) << name;
  }
  for (const char* name : {"shop_api", "shop_api_a", "shop_api__c", "shop_api_v", "shop_api_vx", "shop_api_v1x",
                           "shop_api2_ro", "shop_apiv1", "other_api_ro", "shop_api_rw", "_ro", "_v1", ""}) {
    EXPECT_FALSE(is_derived_name("shop_api", name)) << name;
  }
  EXPECT_FALSE(is_derived_name("", "_ro"));
}

TEST(Naming, ExtraSchemasAreRefusedWhenTooLongNeverCut) {
  EXPECT_EQ(*extra_schema_name("shop_prod", "audit"), "shop_prod_audit");
  EXPECT_EQ(extra_schema_name(std::string(58, 'x'), "abcd")->size(), 63U);
  const auto refused = extra_schema_name(std::string(58, 'x'), "abcde");
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().kind, ErrorKind::invalid);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("has 64 bytes; PostgreSQL takes 63"));
}

TEST(Naming, NamespacesAreDnsLabels) {
  EXPECT_EQ(*namespace_name("rig-", "shop"), "rig-shop");
  EXPECT_EQ(*namespace_name("", "shop"), "shop");
  EXPECT_EQ(namespace_name("rig-", std::string(59, 'n'))->size(), 63U);
  EXPECT_FALSE(namespace_name("rig-", std::string(60, 'n')).has_value());
  for (const char* bad : {"", "shop-", "Shop", "sh_op", "sh.op", "sh op", "sh\nop", "sh'op"}) {
    EXPECT_FALSE(namespace_name("rig-", bad).has_value()) << bad;
  }
  EXPECT_FALSE(namespace_name("-", "shop").has_value());
}

NameClaim claim(const char* project, const char* deployment, const char* server = "main") {
  return {.server = server,
          .base = database_names(project, deployment).base,
          .project = project,
          .deployment = deployment,
          .place = {.file = std::string(project) + ".yaml", .line = 3, .column = 5}};
}

TEST(Naming, CollisionsBetweenProjectsAndWithDerivedNamesAreRefusedWithBothPlaces) {
  const std::vector<NameClaim> claims{claim("team-a", "prod"), claim("team", "a-prod"), claim("shop", "api-v1"),
                                      claim("shop", "api"),    claim("shop", "x-ro"),   claim("shop", "x")};
  const std::vector<Error> errors = colliding_names(claims);
  ASSERT_EQ(errors.size(), 3U);
  EXPECT_EQ(errors[0].to_string(),
            "team.yaml:3:5: the database name \"team_a_prod\" of team/a-prod is also that of team-a/prod: declared at "
            "team-a.yaml:3:5; rename one of the two deployments");
  EXPECT_EQ(errors[0].kind, ErrorKind::conflict);
  EXPECT_THAT(errors[1].message,
              testing::HasSubstr("\"shop_api_v1\" of shop/api-v1 is a name that is made from that of shop/api"));
  EXPECT_THAT(errors[2].message, testing::HasSubstr("\"shop_x_ro\" of shop/x-ro"));
}

TEST(Naming, NothingCollidesAloneOrOnDifferentServers) {
  EXPECT_TRUE(colliding_names(std::vector{claim("shop", "api-v1"), claim("shop", "x-ro")}).empty());
  EXPECT_TRUE(colliding_names(std::vector{claim("team-a", "prod"), claim("team", "a-prod", "other")}).empty());
  EXPECT_TRUE(colliding_names({}).empty());
}

}  // namespace
}  // namespace opi::project
