#pragma once
/// @file
/// Reads what a server's catalogs say: one query for everything outside the databases, one for the inside of one.

#include <optional>
#include <string>
#include <vector>

#include "aio/task.hpp"
#include "base/result.hpp"
#include "pg/connection.hpp"
#include "provision/observed_state.hpp"

namespace opi::provision {

/// Everything outside the databases: roles, databases, memberships, settings and comments of `names` (each may be a
/// role, a database, or nothing yet), and who we are. Two statements, whatever the number of names; reads only.
/// Ownership: `connection` outlives the call; it may be in any database of the server. Errors: those of Connection, and
/// internal when the catalogs say what we cannot read.
Task<Result<ObservedServer>> observe_server(pg::Connection* connection, std::vector<std::string> names);

/// The inside of the database that `connection` is in: those of `schemas` that exist, and "public"; the default
/// privileges of `owner` for all of the database; all extensions. One statement; reads only. Errors: as observe_server.
Task<Result<ObservedInside>> observe_inside(pg::Connection* connection, std::string owner,
                                            std::vector<std::string> schemas);

/// Tables, views, sequences, functions and types of `schemas` that do not belong to `owner`; members of extensions and
/// what follows another object's owner are left out. One statement; reads only. Errors: as observe_server.
Task<Result<std::vector<ForeignObject>>> observe_foreign_objects(pg::Connection* connection, std::string owner,
                                                                 std::vector<std::string> schemas);

/// Privileges on the database `name` as they are now. Errors: not_found, and those of Connection.
Task<Result<Acl>> observe_database_acl(pg::Connection* connection, std::string name);

}  // namespace opi::provision
