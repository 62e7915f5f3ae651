#include "store/inventory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "store/credential_row.hpp"
#include "store/deployment_row.hpp"
#include "store/durable.hpp"
#include "store/json_rows.hpp"

namespace opi::store {
namespace {

constexpr std::size_t error_bytes_max = 4096;

// What is null in the input stays as it is. One unknown id, and nothing is changed.
constexpr const char* change_sql = R"(WITH {},
i AS (
  SELECT * FROM json_to_recordset($1::json) AS i(id bigint, state opi.deployment_state, inputs_hash text,
    secret_hash text, database_name text, generation integer, last_error text, looked_deep boolean)
)
UPDATE opi.deployments d SET
  state = coalesce(i.state, d.state),
  inputs_hash = coalesce(i.inputs_hash, d.inputs_hash),
  secret_hash = coalesce(i.secret_hash, d.secret_hash),
  database_name = coalesce(i.database_name, d.database_name),
  generation = coalesce(i.generation, d.generation),
  last_error = coalesce(i.last_error, d.last_error),
  failures = CASE WHEN i.last_error IS NULL THEN d.failures WHEN i.last_error = '' THEN 0 ELSE d.failures + 1 END,
  ready_at = CASE WHEN i.state = 'ready' THEN now() ELSE d.ready_at END,
  tombstone_at = CASE WHEN i.state IN ('wanted', 'ready') THEN NULL
    WHEN i.state = 'tombstone' AND d.state <> 'tombstone' THEN now() ELSE d.tombstone_at END,
  remove_after = CASE WHEN i.state IN ('wanted', 'ready') THEN NULL ELSE d.remove_after END,
  removal_confirmed_at = CASE WHEN i.state IN ('wanted', 'ready') THEN NULL ELSE d.removal_confirmed_at END,
  final_dump = CASE WHEN i.state IN ('wanted', 'ready') THEN '' ELSE d.final_dump END,
  deep_look_at = CASE WHEN i.looked_deep THEN now() ELSE d.deep_look_at END,
  changed_at = now()
FROM durable, i
WHERE d.id = i.id AND NOT EXISTS (
  SELECT 1 FROM i AS missing WHERE NOT EXISTS (SELECT 1 FROM opi.deployments k WHERE k.id = missing.id)))";

template <class T>
boost::json::value or_null(const std::optional<T>& value) {
  if (!value) return nullptr;
  return boost::json::value(*value);
}

Task<Result<std::vector<ServerRecord>>> load_servers(pg::Connection* connection) {
  const auto rows = co_await connection->query_prepared(
      "SELECT s.id, p.pool, s.system_identifier FROM opi.server_pools p JOIN opi.servers s ON s.id = p.server_id "
      "ORDER BY p.pool COLLATE \"C\"");
  if (!rows) co_return failure(rows.error());
  std::vector<ServerRecord> servers;
  for (const pg::Row row : *rows) {
    RowReader reader(row);
    ServerRecord server{.id = reader.next<std::int64_t>()};
    server.pool = reader.text();
    server.system_identifier = reader.next<std::optional<std::string>>();
    servers.push_back(std::move(server));
  }
  co_return servers;
}

/// Where each deployment stands among the entries, by its id.
using Places = std::unordered_map<std::int64_t, std::size_t>;

void keep_newest(std::vector<CredentialSummary>* credentials, CredentialSummary credential) {
  const auto same = std::ranges::find(*credentials, credential.slot, &CredentialSummary::slot);
  if (same == credentials->end()) {
    credentials->push_back(std::move(credential));
    std::ranges::sort(*credentials, {}, &CredentialSummary::slot);
  } else if (same->generation < credential.generation) {
    *same = std::move(credential);
  }
}

/// Rows of `table` that belong to a deployment of the projects in $1; of any when it is empty.
std::string of_projects(std::string_view table) {
  return fmt::format(
      "(cardinality($1::text[]) = 0 OR {}.deployment_id IN (SELECT p.id FROM opi.deployments p WHERE p.project = ANY "
      "($1::text[])))",
      table);
}

/// A statement of its own: joined, every deployment would be sent once for each of its logins.
Task<Result<>> add_credentials(pg::Connection* connection, std::vector<InventoryEntry>* entries,
                               std::vector<std::string> projects) {
  Places places;
  places.reserve(entries->size());
  for (std::size_t i = 0; i < entries->size(); ++i) places.emplace((*entries)[i].deployment.id, i);
  const auto rows = co_await connection->query_prepared("SELECT c.deployment_id, " + credential_summary_columns() +
                                                            " FROM opi.credentials c WHERE c.state <> 'retired' AND " +
                                                            of_projects("c"),
                                                        {projects});
  if (!rows) co_return failure(rows.error());
  for (const pg::Row row : *rows) {
    RowReader reader(row);
    const auto place = places.find(reader.next<std::int64_t>());
    if (place == places.end()) continue;  // of another cluster, or declared since the statement before
    keep_newest(&(*entries)[place->second].credentials, read_credential_summary(&reader));
  }
  co_return Result<>{};
}

Task<Result<>> add_drift(pg::Connection* connection, std::vector<InventoryEntry>* entries,
                         std::vector<std::string> projects) {
  const auto rows =
      co_await connection->query_prepared("SELECT d.deployment_id, d.key, d.inside, " + microseconds("d.seen_at") +
                                              " FROM opi.drift d WHERE " + of_projects("d"),
                                          {projects});
  if (!rows) co_return failure(rows.error());
  if (rows->empty()) co_return Result<>{};
  Places places;
  for (std::size_t i = 0; i < entries->size(); ++i) places.emplace((*entries)[i].deployment.id, i);
  for (const pg::Row row : *rows) {
    RowReader reader(row);
    const auto place = places.find(reader.next<std::int64_t>());
    if (place == places.end()) continue;
    DriftRecord record{.key = reader.text()};
    record.inside = reader.next<bool>();
    record.seen_at = reader.time();
    (*entries)[place->second].drift.push_back(std::move(record));
  }
  co_return Result<>{};
}

}  // namespace

std::string_view to_string(DeploymentState state) noexcept {
  return deployment_state_names[static_cast<std::size_t>(state)];
}

std::string_view to_string(Adoption adoption) noexcept {
  return adoption_names[static_cast<std::size_t>(adoption)];
}

std::string deployment_columns() {
  // Of several pools that lead to one server, main is the one to name.
  return "d.id, d.project, d.deployment, d.cluster, d.server_id, coalesce((SELECT p.pool FROM opi.server_pools p "
         "WHERE p.server_id = d.server_id ORDER BY p.pool <> 'main', p.pool LIMIT 1), ''), "
         "d.base_name, d.database_name, d.generation, d.namespace, d.stamp, d.state::text, d.adoption::text, "
         "d.repository, d.file, d.blob_id, d.commit_id, d.inputs_hash, d.secret_hash, d.last_error, d.failures, " +
         microseconds("d.created_at") + ", " + microseconds("d.changed_at") + ", " + microseconds("d.ready_at") + ", " +
         microseconds("d.deep_look_at") + ", " + microseconds("d.tombstone_at") + ", d.deletion, " +
         microseconds("d.remove_after") +
         ", coalesce(d.remove_after <= now(), false), d.removal_confirmed_at IS NOT NULL, d.final_dump";
}

DeploymentRecord read_deployment(RowReader* reader) {
  DeploymentRecord record;
  record.id = reader->next<std::int64_t>();
  record.key.project = reader->text();
  record.key.deployment = reader->text();
  record.cluster = reader->text();
  record.server_id = reader->next<std::int64_t>();
  record.pool = reader->text();
  record.base_name = reader->text();
  record.database_name = reader->text();
  record.generation = reader->next<int>();
  record.namespace_ = reader->text();
  record.stamp = reader->text();
  record.state = enum_named<DeploymentState>(deployment_state_names, reader->text());
  record.adoption = enum_named<Adoption>(adoption_names, reader->text());
  record.repository = reader->text();
  record.file = reader->text();
  record.blob_id = reader->text();
  record.commit_id = reader->text();
  record.inputs_hash = reader->text();
  record.secret_hash = reader->text();
  record.last_error = reader->text();
  record.failures = reader->next<int>();
  record.created_at = reader->time();
  record.changed_at = reader->time();
  record.ready_at = reader->time_or_null();
  record.deep_look_at = reader->time_or_null();
  record.tombstone_at = reader->time_or_null();
  record.deletion = reader->text();
  record.remove_after = reader->time_or_null();
  record.removal_over = reader->next<bool>();
  record.removal_confirmed = reader->next<bool>();
  record.final_dump = reader->text();
  return record;
}

Task<Result<>> change_deployments(pg::Connection* connection, std::vector<DeploymentChange> changes) {
  if (changes.empty()) co_return Result<>{};
  JsonRows rows;
  rows.reserve(changes.size());
  for (const DeploymentChange& change : changes) {
    JsonRow row{{"id", change.id}, {"looked_deep", change.looked_deep}};
    row["state"] = change.state ? boost::json::value(to_string(*change.state)) : nullptr;
    row["inputs_hash"] = or_null(change.inputs_hash);
    row["secret_hash"] = or_null(change.secret_hash);
    row["database_name"] = or_null(change.database_name);
    row["generation"] = or_null(change.generation);
    row["last_error"] = nullptr;
    if (change.last_error) row["last_error"] = storable(*change.last_error, error_bytes_max);
    rows.push_back(std::move(row));
  }
  const auto changed = co_await connection->query(fmt::format(change_sql, durable_cte), {rows_param(rows)});
  if (!changed) co_return failure(changed.error());
  if (changed->affected() < static_cast<std::int64_t>(changes.size())) {
    co_return failure(ErrorKind::not_found, "a deployment that is to be changed is not in the inventory");
  }
  co_return Result<>{};
}

Task<Result<>> change_deployment(pg::Connection* connection, DeploymentChange change) {
  std::vector<DeploymentChange> one;
  one.push_back(std::move(change));
  co_return co_await change_deployments(connection, std::move(one));
}

Task<Result<DeploymentRecord>> find_deployment(pg::Connection* connection, DeploymentKey key) {
  const auto rows = co_await connection->query(
      "SELECT " + deployment_columns() + " FROM opi.deployments d WHERE d.project = $1 AND d.deployment = $2",
      {key.project, key.deployment});
  if (!rows) co_return failure(rows.error());
  if (rows->empty()) {
    co_return failure(ErrorKind::not_found, fmt::format("{}/{} is not in the inventory", key.project, key.deployment));
  }
  RowReader reader((*rows)[0]);
  co_return read_deployment(&reader);
}

Task<Result<>> forget_deployment(pg::Connection* connection, std::int64_t id) {
  const auto gone =
      co_await connection->query("DELETE FROM opi.deployments WHERE id = $1 AND state = 'removing'", {id});
  if (!gone) co_return failure(gone.error());
  if (gone->affected() == 1) co_return Result<>{};
  co_return failure(ErrorKind::conflict, "a deployment is forgotten only after it was removed");
}

const InventoryEntry* Inventory::find(std::string_view project, std::string_view deployment) const noexcept {
  using Key = std::pair<std::string_view, std::string_view>;
  const auto key = [](const InventoryEntry& entry) {
    return Key(entry.deployment.key.project, entry.deployment.key.deployment);
  };
  const Key wanted(project, deployment);
  const auto found = std::ranges::lower_bound(entries, wanted, {}, key);
  return found != entries.end() && key(*found) == wanted ? &*found : nullptr;
}

Task<Result<Inventory>> load_inventory(pg::Connection* connection, std::string cluster,
                                       std::vector<std::string> projects) {
  Inventory inventory;
  auto servers = co_await load_servers(connection);
  if (!servers) co_return failure(std::move(servers.error()));
  inventory.servers = std::move(*servers);
  // The order is that of bytes, which `find` relies on.
  const auto rows =
      co_await connection->query_prepared("SELECT " + deployment_columns() +
                                              " FROM opi.deployments d WHERE ($1 = '' OR d.cluster = $1) "
                                              "AND (cardinality($2::text[]) = 0 OR d.project = ANY ($2::text[])) "
                                              "ORDER BY d.project COLLATE \"C\", d.deployment COLLATE \"C\"",
                                          {cluster, projects});
  if (!rows) co_return failure(rows.error());
  inventory.entries.reserve(static_cast<std::size_t>(rows->size()));
  for (const pg::Row row : *rows) {
    RowReader reader(row);
    inventory.entries.push_back({.deployment = read_deployment(&reader)});
  }
  const auto added = co_await add_credentials(connection, &inventory.entries, projects);
  if (!added) co_return failure(added.error());
  const auto drift = co_await add_drift(connection, &inventory.entries, projects);
  if (!drift) co_return failure(drift.error());
  co_return inventory;
}

}  // namespace opi::store
