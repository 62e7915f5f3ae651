#include "store/cluster_state.hpp"

#include "store/credential_row.hpp"
#include "store/durable.hpp"
#include "store/json_rows.hpp"
#include "store/row_reader.hpp"

namespace opi::store {
namespace {

constexpr std::size_t problem_bytes_max = 2'048;

JsonRows json_of(const std::vector<ClusterObjectRow>& rows) {
  JsonRows all;
  for (const auto& row : rows) {
    all.push_back(JsonRow{{"kind", row.kind},
                          {"name_space", row.name_space},
                          {"name", row.name},
                          {"project", row.project},
                          {"deployment", row.deployment},
                          {"inputs", row.inputs},
                          {"content_hash", row.content_hash},
                          {"version", row.version},
                          {"problem", storable(row.problem, problem_bytes_max)}});
  }
  return all;
}

constexpr std::string_view select_sql =
    "SELECT kind, name_space, name, project, deployment, inputs, content_hash, version, problem, to_go "
    "FROM opi.cluster_objects";

ClusterObjectRow read_row(pg::Row row) {
  RowReader reader(row);
  ClusterObjectRow one;
  for (std::string* field : {&one.kind, &one.name_space, &one.name, &one.project, &one.deployment, &one.inputs,
                             &one.content_hash, &one.version, &one.problem})
    *field = reader.text();
  one.to_go = reader.next<bool>();
  return one;
}

}  // namespace

Task<Result<std::vector<ClusterObjectRow>>> load_cluster_objects(pg::Connection* connection, std::string cluster) {
  const auto rows = co_await connection->query(
      std::string(select_sql) + " WHERE cluster = $1 ORDER BY name_space, kind, name", {cluster});
  if (!rows) co_return failure(rows.error());
  std::vector<ClusterObjectRow> all;
  all.reserve(static_cast<std::size_t>(rows->size()));
  for (const pg::Row row : *rows) all.push_back(read_row(row));
  co_return all;
}

Task<Result<std::optional<ClusterObjectRow>>> find_cluster_object(pg::Connection* connection, std::string cluster,
                                                                  std::string kind, std::string name_space,
                                                                  std::string name) {
  const auto rows = co_await connection->query(
      std::string(select_sql) + " WHERE cluster = $1 AND kind = $2 AND name_space = $3 AND name = $4",
      {cluster, kind, name_space, name});
  if (!rows) co_return failure(rows.error());
  if (rows->empty()) co_return std::optional<ClusterObjectRow>{};
  co_return std::optional<ClusterObjectRow>(read_row((*rows)[0]));
}

Task<Result<>> record_cluster_objects(pg::Connection* connection, std::string cluster,
                                      std::vector<ClusterObjectRow> rows) {
  if (rows.empty()) co_return Result<>{};
  const auto done = co_await connection->query(
      "WITH " + std::string(durable_cte) +
          " INSERT INTO opi.cluster_objects AS o (cluster, kind, name_space, name, project, deployment, inputs, "
          "content_hash, version, problem) SELECT $1, r.kind, r.name_space, r.name, r.project, r.deployment, r.inputs, "
          "r.content_hash, r.version, r.problem FROM json_to_recordset($2::json) AS r(kind text, name_space text, "
          "name text, project text, deployment text, inputs text, content_hash text, version text, problem text), "
          "durable ON CONFLICT (cluster, kind, name_space, name) DO UPDATE SET project = excluded.project, "
          "deployment = excluded.deployment, inputs = excluded.inputs, content_hash = excluded.content_hash, "
          "version = excluded.version, problem = excluded.problem, changed_at = pg_catalog.now()",
      {cluster, rows_param(json_of(rows))});
  if (!done) co_return failure(done.error());
  co_return Result<>{};
}

Task<Result<>> forget_cluster_objects(pg::Connection* connection, std::string cluster,
                                      std::vector<ClusterObjectRow> rows) {
  if (rows.empty()) co_return Result<>{};
  const auto done = co_await connection->query(
      "DELETE FROM opi.cluster_objects o USING json_to_recordset($2::json) AS r(kind text, name_space text, name text) "
      "WHERE o.cluster = $1 AND o.kind = r.kind AND o.name_space = r.name_space AND o.name = r.name",
      {cluster, rows_param(json_of(rows))});
  if (!done) co_return failure(done.error());
  co_return Result<>{};
}

Task<Result<std::vector<PublishedCredential>>> published_credentials(pg::Connection* connection, std::string cluster) {
  const auto rows = co_await connection->query(
      "SELECT DISTINCT ON (d.project COLLATE \"C\", d.deployment COLLATE \"C\") d.project, d.deployment, "
      "d.database_name, d.base_name, coalesce((SELECT p.pool FROM opi.server_pools p WHERE p.server_id = d.server_id "
      "ORDER BY p.pool <> 'main', p.pool LIMIT 1), ''), " +
          credential_columns() +
          " FROM opi.credentials c JOIN opi.deployments d ON d.id = c.deployment_id WHERE d.cluster = $1 "
          "AND d.state = 'ready' AND c.slot IN ('a', 'b') AND c.published_at IS NOT NULL AND c.state <> 'retired' "
          "ORDER BY d.project COLLATE \"C\", d.deployment COLLATE \"C\", c.published_at DESC, c.id DESC",
      {cluster});
  if (!rows) co_return failure(rows.error());
  std::vector<PublishedCredential> all;
  all.reserve(static_cast<std::size_t>(rows->size()));
  for (const pg::Row row : *rows) {
    RowReader reader(row);
    PublishedCredential& one = all.emplace_back();
    one.project = reader.text();
    one.deployment = reader.text();
    one.database = reader.text();
    one.schema = reader.text();
    one.pool = reader.text();
    one.credential = read_credential(&reader);
  }
  co_return all;
}

Task<Result<>> mark_cluster_object(pg::Connection* connection, std::string cluster, std::string kind,
                                   std::string name_space, std::string name, bool to_go) {
  const auto done = co_await connection->query(
      "WITH " + std::string(durable_cte) +
          " UPDATE opi.cluster_objects o SET to_go = $5 FROM durable WHERE o.cluster = $1 AND o.kind = $2 AND "
          "o.name_space = $3 AND o.name = $4",
      {cluster, kind, name_space, name, to_go});
  if (!done) co_return failure(done.error());
  co_return Result<>{};
}

Task<Result<std::map<std::string, std::string>>> inventoried_deployments(pg::Connection* connection,
                                                                         std::string cluster) {
  const auto rows = co_await connection->query(
      "SELECT project || '/' || deployment, namespace FROM opi.deployments WHERE cluster = $1", {cluster});
  if (!rows) co_return failure(rows.error());
  std::map<std::string, std::string> all;
  for (const pg::Row row : *rows) all.insert_or_assign(row.get<std::string>(0), row.get<std::string>(1));
  co_return all;
}

}  // namespace opi::store
