#pragma once
/// @file
/// What libpq reports, as the house's errors.

#include <string>
#include <string_view>

#include "base/error.hpp"

struct pg_conn;
struct pg_result;

namespace opi::pg {

/// A result of status PGRES_FATAL_ERROR: SQLSTATE as code, the server's primary message, never its detail (it may hold
/// values). Without a SQLSTATE the connection was lost: ErrorKind::unavailable with libpq's first line.
Error error_of_result(const pg_result* result, std::string_view peer);

/// A dial that failed; `connection` had PQERRORS_VERBOSE set, so that its message holds the SQLSTATE when the server
/// answered.
Error error_of_dial(const pg_conn* connection, std::string_view peer);

/// An established connection that was lost.
Error error_of_loss(const pg_conn* connection, std::string_view peer);

/// True when the server said with this result that the session is over.
bool ends_session(const pg_result* result);

/// True when the table behind a prepared statement has changed so that its plan cannot be used any more.
bool says_plan_is_stale(const pg_result* result);

/// The last SQLSTATE in a verbose message of libpq ("FATAL:  28P01: …"), "" when there is none; and the text that
/// follows it, one line.
struct VerboseMessage {
  std::string sqlstate;
  std::string text;
};
VerboseMessage parse_verbose_message(std::string_view message);

}  // namespace opi::pg
