#include "store/project_keys.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <utility>

#include "pg/transaction.hpp"
#include "secrets/age.hpp"
#include "store/durable.hpp"
#include "store/row_reader.hpp"

namespace opi::store {
namespace {

std::string columns() {
  return "id, project, recipient, sealed, origin, " + microseconds("created_at") + ", retire_after IS NULL, " +
         microseconds("retire_after") + ", coalesce(retire_after <= pg_catalog.now(), false)";
}

ProjectKey read_key(pg::Row row) {
  RowReader reader(row);
  ProjectKey key;
  key.id = reader.next<std::int64_t>();
  key.project = reader.text();
  key.recipient = reader.text();
  key.sealed = reader.bytes();
  key.origin = reader.text();
  key.created_at = reader.time();
  key.current = reader.next<bool>();
  key.retire_after = reader.time_or_null();
  key.over = reader.next<bool>();
  return key;
}

Result<secrets::AgeIdentity> identity_of(const NewProjectKey& wanted) {
  if (!wanted.identity) return secrets::AgeIdentity::generate();
  return secrets::AgeIdentity::parse_file(wanted.identity->reveal());
}

Task<Result<std::optional<ProjectKey>>> current_key(pg::Transaction* transaction, std::string project) {
  const auto rows = co_await transaction->query(
      "SELECT " + columns() + " FROM opi.project_keys WHERE project = $1 AND retire_after IS NULL", {project});
  if (!rows) co_return failure(rows.error());
  if (rows->empty()) co_return std::optional<ProjectKey>{};
  co_return std::optional<ProjectKey>(read_key((*rows)[0]));
}

Task<Result<ProjectKey>> insert_key(pg::Transaction* transaction, const secrets::PlatformKey* key,
                                    const NewProjectKey* wanted) {
  const auto identity = identity_of(*wanted);
  if (!identity)
    co_return failure(Error(identity.error()).while_doing("the private key of project " + wanted->project));
  const auto recipient = identity->recipient().to_string();
  const auto found = co_await current_key(transaction, wanted->project);
  if (!found) co_return failure(found.error());
  if (*found && (*found)->recipient == recipient) {
    const auto noted = co_await transaction->query(
        "UPDATE opi.project_keys SET origin = $2 WHERE id = $1 RETURNING " + columns(), {(*found)->id, wanted->origin});
    if (!noted) co_return failure(noted.error());
    co_return read_key((*noted)[0]);
  }
  const auto secret = identity->to_secret();
  auto sealed = key->seal(secret.reveal());
  if (!sealed) co_return failure(std::move(sealed.error()));
  const auto replaced = co_await transaction->query(
      "UPDATE opi.project_keys SET retire_after = pg_catalog.now() + pg_catalog.make_interval(secs => $2) "
      "WHERE project = $1 AND retire_after IS NULL",
      {wanted->project, static_cast<double>(wanted->overlap.count())});
  if (!replaced) co_return failure(replaced.error());
  // One that was replaced may come back.
  const auto rows = co_await transaction->query(
      "WITH " + std::string(durable_cte) +
          " INSERT INTO opi.project_keys AS k (project, recipient, sealed, sealed_to, origin) "
          "SELECT $1, $2, $3::bytea, $4, $5 FROM durable ON CONFLICT (project, recipient) DO UPDATE "
          "SET retire_after = NULL, origin = excluded.origin RETURNING " +
          columns(),
      {wanted->project, recipient, bytes_param(*sealed), key->recipient().to_string(), wanted->origin});
  if (!rows) co_return failure(rows.error());
  co_return read_key((*rows)[0]);
}

}  // namespace

Task<Result<std::vector<ProjectKey>>> load_project_keys(pg::Connection* connection) {
  const auto rows = co_await connection->query("SELECT " + columns() +
                                               " FROM opi.project_keys ORDER BY project COLLATE \"C\", "
                                               "retire_after DESC NULLS FIRST, id DESC");
  if (!rows) co_return failure(rows.error());
  std::vector<ProjectKey> all;
  all.reserve(static_cast<std::size_t>(rows->size()));
  for (const pg::Row row : *rows) all.push_back(read_key(row));
  co_return all;
}

Task<Result<ProjectKey>> set_project_key(pg::Connection* connection, const secrets::PlatformKey* key,
                                         NewProjectKey wanted, bool replace) {
  auto transaction = co_await pg::Transaction::begin(*connection);
  if (!transaction) co_return failure(std::move(transaction.error()));
  // Whoever comes second waits here and then sees what the first one made.
  const auto locked = co_await transaction->query(
      "SELECT pg_advisory_xact_lock(pg_catalog.hashtextextended('opi project key ' || $1, 0))", {wanted.project});
  if (!locked) co_return failure(locked.error());
  const auto found = co_await current_key(&*transaction, wanted.project);
  if (!found) co_return failure(found.error());
  if (*found && !replace) co_return **found;
  auto made = co_await insert_key(&*transaction, key, &wanted);
  if (!made) co_return made;
  const auto committed = co_await transaction->commit();
  if (!committed) co_return failure(committed.error());
  co_return made;
}

Task<Result<std::size_t>> drop_project_keys(pg::Connection* connection) {
  const auto gone = co_await connection->query("DELETE FROM opi.project_keys WHERE retire_after <= pg_catalog.now()");
  if (!gone) co_return failure(gone.error());
  co_return static_cast<std::size_t>(gone->affected());
}

Result<SecretString> open_project_key(const secrets::PlatformKey& key, const ProjectKey& project_key) {
  const auto opened = key.open(project_key.sealed);
  if (!opened) return failure(Error(opened.error()).while_doing("the private key of project " + project_key.project));
  auto identity = secrets::AgeIdentity::parse(opened->reveal());
  if (!identity) return failure(std::move(identity.error()));
  if (identity->recipient().to_string() != project_key.recipient)
    return failure(ErrorKind::invalid, "the sealed key of project " + project_key.project + " is another one");
  return identity->to_key_file(
      fmt::format("{:%Y-%m-%dT%H:%M:%S}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(project_key.created_at))));
}

}  // namespace opi::store
