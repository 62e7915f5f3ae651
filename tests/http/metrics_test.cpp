// The text that Prometheus reads, checked line by line against its format:
// https://prometheus.io/docs/instrumenting/exposition_formats/ (text format 0.0.4).
#include "http/metrics.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "support/run_coroutine.hpp"

namespace opi::http {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

StatusSnapshot example() {
  StatusSnapshot status;
  status.build = {"0.1.0", "4f2c1e9"};
  status.booted = WallTime{std::chrono::seconds{1'700'000'000}};
  status.lifespan.phases = {
      {.name = "probes", .state = aio::PhaseState::ready, .start_duration = std::chrono::milliseconds{5}}};
  pg::PoolStats main;
  main.name = "main";
  main.min = 2;
  main.max = 10;
  main.idle = 1;
  main.used = 3;
  main.waiting = 4;
  main.acquired = 1'234'567'890;
  main.timed_out = 7;
  main.carrying = 2;
  main.execute_pending = 5;
  main.execute_under_way = 64;
  main.executed = 99;
  main.execute_refused = 3;
  main.execute_given_up = 2;
  main.execute_lost = 1;
  main.available = true;
  main.waited_total = std::chrono::milliseconds{1'500};
  main.waited_queue.add(std::chrono::milliseconds{3});
  main.waited_queue.add(std::chrono::minutes{5});
  main.hosts = {{.host = "db1:5432", .role = pg::HostRole::standby, .available = false, .connections = 3}};
  pg::PoolStats hostile = main;
  hostile.name = "a\"b\\c\nd";
  status.pools = {main, hostile};
  status.git.enabled = true;
  status.git.polls = 12;
  status.provision.passes = 3;
  status.deployments = {{.project = "shop", .deployment = "prod", .state = "ready"},
                        {.project = "shop", .deployment = "staging", .state = "failed"},
                        {.project = "wiki", .deployment = "prod", .state = "ready"}};
  status.projects = {{.name = "shop"}, {.name = "wiki", .error = "broken"}};
  return status;
}

std::string example_text() {
  ServerStats server;
  server.responses = {0, 0, 5, 0, 2, 1};
  ProcessStats process;
  process.resident_bytes = 20U << 20U;
  return metrics_text({example(), server, process});
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream{text};
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

bool has_line(const std::string& line) {
  const auto lines = lines_of(example_text());
  return std::ranges::find(lines, line) != lines.end();
}

TEST(Metrics, EveryLineIsHelpTypeOrASample) {
  const std::regex help{R"(# HELP [a-z_]+ [A-Z0-9][^\n]*\.)"};
  const std::regex type{R"(# TYPE [a-z_]+ (gauge|counter|histogram))"};
  const std::regex sample{
      R"re([a-z_]+(\{[a-z_]+="([^"\\\n]|\\["\\n])*"(,[a-z_]+="([^"\\\n]|\\["\\n])*")*\})? -?[0-9.e+-]+)re"};
  const auto lines = lines_of(example_text());
  EXPECT_GE(lines.size(), 80U);
  for (const std::string& line : lines) {
    EXPECT_TRUE(std::regex_match(line, help) || std::regex_match(line, type) || std::regex_match(line, sample)) << line;
  }
  EXPECT_TRUE(example_text().ends_with('\n'));
}

TEST(Metrics, HelpAndTypeComeOnceAndBeforeTheSamplesOfTheirFamilyWhichStandTogether) {
  std::set<std::string> seen;
  std::string current;
  bool histogram = false;
  for (const std::string& line : lines_of(example_text())) {
    if (line.starts_with("# HELP ")) {
      current = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_TRUE(seen.insert(current).second) << "twice: " << current;
    } else if (line.starts_with("# TYPE ")) {
      EXPECT_EQ(line.substr(7, line.find(' ', 7) - 7), current);
      EXPECT_EQ(line.ends_with(" counter"), current.ends_with("_total")) << line;
      histogram = line.ends_with(" histogram");
    } else {
      std::string name = line.substr(0, line.find_first_of("{ "));
      for (const std::string_view part : {"_bucket", "_sum", "_count"}) {
        if (histogram && name.ends_with(part)) name.resize(name.size() - part.size());
      }
      EXPECT_EQ(name, current) << line;
    }
  }
}

TEST(Metrics, NoSampleStandsTwice) {
  std::set<std::string> seen;
  for (const std::string& line : lines_of(example_text())) {
    if (line.starts_with('#')) continue;
    EXPECT_TRUE(seen.insert(line.substr(0, line.rfind(' '))).second) << line;
  }
}

TEST(Metrics, PoolsAreShownByNameAndState) {
  EXPECT_TRUE(has_line("# TYPE opi_pool_connections gauge"));
  EXPECT_TRUE(has_line(R"(opi_pool_connections{pool="main",state="idle"} 1)"));
  EXPECT_TRUE(has_line(R"(opi_pool_connections{pool="main",state="used"} 3)"));
  EXPECT_TRUE(has_line(R"(opi_pool_connections{pool="main",state="dialing"} 0)"));
  EXPECT_TRUE(has_line(R"(opi_pool_connections{pool="main",state="closing"} 0)"));
  EXPECT_TRUE(has_line(R"(opi_pool_waiting{pool="main"} 4)"));
  EXPECT_TRUE(has_line(R"(opi_pool_available{pool="main"} 1)"));
  EXPECT_TRUE(has_line(R"(opi_pool_acquired_total{pool="main"} 1234567890)"));
  EXPECT_TRUE(has_line(R"(opi_pool_acquire_failed_total{pool="main",reason="timed_out"} 7)"));
  EXPECT_TRUE(has_line(R"(opi_pool_waited_seconds_total{pool="main"} 1.5)"));
}

TEST(Metrics, StatementsThatShareConnectionsAreShownByWhatBecameOfThem) {
  EXPECT_TRUE(has_line(R"(opi_pool_carrying_connections{pool="main"} 2)"));
  EXPECT_TRUE(has_line(R"(opi_pool_execute_pending{pool="main"} 5)"));
  EXPECT_TRUE(has_line(R"(opi_pool_execute_under_way{pool="main"} 64)"));
  EXPECT_TRUE(has_line(R"(opi_pool_execute_total{pool="main",outcome="answered"} 99)"));
  EXPECT_TRUE(has_line(R"(opi_pool_execute_total{pool="main",outcome="refused"} 3)"));
  EXPECT_TRUE(has_line(R"(opi_pool_execute_total{pool="main",outcome="given_up"} 2)"));
  EXPECT_TRUE(has_line(R"(opi_pool_execute_total{pool="main",outcome="lost"} 1)"));
}

TEST(Metrics, APoolThatIsGoneLeavesNothingBehind) {
  StatusSnapshot status = example();
  const std::size_t before = lines_of(metrics_text({status, {}, {}})).size();
  status.pools.pop_back();
  const std::string after = metrics_text({status, {}, {}});
  EXPECT_LT(lines_of(after).size(), before);
  EXPECT_TRUE(after.contains("{pool=\"main\""));
  EXPECT_FALSE(after.contains("c\\nd")) << "the other one's name";
}

TEST(Metrics, TimesAreHistogramsWithCumulatedBuckets) {
  EXPECT_TRUE(has_line("# TYPE opi_pool_wait_seconds histogram"));
  EXPECT_TRUE(has_line(R"(opi_pool_wait_seconds_bucket{pool="main",phase="queue",le="0.002048"} 0)"));
  EXPECT_TRUE(has_line(R"(opi_pool_wait_seconds_bucket{pool="main",phase="queue",le="0.004096"} 1)"));
  EXPECT_TRUE(has_line(R"(opi_pool_wait_seconds_bucket{pool="main",phase="queue",le="+Inf"} 2)"));
  EXPECT_TRUE(has_line(R"(opi_pool_wait_seconds_count{pool="main",phase="queue"} 2)"));
  EXPECT_TRUE(has_line(R"(opi_pool_wait_seconds_sum{pool="main",phase="queue"} 300.003)"));
  EXPECT_TRUE(has_line(R"(opi_pool_wait_seconds_count{pool="main",phase="dial"} 0)"));
}

TEST(Metrics, HostsAreShownWithTheirRole) {
  EXPECT_TRUE(has_line(R"(opi_pool_host_connections{pool="main",host="db1:5432"} 3)"));
  EXPECT_TRUE(has_line(R"(opi_pool_host_available{pool="main",host="db1:5432"} 0)"));
  EXPECT_TRUE(has_line(R"(opi_pool_host_primary{pool="main",host="db1:5432"} 0)"));
}

TEST(Metrics, LabelsAreEscaped) {
  EXPECT_TRUE(has_line(R"(opi_pool_waiting{pool="a\"b\\c\nd"} 4)"));
}

TEST(Metrics, TheRestIsThere) {
  EXPECT_TRUE(has_line(R"(opi_build_info{version="0.1.0",commit="4f2c1e9"} 1)"));
  EXPECT_TRUE(has_line("opi_boot_timestamp_seconds 1700000000"));
  EXPECT_TRUE(has_line(R"(opi_lifespan_phase_start_seconds{phase="probes"} 0.005)"));
  EXPECT_TRUE(has_line(R"(opi_lifespan_phase_state{phase="probes",state="ready"} 1)"));
  EXPECT_TRUE(has_line("opi_git_polls_total 12"));
  EXPECT_TRUE(has_line("opi_provision_passes_total 3"));
  EXPECT_TRUE(has_line(R"(opi_deployments{state="failed"} 1)"));
  EXPECT_TRUE(has_line(R"(opi_deployments{state="ready"} 2)"));
  EXPECT_TRUE(has_line("opi_projects 2"));
  EXPECT_TRUE(has_line("opi_projects_broken 1"));
  EXPECT_TRUE(has_line(R"(opi_http_responses_total{class="2xx"} 5)"));
  EXPECT_TRUE(has_line("process_resident_memory_bytes 20971520"));
}

TEST(Metrics, NoLabelHasTheNameOfAProject) {
  EXPECT_THAT(example_text(), Not(HasSubstr("shop")));
}

TEST(Metrics, WithoutARepositoryOnlyThatIsSaid) {
  StatusSnapshot status = example();
  status.git = {};
  const std::string text = metrics_text({status, {}, {}});
  EXPECT_THAT(text, HasSubstr("\nopi_git_monitor_enabled 0\n"));
  EXPECT_THAT(text, Not(HasSubstr("opi_git_polls")));
}

TEST(Metrics, TheRouteReadsItsSourceEachTime) {
  class Source final : public StatusSource {
   public:
    StatusSnapshot status() const override {
      StatusSnapshot status = example();
      status.provision.passes = ++asked;
      return status;
    }
    mutable std::uint64_t asked = 0;
  };
  const Source source;
  const Server* const no_server = nullptr;
  const Route route = metrics_route(&source, &no_server);
  EXPECT_EQ(route.access, Access::anyone);
  for (int i = 1; i <= 2; ++i) {
    const Response response = test::run_coroutine(route.handler({}));
    EXPECT_EQ(response.content_type, "text/plain; version=0.0.4; charset=utf-8");
    EXPECT_THAT(response.body, HasSubstr("\nopi_provision_passes_total " + std::to_string(i) + "\n"));
    EXPECT_THAT(response.body, ::testing::ContainsRegex("\nprocess_resident_memory_bytes [1-9]"));
  }
}

TEST(ProcessStats, AreThoseOfThisProcess) {
  const ProcessStats stats = process_stats();
  EXPECT_GT(stats.resident_bytes, 1U << 20U);
  EXPECT_GE(stats.virtual_bytes, stats.resident_bytes);
  EXPECT_GE(stats.threads, 1U);
  EXPECT_GE(stats.open_descriptors, 3U);
  EXPECT_GT(stats.max_descriptors, stats.open_descriptors);
  const double now = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  EXPECT_LE(stats.start_time_seconds, now + 2);
  EXPECT_GT(stats.start_time_seconds, now - 3'600);
}

}  // namespace
}  // namespace opi::http
