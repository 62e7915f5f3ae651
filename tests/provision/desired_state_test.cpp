#include "provision/desired_state.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace opi::provision {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

project::Deployment deployment(std::string name, std::string cluster = "local") {
  project::Deployment one;
  one.name = {std::move(name), {}};
  one.cluster = {std::move(cluster), {}};
  one.uses_database = true;
  return one;
}

SourcedProject project_of(std::string name, std::vector<project::Deployment> deployments) {
  SourcedProject from;
  from.source = {.file = "projects/" + name + ".yaml", .blob = "b1", .commit = "c1"};
  from.project.name = {std::move(name), {}};
  int line = 10;
  for (auto& one : deployments) {
    one.namespace_ = from.project.name;
    one.name.place = {.file = from.source.file, .line = line++, .column = 5};
  }
  from.project.deployments = std::move(deployments);
  return from;
}

TEST(DesiredState, TakesTheDeploymentsOfOurClusterThatUseADatabase) {
  auto without = deployment("web");
  without.uses_database = false;
  const auto all = desired_state(
      {project_of("shop", {deployment("staging"), deployment("prod"), without, deployment("far", "other")})}, {});
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].title(), "shop/prod");
  EXPECT_EQ(all[1].title(), "shop/staging");
  EXPECT_EQ(all[0].namespace_, "rig-shop");
  EXPECT_EQ(all[0].names.base, "shop_prod");
  EXPECT_EQ(all[0].pool, "main");
  EXPECT_THAT(all[0].schemas, ElementsAre("shop_prod"));
  EXPECT_EQ(all[0].source.blob, "b1");
  EXPECT_FALSE(all[0].refusal);
}

TEST(DesiredState, RefusesBothOfTwoDeclarationsOfOneNameEachNamingTheOther) {
  const auto all =
      desired_state({project_of("team-a", {deployment("prod")}), project_of("team", {deployment("a-prod")})}, {});
  ASSERT_EQ(all.size(), 2U);
  ASSERT_TRUE(all[0].refusal);
  ASSERT_TRUE(all[1].refusal);
  EXPECT_EQ(all[0].refusal->to_string(),
            "projects/team.yaml:10:5: team/a-prod: it needs the name \"team_a_prod\", as does team-a/prod at "
            "projects/team-a.yaml:10:5; "
            "rename one of the two");
  EXPECT_THAT(all[1].refusal->message, HasSubstr("team/a-prod at projects/team.yaml:10:5"));
}

struct CollisionCase {
  const char* first;
  const char* second;
  bool refused;
};
class DesiredStateNames : public ::testing::TestWithParam<CollisionCase> {};

TEST_P(DesiredStateNames, ThatAreDerivedFromEachOtherAreRefused) {
  const auto all =
      desired_state({project_of("api", {deployment(GetParam().first), deployment(GetParam().second)})}, {});
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].refusal.has_value(), GetParam().refused);
  EXPECT_EQ(all[1].refusal.has_value(), GetParam().refused);
}

INSTANTIATE_TEST_SUITE_P(Pairs, DesiredStateNames,
                         ::testing::Values(CollisionCase{"x", "x-ro", true}, CollisionCase{"x", "x-v1", true},
                                           CollisionCase{"x", "x--a", true}, CollisionCase{"x", "x-v12", true},
                                           CollisionCase{"x", "x-va", false}, CollisionCase{"x", "y-ro", false},
                                           CollisionCase{"x", "x-rw", false}));

TEST(DesiredState, RefusesOneProjectNameInTwoFiles) {
  auto second = project_of("shop", {deployment("staging")});
  second.source.file = "projects/copy.yaml";
  const auto all = desired_state({project_of("shop", {deployment("prod")}), second}, {});
  ASSERT_EQ(all.size(), 2U);
  EXPECT_TRUE(all[0].refusal);
  EXPECT_TRUE(all[1].refusal);
}

TEST(DesiredState, OneRefusedDeploymentLeavesTheOthersAlone) {
  const auto all = desired_state(
      {project_of("team-a", {deployment("prod"), deployment("test")}), project_of("team", {deployment("a-prod")})}, {});
  ASSERT_EQ(all.size(), 3U);
  EXPECT_TRUE(all[0].refusal);
  EXPECT_TRUE(all[1].refusal);
  EXPECT_FALSE(all[2].refusal) << all[2].title();
}

TEST(DesiredState, APoolIsOpenToTheProjectsThatTheSettingsName) {
  auto named = project_of("shop", {deployment("prod")});
  named.project.database.pool = project::Text{"analytics", {}};
  DesiredRules rules;
  EXPECT_TRUE(desired_state({named}, rules).front().refusal) << "unknown pool";
  rules.pool_projects["analytics"] = {"wiki"};
  const auto refused = desired_state({named}, rules).front();
  ASSERT_TRUE(refused.refusal);
  EXPECT_THAT(refused.refusal->message, HasSubstr("pool \"analytics\" is not open to project \"shop\""));
  rules.pool_projects["analytics"] = {"wiki", "shop"};
  EXPECT_FALSE(desired_state({named}, rules).front().refusal);
  rules.pool_projects["analytics"] = {"*"};
  const auto open = desired_state({named}, rules).front();
  EXPECT_FALSE(open.refusal);
  EXPECT_EQ(open.pool, "analytics");
}

TEST(DesiredState, ExtensionsOutsideTheListAreRefused) {
  auto from = project_of("shop", {deployment("prod")});
  from.project.database.extensions = {{"hstore", {}}, {"citext", {}}, {"citext", {}}};
  const auto allowed = desired_state({from}, {}).front();
  EXPECT_FALSE(allowed.refusal);
  EXPECT_THAT(allowed.extensions, ElementsAre("citext", "hstore"));
  from.project.database.extensions.push_back({"file_fdw", {.file = "projects/shop.yaml", .line = 3, .column = 9}});
  const auto refused = desired_state({from}, {}).front();
  ASSERT_TRUE(refused.refusal);
  EXPECT_THAT(refused.refusal->to_string(),
              HasSubstr("projects/shop.yaml:3:9: shop/prod: extension \"file_fdw\" is not allowed"));
}

TEST(DesiredState, NamesThatAreKeptForOthersAreRefused) {
  EXPECT_TRUE(desired_state({project_of("pg", {deployment("x")})}, {}).front().refusal);
  DesiredRules rules;
  rules.control_database = "opi_control";
  EXPECT_TRUE(desired_state({project_of("opi", {deployment("control")})}, rules).front().refusal);
  EXPECT_FALSE(desired_state({project_of("opi", {deployment("other")})}, rules).front().refusal);
}

TEST(DesiredState, ExtraSchemasFollowTheDefaultOneAndThoseOnTheirWayOutAreLeft) {
  auto from = project_of("shop", {deployment("prod")});
  from.project.database.schemas = {{.postfix = {"audit", {}}}, {.postfix = {"old", {}}, .marked_for_deletion = true}};
  const auto wanted = desired_state({from}, {}).front();
  EXPECT_THAT(wanted.schemas, ElementsAre("shop_prod", "shop_prod_audit"));
  EXPECT_THAT(wanted.leaving, ElementsAre("shop_prod_old"));
}

TEST(DesiredState, AnEncodingIsCalledAsTheServerCallsIt) {
  auto from = project_of("shop", {deployment("prod")});
  EXPECT_EQ(desired_state({from}, {}).front().encoding, "UTF8");
  from.project.database.encoding = {"utf-8", {}};
  EXPECT_EQ(desired_state({from}, {}).front().encoding, "UTF8");
  from.project.database.encoding = {"latin1", {}};
  EXPECT_EQ(desired_state({from}, {}).front().encoding, "LATIN1");
}

TEST(InputsHash, ChangesWithWhatDecidesAndWithNothingElse) {
  auto one = desired_state({project_of("shop", {deployment("prod")})}, {}).front();
  const auto before = one.inputs_hash();
  one.source.blob = "b2";
  one.place.line = 99;
  one.namespace_ = "other";
  EXPECT_EQ(one.inputs_hash(), before);
  auto limited = one;
  limited.connection_limit = 5;
  EXPECT_NE(limited.inputs_hash(), before);
  auto split = one;
  split.schemas = {"shop_prod", "x"};
  auto joined = one;
  joined.extensions = {"shop_prod", "x"};
  joined.schemas = {};
  EXPECT_NE(split.inputs_hash(), joined.inputs_hash());
}

}  // namespace
}  // namespace opi::provision
