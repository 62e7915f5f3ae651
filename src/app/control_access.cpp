#include "app/control_access.hpp"

#include <fmt/format.h>

#include "pg/sqlstate.hpp"
#include "store/control_database.hpp"

namespace opi::app {

bool control_database_missing(const pg::DatabasePool& main) {
  const auto stats = main.stats();
  return !stats.available && stats.last_sqlstate == pg::sqlstate::invalid_catalog_name;
}

Task<Result<>> make_control_database(asio::any_io_executor executor, pg::DatabasePools* pools,
                                     aio::BlockingPool* blocking, Logger log, SteadyTime deadline) {
  auto main = pools->get("main");
  if (!main) co_return failure(std::move(main.error()));
  if (!control_database_missing(*main)) co_return Result<>{};
  const auto& server = main->get().config().server;
  auto made = co_await store::ensure_control_database(executor, server, blocking, deadline);
  if (!made) co_return failure(std::move(made.error()).while_doing("the control database cannot be made"));
  if (made->created) log.named("store").info(server.database, "control database created, closed to PUBLIC");
  co_return co_await pools->recover("main", deadline);
}

Task<Result<store::PreparedStore>> prepare_control(asio::any_io_executor executor, pg::DatabasePools* pools,
                                                   aio::BlockingPool* blocking, const secrets::PlatformKey* key,
                                                   Logger log, SteadyTime deadline) {
  if (auto made = co_await make_control_database(executor, pools, blocking, log, deadline); !made) {
    co_return failure(std::move(made.error()));
  }
  auto main = pools->get("main");
  if (!main) co_return failure(std::move(main.error()));
  auto lease = co_await main->get().acquire({.deadline = deadline, .task = "prepare the control database"});
  if (!lease) co_return failure(lease.error().to_error());
  auto prepared = co_await store::prepare_control_store(&**lease, key, deadline);
  if (!prepared) co_return failure(std::move(prepared.error()));
  if (const auto applied = prepared->migrations.applied; applied != 0) {
    log.named("store").info("migrations", fmt::format("{} applied", applied));
    pools->schema_changed("main");
  }
  co_return std::move(*prepared);
}

}  // namespace opi::app
