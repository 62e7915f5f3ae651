#pragma once
/// @file
/// The control database: made once, closed to everyone but us before anybody can enter it.

#include <string>

#include "aio/blocking_pool.hpp"
#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "pg/connection.hpp"
#include "pg/settings.hpp"

namespace opi::store {

/// What was found and done.
struct ControlDatabaseReport {
  bool created = false;         ///< this call (and no other at the same time) made it
  bool public_revoked = false;  ///< PUBLIC still had rights on it, and has none now
};

/// Makes sure that the database `server.database` exists and that PUBLIC may not enter it.
///
/// Absent (3D000), it is created through the database `postgres` from template0, closed to connections; PUBLIC loses
/// its rights and the database is opened in one transaction, so there is no instant at which a stranger can connect.
/// Safe when several processes do it at once (42P04, 23505 and XX000 "tuple concurrently updated" are expected). Works
/// for a superuser and for an admin with CREATEDB only.
///
/// Threading: on `executor`. Ownership: `blocking` outlives the call.
/// Errors: denied (no right to create it, or it belongs to another and PUBLIC cannot be revoked: warnings 01006/01007
/// count as errors, and the ACL is read back), conflict (somebody closed it on purpose), and those of
/// Connection::connect.
Task<Result<ControlDatabaseReport>> ensure_control_database(asio::any_io_executor executor, pg::ServerSettings server,
                                                            aio::BlockingPool* blocking, SteadyTime deadline);

/// Takes CONNECT and TEMPORARY on the database that `connection` is in from PUBLIC and reads the ACL back. One
/// statement when nothing is to do. Errors: denied, and those of Connection.
Task<Result<bool>> revoke_public_from_control_database(pg::Connection* connection);

}  // namespace opi::store
