#include "cli/arguments.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/repositories.hpp"

namespace opi::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::expected<Arguments, Leave> parse(std::vector<const char*> words) {
  words.insert(words.begin(), "opi");
  return parse_arguments(static_cast<int>(words.size()), words.data());
}

TEST(Arguments, PsqlTakesProjectDeploymentAndWhatFollowsTheDashes) {
  const auto arguments = parse({"psql", "--config", "x.yaml", "shop", "prod", "--", "-c", "select 1"});
  ASSERT_TRUE(arguments.has_value());
  EXPECT_EQ(arguments->command, Command::psql);
  EXPECT_EQ(arguments->config, "x.yaml");
  EXPECT_EQ(arguments->project, "shop");
  EXPECT_EQ(arguments->deployment, "prod");
  EXPECT_THAT(arguments->rest, ElementsAre("-c", "select 1"));
}

TEST(Arguments, PlanWithoutAProjectMeansAll) {
  const auto arguments = parse({"plan", "--json"});
  ASSERT_TRUE(arguments.has_value());
  EXPECT_EQ(arguments->command, Command::plan);
  EXPECT_TRUE(arguments->json);
  EXPECT_EQ(arguments->project, "");
}

TEST(Arguments, CredentialsAreAUriUnlessAskedOtherwise) {
  EXPECT_EQ(parse({"credentials", "shop", "prod"})->format, "uri");
  EXPECT_EQ(parse({"credentials", "shop", "prod", "--format", "env"})->format, "env");
}

TEST(Arguments, RotationIsOfAProjectAndSeamlessUnlessAskedOtherwise) {
  EXPECT_FALSE(parse({"rotate", "shop"})->immediately);
  const auto leaked = parse({"rotate", "shop", "prod", "--immediately"});
  EXPECT_EQ(leaked->command, Command::rotate);
  EXPECT_EQ(leaked->deployment, "prod");
  EXPECT_TRUE(leaked->immediately);
  EXPECT_FALSE(parse({"rotate"}).has_value()) << "never everything by a slip";
}

TEST(Arguments, WhatGoesForGoodIsNamed) {
  const auto name_space = parse({"removals", "namespace", "rig-shop"});
  EXPECT_EQ(name_space->command, Command::removals_namespace);
  EXPECT_EQ(name_space->project, "rig-shop");
  EXPECT_FALSE(parse({"removals", "namespace"}).has_value());
  const auto key = parse({"secrets", "replace-key", "shop"});
  EXPECT_EQ(key->command, Command::secrets_replace_key);
  EXPECT_EQ(key->project, "shop");
  EXPECT_FALSE(parse({"secrets", "replace-key"}).has_value()) << "never every key by a slip";
}

TEST(Arguments, ARepositoryOrAProjectIsSuspendedByItsName) {
  const auto suspend = parse({"suspend", "project", "shop", "--reason", "migration"});
  EXPECT_EQ(suspend->command, Command::suspend);
  EXPECT_EQ(suspend->kind + " " + suspend->name + " " + suspend->reason, "project shop migration");
  EXPECT_EQ(parse({"resume", "repository", "team-a"})->command, Command::resume);
  EXPECT_EQ(parse({"reconcile", "project", "shop"})->command, Command::reconcile);
  EXPECT_EQ(parse({"repositories"})->command, Command::repositories);
  EXPECT_FALSE(parse({"suspend", "deployment", "shop"}).has_value());
  EXPECT_FALSE(parse({"suspend", "project"}).has_value());
}

TEST(Repositories, AreATableAndWhatFailsHasALineOfReason) {
  const auto text = repositories_text(
      R"({"repositories": [{"name": "team-a", "state": "unreachable", "last_check": "2026-01-02T03:04:05Z",
          "failing_since": "2026-01-02T03:00:00Z", "error": "refused", "branches": [
            {"branch": "main", "head": "0123456789abcdef", "files": 3, "behind_since": "2026-01-02T03:01:00Z",
             "refused": {"commit": "fedcba9876543210", "author": "Eve", "reason": "it is not signed"}},
            {"branch": "next", "files": 0}]}]})");
  ASSERT_TRUE(text);
  EXPECT_EQ(*text,
            "REPOSITORY  BRANCH  STATE        HEAD     LAST CHECK  LAST SUCCESS  NEXT CHECK  BEHIND SINCE\n"
            "team-a      main    unreachable  0123456  03:04:05Z   -             -           03:01:00Z\n"
            "team-a      next    unreachable  -        03:04:05Z   -             -           -\n"
            "\nteam-a: since 2026-01-02T03:00:00Z: refused"
            "\nteam-a: fedcba9 of main is not acted on: it is not signed\n");
  for (const char* odd : {"", "[]", "{}", "{\"repositories\": 1}", "not json"}) EXPECT_FALSE(repositories_text(odd));
  EXPECT_EQ(repositories_text("{\"repositories\": [1, {\"branches\": [2]}]}").value().substr(0, 10), "REPOSITORY");
}

TEST(Arguments, ConfigHasCommandsOfItsOwn) {
  EXPECT_EQ(parse({"config", "check"})->command, Command::config_check);
  EXPECT_EQ(parse({"config", "show", "--json"})->command, Command::config_show);
  EXPECT_EQ(parse({"config", "manual"})->command, Command::config_manual);
}

TEST(Arguments, BadUsageIsOneLineAndCode64) {
  for (const auto& words : std::vector<std::vector<const char*>>{{},
                                                                 {"frobnicate"},
                                                                 {"plan", "--nope"},
                                                                 {"credentials", "shop"},
                                                                 {"credentials", "a", "b", "--format", "xml"},
                                                                 {"validate"}}) {
    const auto arguments = parse(words);
    ASSERT_FALSE(arguments.has_value());
    EXPECT_EQ(arguments.error().code, 64);
    EXPECT_THAT(arguments.error().text, testing::StartsWith("opi: "));
    EXPECT_EQ(std::count(arguments.error().text.begin(), arguments.error().text.end(), '\n'), 1)
        << arguments.error().text;
  }
}

TEST(Arguments, HelpAndVersionLeaveWithCode0) {
  const auto help = parse({"--help"});
  ASSERT_FALSE(help.has_value());
  EXPECT_EQ(help.error().code, 0);
  EXPECT_THAT(help.error().text, HasSubstr("credentials"));
  const auto version = parse({"--version"});
  ASSERT_FALSE(version.has_value());
  EXPECT_EQ(version.error().code, 0);
  EXPECT_THAT(version.error().text, HasSubstr("opi "));
}

}  // namespace
}  // namespace opi::cli
