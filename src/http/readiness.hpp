#pragma once
/// @file
/// Whether the application can do its work, decided from what is known, and shown as JSON.

#include <boost/json/fwd.hpp>
#include <string>
#include <vector>

#include "aio/lifespan.hpp"
#include "http/snapshot.hpp"
#include "pg/database_pool.hpp"

namespace opi::http {

/// What /readyz shows. A plain value.
struct Readiness {
  bool ready = false;                      ///< 200 or 503
  std::string state = "starting";          ///< "starting", "ready", "degraded", "unavailable", "draining" or "stopped"
  std::vector<std::string> degraded = {};  ///< what is missing: "pool analytics", "phase git_monitor"
  std::vector<aio::PhaseStatus> phases = {};
  std::vector<pg::PoolStats> pools = {};
};

/// The rule: ready while serving with `main` available; whatever else is missing only degrades. Pools count as they are
/// now, phases as they started, except that what a phase said of its own parts is not repeated: `missing` says what is
/// missing now beside pools ("startup_tasks" while the first pass has not been made). Pure.
Readiness readiness_of(aio::LifespanStatus lifespan, std::vector<pg::PoolStats> pools,
                       std::vector<std::string> missing = {});

/// The parts that /readyz and the status share.
boost::json::array phases_json(const std::vector<aio::PhaseStatus>& phases);
boost::json::array pools_json(const std::vector<pg::PoolStats>& pools);
boost::json::object readiness_json(const Readiness& readiness);

}  // namespace opi::http
