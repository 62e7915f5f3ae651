#include "http/readiness.hpp"

#include <gmock/gmock.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace opi::http {
namespace {

using aio::LifespanState;
using aio::PhaseState;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

pg::PoolStats pool(const char* name, bool available) {
  pg::PoolStats stats;
  stats.name = name;
  stats.min = 2;
  stats.max = 10;
  stats.idle = available ? 2 : 0;
  stats.available = available;
  if (!available) stats.last_error = "connection refused by 127.0.0.1:1";
  return stats;
}

struct Case {
  const char* name;
  LifespanState state;
  bool main;
  bool analytics;
  bool ready;
  const char* shown;
};

class ReadinessRule : public ::testing::TestWithParam<Case> {};

TEST_P(ReadinessRule, Holds) {
  const Case& one = GetParam();
  const auto readiness = readiness_of({one.state, {}}, {pool("main", one.main), pool("analytics", one.analytics)});
  EXPECT_EQ(readiness.ready, one.ready);
  EXPECT_EQ(readiness.state, one.shown);
}

constexpr Case cases[] = {
    {"Created", LifespanState::created, true, true, false, "starting"},
    {"Starting", LifespanState::starting, true, true, false, "starting"},
    {"Serving", LifespanState::serving, true, true, true, "ready"},
    {"ServingWithoutAnother", LifespanState::serving, true, false, true, "degraded"},
    {"ServingWithoutMain", LifespanState::serving, false, true, false, "unavailable"},
    {"ServingWithoutAny", LifespanState::serving, false, false, false, "unavailable"},
    {"Draining", LifespanState::draining, true, true, false, "draining"},
    {"Stopped", LifespanState::stopped, true, true, false, "stopped"},
};
INSTANTIATE_TEST_SUITE_P(Table, ReadinessRule, ::testing::ValuesIn(cases),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(Readiness, NamesWhatIsMissing) {
  aio::LifespanStatus lifespan{LifespanState::serving,
                               {{.name = "database_pools", .state = PhaseState::degraded, .degraded = {"analytics"}},
                                {.name = "git_monitor", .state = PhaseState::failed, .error = "no git"}}};
  const auto readiness = readiness_of(lifespan, {pool("main", true), pool("analytics", false)}, {"startup_tasks"});
  EXPECT_THAT(readiness.degraded, ElementsAre("pool analytics", "phase git_monitor", "startup_tasks"));
  EXPECT_EQ(readiness.state, "degraded");
  // The pool is back: what the phase once said of it is history.
  lifespan.phases.pop_back();
  EXPECT_THAT(readiness_of(lifespan, {pool("main", true), pool("analytics", true)}).degraded, IsEmpty());
}

TEST(Readiness, WithoutPoolsNothingIsReady) {
  EXPECT_EQ(readiness_of({LifespanState::serving, {}}, {}).state, "unavailable");
}

TEST(Readiness, IsShownAsJson) {
  const aio::LifespanStatus lifespan{LifespanState::serving,
                                     {{.name = "database_pools",
                                       .state = PhaseState::degraded,
                                       .start_duration = std::chrono::microseconds{13'204},
                                       .degraded = {"analytics"}}}};
  EXPECT_EQ(boost::json::serialize(readiness_json(readiness_of(lifespan, {pool("main", true), pool("b", false)}))),
            R"({"state":"degraded","ready":true,"degraded":["pool b"],)"
            R"("phases":[{"name":"database_pools","state":"degraded","start_ms":1.3204E1,"stop_ms":0E0,)"
            R"("degraded":["analytics"]}],)"
            R"("pools":[{"name":"main","available":true,"min":2,"max":10,"idle":2,"used":0,"dialing":0,"closing":0,)"
            R"("waiting":0},{"name":"b","available":false,"min":2,"max":10,"idle":0,"used":0,"dialing":0,"closing":0,)"
            R"("waiting":0,"error":"connection refused by 127.0.0.1:1"}]})");
}

}  // namespace
}  // namespace opi::http
