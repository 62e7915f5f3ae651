#pragma once
/// @file
/// The named pools of an application: initialised together, looked up by name, closed together.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pg/database_pool.hpp"

namespace opi::pg {

/// How one pool came up.
struct PoolStart {
  std::string name;
  bool available = false;
  std::chrono::nanoseconds took{0};
  std::string error = {};
};

/// Ownership: owns its pools; destroyed after `close()`.
///
/// Threading: `initialize` and `close` on one executor; `get`, `list` and `stats` from any thread once initialised.
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
  /// Closes all at the same time, each bounded by the deadline; every pool is tried, the first error is returned.
  /// Idempotent.
  Task<Result<>> close(SteadyTime deadline);

 private:
  asio::any_io_executor executor_;
  aio::BlockingPool& blocking_;
  Logger log_;
  const Clock& clock_;
  std::map<std::string, std::unique_ptr<DatabasePool>, std::less<>> pools_;
  bool initialized_ = false;
  bool closed_ = false;
};

}  // namespace opi::pg
