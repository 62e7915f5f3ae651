#pragma once
/// @file
/// The last dump of a database before it is dropped.

#include <chrono>
#include <string>

#include "aio/task.hpp"
#include "base/result.hpp"
#include "pg/settings.hpp"

namespace opi::provision {

/// What the operator decides. A plain value.
struct DumpRules {
  std::string directory = {};       ///< where dumps are kept, absolute; empty: none is made
  std::string program = "pg_dump";  ///< a path, or a name that is looked for on PATH; not older than the server
  std::chrono::milliseconds deadline{std::chrono::hours{1}};
};

/// Dumps `database` in pg_dump's custom format (for pg_restore) to "{directory}/{database}-{stamp's first 8}.dump",
/// readable by our user only, and returns that path. The file has its name only when it is complete and on disk; what a
/// killed process left is overwritten. Run as `server`'s admin, whose session is pinned by pg_dump itself; no shell,
/// and the password is in the child's environment only.
///
/// Errors: not_found (no such program or directory), timed_out, cancelled, unsupported (pg_dump is older than the
/// server), and conflict with the end of what pg_dump said.
Task<Result<std::string>> write_final_dump(pg::ServerSettings server, std::string database, std::string stamp,
                                           DumpRules rules);

}  // namespace opi::provision
