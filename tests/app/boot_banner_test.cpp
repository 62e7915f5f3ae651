#include "app/boot_banner.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "app/version.hpp"

namespace opi::app {
namespace {

using testing::HasSubstr;

TEST(BootBanner, NamesTitleVersionCommitTimeEnvironmentMonitoringAndPools) {
  std::ostringstream out;
  print_boot_banner(out, {.environment = "production",
                          .boot_time = WallTime{std::chrono::seconds{1'795'483'323}},
                          .git_monitoring = true,
                          .pools = {"main", "analytics"}});
  const std::string text = out.str();
  EXPECT_THAT(text, HasSubstr(std::string("Operations Manager ") + std::string(version())));
  EXPECT_THAT(text, HasSubstr("(" + std::string(commit()) + ")"));
  EXPECT_THAT(text, HasSubstr("Boot time       2026-11-24T01:22:03Z"));
  EXPECT_THAT(text, HasSubstr("Environment     production"));
  EXPECT_THAT(text, HasSubstr("Git monitoring  on"));
  EXPECT_THAT(text, HasSubstr("Pools           main, analytics"));
}

TEST(BootBanner, IsFramedByRulesOf80Characters) {
  const auto lines = boot_banner_lines({.environment = "test", .boot_time = {}, .pools = {"main"}});
  const std::string rule(80, '=');
  EXPECT_EQ(lines.front(), rule);
  EXPECT_EQ(lines[2], rule);
  EXPECT_EQ(lines.back(), rule);
}

TEST(BootBanner, SaysThatMonitoringIsOff) {
  const auto lines = boot_banner_lines({.environment = "test", .boot_time = {}, .pools = {"main"}});
  EXPECT_THAT(lines, testing::Contains("Git monitoring  off"));
}

}  // namespace
}  // namespace opi::app
