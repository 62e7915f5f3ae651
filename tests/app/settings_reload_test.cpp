// What of a changed configuration file takes effect while the daemon runs.
#include "app/settings_reload.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/settings_loader.hpp"
#include "app/settings_rooms.hpp"

namespace opi::app {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Settings parsed(const std::string& text) {
  auto settings = parse_settings(text, "opi.yaml", "/", {});
  if (!settings) throw std::runtime_error(settings.error().front().to_string());
  return std::move(*settings);
}

const std::string base =
    "databases:\n"
    "  main: {host: db1, password: one, pool: {max: 10}}\n"
    "  reports: {host: db2, projects: [shop]}\n";

TEST(SettingsReload, PoolSettingsAndPasswordsAreTaken) {
  const auto reload = reload_settings(
      parsed(base), parsed("databases:\n"
                           "  main: {host: db1, password: two, statement_timeout: 5s, pool: {max: 20}}\n"
                           "  reports: {host: db3, projects: [shop], target_session_attrs: standby}\n"));
  EXPECT_THAT(reload.refused, IsEmpty());
  const auto main = pool_config(reload.settings, "main");
  EXPECT_EQ(main.pool.max, 20U);
  EXPECT_EQ(main.server.statement_timeout, std::chrono::seconds{5});
  EXPECT_EQ(main.server.password().value().reveal(), "two");
  const auto reports = pool_config(reload.settings, "reports");
  EXPECT_EQ(reports.server.hosts[0].host, "db3");
  EXPECT_EQ(reports.server.target, pg::SessionTarget::standby);
}

TEST(SettingsReload, WhatNeedsARestartIsRefusedWithItsPlaceAndStays) {
  const auto reload =
      reload_settings(parsed(base), parsed("http: {port: 9000}\n"
                                           "databases:\n"
                                           "  main: {host: db9, password: one, pool: {max: 12}}\n"
                                           "  reports: {host: db2, projects: [shop, wiki], connections: 20}\n"));
  EXPECT_THAT(reload.refused,
              ElementsAre("opi.yaml:3:16: databases.main.host: db1 → db9 takes effect with a restart",
                          "opi.yaml:4:61: databases.reports.connections: 0 → 20 takes effect with a restart",
                          "opi.yaml:4:34: databases.reports.projects: shop → shop, wiki takes effect with a restart",
                          "opi.yaml:1:14: http.port: 8080 → 9000 takes effect with a restart"));
  EXPECT_EQ(*reload.settings.http.port, 8080);
  EXPECT_EQ(*reload.settings.databases.at("main").host, "db1");
  EXPECT_EQ(reload.settings.databases.at("reports").projects->size(), 1U);
  EXPECT_EQ(*reload.settings.databases.at("main").pool.max, 12U) << "what can change does";
}

TEST(SettingsReload, PoolsNeitherComeNorGo) {
  const auto reload = reload_settings(parsed(base), parsed("databases:\n"
                                                           "  main: {host: db1, password: one}\n"
                                                           "  archive: {host: db4, projects: [shop]}\n"));
  EXPECT_THAT(reload.refused, ElementsAre(HasSubstr("databases.archive: a new pool takes effect with a restart"),
                                          HasSubstr("databases.reports: removing a pool takes effect with a restart")));
  EXPECT_TRUE(reload.settings.databases.contains("reports"));
  EXPECT_FALSE(reload.settings.databases.contains("archive"));
}

TEST(SettingsReload, NothingSaysASecret) {
  const auto reload = reload_settings(
      parsed(base + "projects: {repository: {url: 'https://host/a.git', username: x, password: hidden-one}}\n"),
      parsed(base + "projects: {repository: {url: 'https://host/a.git', username: x, password: hidden-two}}\n"));
  EXPECT_THAT(reload.refused, ElementsAre(HasSubstr("projects.repository.password: another password")));
  EXPECT_EQ(reload.refused[0].find("hidden"), std::string::npos);
}

}  // namespace
}  // namespace opi::app
