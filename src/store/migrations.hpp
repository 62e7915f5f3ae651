#pragma once
/// @file
/// The control database's schema as numbered steps, each applied once, by whoever comes first.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "pg/connection.hpp"

namespace opi::store {

/// The advisory lock under which steps are applied, in the control database ("opi migr" in ASCII; other locks are
/// hashes).
inline constexpr std::int64_t migration_lock = 0x6f7069206d696772;

/// One step. Never edited once released: its checksum is recorded. A further step is added instead.
struct Migration {
  int version = 0;        ///< from 1, without gaps
  std::string_view name;  ///< "credential_journal"
  std::string_view sql;   ///< statements with every name qualified; runs in one transaction
};

/// Every step this program knows, in order.
std::span<const Migration> known_migrations() noexcept;

/// What `migrate` found and did.
struct MigrationReport {
  int from = 0;     ///< version found; 0: nothing there
  int to = 0;       ///< version now
  int applied = 0;  ///< steps applied by this call; others may have applied the rest at the same time
};

/// Brings schema `opi` of the control database to the newest version, each step in its own transaction under an
/// advisory lock of that transaction. Nothing to do costs one statement. Any number of processes may call it at once.
///
/// Errors: conflict with Handling::needs_person (the schema is newer than this program knows; a recorded step has
/// another checksum), timed_out (the lock was not had by the deadline), and those of Connection. A step that fails
/// leaves nothing behind.
Task<Result<MigrationReport>> migrate(pg::Connection* connection, SteadyTime deadline);

/// The same with other steps; for tests. `steps` outlives the call.
Task<Result<MigrationReport>> migrate(pg::Connection* connection, std::span<const Migration> steps,
                                      SteadyTime deadline);

}  // namespace opi::store
