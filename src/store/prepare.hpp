#pragma once
/// @file
/// Everything that must be true of the control database before work starts, in the right order.

#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "pg/connection.hpp"
#include "secrets/platform_key.hpp"
#include "store/key_check.hpp"
#include "store/migrations.hpp"

namespace opi::store {

/// A control database that is ready for work.
struct PreparedStore {
  MigrationReport migrations;
  bool public_revoked = false;
  ControlKeys keys;
};

/// PUBLIC has no rights → the schema is current → the platform key opens it. Idempotent; four statements when nothing
/// is to do. Errors: as of the three steps; the message says which one.
Task<Result<PreparedStore>> prepare_control_store(pg::Connection* connection, const secrets::PlatformKey* key,
                                                  SteadyTime deadline);

}  // namespace opi::store
