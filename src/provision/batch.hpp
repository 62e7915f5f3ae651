#pragma once
/// @file
/// Statements that belong together: one transaction, few round trips, and warnings that count as errors.

#include <string>
#include <vector>

#include "aio/task.hpp"
#include "base/error.hpp"
#include "base/result.hpp"
#include "pg/connection.hpp"
#include "provision/statements.hpp"

namespace opi::provision {

/// The SQL of `actions` as one text, in order, each as the role that may do it. Pure.
std::string batch_text(const std::vector<Action>& actions, const StatementContext& context);

/// Opens a transaction and runs `text` (statements separated by semicolons) in it: one round trip. On success the
/// transaction is open; `commit_batch` or `rollback_batch` ends it. On failure it is rolled back already. A privilege
/// that was not granted or not revoked (warnings 01007, 01006) is an error: PostgreSQL only warns, and PUBLIC keeps its
/// rights. Ownership: `connection` outlives the call. Errors: denied, and those of Connection.
Task<Result<>> begin_batch(pg::Connection* connection, std::string text);
Task<Result<>> commit_batch(pg::Connection* connection);
/// Never fails: a session that cannot roll back is broken.
Task<> rollback_batch(pg::Connection* connection);

/// One statement outside any transaction (CREATE DATABASE), with the same rule for warnings.
Task<Result<>> run_alone(pg::Connection* connection, std::string statement);

/// True for errors that mean "the catalogs moved under us": read them again and plan again. Already-exists is two
/// SQLSTATEs, one of the statement and one of the catalog's index; "tuple concurrently updated" is XX000.
bool world_moved(const Error& error) noexcept;

}  // namespace opi::provision
