#include "cli/arguments.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
