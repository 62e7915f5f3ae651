#include "pg/database_pools.hpp"

#include <fmt/format.h>

#include <random>
#include <set>

#include "aio/task_scope.hpp"

namespace opi::pg {
namespace {

Task<> start_one(DatabasePool* pool, const Clock* clock, SteadyTime deadline, PoolStart* into) {
  const SteadyTime begun = clock->steady();
  const auto started = co_await pool->start(deadline);
  into->took = clock->steady() - begun;
  into->available = pool->stats().available;  // one of several dials may have failed
  if (!started) into->error = started.error().to_string();
}

Task<> close_one(DatabasePool* pool, SteadyTime deadline, Result<>* into) {
  *into = co_await pool->close(deadline);
}

std::string names_of(const std::vector<DatabasePool*>& pools) {
  std::string names;
  for (const DatabasePool* pool : pools) names += (names.empty() ? "" : ", ") + pool->name();
  return names;
}

Result<> check(const std::vector<PoolConfig>& configs) {
  std::set<std::string_view> names;
  for (const PoolConfig& config : configs) {
    if (!names.insert(config.name).second) {
      return failure(ErrorKind::invalid, fmt::format("two database pools are named \"{}\"", config.name));
    }
    if (auto valid = validate(config); !valid) {
      return failure(std::move(valid.error()).while_doing(fmt::format("database pool \"{}\"", config.name)));
    }
  }
  if (!names.contains("main")) return failure(ErrorKind::invalid, "there is no database pool named \"main\"");
  return {};
}

}  // namespace

DatabasePools::DatabasePools(asio::any_io_executor executor, aio::BlockingPool& blocking, Logger log,
                             const Clock& clock)
    : executor_(std::move(executor)),
      blocking_(blocking),
      log_(std::move(log)),
      clock_(clock),
      governor_(std::make_shared<DialGovernor>(GovernorLimits{}, std::random_device{}())),
      pools_(std::make_shared<PoolRegistry>()) {}

DatabasePools::~DatabasePools() = default;

DatabasePool& DatabasePools::make(PoolConfig config) {
  PoolAttachments attachments{.governor = governor_};
  attachments.on_schema_change = [weak = std::weak_ptr<PoolRegistry>(pools_)](const ServerSettings& where) {
    if (const auto pools = weak.lock()) pools->forget_statements(where);
  };
  return pools_->add(
      std::make_unique<DatabasePool>(executor_, std::move(config), blocking_, log_, clock_, std::move(attachments)));
}

std::vector<PoolConfig> DatabasePools::present() const {
  std::vector<PoolConfig> configs;
  for (const DatabasePool* pool : pools_->all()) configs.push_back(pool->config());
  return configs;
}

Task<Result<std::vector<PoolStart>>> DatabasePools::initialize(std::vector<PoolConfig> configs, SteadyTime deadline) {
  if (closed_) co_return failure(ErrorKind::closed, "the database pools are closed");
  if (initialized_) co_return failure(ErrorKind::internal, "the database pools were initialised before");
  if (auto checked = check(configs); !checked) co_return failure(std::move(checked.error()));
  initialized_ = true;
  std::vector<PoolStart> starts(configs.size());
  aio::TaskScope scope(executor_, log_, "database pools");
  for (std::size_t index = 0; index < configs.size(); ++index) {
    const std::string name = configs[index].name;
    starts[index].name = name;
    starts[index].error = "was not started";
    scope.spawn("start " + name, start_one(&make(std::move(configs[index])), &clock_, deadline, &starts[index]));
  }
  co_await scope.join();
  co_return starts;
}

Result<std::reference_wrapper<DatabasePool>> DatabasePools::get(std::string_view name) const {
  if (DatabasePool* const pool = pools_->find(name)) return std::ref(*pool);
  const auto all = pools_->all();
  return failure(Error(ErrorKind::not_found, fmt::format("no database pool is named \"{}\"", name))
                     .with_remedy(all.empty() ? "none is open" : "there are: " + names_of(all)));
}

std::vector<std::string> DatabasePools::list() const {
  std::vector<std::string> names;
  for (const DatabasePool* pool : pools_->all()) names.push_back(pool->name());
  return names;
}

std::vector<PoolStats> DatabasePools::stats() const {
  std::vector<PoolStats> stats;
  for (const DatabasePool* pool : pools_->all()) stats.push_back(pool->stats());
  return stats;
}

std::size_t DatabasePools::schema_changed(std::string_view pool) const {
  const DatabasePool* const named = pools_->find(pool);
  return named != nullptr ? schema_changed(named->config().server) : 0;
}

std::size_t DatabasePools::schema_changed(const ServerSettings& where) const {
  return pools_->forget_statements(where);
}

Task<Result<>> DatabasePools::recover(std::string name, SteadyTime deadline) {
  auto pool = get(name);
  if (!pool) co_return failure(std::move(pool.error()));
  if (co_await pool->get().recover(deadline)) co_return Result<>{};
  const PoolStats stats = pool->get().stats();
  Error error(ErrorKind::unavailable, fmt::format("pool {}: {}", name, stats.last_error));
  error.code = stats.last_sqlstate;
  co_return failure(std::move(error));
}

Task<Result<>> DatabasePools::close(SteadyTime deadline) {
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  closed_ = true;
  const auto pools = pools_->all();
  std::vector<Result<>> results(pools.size());
  aio::TaskScope scope(executor_, log_, "database pools");
  std::size_t index = 0;
  for (DatabasePool* const pool : pools) {
    scope.spawn("close " + pool->name(), close_one(pool, deadline, &results[index++]));
  }
  co_await scope.join();
  for (Result<>& result : results) {
    if (!result) co_return failure(std::move(result.error()));
  }
  co_return Result<>{};
}

}  // namespace opi::pg
