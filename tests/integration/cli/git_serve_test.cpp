// The daemon and its repositories: webhooks, several of them, suspension, broken files, and two pushers while it is
// killed again and again.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <future>
#include <memory>
#include <mutex>
#include <thread>

#include "app/private_postgres.hpp"
#include "integration/cli/program.hpp"
#include "integration/http/tcp_client.hpp"
#include "secrets/platform_key.hpp"
#include "support/git_repository.hpp"
#include "support/postgres_server.hpp"

namespace opi::test {
namespace {

using namespace std::chrono_literals;
using http::testing::TcpClient;
using testing::HasSubstr;

std::string limited_project(const std::string& name, int limit) {
  return "name: " + name + "\nclusters: [local]\nservices:\n  - postgresql-database: {config: {connection-limit: " +
         std::to_string(limit) +
         "}}\ncomponents:\n  - {name: web, type: deployment, uses-services: [postgresql-database]}\ndeployments:\n"
         "  - {name: d1, cluster: local, components: [{reference: web, image: \"x:1\"}]}\n";
}

std::string hmac_sha256(std::string_view key, const std::string& body) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned int size = 0;
  ::HMAC(::EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(body.data()),
         body.size(), bytes.data(), &size);
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) hex += fmt::format("{:02x}", bytes[i]);
  return hex;
}

class GitServeTest : public testing::Test {
 protected:
  GitServeTest() : http_(app::free_port(0).value()), probes_(app::free_port(0).value()) {
    folder_.write("key.txt", secrets::PlatformKey::generate().to_key_file("2026-01-01").reveal());
    folder_.write("password", server_.password());
  }
  ~GitServeTest() override {
    if (!opi_) return;
    opi_->signal(SIGTERM);
    EXPECT_EQ(opi_->wait(), 0) << opi_->text();
  }

  void configure(const std::string& projects) const {
    folder_.write("opi.yaml", fmt::format("environment: test\nlog: {{format: text}}\ndatabases:\n  main:\n"
                                          "    host: 127.0.0.1\n    port: {}\n    user: {}\n"
                                          "    password_file: password\nsecrets: {{platform_key_file: key.txt}}\n"
                                          "state: {{directory: state}}\nhttp: {{port: {}}}\nprobes: {{port: {}}}\n"
                                          "projects:\n{}",
                                          server_.port(), server_.superuser(), http_, probes_, projects));
  }
  void serve() {
    opi_.emplace(folder_.path(), std::vector<std::string>{"serve"});
    ASSERT_TRUE(opi_->says("serving")) << opi_->text();
  }
  void kill() {
    opi_->signal(SIGKILL);
    (void)opi_->wait();
    opi_.reset();
  }

  std::string post(const std::string& path, const std::string& body, const std::string& headers) const {
    const TcpClient client{http_};
    if (!client.connected()) return "not connected";
    const std::string request = fmt::format(
        "POST {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}"
        "Content-Length: {}\r\n\r\n{}",
        path, headers, body.size(), body);
    return client.send(request) ? client.read_all() : "not sent";
  }
  std::string say(const std::string& path) const { return post(path, "", "Content-Type: application/json\r\n"); }
  std::string push_hook(const std::string& path, const std::string& body) const {
    return post(path, body,
                "X-GitHub-Event: push\r\nX-Hub-Signature-256: sha256=" + hmac_sha256("s3cret", body) + "\r\n");
  }
  boost::json::value status() const {
    const auto answer = TcpClient::get(http_, "/api/v1/status");
    const auto body = answer.find("\r\n\r\n");
    return body == std::string::npos ? boost::json::value() : boost::json::parse(answer.substr(body + 4));
  }
  /// One repository of the status.
  boost::json::object repository(std::string_view name) const {
    const auto all = status();
    for (const auto& one : all.at("repositories").as_array())
      if (std::string_view(one.at("name").as_string()) == name) return one.as_object();
    return {};
  }
  std::string state_of(std::string_view name) const {
    const auto one = repository(name);
    return one.contains("state") ? std::string(std::string_view(one.at("state").as_string())) : std::string();
  }
  bool until(const std::function<bool()>& condition, std::chrono::seconds patience = 60s) {
    const auto last = std::chrono::steady_clock::now() + patience;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > last) return false;
      opi_->listen(20ms);
    }
    return true;
  }
  bool has_limit(const std::string& database, int limit) const {
    return server_.query_as_superuser("select datconnlimit from pg_database where datname = '" + database + "'") ==
           std::to_string(limit);
  }

  OpenFolder folder_;
  PostgresServer server_;
  GitRepository repository_{folder_.path() / "projects.git"};
  std::uint16_t http_;
  std::uint16_t probes_;
  std::optional<RunningOpi> opi_;
};

TEST_F(GitServeTest, ASignedWebhookWakesAtOnceAndABurstIsOneFetch) {
  repository_.commit({{.path = "projects/one.yaml", .content = limited_project("one", 10)}});
  folder_.write("hook", "s3cret");
  configure(
      fmt::format("  repository: {{url: \"{}\", poll_interval: 1h, webhook_secret_file: hook}}\n", repository_.url()));
  serve();
  ASSERT_TRUE(until([&] { return has_limit("one_d1", 10); })) << opi_->text();
  ASSERT_TRUE(until([&] { return state_of("projects") == "following"; }));
  const auto fetches = repository("projects").at("fetches").to_number<int>();

  repository_.commit({{.path = "projects/one.yaml", .content = limited_project("one", 11)}});
  const std::string body =
      fmt::format("{{\"ref\": \"refs/heads/main\", \"repository\": {{\"clone_url\": \"{}\"}}}}", repository_.url());
  EXPECT_THAT(post("/hooks/git", body, "X-GitHub-Event: push\r\n"), HasSubstr("401 "));
  EXPECT_THAT(push_hook("/hooks/git", body), HasSubstr("202 "));
  ASSERT_TRUE(until([&] { return has_limit("one_d1", 11); })) << opi_->text();
  const auto fetched = [&] { return repository("projects").at("fetches").to_number<int>(); };
  EXPECT_TRUE(until([&] { return fetched() > fetches; })) << "told when the check is over";
  EXPECT_EQ(fetched(), fetches + 1);

  repository_.commit({{.path = "projects/one.yaml", .content = limited_project("one", 12)}});
  for (int i = 0; i < 1'000; ++i) ASSERT_THAT(push_hook("/hooks/git/projects", body), HasSubstr("202 "));
  ASSERT_TRUE(until([&] { return has_limit("one_d1", 12); })) << opi_->text();
  EXPECT_TRUE(until([&] { return fetched() > fetches + 1; }));
  EXPECT_EQ(fetched(), fetches + 2);
  EXPECT_EQ(status().at("webhooks").at("woken").to_number<int>(), 1'001);
  EXPECT_EQ(status().at("webhooks").at("refused").to_number<int>(), 1);
}

TEST_F(GitServeTest, SeveralRepositoriesAndBranchesAreFollowedAndOneThatIsAwayStopsNoOther) {
  GitRepository team(folder_.path() / "team.git");
  repository_.commit({{.path = "projects/one.yaml", .content = limited_project("one", 10)}});
  team.commit({{.path = "apps/two.yaml", .content = limited_project("two", 20)}});
  team.commit({{.path = "apps/three.yaml", .content = limited_project("three", 30)}}, {.branch = "next"});
  configure(
      fmt::format("  repository: {{url: \"{}\", poll_interval: 200ms}}\n  repositories:\n"
                  "    team-a: {{url: \"{}\", branches: [main, next], paths: [\"apps/*.yaml\"], "
                  "poll_interval: 200ms}}\n    away: {{url: \"file:///nonexistent/x.git\", poll_interval: 200ms}}\n",
                  repository_.url(), team.url()));
  serve();
  ASSERT_TRUE(until([&] { return has_limit("one_d1", 10) && has_limit("two_d1", 20) && has_limit("three_d1", 30); }))
      << opi_->text();
  ASSERT_TRUE(until([&] { return state_of("away") == "unreachable"; }));
  EXPECT_THAT(TcpClient::get(probes_, "/readyz"), HasSubstr("\"repository away\""));
  EXPECT_THAT(TcpClient::get(http_, "/metrics"),
              HasSubstr("opi_git_repository_state{repository=\"away\",state=\"unreachable\"} 1"));

  team.commit({{.path = "apps/three.yaml", .content = limited_project("three", 31)}}, {.branch = "next"});
  ASSERT_TRUE(until([&] { return has_limit("three_d1", 31); })) << opi_->text();
  const boost::json::array branches = repository("team-a").at("branches").as_array();
  ASSERT_EQ(branches.size(), 2U);
  EXPECT_EQ(std::string_view(branches[1].at("branch").as_string()), "next");
  EXPECT_TRUE(until([&] {
    const auto team_a = repository("team-a");
    return std::string_view(team_a.at("branches").as_array()[1].at("head").as_string()) == team.head("next");
  })) << "told when the check is over";
}

TEST_F(GitServeTest, SuspendedThingsAreLeftAloneAlsoAfterARestartUntilTheyAreResumed) {
  repository_.commit({{.path = "projects/one.yaml", .content = limited_project("one", 10)},
                      {.path = "projects/two.yaml", .content = limited_project("two", 10)}});
  configure(fmt::format("  repository: {{url: \"{}\", poll_interval: 200ms}}\n", repository_.url()));
  serve();
  ASSERT_TRUE(until([&] { return has_limit("one_d1", 10) && has_limit("two_d1", 10); })) << opi_->text();
  EXPECT_THAT(post("/api/v1/projects/one/suspend", "", ""), HasSubstr("415 ")) << "a page of another site could say so";
  EXPECT_THAT(say("/api/v1/projects/nobody/suspend"), HasSubstr("404 "));
  EXPECT_THAT(say("/api/v1/projects/one/suspend"), HasSubstr("200 OK"));
  repository_.commit({{.path = "projects/one.yaml", .content = limited_project("one", 11)},
                      {.path = "projects/two.yaml", .content = limited_project("two", 11)}});
  ASSERT_TRUE(until([&] { return has_limit("two_d1", 11); })) << opi_->text();
  EXPECT_TRUE(has_limit("one_d1", 10));
  EXPECT_THAT(say("/api/v1/projects/one/reconcile"), HasSubstr("409 "));
  kill();
  serve();
  ASSERT_TRUE(until([&] { return state_of("projects") == "following"; }));
  EXPECT_TRUE(has_limit("one_d1", 10));
  EXPECT_THAT(say("/api/v1/projects/one/resume"), HasSubstr("200 OK"));
  EXPECT_TRUE(until([&] { return has_limit("one_d1", 11); })) << opi_->text();

  EXPECT_THAT(say("/api/v1/repositories/projects/suspend"), HasSubstr("200 OK"));
  ASSERT_TRUE(until([&] { return state_of("projects") == "suspended"; }));
  const auto checks = repository("projects").at("checks").to_number<int>();
  repository_.commit({{.path = "projects/two.yaml", .content = limited_project("two", 12)}});
  EXPECT_THAT(say("/api/v1/repositories/projects/reconcile"), HasSubstr("409 "));
  EXPECT_THAT(say("/api/v1/repositories/projects/resume"), HasSubstr("200 OK"));
  EXPECT_TRUE(until([&] { return has_limit("two_d1", 12); })) << opi_->text();
  EXPECT_TRUE(until([&] { return repository("projects").at("checks").to_number<int>() > checks; }));
}

TEST_F(GitServeTest, ABrokenFileKeepsItsLastGoodStateAndNamesTheHeadThatBrokeItAlsoAfterARestart) {
  repository_.commit({{.path = "projects/one.yaml", .content = limited_project("one", 10)}});
  configure(fmt::format("  repository: {{url: \"{}\", poll_interval: 200ms}}\n", repository_.url()));
  serve();
  ASSERT_TRUE(until([&] { return has_limit("one_d1", 10); })) << opi_->text();
  const auto breaking = repository_.commit({{.path = "projects/one.yaml", .content = "name: one\ndeploymnets: []\n"}},
                                           {.author = "Eve Example <eve@example.org>"});
  const auto broken = [&] {
    const auto all = status();
    for (const auto& project : all.at("projects").as_array()) {
      const auto& one = project.as_object();
      if (one.contains("error")) return boost::json::serialize(one);
    }
    return std::string();
  };
  ASSERT_TRUE(until([&] { return !broken().empty(); })) << opi_->text();
  ASSERT_TRUE(until([&] {
    return server_.query_as_superuser("select error_commit_id from opi.project_files", "opi") == breaking;
  })) << opi_->text();
  repository_.commit({{.path = "README.md", .content = "later"}});  // a later head does not take the blame
  kill();
  // While nobody looks, somebody changes the database: what was last good is put right.
  server_.execute_as_superuser("alter database one_d1 connection limit 99");
  serve();
  EXPECT_TRUE(until([&] { return has_limit("one_d1", 10); })) << opi_->text();
  ASSERT_TRUE(until([&] { return !broken().empty(); })) << opi_->text();
  EXPECT_THAT(broken(), HasSubstr("projects/one.yaml:2:1"));
  EXPECT_THAT(broken(), HasSubstr("\"commit\":\"" + breaking + "\""));
  EXPECT_THAT(broken(), HasSubstr("\"author\":\"Eve Example <eve@example.org>\""));
  repository_.commit({{.path = "projects/one.yaml", .content = limited_project("one", 11)}});
  EXPECT_TRUE(until([&] { return has_limit("one_d1", 11); })) << opi_->text();
  EXPECT_TRUE(until([&] { return broken().empty(); }));
}

/// A client that pushes new versions of one project as fast as it can, on top of whatever others push.
void push_until(std::shared_future<void> done, GitRepository* repository, std::mutex* mutex, std::string name,
                int* last) {
  while (done.wait_for(100ms) == std::future_status::timeout) {
    const std::scoped_lock one_at_a_time(*mutex);  // as a Git server takes pushes to one branch
    repository->commit({{.path = "projects/" + name + ".yaml", .content = limited_project(name, ++*last)}});
  }
}

TEST_F(GitServeTest, TwoClientsPushWhileTheDaemonIsKilledAndEveryVersionIsActedOnAtMostOnce) {
  const auto duration = std::getenv("OPI_SOAK") != nullptr ? 600s : 60s;  // NOLINT(concurrency-mt-unsafe)
  std::array<int, 2> last{100, 100};
  const std::array<std::string, 2> names{"one", "two"};
  for (const auto& name : names)
    repository_.commit({{.path = "projects/" + name + ".yaml", .content = limited_project(name, 100)}});
  configure(fmt::format("  repository: {{url: \"{}\", poll_interval: 100ms}}\n", repository_.url()));
  serve();
  ASSERT_TRUE(until([&] { return has_limit("one_d1", 100) && has_limit("two_d1", 100); })) << opi_->text();
  std::promise<void> done;
  const std::shared_future<void> ended = done.get_future().share();
  std::mutex mutex;
  {
    std::vector<std::jthread> clients;
    for (std::size_t i = 0; i < names.size(); ++i)
      clients.emplace_back(push_until, ended, &repository_, &mutex, names[i], &last[i]);
    const auto end = std::chrono::steady_clock::now() + duration;
    int kills = 0;
    while (std::chrono::steady_clock::now() < end) {
      opi_->listen(std::chrono::milliseconds(1'000 + 700 * (kills % 5)));
      kill();
      ++kills;
      serve();
    }
    done.set_value();
    EXPECT_GE(kills, 5);
  }
  EXPECT_GT(last[0], 105);
  EXPECT_TRUE(until([&] { return has_limit("one_d1", last[0]) && has_limit("two_d1", last[1]); })) << opi_->text();
  EXPECT_TRUE(until([&] {
    return server_.query_as_superuser("select count(*) from opi.project_files where error <> ''", "opi") == "0";
  }));
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto blob = repository_.blob("projects/" + names[i] + ".yaml");
    EXPECT_TRUE(until([&] {
      return server_.query_as_superuser(
                 fmt::format("select blob_id from opi.project_files where path = 'projects/{}.yaml'", names[i]),
                 "opi") == blob;
    })) << names[i];
  }
  // Each version has a limit of its own: a statement that succeeded twice was acted on twice.
  EXPECT_EQ(
      server_.query_as_superuser("select coalesce(string_agg(statement, '; '), '') from (select statement from "
                                 "opi.history where outcome = 'succeeded' and statement like '%CONNECTION LIMIT%' "
                                 "group by statement having count(*) > 1) twice",
                                 "opi"),
      "");
  const auto acted = server_.query_as_superuser(
      "select count(*) from opi.history where outcome = 'succeeded' and statement like 'ALTER DATABASE%CONNECTION "
      "LIMIT%'",
      "opi");
  EXPECT_GT(std::stoi(acted), 4) << "versions were acted on while it ran";
  RecordProperty("versions_pushed", last[0] + last[1] - 200);
  RecordProperty("versions_acted_on", acted);
}

}  // namespace
}  // namespace opi::test
