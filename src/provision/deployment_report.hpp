#pragma once
/// @file
/// How a pass ended, for each deployment and all in all.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace opi::provision {

/// How one deployment ended.
enum class DeploymentOutcome {
  created,    ///< finished for the first time
  changed,    ///< something was put right or follows a changed declaration
  unchanged,  ///< nothing was to do
  failed,     ///< the error says why; what was done is safe to continue
  refused,    ///< it is not done until somebody changes something; the error says what
  waiting,    ///< its server cannot be reached now; it is done when that is back
  kept,       ///< no longer declared; untouched
  disabled,   ///< no longer declared: its logins are disabled, its data is kept for a while
  removed,    ///< no longer declared, and gone
};
std::string_view to_string(DeploymentOutcome outcome) noexcept;

/// One row of a report.
struct DeploymentReport {
  std::string project;
  std::string deployment;
  std::string namespace_;
  std::string database;
  std::string pool;
  DeploymentOutcome outcome = DeploymentOutcome::unchanged;
  std::chrono::microseconds duration{0};
  std::optional<Error> error = {};
  std::vector<std::string> notes = {};  ///< what was seen and left alone
  std::size_t actions = 0;              ///< how many were done
  bool handed_later = false;            ///< its credentials are collected with others, and have not landed yet
  std::string file = {};                ///< the declaration's file and version, for whoever records what was acted on
  std::string blob = {};

  std::string title() const { return project + "/" + deployment; }
};

/// All of a pass, by project and deployment.
struct ApplyReport {
  std::vector<DeploymentReport> deployments;
  std::chrono::microseconds duration{0};

  std::size_t count(DeploymentOutcome outcome) const noexcept;
  /// Nothing failed, was refused or waits.
  bool succeeded() const noexcept;
  /// "3 created, 996 unchanged, 1 failed": only what there is; "nothing is declared".
  std::string summary() const;
};
/// By project, deployment and file.
void sort_rows(ApplyReport& report);

/// What was needed for it, since the manager was made. For tests and metrics.
struct ProvisionStats {
  std::uint64_t statements = 0;          ///< on leased connections
  std::uint64_t tenant_connections = 0;  ///< into tenants' databases, as admin
  std::uint64_t login_checks = 0;        ///< into tenants' databases, as tenant
  std::uint64_t flows = 0;               ///< deployments that were worked on under locks
  std::uint64_t retries = 0;             ///< flows that looked again because the catalogs had moved
};

/// Called for each deployment as it ends, on the executor of the pass.
using Progress = std::function<void(const DeploymentReport&)>;

}  // namespace opi::provision
