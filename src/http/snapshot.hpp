#pragma once
/// @file
/// What the status and the metrics show, as plain values that whoever runs the rooms fills in.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "aio/lifespan.hpp"
#include "base/clock.hpp"
#include "pg/database_pool.hpp"

namespace opi::http {

/// What is running.
struct BuildInfo {
  std::string version;  ///< "0.1.0"
  std::string commit;   ///< "4f2c1e9"
};

/// The monitor of the projects repository.
struct GitStatus {
  bool enabled = false;  ///< a repository is configured
  bool running = false;
  std::string repository = {};  ///< without credentials
  std::string branch = {};
  std::string head = {};  ///< commit that was acted on last
  std::uint64_t polls = 0;
  std::uint64_t polls_failed = 0;
  std::uint64_t files_changed = 0;  ///< added, changed and removed project files that were reported
  std::optional<WallTime> last_success = {};
  std::string last_error = {};  ///< "" once a poll succeeds again
};

/// One followed branch of a repository.
struct BranchStatus {
  std::string branch;
  std::string head = {};  ///< commit in force
  std::string author = {};
  std::uint64_t files = 0;
  std::optional<WallTime> behind_since = {};  ///< since when something of the head waits to be acted on
  std::optional<WallTime> last_acted = {};
  std::string refused_commit = {};  ///< the branch has moved there, and its signature does not satisfy
  std::string refused_author = {};
  std::string refused_reason = {};
};

/// One repository of project files.
struct RepositoryStatus {
  std::string name;
  std::string url = {};    ///< without credentials
  std::string state = {};  ///< "following", "empty", "unreachable", "suspended" …
  std::optional<WallTime> last_check = {};
  std::optional<WallTime> last_success = {};
  std::optional<WallTime> next_check = {};
  std::optional<WallTime> failing_since = {};
  std::uint32_t errors_in_a_row = 0;
  std::string last_error = {};
  std::uint64_t checks = 0;
  std::uint64_t checks_failed = 0;
  std::uint64_t fetches = 0;
  std::uint64_t waiting = 0;  ///< files that were not acted on yet, or cannot be used
  std::vector<BranchStatus> branches = {};
};

/// Webhooks that came in.
struct WebhookStatus {
  std::uint64_t woken = 0, ignored = 0, refused = 0, invalid = 0;
};

/// One deployment of this cluster.
struct DeploymentStatus {
  std::string project;
  std::string deployment;
  std::string namespace_name;
  std::string database;  ///< "" when it uses none
  std::string state;     ///< "ready", "failed", "waiting" …
  std::string last_error = {};
  std::optional<WallTime> since = {};  ///< when it came into this state
};

/// One project file.
struct ProjectStatus {
  std::string name;
  std::string file;
  std::string error = {};   ///< why the file is not acted on
  std::string commit = {};  ///< with an error: the head at which that version was first seen
  std::string author = {};  ///< of that head
  bool suspended = false;
};

/// What provisioning did since the start.
struct ProvisionCounters {
  std::uint64_t passes = 0;
  std::uint64_t passes_failed = 0;
  std::uint64_t deployments_changed = 0;
  std::uint64_t deployments_unchanged = 0;
  std::uint64_t deployments_failed = 0;
  std::uint64_t actions = 0;  ///< single changes that were applied
  std::chrono::nanoseconds last_pass{0};
  std::optional<WallTime> last_pass_ended = {};
};

/// Everything at one moment. Holds no secret.
struct StatusSnapshot {
  BuildInfo build;
  std::string environment;
  std::string cluster;
  WallTime booted{};
  aio::LifespanStatus lifespan;
  std::vector<pg::PoolStats> pools;
  GitStatus git;  ///< of the first repository
  std::vector<RepositoryStatus> repositories = {};
  WebhookStatus webhooks = {};
  ProvisionCounters provision;
  std::vector<ProjectStatus> projects;
  std::vector<DeploymentStatus> deployments;
};

/// Who knows all that. Called on the server's executor, for each request that shows it: no I/O, no waiting.
/// Ownership: outlives the server.
class StatusSource {
 public:
  virtual ~StatusSource() = default;
  virtual StatusSnapshot status() const = 0;
};

/// "2026-11-24T01:47:13Z"; UTC, whole seconds (RFC 3339).
std::string timestamp(WallTime time);

}  // namespace opi::http
