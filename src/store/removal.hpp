#pragma once
/// @file
/// The way of a deployment out of the inventory: tombstone, grace, removal, each written down before it is acted on.

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "aio/task.hpp"
#include "base/result.hpp"
#include "pg/connection.hpp"

namespace opi::store {

/// The deployment becomes a tombstone, to be removed after `grace` (or when it was confirmed for). One that is a
/// tombstone already keeps its time. Durable when this returns. Errors: conflict (it is being removed, or not known).
Task<Result<>> bury_deployment(pg::Connection* connection, std::int64_t id, std::chrono::seconds grace);

/// The grace period is over and the removal begins: from tombstone to removing, durable. Being there already is no
/// error. Errors: conflict (it came back, or its grace is not over).
Task<Result<>> begin_removal(pg::Connection* connection, std::int64_t id);

/// A person says: these may go, whatever the brake says. `now`: without a grace period. One statement.
Task<Result<>> confirm_removals(pg::Connection* connection, std::vector<std::int64_t> ids, bool now);

/// A person says: these stay (deletion: keep), until their project file says otherwise. What is being removed is beyond
/// that. One statement; says how many.
Task<Result<std::int64_t>> keep_deployments(pg::Connection* connection, std::vector<std::int64_t> ids);

/// Where the last dump is. Durable.
Task<Result<>> record_final_dump(pg::Connection* connection, std::int64_t id, std::string path);

}  // namespace opi::store
