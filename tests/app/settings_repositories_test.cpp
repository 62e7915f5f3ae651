#include <gmock/gmock.h>

#include "app/settings_loader.hpp"
#include "app/settings_rooms.hpp"

namespace opi::app {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view smallest = "databases:\n  main:\n    host: db\n";

Checked<Settings> parsed(const std::string& projects, const Environment& environment = {}) {
  return parse_settings(std::string(smallest) + projects, "opi.yaml", "/etc/opi", environment);
}

std::string first_line(const Checked<Settings>& settings) {
  return settings ? "" : settings.error().front().to_string();
}

TEST(SettingsRepositories, AnyNumberStandsBesideTheOneAndEachHasItsOwnMirror) {
  const auto settings = parsed(
      "projects:\n  repository: {url: /srv/p.git}\n  repositories:\n"
      "    team-b: {url: /srv/b.git, mirror_directory: b}\n    team-a: {url: /srv/a.git, branches: [main, next]}\n",
      {{"OPI_PROJECTS__REPOSITORIES__TEAM_C__URL", "/srv/c.git"}});
  ASSERT_TRUE(settings) << first_line(settings);
  std::vector<std::string> seen;
  for (const auto& one : repositories_of(*settings)) seen.push_back(one.name + " " + *one.settings->url);
  EXPECT_THAT(seen, ElementsAre("projects /srv/p.git", "team-a /srv/a.git", "team-b /srv/b.git", "team_c /srv/c.git"));
  EXPECT_EQ(mirror_directory(*settings, "projects"), "/var/lib/opi/mirror");
  EXPECT_EQ(mirror_directory(*settings, "team-a"), "/var/lib/opi/mirrors/team-a");
  EXPECT_EQ(mirror_directory(*settings, "team-b"), "/etc/opi/b");
}

TEST(SettingsRepositories, FilesAreNamedByWhereTheyComeFrom) {
  const auto settings = parsed(
      "projects:\n  repository: {url: /srv/p.git, branches: [main, next]}\n  repositories:\n"
      "    team: {url: /srv/a.git, branches: [main, next]}\n");
  ASSERT_TRUE(settings) << first_line(settings);
  const auto all = repositories_of(*settings);
  EXPECT_EQ(name_of_file(all[0], "main", "a.yaml"), "a.yaml");
  EXPECT_EQ(name_of_file(all[0], "next", "a.yaml"), "projects@next:a.yaml");
  EXPECT_EQ(name_of_file(all[1], "main", "a.yaml"), "team:a.yaml");
  EXPECT_EQ(name_of_file(all[1], "next", "a.yaml"), "team@next:a.yaml");
  EXPECT_EQ(ledger_key(all[0], "main"), "/srv/p.git") << "as before there were several";
  EXPECT_EQ(ledger_key(all[1], "next"), "team@next:/srv/a.git");
}

TEST(SettingsRepositories, WhatCannotBeIsRefusedWithItsPlace) {
  EXPECT_THAT(
      first_line(parsed("projects: {repositories: {a: {url: /x}, b: {url: /x}}}\n")),
      HasSubstr("projects.repositories.b.url: is that of projects.repositories.a too; write its branches there"));
  EXPECT_THAT(first_line(parsed("projects: {repositories: {a: {branch: x}}}\n")), HasSubstr("url: is missing"));
  EXPECT_THAT(first_line(parsed("projects: {repositories: {projects: {url: /x}}}\n")), HasSubstr("write another name"));
  EXPECT_THAT(first_line(parsed("projects: {repositories: {\"A b\": {url: /x}}}\n")),
              HasSubstr("is not a repository's name"));
  EXPECT_THAT(first_line(parsed("projects: {repository: {url: /x, branch: a, branches: [b]}}\n")),
              HasSubstr("stands beside"));
  EXPECT_THAT(first_line(parsed("projects: {repository: {url: /x, verify: {mode: head}}}\n")),
              HasSubstr("verify.mode: needs keys"));
  EXPECT_THAT(first_line(parsed("projects: {repository: {url: /x, proxy: \"http://u:p@proxy\"}}\n")),
              HasSubstr("has credentials in it"));
  EXPECT_THAT(first_line(parsed("projects: {repository: {url: \"https://u:p@host/x\"}}\n")),
              HasSubstr("has a password in it"));
}

}  // namespace
}  // namespace opi::app
