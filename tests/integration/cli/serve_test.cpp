// The daemon on servers of the tests' own: what it says of itself while they come and go.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/private_postgres.hpp"
#include "integration/cli/program.hpp"
#include "integration/http/tcp_client.hpp"
#include "secrets/platform_key.hpp"
#include "support/git_repository.hpp"
#include "support/postgres_server.hpp"

namespace opi::test {
namespace {

using http::testing::TcpClient;
using testing::HasSubstr;

// Asks again until the answer has `text` in it; the last answer when it never has.
std::string ask_until(std::uint16_t port, const char* path, std::string_view text) {
  const auto last = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  std::string answer;
  do {
    answer = TcpClient::get(port, path);
  } while (answer.find(text) == std::string::npos && std::chrono::steady_clock::now() < last);
  return answer;
}

class ServeTest : public testing::Test {
 protected:
  ServeTest() : http_(app::free_port(0).value()), probes_(app::free_port(0).value()) {
    write_key("key.txt");
    folder_.write("password", server_.password());
  }

  void write_key(const char* name) {
    folder_.write(name, secrets::PlatformKey::generate().to_key_file("2026-01-01").reveal());
  }

  // The ordinary file, plus `more`.
  void configure(const std::string& more = "", const std::string& further = "") const {
    folder_.write("opi.yaml",
                  "environment: test\nlog: {format: text}\ndatabases:\n  main:\n    host: 127.0.0.1\n    port: " +
                      std::to_string(server_.port()) + "\n    user: " + server_.superuser() +
                      "\n    password_file: password\n" + further +
                      "secrets: {platform_key_file: key.txt}\nstate: {directory: state}\nhttp: {port: " +
                      std::to_string(http_) + "}\nprobes: {port: " + std::to_string(probes_) + "}\n" + more);
  }
  std::string further_pool(const PostgresServer& server) const {
    return "  analytics:\n    host: 127.0.0.1\n    port: " + std::to_string(server.port()) +
           "\n    user: " + server.superuser() + "\n    password_file: password2\n    projects: ['*']\n";
  }

  OpenFolder folder_;
  PostgresServer server_;
  std::uint16_t http_;
  std::uint16_t probes_;
};

TEST_F(ServeTest, IsReadyWithoutARepositoryAndStopsInReverse) {
  configure();
  RunningOpi opi(folder_.path(), {"serve"});
  ASSERT_TRUE(opi.says("serving")) << opi.text();
  EXPECT_THAT(TcpClient::get(probes_, "/livez"), HasSubstr("200 OK"));
  const auto ready = TcpClient::get(probes_, "/readyz");
  EXPECT_THAT(ready, HasSubstr("200 OK"));
  EXPECT_THAT(ready, HasSubstr("\"name\":\"database_pools\""));
  EXPECT_THAT(TcpClient::get(http_, "/metrics"), HasSubstr("opi_pool_connections{"));
  EXPECT_THAT(TcpClient::get(http_, "/api/v1/status"), HasSubstr("\"environment\":\"test\""));
  opi.signal(SIGTERM);
  EXPECT_EQ(opi.wait(), 0) << opi.text();
  std::size_t before = 0;
  for (const char* phase : {"stopping    http_api", "stopping    git_monitor", "stopping    startup_tasks",
                            "stopping    database_pools", "stopping    probes"}) {
    const auto at = opi.text().find(phase);
    ASSERT_NE(at, std::string::npos) << phase << opi.text();
    EXPECT_GT(at, before) << phase;
    before = at;
  }
}

TEST_F(ServeTest, AFurtherPoolThatIsDownOnlyDegradesAndHealsWithoutARestart) {
  PostgresServer second;
  folder_.write("password2", second.password());
  second.stop();
  configure("", further_pool(second));
  RunningOpi opi(folder_.path(), {"serve"});
  ASSERT_TRUE(opi.says("serving", std::chrono::seconds(30))) << opi.text();
  const auto degraded = ask_until(probes_, "/readyz", "\"pool analytics\"");
  EXPECT_THAT(degraded, HasSubstr("200 OK"));
  EXPECT_THAT(degraded, HasSubstr("\"degraded\":[\"pool analytics\"]"));
  second.start();
  EXPECT_THAT(ask_until(probes_, "/readyz", "\"degraded\":[]"), HasSubstr("\"degraded\":[]"));
  opi.signal(SIGTERM);
  EXPECT_EQ(opi.wait(), 0) << opi.text();
}

TEST_F(ServeTest, JustWhatFailedIsTriedAgain) {
  PostgresServer second;
  folder_.write("password2", second.password());
  second.stop();
  GitRepository repository(folder_.path() / "projects.git");
  std::string far = project_yaml("far");
  const std::string_view plain = "[postgresql-database]\n";
  far.replace(far.find(plain), plain.size(), "[{postgresql-database: {config: {pool: analytics}}}]\n");
  repository.commit(
      {{.path = "projects/far.yaml", .content = far}, {.path = "projects/near.yaml", .content = project_yaml("near")}});
  configure("projects: {repository: {url: \"" + repository.url() + "\", poll_interval: 60s}}\n", further_pool(second));
  RunningOpi opi(folder_.path(), {"serve"});
  ASSERT_TRUE(opi.says("created, database near_d1")) << opi.text();
  ASSERT_THAT(ask_until(http_, "/api/v1/status", "\"passes\":3"), HasSubstr("\"passes\":3")) << opi.text();
  const auto status = TcpClient::get(http_, "/api/v1/status");
  EXPECT_THAT(status, HasSubstr("\"changed\":1,\"unchanged\":0")) << "near was looked at once\n" << opi.text();
  second.start();
  EXPECT_TRUE(opi.says("created, database far_d1")) << opi.text();
  opi.signal(SIGTERM);
  EXPECT_EQ(opi.wait(), 0) << opi.text();
}

TEST_F(ServeTest, WithoutMainItIsUpAndNotReadyThenHealsAndDoesWhatWaited) {
  GitRepository repository(folder_.path() / "projects.git");
  repository.commit({{.path = "projects/late.yaml", .content = project_yaml("late")}});
  server_.stop();
  configure("projects: {repository: {url: \"" + repository.url() + "\", poll_interval: 200ms}}\n");
  RunningOpi opi(folder_.path(), {"serve"});
  ASSERT_TRUE(opi.says("serving", std::chrono::seconds(30))) << opi.text();
  EXPECT_THAT(TcpClient::get(probes_, "/readyz"), HasSubstr("503 "));
  EXPECT_THAT(TcpClient::get(probes_, "/livez"), HasSubstr("200 OK"));
  EXPECT_THAT(TcpClient::get(http_, "/api/v1/status"), HasSubstr("200 OK"));
  server_.start();
  EXPECT_TRUE(opi.says("created, database late_d1")) << opi.text();
  EXPECT_THAT(ask_until(probes_, "/readyz", "200 OK"), HasSubstr("200 OK"));
  EXPECT_EQ(server_.query_as_superuser("select count(*) from pg_database where datname = 'late_d1'"), "1");
  opi.signal(SIGTERM);
  EXPECT_EQ(opi.wait(), 0) << opi.text();
}

TEST_F(ServeTest, ARepositoryThatCannotBeReadDegradesAndIsNotTakenForAnEmptyOne) {
  const fs::path path = folder_.path() / "projects.git";
  const std::string projects =
      "projects: {repository: {url: \"file://" + path.string() + "\", poll_interval: 200ms}}\n";
  configure(projects);
  {
    GitRepository repository(path);
    repository.commit({{.path = "projects/one.yaml", .content = project_yaml("one")}});
    RunningOpi opi(folder_.path(), {"serve"});
    ASSERT_TRUE(opi.says("created, database one_d1")) << opi.text();
    opi.signal(SIGTERM);
    ASSERT_EQ(opi.wait(), 0);
  }
  fs::rename(path, folder_.path() / "away.git");
  RunningOpi opi(folder_.path(), {"serve"});
  ASSERT_TRUE(opi.says("serving", std::chrono::seconds(30))) << opi.text();
  const auto degraded = TcpClient::get(probes_, "/readyz");
  EXPECT_THAT(degraded, HasSubstr("200 OK"));
  EXPECT_THAT(degraded, HasSubstr("\"startup_tasks\""));
  fs::rename(folder_.path() / "away.git", path);
  EXPECT_THAT(ask_until(probes_, "/readyz", "\"degraded\":[]"), HasSubstr("\"degraded\":[]"));
  EXPECT_THAT(TcpClient::get(http_, "/api/v1/status"), HasSubstr("\"state\":\"ready\""));
  EXPECT_EQ(opi.text().find("kept"), std::string::npos) << opi.text();
  opi.signal(SIGTERM);
  EXPECT_EQ(opi.wait(), 0) << opi.text();
}

TEST_F(ServeTest, LosingMainWhileServingIsSeenAndHeals) {
  configure();
  RunningOpi opi(folder_.path(), {"serve"});
  ASSERT_TRUE(opi.says("serving")) << opi.text();
  server_.stop(PostgresStop::immediate);
  EXPECT_THAT(ask_until(probes_, "/readyz", "503 "), HasSubstr("503 "));
  server_.start();
  EXPECT_THAT(ask_until(probes_, "/readyz", "200 OK"), HasSubstr("200 OK"));
  opi.signal(SIGTERM);
  EXPECT_EQ(opi.wait(), 0) << opi.text();
}

TEST_F(ServeTest, APlatformKeyThatDoesNotOpenTheControlDatabaseIsRefused) {
  configure();
  {
    RunningOpi opi(folder_.path(), {"serve"});
    ASSERT_TRUE(opi.says("serving")) << opi.text();
    opi.signal(SIGTERM);
    ASSERT_EQ(opi.wait(), 0);
  }
  write_key("key.txt");
  const auto refused = run_opi(folder_.path(), {"serve"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.error_output, HasSubstr("platform key does not open"));
}

TEST_F(ServeTest, APortInUseIsNamedWithItsSetting) {
  configure();
  RunningOpi opi(folder_.path(), {"serve"});
  ASSERT_TRUE(opi.says("serving")) << opi.text();
  const auto other = app::free_port(0).value();
  const auto refused = run_opi(folder_.path(), {"serve"}, {"OPI_PROBES__PORT=" + std::to_string(other)});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.error_output,
              HasSubstr("port " + std::to_string(http_) + " is in use by another process; set http.port"));
  opi.signal(SIGTERM);
  EXPECT_EQ(opi.wait(), 0);
}

}  // namespace
}  // namespace opi::test
