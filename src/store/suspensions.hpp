#pragma once
/// @file
/// What is left alone until somebody resumes it: repositories and projects by name.

#include <optional>
#include <string>
#include <vector>

#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "pg/connection.hpp"

namespace opi::store {

/// What sort of thing a name names.
enum class SuspendedKind { repository, project };

/// One that is suspended.
struct Suspension {
  SuspendedKind kind = SuspendedKind::project;
  std::string name;
  std::string reason;  ///< for people; may be empty
  std::optional<WallTime> since = {};
};

/// All of them, by kind and name. One statement.
Task<Result<std::vector<Suspension>>> load_suspensions(pg::Connection* connection);
/// Durable when it returns. Suspending again keeps `since` and takes the new reason; resuming what is not suspended is
/// nothing.
Task<Result<>> suspend(pg::Connection* connection, SuspendedKind kind, std::string name, std::string reason);
Task<Result<>> resume(pg::Connection* connection, SuspendedKind kind, std::string name);

}  // namespace opi::store
