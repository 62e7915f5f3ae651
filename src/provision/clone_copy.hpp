#pragma once
/// @file
/// Copies one database into another, empty one: pg_dump | pg_restore, joined by us, each logged in as a tenant.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/secret_string.hpp"
#include "pg/settings.hpp"

namespace opi::provision {

/// PostgreSQL's client programs, and how long a copy may take.
struct CloneTools {
  std::string pg_dump = "pg_dump";  ///< a path, or a name that is looked for in /usr/local/bin, /usr/bin and /bin
  std::string pg_restore = "pg_restore";
  std::chrono::milliseconds deadline{std::chrono::hours{1}};  ///< of one copy, by whatever method
};

/// The major version of a program, or why it is not known. Plain values: what the planner looks at.
struct ToolVersions {
  Result<int> pg_dump = 0;
  Result<int> pg_restore = 0;
};

/// 15 for "pg_dump (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)". Errors: invalid.
Result<int> parse_program_version(std::string_view text);
/// Asks both programs. Errors are inside: not_found, timed_out, invalid.
Task<ToolVersions> ask_tool_versions(CloneTools tools);
/// Why these programs cannot copy from a server of `server_version` (150020), with what to do; empty when they can.
/// Pure.
std::optional<Error> tools_refusal(const ToolVersions& versions, const CloneTools& tools, int server_version);

/// One end of a copy.
struct CopyEnd {
  std::string user;  ///< a login of the tenant's, never an admin: tenants' code runs with these rights
  SecretString password;
  std::string role;  ///< the owner that it acts as
  std::string database;
};

/// What the programs were called with, for the audit trail; no secret is among it.
std::string copy_text(const CloneTools& tools, const CopyEnd& from, const CopyEnd& to);

/// Copies all of `from` into `to`, which is empty: schemas, extensions, data, large objects; without owners,
/// privileges, publications, subscriptions and tablespaces. One transaction: on any error nothing of it is in `to`.
/// Both programs are children without a shell; passwords are in their environments only, never in an argument list.
/// What passes between them is never on a disk.
///
/// `server`: where both are; its user and password are not used. Cancellation: ends both programs. Errors: not_found
/// (no such program), timed_out, cancelled, and conflict with the end of what the failing program said.
Task<Result<>> copy_database(pg::ServerSettings server, CopyEnd from, CopyEnd to, CloneTools tools);

}  // namespace opi::provision
