#pragma once
/// @file
/// What the daemon and every command that touches databases are made of, in the order of its making.

#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "aio/blocking_pool.hpp"
#include "aio/lifespan.hpp"
#include "aio/task.hpp"
#include "app/private_postgres.hpp"
#include "app/projects_reader.hpp"
#include "app/settings.hpp"
#include "app/settings_rooms.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "git/mirror.hpp"
#include "pg/database_pools.hpp"
#include "provision/cluster_manager.hpp"
#include "provision/database_manager.hpp"
#include "provision/project_manager.hpp"
#include "secrets/platform_key.hpp"

namespace opi::app {

/// Ownership: owns everything it names; destroy it after its phases were stopped. Threading: one executor's thread, but
/// for what the parts themselves say; `pool_stats` from any thread.
class Services {
 public:
  /// Nothing is opened yet. Errors: internal (the cryptography fails its self-test), invalid or denied (no platform
  /// key, or none that can be read: a bad configuration).
  static Result<std::unique_ptr<Services>> create(asio::any_io_executor executor, Settings settings, LogSink* sink);

  const Settings& settings() const noexcept { return settings_; }
  const Logger& log() const noexcept { return log_; }
  asio::any_io_executor executor() const { return executor_; }
  pg::DatabasePools& pools() noexcept { return pools_; }
  const secrets::PlatformKey& platform_key() const noexcept { return key_; }
  provision::ProjectManager& projects() noexcept { return projects_; }
  const provision::ProjectManager& projects() const noexcept { return projects_; }
  /// Once the pools were opened.
  provision::DatabaseManager& databases() { return databases_.value(); }
  /// Once the pools were opened; null when no cluster is configured.
  provision::ClusterManager* cluster() noexcept { return cluster_.get(); }
  /// The server of `main` that we run ourselves; null when somebody else does.
  PrivatePostgres* private_postgres() noexcept { return private_postgres_ ? &*private_postgres_ : nullptr; }

  /// The phases that everything else stands on: the private server when there is one, then the pools.
  std::vector<aio::Phase> foundation_phases();

  /// The control database made, migrated and opened by the platform key. Idempotent.
  Task<Result<>> prepare_control(SteadyTime deadline);

  /// Reads the configuration again and does to the pools what it takes: changed limits in place, changed sessions by
  /// new ones, a rotated password for the dials to come. What cannot change while running, what is wrong, and a server
  /// that will not have us leave in force what was before, and are logged. Calls do not overlap.
  Task<> reload(SteadyTime deadline);

  /// The repositories of project files that are configured; they live as long as we do.
  const std::vector<Repository>& repositories() const noexcept { return repositories_; }
  /// The settings of a mirror of one of them in `directory`. They borrow our platform key.
  git::MirrorSettings mirror_settings(const Repository& repository, std::filesystem::path directory) const;

  /// A secret of the settings that may be sealed to the platform key. Errors: as app::unsealed.
  Result<SecretString> unsealed(SecretString text) const;

  /// Of every pool, once they were opened; empty before.
  std::vector<pg::PoolStats> pool_stats() const;

 private:
  Services(asio::any_io_executor executor, Settings settings, secrets::PlatformKey key, LogSink* sink);
  Task<Result<aio::PhaseOutcome>> start_private_postgres();
  Task<Result<aio::PhaseOutcome>> open_pools();
  Task<Result<>> change_pools(Settings wanted, SteadyTime deadline);
  Task<Result<>> close_pools();

  asio::any_io_executor executor_;
  Settings settings_;
  std::vector<Repository> repositories_;
  secrets::PlatformKey key_;
  Logger log_;
  aio::BlockingPool blocking_;
  std::optional<PrivatePostgres> private_postgres_;
  pg::DatabasePools pools_;
  std::atomic<bool> pools_open_ = false;
  provision::ProjectManager projects_;
  std::unique_ptr<provision::ClusterManager> cluster_;  ///< null: none is configured
  std::optional<provision::DatabaseManager> databases_;
};

}  // namespace opi::app
