#include "provision/removal.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "project/parser.hpp"
#include "provision/planning_fixture.hpp"

namespace opi::provision {
namespace {

using store::DeploymentState;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// An estate of deployments d0/prod, d1/prod … that all stand; the test takes declarations away.
class Removals : public ::testing::Test {
 protected:
  Removals() {
    for (int i = 0; i < 20; ++i) stand("d" + std::to_string(i));
    // One that is declared and was never made: the repository is not empty.
    other.project.name.value = "other";
    other.source.file = "projects/other.yaml";
    projects.push_back(other);
  }

  void stand(const std::string& project) {
    auto entry = finished_entry(shop_prod());
    entry.deployment.id = static_cast<std::int64_t>(inventory.entries.size());
    entry.deployment.key = {.project = project, .deployment = "prod"};
    entry.deployment.base_name = project + "_prod";
    entry.deployment.database_name = project + "_prod";
    entry.deployment.file = "projects/" + project + ".yaml";
    entry.deployment.repository = "repo";
    inventory.entries.push_back(entry);
    auto wanted = shop_prod();
    wanted.project = project;
    desired.push_back(wanted);
  }
  store::DeploymentRecord& of(const std::string& project) {
    for (auto& entry : inventory.entries) {
      if (entry.deployment.key.project == project) return entry.deployment;
    }
    throw std::logic_error("no such project");
  }
  void take_away(const std::string& project) {
    std::erase_if(desired, [&](const auto& one) { return one.project == project; });
  }
  std::vector<RemovalDecision> decide(const RemovalRules& rules = {}) const {
    return decide_removals({.desired = desired,
                            .projects = projects,
                            .broken = broken,
                            .inventory = inventory,
                            .repository = "repo",
                            .now = now},
                           rules);
  }
  RemovalDecision only(const RemovalRules& rules = {}) const {
    const auto all = decide(rules);
    EXPECT_EQ(all.size(), 1U);
    return all.at(0);
  }

  WallTime now{std::chrono::hours{10'000}};
  SourcedProject other;
  std::vector<DesiredDeployment> desired;
  std::vector<SourcedProject> projects;
  std::vector<BrokenFile> broken;
  store::Inventory inventory;
};

TEST_F(Removals, WhatIsDeclaredIsNotTheirBusiness) {
  EXPECT_THAT(decide(), IsEmpty());
}

TEST_F(Removals, OneThatVanishedBecomesATombstone) {
  take_away("d3");
  const auto decision = only();
  EXPECT_EQ(decision.step, RemovalStep::bury);
  EXPECT_EQ(decision.entry->deployment.key.project, "d3");
}

TEST_F(Removals, DeletionKeepKeepsWhateverTheDefault) {
  take_away("d3");
  of("d3").deletion = "keep";
  EXPECT_EQ(only().step, RemovalStep::keep);
  of("d3").deletion = "";
  EXPECT_EQ(only({.keep = true}).step, RemovalStep::keep) << "the operator's default";
  of("d3").deletion = "remove";
  EXPECT_EQ(only({.keep = true}).step, RemovalStep::bury) << "the project's own word";
}

TEST_F(Removals, UnknownMeansKeep) {
  take_away("d3");
  broken = {{.source = {.file = "projects/d3.yaml"}, .errors = {}}};
  EXPECT_EQ(only().reason, "its file cannot be read, kept");
  broken = {{.source = {.file = "projects/renamed.yaml"}, .errors = {}}};
  EXPECT_EQ(only().reason, "not all project files can be read, kept") << "it may be declared in there";
  broken[0].last_good_version = true;
  EXPECT_EQ(only().step, RemovalStep::bury) << "what that one declares is known";
  broken[0].last_good_version = false;
  projects.push_back(other);
  projects.back().project.name.value = "d3";
  EXPECT_EQ(only().step, RemovalStep::bury) << "its own file is read, and does not have it any more";
}

TEST_F(Removals, AnotherRepositorysAndAnotherClustersAreLeftAlone) {
  take_away("d3");
  of("d3").repository = "elsewhere";
  EXPECT_EQ(only().reason, "was declared in elsewhere, kept");
  of("d3").repository = "repo";
  projects.push_back(other);
  projects.back().project.name.value = "d3";
  project::Deployment deployment;
  deployment.name.value = "prod";
  deployment.cluster.value = "production";
  projects.back().project.deployments.push_back(deployment);
  EXPECT_EQ(only().reason, "is declared for cluster production now, kept");
}

TEST_F(Removals, AnEmptyRepositoryRemovesNothing) {
  desired.clear();
  projects.clear();
  of("d1").state = DeploymentState::tombstone;
  of("d1").removal_over = true;
  of("d1").remove_after = now;
  of("d2").removal_confirmed = true;
  for (const auto& decision : decide({.most = 1'000, .most_percent = 100})) {
    const auto& project = decision.entry->deployment.key.project;
    EXPECT_EQ(decision.step, project == "d1"   ? RemovalStep::rest
                             : project == "d2" ? RemovalStep::bury
                                               : RemovalStep::hold)
        << project;
  }
}

TEST_F(Removals, TheBrakeHoldsAMassDeletionUntilItIsConfirmed) {
  for (const auto* project : {"d1", "d2", "d3"}) take_away(project);
  for (const auto& one : decide({.most = 3})) EXPECT_EQ(one.step, RemovalStep::bury);
  for (const auto& one : decide({.most = 2})) {
    EXPECT_EQ(one.step, RemovalStep::hold);
    EXPECT_EQ(one.reason, "no longer declared, as are 3 of 20; kept until their removal is confirmed");
  }
  for (const auto& one : decide({.most_percent = 14})) EXPECT_EQ(one.step, RemovalStep::hold);
  for (const auto& one : decide({.most_percent = 15})) EXPECT_EQ(one.step, RemovalStep::bury);
  of("d2").removal_confirmed = true;
  const auto after = decide({.most = 1});
  EXPECT_EQ(after[0].step, RemovalStep::hold);
  EXPECT_EQ(after[1].step, RemovalStep::bury);
  EXPECT_EQ(after[2].step, RemovalStep::hold);
}

TEST_F(Removals, TheBrakeCountsADayAndNotAPass) {
  take_away("d1");
  take_away("d2");
  of("d1").state = DeploymentState::tombstone;
  of("d1").tombstone_at = now - std::chrono::hours{2};
  of("d1").remove_after = now + std::chrono::hours{100};
  EXPECT_EQ(decide({.most = 1})[1].step, RemovalStep::hold);
  of("d1").tombstone_at = now - std::chrono::hours{25};
  EXPECT_EQ(decide({.most = 1})[1].step, RemovalStep::bury);
}

TEST_F(Removals, ASingleOneNeverTripsTheShare) {
  inventory.entries.resize(2);
  take_away("d1");
  EXPECT_EQ(only({.most_percent = 10}).step, RemovalStep::bury);
}

TEST_F(Removals, ATombstoneRestsUntilItsGraceIsOver) {
  take_away("d3");
  of("d3").state = DeploymentState::tombstone;
  of("d3").tombstone_at = now;
  of("d3").remove_after = now;
  EXPECT_EQ(only().step, RemovalStep::rest);
  EXPECT_THAT(only().reason, HasSubstr("disabled, kept until 1971-02-21 16:00Z; declare it again and it is back"));
  of("d3").removal_over = true;
  EXPECT_EQ(only().step, RemovalStep::remove);
  of("d3").state = DeploymentState::removing;
  of("d3").deletion = "keep";
  EXPECT_EQ(only().step, RemovalStep::remove) << "what was begun is ended";
}

TEST_F(Removals, ThePlanShowsWhatIsStillThere) {
  auto entry = finished_entry(shop_prod());
  const auto server = finished_server();
  const auto kinds = [&](RemovalStep step, const ObservedServer& observed, bool dump) {
    std::vector<ActionKind> all;
    for (const auto& action : plan_removal({&entry, step, "no longer declared"}, &observed, dump).actions) {
      EXPECT_EQ(action.sign, step == RemovalStep::rest ? Sign::drift : Sign::remove);
      all.push_back(action.kind);
    }
    return all;
  };
  EXPECT_THAT(kinds(RemovalStep::keep, server, true), IsEmpty());
  EXPECT_THAT(kinds(RemovalStep::hold, server, true), IsEmpty());
  EXPECT_THAT(kinds(RemovalStep::bury, server, true), ElementsAre(ActionKind::bury, ActionKind::disable_login));
  EXPECT_THAT(kinds(RemovalStep::rest, server, true), ElementsAre(ActionKind::disable_login))
      << "somebody let it in again";
  EXPECT_THAT(
      kinds(RemovalStep::remove, server, true),
      ElementsAre(ActionKind::disable_login, ActionKind::final_dump, ActionKind::drop_database, ActionKind::drop_role,
                  ActionKind::drop_role, ActionKind::drop_role, ActionKind::drop_role, ActionKind::forget));
  EXPECT_THAT(kinds(RemovalStep::remove, empty_server(), true), ElementsAre(ActionKind::forget));
}

}  // namespace
}  // namespace opi::provision
