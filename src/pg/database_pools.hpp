#pragma once
/// @file
/// The named pools of an application: initialised together, looked up by name, closed together.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pg/database_pool.hpp"
#include "pg/pool_plan.hpp"
#include "pg/pool_registry.hpp"

namespace opi::pg {

/// How one pool came up.
struct PoolStart {
  std::string name;
  bool available = false;
  std::chrono::nanoseconds took{0};
  std::string error = {};
};

/// Ownership: owns its pools; destroyed after `close()`. A reference to a pool stays good until then, also when a plan
/// removes the pool: it is closed. They share one dial governor: what one pool learns of a host, the others know.
///
/// Threading: `initialize`, `plan`, `apply` and `close` on one executor; everything else from any thread.
class DatabasePools {
 public:
  DatabasePools(asio::any_io_executor executor, aio::BlockingPool& blocking, Logger log,
                const Clock& clock = system_clock());
  ~DatabasePools();

  /// Opens all of them at the same time. A pool that cannot connect stays degraded and recovers by itself; that is not
  /// an error.
  ///
  /// Errors: invalid (two of one name, no `main`), closed. Calling it twice is an error.
  Task<Result<std::vector<PoolStart>>> initialize(std::vector<PoolConfig> configs, SteadyTime deadline);

  /// not_found, with the names that there are.
  Result<std::reference_wrapper<DatabasePool>> get(std::string_view name) const;
  std::vector<std::string> list() const;
  std::vector<PoolStats> stats() const;
  /// Dials the named pool again now; not_found for an unknown name, unavailable when it still cannot.
  Task<Result<>> recover(std::string name, SteadyTime deadline);

  /// What it takes to get from what there is to `wanted`; see plan_pools.
  PoolPlan plan(std::vector<PoolConfig> wanted) const;
  /// Does it, or nothing. First each configuration that needs new sessions is tried with one dial, a canary; then pools
  /// that are added are started; then the others change, and those that are removed are closed, their leases given
  /// until the deadline. A pool without an action takes its wanted password provider for the dials to come. One that
  /// was refused its login dials again at once.
  ///
  /// Errors, all of which leave what was before in force: invalid (the plan rejects something), conflict (the pools are
  /// not those that the plan was made for, or another plan is being applied), closed, unavailable (a canary or an added
  /// pool failed; `causes` says each). Not cancellable; bounded by the deadline.
  Task<Result<>> apply(PoolPlan plan, SteadyTime deadline);

  /// After a change of the schema of a database: every pool on it drops its prepared statements before their next use,
  /// instead of running into an error with each of them. The database of a named pool, or that of a server's settings.
  /// How many pools it was. A pool that runs into such an error by itself tells the others so too.
  std::size_t schema_changed(std::string_view pool) const;
  std::size_t schema_changed(const ServerSettings& where) const;

  /// What is known of every host that a pool may dial.
  std::vector<HostStatus> hosts() const { return governor_->status(); }
  /// For others who dial the same hosts: a Listener.
  const std::shared_ptr<DialGovernor>& governor() const noexcept { return governor_; }

  /// Closes all at the same time, each bounded by the deadline; every pool is tried, the first error is returned.
  /// Idempotent.
  Task<Result<>> close(SteadyTime deadline);

 private:
  DatabasePool& make(PoolConfig config);
  std::vector<PoolConfig> present() const;
  Task<Result<>> try_canaries(const PoolPlan* plan, SteadyTime deadline);
  Task<Result<>> start_added(const PoolPlan* plan, SteadyTime deadline);
  void change_in_place(const PoolPlan& plan);
  Task<> close_removed(const PoolPlan* plan, SteadyTime deadline);

  asio::any_io_executor executor_;
  aio::BlockingPool& blocking_;
  Logger log_;
  const Clock& clock_;
  std::shared_ptr<DialGovernor> governor_;
  std::shared_ptr<PoolRegistry> pools_;
  bool initialized_ = false;
  bool applying_ = false;
  bool closed_ = false;
};

}  // namespace opi::pg
