// How a plan is applied: canaries first, then what can fail, then what cannot.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "aio/task_scope.hpp"
#include "pg/database_pools.hpp"
#include "pg/sqlstate.hpp"

namespace opi::pg {
namespace {

constexpr std::chrono::seconds goodbye{1};

const PoolConfig& wanted_of(const PoolPlan& plan, std::string_view pool) {
  return *std::ranges::find(plan.wanted, pool, &PoolConfig::name);
}

bool needs_new_sessions(PoolChange change) noexcept {
  return change == PoolChange::recycle || change == PoolChange::replace || change == PoolChange::add;
}

Task<> try_one(asio::any_io_executor executor, aio::BlockingPool* blocking, PoolConfig config, SteadyTime deadline,
               std::optional<Error>* into) {
  const SteadyTime until = std::min(deadline, std::chrono::steady_clock::now() + config.server.connect_timeout);
  auto canary = co_await Connection::connect(std::move(executor), config.server, *blocking, until);
  if (canary) {
    co_await canary->close(std::chrono::steady_clock::now() + goodbye);
  } else {
    *into = std::move(canary.error());
  }
}

Task<> start_pool(DatabasePool* pool, SteadyTime deadline, std::optional<Error>* into) {
  if (auto started = co_await pool->start(deadline); !started) *into = std::move(started.error());
}

Task<> close_pool(DatabasePool* pool, SteadyTime deadline) {
  (void)co_await pool->close(deadline);  // it logs what was not given back
}

/// One error of all; none when there was no trouble.
Result<> all_well(std::string_view what, const std::vector<std::string>& pools,
                  std::vector<std::optional<Error>> troubles) {
  Error error(ErrorKind::unavailable, "");
  std::vector<std::string> names;
  for (std::size_t index = 0; index < troubles.size(); ++index) {
    if (!troubles[index]) continue;
    names.push_back(pools[index]);
    error.code = troubles[index]->code;
    error.causes.push_back(troubles[index]->to_string());
  }
  if (names.empty()) return {};
  error.message = fmt::format("{} {}", what, fmt::join(names, ", "));
  return failure(std::move(error));
}

std::string_view done_word(PoolChange change) noexcept {
  switch (change) {
    case PoolChange::resize: return "resized";
    case PoolChange::recycle: return "recycled";
    case PoolChange::replace: return "replaced";
    default: return "changed";
  }
}

/// Clears the mark also when the coroutine is destroyed.
class Applying {
 public:
  explicit Applying(bool* mark) noexcept : mark_(mark) { *mark_ = true; }
  ~Applying() { *mark_ = false; }
  Applying(const Applying&) = delete;
  Applying& operator=(const Applying&) = delete;

 private:
  bool* mark_;
};

}  // namespace

PoolPlan DatabasePools::plan(std::vector<PoolConfig> wanted) const {
  return plan_pools(present(), std::move(wanted));
}

/// All at the same time.
Task<Result<>> DatabasePools::try_canaries(const PoolPlan* plan, SteadyTime deadline) {
  std::vector<std::string> pools;
  for (const PoolAction& action : plan->actions) {
    if (needs_new_sessions(action.change)) pools.push_back(action.pool);
  }
  std::vector<std::optional<Error>> troubles(pools.size());
  aio::TaskScope scope(executor_, log_, "canaries");
  for (std::size_t index = 0; index < pools.size(); ++index) {
    scope.spawn("canary " + pools[index],
                try_one(executor_, &blocking_, wanted_of(*plan, pools[index]), deadline, &troubles[index]));
  }
  co_await scope.join();
  co_return all_well("a first connection failed for pool", pools, std::move(troubles));
}

/// All or none.
Task<Result<>> DatabasePools::start_added(const PoolPlan* plan, SteadyTime deadline) {
  std::vector<std::string> added;
  for (const PoolAction& action : plan->actions) {
    if (action.change == PoolChange::add) added.push_back(action.pool);
  }
  std::vector<std::optional<Error>> troubles(added.size());
  {
    aio::TaskScope scope(executor_, log_, "added pools");
    for (std::size_t index = 0; index < added.size(); ++index) {
      scope.spawn("start " + added[index],
                  start_pool(&make(wanted_of(*plan, added[index])), deadline, &troubles[index]));
    }
    co_await scope.join();
  }
  auto started = all_well("cannot start pool", added, std::move(troubles));
  if (started) co_return started;
  aio::TaskScope scope(executor_, log_, "added pools");
  for (const std::string& name : added) {
    scope.spawn("close " + name, close_pool(pools_->retire(name), std::chrono::steady_clock::now() + goodbye));
  }
  co_await scope.join();
  co_return started;
}

void DatabasePools::change_in_place(const PoolPlan& plan) {
  for (const PoolConfig& config : plan.wanted) {
    const PoolAction* const action = plan.find(config.name);
    DatabasePool* const pool = pools_->find(config.name);
    if (action != nullptr && action->change == PoolChange::add) continue;
    pool->redirect(config.server);
    if (action != nullptr) {
      pool->resize(config.pool);
      if (needs_new_sessions(action->change)) pool->recycle();
      log_.info(config.name, fmt::format("{}: {}", done_word(action->change), fmt::join(action->details, ", ")));
    }
    const std::string refusal = pool->stats().last_sqlstate;
    if (refusal == sqlstate::invalid_password || refusal == sqlstate::invalid_authorization) pool->retry_now();
  }
}

Task<> DatabasePools::close_removed(const PoolPlan* plan, SteadyTime deadline) {
  aio::TaskScope scope(executor_, log_, "removed pools");
  for (const PoolAction& action : plan->actions) {
    if (action.change != PoolChange::remove) continue;
    scope.spawn("close " + action.pool, close_pool(pools_->retire(action.pool), deadline));
  }
  co_await scope.join();
}

Task<Result<>> DatabasePools::apply(PoolPlan plan, SteadyTime deadline) {
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  if (closed_ || !initialized_) co_return failure(ErrorKind::closed, "the database pools are not open");
  if (applying_) co_return failure(ErrorKind::conflict, "another change of the database pools is under way");
  if (plan.rejected()) {
    Error error(ErrorKind::invalid, "the database pools cannot be changed so");
    for (const PoolAction& action : plan.actions) {
      if (action.change == PoolChange::reject) error.causes.push_back("pool " + action.pool + ": " + action.reason);
    }
    co_return failure(std::move(error));
  }
  if (!plan_pools(plan.present, present()).empty()) {
    co_return failure(Error(ErrorKind::conflict, "the database pools changed since the plan was made")
                          .with_remedy("make the plan again"));
  }
  const Applying mark(&applying_);
  if (auto tried = co_await try_canaries(&plan, deadline); !tried) co_return tried;
  if (auto started = co_await start_added(&plan, deadline); !started) co_return started;
  if (closed_) co_return failure(ErrorKind::closed, "the database pools were closed");
  change_in_place(plan);
  co_await close_removed(&plan, deadline);
  co_return Result<>{};
}

}  // namespace opi::pg
