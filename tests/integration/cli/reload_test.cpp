// SIGHUP: what the program takes while it runs, and what it refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/private_postgres.hpp"
#include "integration/cli/program.hpp"
#include "integration/http/tcp_client.hpp"
#include "secrets/platform_key.hpp"
#include "support/postgres_server.hpp"

namespace opi::test {
namespace {

using http::testing::TcpClient;
using testing::HasSubstr;
using testing::Not;

class ReloadTest : public testing::Test {
 protected:
  ReloadTest() : http_(app::free_port(0).value()), probes_(app::free_port(0).value()) {
    folder_.write("key.txt", secrets::PlatformKey::generate().to_key_file("2026-01-01").reveal());
    server_.execute_as_superuser("CREATE ROLE keeper SUPERUSER LOGIN PASSWORD 'first-secret'");
    folder_.write("password", "first-secret\n");
  }
  void configure(const std::string& of_main, const std::string& more = "", const std::string& user = "keeper") const {
    folder_.write("opi.yaml",
                  "environment: test\nlog: {format: text}\ndatabases:\n  main:\n    host: 127.0.0.1\n"
                  "    port: " +
                      std::to_string(server_.port()) + "\n    user: " + user + "\n    password_file: password\n" +
                      of_main + "secrets: {platform_key_file: key.txt}\nstate: {directory: state}\n" +
                      "probes: {port: " + std::to_string(probes_) + "}\n" +
                      (more.empty() ? "http: {port: " + std::to_string(http_) + "}\n" : more));
  }
  std::string sessions_with(const std::string& condition) const {
    return server_.query_as_superuser("SELECT count(*) FROM pg_stat_activity WHERE usename = 'keeper' AND " +
                                      condition);
  }

  OpenFolder folder_;
  PostgresServer server_;
  std::uint16_t http_;
  std::uint16_t probes_;
};

TEST_F(ReloadTest, PoolScenario69_ChangedPoolSettingsAreTakenWithoutARestart) {
  configure("    pool: {min: 2, max: 10}\n");
  RunningOpi opi(folder_.path(), {"serve"});
  ASSERT_TRUE(opi.says("serving")) << opi.text();
  configure("    pool: {min: 3, max: 7}\n");
  opi.signal(SIGHUP);
  ASSERT_TRUE(opi.says("resized: min 2 → 3, max 10 → 7")) << opi.text();
  EXPECT_THAT(TcpClient::get(http_, "/metrics"), HasSubstr("opi_pool_max_connections{pool=\"main\"} 7"));
  configure("    application_name: renamed\n    pool: {min: 3, max: 7}\n");
  opi.signal(SIGHUP);
  ASSERT_TRUE(opi.says("recycled: application_name opi → renamed")) << opi.text();
  const auto last = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (sessions_with("application_name = 'renamed'") == "0" && std::chrono::steady_clock::now() < last) {
  }
  EXPECT_NE(sessions_with("application_name = 'renamed'"), "0");
  opi.signal(SIGTERM);
  EXPECT_EQ(opi.wait(), 0) << opi.text();
}

TEST_F(ReloadTest, PoolScenario70_ARotatedPasswordIsTakenWithoutARestartAndNeverShown) {
  configure("    pool: {min: 1, max: 4}\n");
  RunningOpi opi(folder_.path(), {"serve"});
  ASSERT_TRUE(opi.says("serving")) << opi.text();
  server_.execute_as_superuser("ALTER ROLE keeper PASSWORD 'second-secret'");
  server_.execute_as_superuser("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'keeper'");
  ASSERT_TRUE(opi.says("[28P01]")) << opi.text();
  folder_.write("password", "second-secret\n");
  opi.signal(SIGHUP);
  ASSERT_TRUE(opi.says("available, PostgreSQL", std::chrono::seconds(20))) << "at once, not after the half minute";
  opi.signal(SIGTERM);
  EXPECT_EQ(opi.wait(), 0) << opi.text();
  EXPECT_THAT(opi.text(), Not(HasSubstr("-secret")));
}

TEST_F(ReloadTest, PoolScenario82_WhatIsWrongOrCannotChangeLeavesTheOldInForceAndIsSaid) {
  configure("    pool: {min: 2, max: 10}\n");
  RunningOpi opi(folder_.path(), {"serve"});
  ASSERT_TRUE(opi.says("serving")) << opi.text();
  configure("    pool: {min: 20, max: 10}\n");
  opi.signal(SIGHUP);
  ASSERT_TRUE(opi.says("databases.main.pool.min: 20 is more than pool.max (10)")) << opi.text();
  ASSERT_TRUE(opi.says("not taken; the settings of before stay in force")) << opi.text();
  configure("    pool: {max: 8}\n", {}, "nobody_here");
  opi.signal(SIGHUP);
  ASSERT_TRUE(opi.says("a first connection failed for pool main")) << opi.text();
  EXPECT_THAT(TcpClient::get(http_, "/metrics"), HasSubstr("opi_pool_max_connections{pool=\"main\"} 10"));
  EXPECT_THAT(TcpClient::get(probes_, "/readyz"), HasSubstr("200 OK"));
  configure("    pool: {min: 2, max: 9}\n", "http: {port: 1}\n");
  opi.signal(SIGHUP);
  ASSERT_TRUE(opi.says("http.port: " + std::to_string(http_) + " → 1 takes effect with a restart")) << opi.text();
  ASSERT_TRUE(opi.says("resized: max 10 → 9")) << "what can change does" << opi.text();
  opi.signal(SIGTERM);
  EXPECT_EQ(opi.wait(), 0) << opi.text();
}

}  // namespace
}  // namespace opi::test
