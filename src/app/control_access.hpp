#pragma once
/// @file
/// From configured pools to a control database that can be worked with.

#include "aio/blocking_pool.hpp"
#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "pg/database_pools.hpp"
#include "secrets/platform_key.hpp"
#include "store/prepare.hpp"

namespace opi::app {

/// True when the server of pool `main` answers, and says that the control database is not there (3D000).
bool control_database_missing(const pg::DatabasePool& main);

/// Makes the control database when it is missing and dials `main` again; does nothing otherwise.
/// Cancellation and errors: as store::ensure_control_database, and unavailable when `main` still cannot connect.
Task<Result<>> make_control_database(asio::any_io_executor executor, pg::DatabasePools* pools,
                                     aio::BlockingPool* blocking, Logger log, SteadyTime deadline);

/// The same, then migrations and the proof that `key` opens it. Idempotent. The borrowed objects outlive the call.
Task<Result<store::PreparedStore>> prepare_control(asio::any_io_executor executor, pg::DatabasePools* pools,
                                                   aio::BlockingPool* blocking, const secrets::PlatformKey* key,
                                                   Logger log, SteadyTime deadline);

}  // namespace opi::app
