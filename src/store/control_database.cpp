#include "store/control_database.hpp"

#include <fmt/format.h>

#include <optional>
#include <random>

#include "aio/with_deadline.hpp"
#include "base/backoff.hpp"
#include "pg/quote.hpp"
#include "pg/sqlstate.hpp"
#include "pg/transaction.hpp"

namespace opi::store {
namespace {

constexpr std::string_view not_accepting = "55000";  // object_not_in_prerequisite_state: closed to connections
constexpr const char* maintenance_database = "postgres";
constexpr BackoffLimits retry_limits{.first = std::chrono::milliseconds{10}, .most = std::chrono::milliseconds{500}};

/// Somebody changed the same catalogue row at the same instant; the next look shows what came of it.
bool lost_a_race(const Error& error) {
  return error.code == pg::sqlstate::internal_error && error.message.contains("tuple concurrently");
}

struct DatabaseRights {
  std::string name;
  bool exists = false;
  bool accepts_connections = false;
  bool open_to_public = false;
  std::string owner;
};

/// A NULL ACL means PUBLIC's default rights, so it is expanded before it is read. No name: the database we are in.
Task<Result<DatabaseRights>> rights_on(pg::Connection* connection, std::optional<std::string> name) {
  const auto rows = co_await connection->query(
      "SELECT d.datname, d.datallowconn, pg_get_userbyid(d.datdba), EXISTS (SELECT 1 FROM "
      "aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a WHERE a.grantee = 0) "
      "FROM pg_database d WHERE d.datname = coalesce($1::name, current_database())",
      {name});
  if (!rows) co_return failure(rows.error());
  DatabaseRights rights;
  if (rows->empty()) co_return rights;
  rights.exists = true;
  rights.name = (*rows)[0].get<std::string>(0);
  rights.accepts_connections = (*rows)[0].get<bool>(1);
  rights.owner = (*rows)[0].get<std::string>(2);
  rights.open_to_public = (*rows)[0].get<bool>(3);
  co_return rights;
}

Error still_open(const std::string& name, const std::string& owner) {
  return Error(ErrorKind::denied, fmt::format("PUBLIC may still enter the control database \"{}\"", name))
      .because(fmt::format("its owner \"{}\" has to revoke that", owner))
      .with_remedy(fmt::format("run as that owner: REVOKE ALL ON DATABASE {} FROM PUBLIC", pg::quote_identifier(name)));
}

/// REVOKE that is read back: without the right to, the server only warns and PUBLIC keeps its rights.
Task<Result<>> revoke_and_read_back(pg::Connection* connection, std::string name) {
  const auto revoked =
      co_await connection->execute(fmt::format("REVOKE ALL ON DATABASE {} FROM PUBLIC", pg::quote_identifier(name)));
  if (!revoked && lost_a_race(revoked.error())) co_return failure(revoked.error());
  const bool refused = !revoked;
  if (refused && revoked.error().code != pg::sqlstate::insufficient_privilege) co_return failure(revoked.error());
  if (refused) {
    co_return failure(Error(ErrorKind::denied, fmt::format("PUBLIC may enter the control database \"{}\"", name))
                          .because(revoked.error().message)
                          .with_code(revoked.error().code)
                          .with_remedy(fmt::format("run as its owner: REVOKE ALL ON DATABASE {} FROM PUBLIC",
                                                   pg::quote_identifier(name))));
  }
  const auto rights = co_await rights_on(connection, name);
  if (!rights) co_return failure(rights.error());
  if (rights->open_to_public) co_return failure(still_open(name, rights->owner));
  co_return Result<>{};
}

/// Closes it to PUBLIC and opens it to connections in one transaction: there is no instant between the two.
Task<Result<>> finish_creation(pg::Connection* connection, std::string name) {
  auto transaction = co_await pg::Transaction::begin(*connection);
  if (!transaction) co_return failure(transaction.error());
  Result<> done = co_await revoke_and_read_back(connection, name);
  if (done) {
    const auto opened = co_await connection->execute(
        fmt::format("ALTER DATABASE {} ALLOW_CONNECTIONS true", pg::quote_identifier(name)));
    if (!opened) done = failure(opened.error());
  }
  if (done) co_return co_await transaction->commit();
  if (!connection->broken()) (void)co_await transaction->rollback();
  co_return done;
}

/// Makes what is missing, from a session in another database. `created` becomes true when this call created the
/// database, also when another finishes it meanwhile and this call has to look again.
Task<Result<>> create_and_finish(pg::Connection* connection, std::string name, bool* created) {
  auto rights = co_await rights_on(connection, name);
  if (!rights) co_return failure(rights.error());
  if (!rights->exists) {
    const auto made = co_await connection->execute(fmt::format(
        "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' ALLOW_CONNECTIONS false", pg::quote_identifier(name)));
    if (made) *created = true;
    if (!made && made.error().code != pg::sqlstate::duplicate_database &&
        made.error().code != pg::sqlstate::unique_violation) {
      Error error = made.error();
      if (error.code == pg::sqlstate::insufficient_privilege) {
        error.remedy = "give the admin CREATEDB, or create the database for it as its owner";
      }
      co_return failure(
          std::move(error).while_doing(fmt::format("the control database \"{}\" cannot be created", name)));
    }
    rights = co_await rights_on(connection, name);
    if (!rights) co_return failure(rights.error());
  }
  if (rights->accepts_connections) co_return Result<>{};  // finished, perhaps by another process
  if (!rights->open_to_public) {
    co_return failure(
        Error(ErrorKind::conflict, fmt::format("the control database \"{}\" was closed to connections", name))
            .with_remedy(fmt::format("when that is over, run: ALTER DATABASE {} ALLOW_CONNECTIONS true",
                                     pg::quote_identifier(name))));
  }
  co_return co_await finish_creation(connection, name);
}

Task<Result<>> create_through_maintenance(asio::any_io_executor executor, pg::ServerSettings server,
                                          aio::BlockingPool* blocking, bool* created, SteadyTime deadline) {
  const std::string name = server.database;
  server.database = maintenance_database;
  auto connection = co_await pg::Connection::connect(executor, server, *blocking, deadline);
  if (!connection) {
    co_return failure(std::move(connection.error())
                          .while_doing(fmt::format("the control database \"{}\" is to be created through \"{}\"", name,
                                                   maintenance_database)));
  }
  auto outcome = co_await create_and_finish(&*connection, name, created);
  co_await connection->close(deadline);
  co_return outcome;
}

/// Looks into it; the error's code says what is missing.
Task<Result<bool>> enter_and_revoke(asio::any_io_executor executor, pg::ServerSettings server,
                                    aio::BlockingPool* blocking, SteadyTime deadline) {
  auto connection = co_await pg::Connection::connect(executor, server, *blocking, deadline);
  if (!connection) co_return failure(std::move(connection.error()));
  auto revoked = co_await revoke_public_from_control_database(&*connection);
  co_await connection->close(deadline);
  co_return revoked;
}

Task<Result<ControlDatabaseReport>> ensure(asio::any_io_executor executor, pg::ServerSettings server,
                                           aio::BlockingPool* blocking, SteadyTime deadline) {
  ControlDatabaseReport report;
  Backoff backoff(retry_limits, std::random_device{}());
  while (true) {
    const auto entered = co_await enter_and_revoke(executor, server, blocking, deadline);
    if (entered) {
      report.public_revoked = *entered;
      co_return report;
    }
    const std::string code = entered.error().code;
    if (code != pg::sqlstate::invalid_catalog_name && code != not_accepting) co_return failure(entered.error());
    auto made = co_await create_through_maintenance(executor, server, blocking, &report.created, deadline);
    if (!made && !lost_a_race(made.error())) co_return failure(std::move(made.error()));
    if (SystemClock().steady() >= deadline) {
      co_return failure(ErrorKind::timed_out, "others keep changing the control database");
    }
    if (!made && !co_await aio::sleep_for(backoff.next())) {
      co_return failure(ErrorKind::cancelled, "cancelled while the control database was being created");
    }
  }
}

}  // namespace

Task<Result<ControlDatabaseReport>> ensure_control_database(asio::any_io_executor executor, pg::ServerSettings server,
                                                            aio::BlockingPool* blocking, SteadyTime deadline) {
  return aio::with_deadline(ensure(std::move(executor), std::move(server), blocking, deadline), deadline,
                            "the control database could not be made ready in time");
}

Task<Result<bool>> revoke_public_from_control_database(pg::Connection* connection) {
  Backoff backoff(retry_limits, std::random_device{}());
  constexpr std::uint32_t tries_max = 20;
  while (true) {
    const auto rights = co_await rights_on(connection, std::nullopt);
    if (!rights) co_return failure(rights.error());
    if (!rights->open_to_public) co_return false;
    auto revoked = co_await revoke_and_read_back(connection, rights->name);
    if (revoked) co_return true;
    if (!lost_a_race(revoked.error()) || backoff.attempts() >= tries_max) co_return failure(std::move(revoked.error()));
    if (!co_await aio::sleep_for(backoff.next())) {
      co_return failure(ErrorKind::cancelled, "cancelled while the control database was being closed to PUBLIC");
    }
  }
}

}  // namespace opi::store
