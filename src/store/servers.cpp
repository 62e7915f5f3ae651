// Servers: who they are, and by which pools they are reached.
#include <fmt/format.h>

#include "pg/sqlstate.hpp"
#include "pg/transaction.hpp"
#include "store/inventory.hpp"
#include "store/row_reader.hpp"

namespace opi::store {
namespace {

constexpr const char* server_sql =
    "SELECT s.id, p.pool, s.system_identifier FROM opi.server_pools p JOIN opi.servers s ON s.id = p.server_id "
    "WHERE p.pool = $1";

ServerRecord read_server(pg::Row row) {
  RowReader reader(row);
  ServerRecord server;
  server.id = reader.next<std::int64_t>();
  server.pool = reader.text();
  server.system_identifier = reader.next<std::optional<std::string>>();
  return server;
}

Task<Result<std::optional<ServerRecord>>> server_of_pool(pg::Connection* connection, std::string pool) {
  const auto rows = co_await connection->query(server_sql, {pool});
  if (!rows) co_return failure(rows.error());
  std::optional<ServerRecord> server;
  if (!rows->empty()) server = read_server((*rows)[0]);
  co_return server;
}

Error swapped(const ServerRecord& known, const ServerIdentity& found) {
  return Error(ErrorKind::conflict, fmt::format("pool {} leads to another server than before", known.pool))
      .because(fmt::format("its system identifier was {} and is {}", known.system_identifier.value_or("unknown"),
                           found.system_identifier.value_or("unknown")))
      .with_remedy("correct the pool's address; if the server was replaced on purpose, accept it first")
      .handled_by(Handling::needs_person);
}

/// The record of that cluster, made when nobody has seen it; a cluster that may not be asked gets a record for its
/// pool.
Task<Result<>> add_server(pg::Connection* connection, std::string pool, ServerIdentity identity) {
  auto transaction = co_await pg::Transaction::begin(*connection);
  if (!transaction) co_return failure(transaction.error());
  // Whoever registers a pool at the same time waits here, and then finds it there.
  auto added = co_await connection->execute("LOCK TABLE opi.server_pools IN SHARE ROW EXCLUSIVE MODE");
  if (added) {
    added = co_await connection->query(
        "WITH known AS (SELECT id FROM opi.servers WHERE system_identifier = $2::text), "
        "added AS (INSERT INTO opi.servers (system_identifier, version) SELECT $2::text, $3::integer "
        "WHERE NOT EXISTS (SELECT 1 FROM known) AND NOT EXISTS (SELECT 1 FROM opi.server_pools WHERE pool = $1) "
        "RETURNING id) "
        "INSERT INTO opi.server_pools (pool, server_id) SELECT $1, id FROM (TABLE known UNION ALL TABLE added) s "
        "ON CONFLICT DO NOTHING",
        {pool, identity.system_identifier, identity.version});
  }
  if (added) co_return co_await transaction->commit();
  if (!connection->broken()) (void)co_await transaction->rollback();
  co_return failure(added.error());
}

/// Writes down an identity that was not known, or a newer version.
Task<Result<>> note_identity(pg::Connection* connection, std::int64_t id, ServerIdentity identity) {
  const auto noted = co_await connection->query(
      "UPDATE opi.servers SET system_identifier = coalesce($2::text, system_identifier), version = $3::integer "
      "WHERE id = $1 AND (system_identifier, version) IS DISTINCT FROM (coalesce($2::text, system_identifier), "
      "$3::integer)",
      {id, identity.system_identifier, identity.version});
  if (noted) co_return Result<>{};
  if (noted.error().code != pg::sqlstate::unique_violation) co_return failure(noted.error());
  co_return failure(Error(ErrorKind::conflict, fmt::format("another pool already leads to the server with system "
                                                           "identifier {}, under a record of its own",
                                                           identity.system_identifier.value_or("unknown")))
                        .handled_by(Handling::needs_person));
}

}  // namespace

Task<Result<ServerIdentity>> identify_server(pg::Connection* connection) {
  ServerIdentity identity{.version = connection->server_version()};
  const auto rows = co_await connection->query("SELECT system_identifier::text FROM pg_control_system()");
  if (!rows) {
    if (rows.error().code == pg::sqlstate::insufficient_privilege) co_return identity;
    co_return failure(rows.error());
  }
  identity.system_identifier = (*rows)[0].get<std::string>(0);
  co_return identity;
}

Task<Result<ServerRecord>> register_server(pg::Connection* connection, std::string pool, ServerIdentity identity) {
  auto known = co_await server_of_pool(connection, pool);
  if (!known) co_return failure(known.error());
  if (!*known) {
    const auto added = co_await add_server(connection, pool, identity);
    if (!added) co_return failure(added.error());
    known = co_await server_of_pool(connection, pool);
    if (!known) co_return failure(known.error());
    if (!*known) co_return failure(ErrorKind::internal, fmt::format("pool {} was not registered", pool));
  }
  ServerRecord server = **known;
  const bool both_known = server.system_identifier && identity.system_identifier;
  if (both_known && *server.system_identifier != *identity.system_identifier)
    co_return failure(swapped(server, identity));
  const auto noted = co_await note_identity(connection, server.id, identity);
  if (!noted) co_return failure(noted.error());
  if (identity.system_identifier) server.system_identifier = identity.system_identifier;
  co_return server;
}

Task<Result<ServerRecord>> accept_server(pg::Connection* connection, std::string pool, ServerIdentity identity) {
  auto known = co_await server_of_pool(connection, pool);
  if (!known) co_return failure(known.error());
  if (!*known) co_return failure(ErrorKind::not_found, fmt::format("pool {} was never used", pool));
  ServerRecord server = **known;
  const auto noted = co_await note_identity(connection, server.id, identity);
  if (!noted) co_return failure(noted.error());
  if (identity.system_identifier) server.system_identifier = identity.system_identifier;
  co_return server;
}

}  // namespace opi::store
