#include "store/migrations.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "aio/with_deadline.hpp"
#include "pg/sqlstate.hpp"
#include "pg/transaction.hpp"
#include "secrets/keyed_hash.hpp"
#include "store/row_reader.hpp"

namespace opi::store {
namespace {

// The server's own lock_timeout ends the wait; this is for a server that no longer answers.
constexpr std::chrono::seconds answer_grace{2};

constexpr const char* bootstrap_sql =
    "CREATE SCHEMA IF NOT EXISTS opi; "
    "CREATE TABLE IF NOT EXISTS opi.schema_migrations ("
    "version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, "
    "applied_at timestamptz NOT NULL DEFAULT pg_catalog.now(), applied_by text NOT NULL DEFAULT CURRENT_USER)";

struct RecordedStep {
  int version = 0;
  std::string name;
  std::string checksum;
};

std::string checksum_of(const Migration& step) {
  return secrets::to_hex(secrets::sha256(step.sql));
}

Task<Result<std::vector<RecordedStep>>> recorded_steps(pg::Connection* connection) {
  std::vector<RecordedStep> steps;
  const auto there = co_await connection->query("SELECT to_regclass('opi.schema_migrations') IS NOT NULL");
  if (!there) co_return failure(there.error());
  if (!(*there)[0].get<bool>(0)) co_return steps;
  const auto rows =
      co_await connection->query("SELECT version, name, checksum FROM opi.schema_migrations ORDER BY version");
  if (!rows) co_return failure(rows.error());
  for (const pg::Row row : *rows) {
    RecordedStep step{.version = row.get<int>(0), .name = row.get<std::string>(1), .checksum = row.get<std::string>(2)};
    steps.push_back(std::move(step));
  }
  co_return steps;
}

/// What is recorded must be a beginning of what we know.
Result<> judge(const std::vector<RecordedStep>& recorded, std::span<const Migration> known) {
  if (recorded.size() > known.size()) {
    return failure(
        Error(ErrorKind::conflict, fmt::format("the control database has schema version {}, this program knows {}",
                                               recorded.back().version, known.size()))
            .with_remedy("use a newer program")
            .handled_by(Handling::needs_person));
  }
  for (std::size_t i = 0; i < recorded.size(); ++i) {
    if (recorded[i].version == known[i].version && recorded[i].checksum == checksum_of(known[i])) continue;
    return failure(Error(ErrorKind::conflict,
                         fmt::format("schema version {} ({}) of the control database was made by another step "
                                     "than version {} ({}) of this program",
                                     recorded[i].version, recorded[i].name, known[i].version, known[i].name))
                       .with_remedy("use the program that made it, or another control.database")
                       .handled_by(Handling::needs_person));
  }
  return {};
}

Error explained(Error error, const Migration* step) {
  if (error.code == pg::sqlstate::lock_not_available) {
    Error waited(ErrorKind::timed_out, "another process is migrating the control database and does not end");
    waited.causes.push_back(std::move(error.message));
    return waited;
  }
  return std::move(error).while_doing(
      step == nullptr
          ? std::string("the schema of the control database cannot be brought up to date")
          : fmt::format("schema version {} ({}) cannot be applied to the control database", step->version, step->name));
}

/// Within its transaction: waits for the lock, looks again, and applies the next step. Says whether there was one.
Task<Result<bool>> apply_next(pg::Connection* connection, std::span<const Migration> known, SteadyTime deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - SystemClock().steady()).count();
  const auto limited = co_await connection->execute(
      fmt::format("SET LOCAL lock_timeout = {}", std::clamp<std::int64_t>(left, 1, 2'000'000'000)));
  if (!limited) co_return failure(explained(limited.error(), nullptr));
  const auto locked = co_await connection->query("SELECT pg_advisory_xact_lock($1)", {migration_lock});
  if (!locked) co_return failure(explained(locked.error(), nullptr));
  const auto ready = co_await connection->execute(bootstrap_sql);
  if (!ready) co_return failure(explained(ready.error(), nullptr));
  const auto recorded = co_await recorded_steps(connection);
  if (!recorded) co_return failure(explained(recorded.error(), nullptr));
  auto verdict = judge(*recorded, known);
  if (!verdict) co_return failure(std::move(verdict.error()));
  if (recorded->size() == known.size()) co_return false;
  const Migration& step = known[recorded->size()];
  const auto applied = co_await connection->execute(std::string(step.sql));
  if (!applied) co_return failure(explained(applied.error(), &step));
  const auto noted =
      co_await connection->query("INSERT INTO opi.schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
                                 {step.version, step.name, checksum_of(step)});
  if (!noted) co_return failure(explained(noted.error(), &step));
  co_return true;
}

/// One transaction, one step, or none when all are there.
Task<Result<bool>> one_step(pg::Connection* connection, std::span<const Migration> known, SteadyTime deadline) {
  auto transaction = co_await pg::Transaction::begin(*connection);
  if (!transaction) co_return failure(explained(transaction.error(), nullptr));
  auto applied = co_await apply_next(connection, known, deadline);
  if (!applied) {
    if (!connection->broken()) (void)co_await transaction->rollback();
    co_return applied;
  }
  const auto committed = co_await transaction->commit();
  if (!committed) co_return failure(explained(committed.error(), nullptr));
  co_return applied;
}

Task<Result<MigrationReport>> migrate_all(pg::Connection* connection, std::span<const Migration> steps,
                                          SteadyTime deadline) {
  const auto recorded = co_await recorded_steps(connection);
  if (!recorded) co_return failure(explained(recorded.error(), nullptr));
  auto verdict = judge(*recorded, steps);
  if (!verdict) co_return failure(std::move(verdict.error()));
  MigrationReport report{.from = static_cast<int>(recorded->size()), .to = static_cast<int>(steps.size())};
  if (recorded->size() == steps.size()) co_return report;
  while (true) {
    auto applied = co_await one_step(connection, steps, deadline);
    if (!applied) co_return failure(std::move(applied.error()));
    if (!*applied) co_return report;
    ++report.applied;
  }
}

}  // namespace

Task<Result<MigrationReport>> migrate(pg::Connection* connection, SteadyTime deadline) {
  return migrate(connection, known_migrations(), deadline);
}

Task<Result<MigrationReport>> migrate(pg::Connection* connection, std::span<const Migration> steps,
                                      SteadyTime deadline) {
  return aio::with_deadline(migrate_all(connection, steps, deadline), deadline + answer_grace,
                            "the control database did not answer while its schema was brought up to date");
}

}  // namespace opi::store
