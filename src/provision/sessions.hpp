#pragma once
/// @file
/// Sessions of logins: counts them, and ends them.

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "pg/connection.hpp"
#include "provision/observed_state.hpp"

namespace opi::provision {

using SessionCounts = std::unordered_map<std::string, std::int64_t>;

/// How many sessions each of `logins` has, in any database; a login without one, or without a role, has 0. One
/// statement, none for no logins; reads only. Errors: those of Connection.
Task<Result<SessionCounts>> count_sessions(pg::Connection* connection, std::vector<std::string> logins);

/// Ends all sessions of `logins` and waits until they are gone. NOLOGIN, DROP ROLE and a new password do not: a session
/// goes on until it is ended. An admin that is no superuser acts as the login itself, whose own sessions nobody can
/// deny it; what it grants itself for that is rolled back.
///
/// Prepare it so that no new one can come in. Ownership: `connection` outlives the call and is in no transaction.
/// Errors: timed_out (some did not end by the deadline), and those of Connection.
Task<Result<>> end_sessions(pg::Connection* connection, ServerFacts facts, std::vector<std::string> logins,
                            SteadyTime deadline);

/// Asks whoever is in `database` to leave, once, and does not wait. An admin that is no superuser reaches the sessions
/// of `logins` only. Errors: those of Connection.
Task<Result<>> clear_database(pg::Connection* connection, ServerFacts facts, std::string database,
                              std::vector<std::string> logins);

}  // namespace opi::provision
