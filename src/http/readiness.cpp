#include "http/readiness.hpp"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <cmath>
#include <utility>

namespace opi::http {

namespace {

/// Milliseconds with microseconds behind the point, no more.
double milliseconds_of(std::chrono::nanoseconds duration) {
  return std::round(static_cast<double>(duration.count()) / 1e3) / 1e3;
}

bool main_available(const std::vector<pg::PoolStats>& pools) {
  return std::ranges::any_of(pools, [](const auto& pool) { return pool.name == "main" && pool.available; });
}

boost::json::array texts(const std::vector<std::string>& items) {
  return boost::json::array(items.begin(), items.end());
}

}  // namespace

Readiness readiness_of(aio::LifespanStatus lifespan, std::vector<pg::PoolStats> pools,
                       std::vector<std::string> missing) {
  Readiness readiness;
  for (const auto& pool : pools) {
    if (!pool.available) readiness.degraded.push_back("pool " + pool.name);
  }
  for (const auto& phase : lifespan.phases) {
    if (phase.state == aio::PhaseState::failed) readiness.degraded.push_back("phase " + phase.name);
  }
  std::ranges::move(missing, std::back_inserter(readiness.degraded));
  switch (lifespan.state) {
    case aio::LifespanState::created:
    case aio::LifespanState::starting: readiness.state = "starting"; break;
    case aio::LifespanState::draining: readiness.state = "draining"; break;
    case aio::LifespanState::stopped: readiness.state = "stopped"; break;
    case aio::LifespanState::serving:
      readiness.ready = main_available(pools);
      readiness.state = !readiness.ready ? "unavailable" : readiness.degraded.empty() ? "ready" : "degraded";
      break;
  }
  readiness.phases = std::move(lifespan.phases);
  readiness.pools = std::move(pools);
  return readiness;
}

boost::json::array phases_json(const std::vector<aio::PhaseStatus>& phases) {
  boost::json::array list;
  for (const auto& phase : phases) {
    boost::json::object one{{"name", phase.name},
                            {"state", to_string(phase.state)},
                            {"start_ms", milliseconds_of(phase.start_duration)},
                            {"stop_ms", milliseconds_of(phase.stop_duration)}};
    if (!phase.degraded.empty()) one["degraded"] = texts(phase.degraded);
    if (!phase.error.empty()) one["error"] = phase.error;
    list.push_back(std::move(one));
  }
  return list;
}

boost::json::array pools_json(const std::vector<pg::PoolStats>& pools) {
  boost::json::array list;
  for (const auto& pool : pools) {
    boost::json::object one{{"name", pool.name},       {"available", pool.available}, {"min", pool.min},
                            {"max", pool.max},         {"idle", pool.idle},           {"used", pool.used},
                            {"dialing", pool.dialing}, {"closing", pool.closing},     {"waiting", pool.waiting}};
    if (!pool.server_version.empty()) one["server_version"] = pool.server_version;
    if (!pool.available && !pool.last_error.empty()) one["error"] = pool.last_error;
    list.push_back(std::move(one));
  }
  return list;
}

boost::json::object readiness_json(const Readiness& readiness) {
  return {{"state", readiness.state},
          {"ready", readiness.ready},
          {"degraded", texts(readiness.degraded)},
          {"phases", phases_json(readiness.phases)},
          {"pools", pools_json(readiness.pools)}};
}

}  // namespace opi::http
