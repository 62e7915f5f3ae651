// Recording what project files declare: who has which name on which server.
#include <fmt/format.h>

#include <map>
#include <utility>

#include "secrets/keyed_hash.hpp"
#include "secrets/primitives.hpp"
#include "store/deployment_row.hpp"
#include "store/durable.hpp"
#include "store/inventory.hpp"
#include "store/json_rows.hpp"

namespace opi::store {
namespace {

constexpr std::size_t stamp_bytes = 16;

constexpr const char* input_columns =
    "(project text, deployment text, cluster text, server_id bigint, base_name text, namespace text, repository text, "
    "file text, blob_id text, commit_id text, deletion text, stamp text)";

std::string new_stamp() {
  std::array<unsigned char, stamp_bytes> random{};
  secrets::random_bytes(random);
  std::string stamp;
  for (const unsigned char byte : random) stamp += fmt::format("{:02x}", byte);
  return stamp;
}

pg::Param input_of(const std::vector<Declaration>& declarations) {
  JsonRows rows;
  rows.reserve(declarations.size());
  for (const Declaration& d : declarations) {
    rows.push_back(JsonRow{{"project", d.key.project},
                           {"deployment", d.key.deployment},
                           {"cluster", d.cluster},
                           {"server_id", d.server_id},
                           {"base_name", d.base_name},
                           {"namespace", d.namespace_},
                           {"repository", d.repository},
                           {"file", d.file},
                           {"blob_id", d.blob_id},
                           {"commit_id", d.commit_id},
                           {"deletion", d.deletion},
                           {"stamp", new_stamp()}});
  }
  return rows_param(rows);
}

/// New ones, in the order of their keys, so that it does not depend on the order of files who gets a name.
Task<Result<>> insert_new(pg::Connection* connection, pg::Param input) {
  const auto inserted = co_await connection->query(
      fmt::format(
          "WITH {} INSERT INTO opi.deployments (project, deployment, cluster, server_id, base_name, database_name, "
          "namespace, repository, file, blob_id, commit_id, deletion, stamp) "
          "SELECT project, deployment, cluster, server_id, base_name, base_name, namespace, repository, file, "
          "blob_id, commit_id, deletion, stamp FROM durable, json_to_recordset($1::json) AS i{} "
          "ORDER BY project COLLATE \"C\", deployment COLLATE \"C\" ON CONFLICT DO NOTHING",
          durable_cte, input_columns),
      {std::move(input)});
  if (!inserted) co_return failure(inserted.error());
  co_return Result<>{};
}

/// Known ones under the same name on the same server: where they are declared now.
Task<Result<>> update_sources(pg::Connection* connection, pg::Param input) {
  const auto updated = co_await connection->query(
      fmt::format(
          "UPDATE opi.deployments d SET cluster = i.cluster, namespace = i.namespace, repository = i.repository, "
          "file = i.file, blob_id = i.blob_id, commit_id = i.commit_id, deletion = i.deletion, "
          // Declared again: what somebody confirmed was about another time.
          "removal_confirmed_at = NULL, changed_at = now() "
          "FROM json_to_recordset($1::json) AS i{} "
          "WHERE d.project = i.project AND d.deployment = i.deployment AND d.server_id = i.server_id "
          "AND d.base_name = i.base_name "
          "AND ((d.cluster, d.namespace, d.repository, d.file, d.blob_id, d.commit_id, d.deletion) IS DISTINCT FROM "
          "(i.cluster, i.namespace, i.repository, i.file, i.blob_id, i.commit_id, i.deletion) "
          "OR d.removal_confirmed_at IS NOT NULL)",
          input_columns),
      {std::move(input)});
  if (!updated) co_return failure(updated.error());
  co_return Result<>{};
}

using NameOnServer = std::pair<std::int64_t, std::string>;

struct Records {
  std::map<DeploymentKey, DeploymentRecord> by_key;
  std::map<NameOnServer, DeploymentKey> by_name;
};

/// Everything that has one of the keys or one of the names.
Task<Result<Records>> load_touched(pg::Connection* connection, pg::Param input) {
  const auto rows = co_await connection->query(
      fmt::format("WITH i AS (SELECT * FROM json_to_recordset($1::json) AS i{}) SELECT {} FROM opi.deployments d WHERE "
                  "d.id IN (SELECT k.id FROM opi.deployments k JOIN i USING (project, deployment) UNION "
                  "SELECT n.id FROM opi.deployments n JOIN i USING (server_id, base_name))",
                  input_columns, deployment_columns()),
      {std::move(input)});
  if (!rows) co_return failure(rows.error());
  Records records;
  for (const pg::Row row : *rows) {
    RowReader reader(row);
    DeploymentRecord record = read_deployment(&reader);
    records.by_name.emplace(NameOnServer{record.server_id, record.base_name}, record.key);
    DeploymentKey key = record.key;
    records.by_key.emplace(std::move(key), std::move(record));
  }
  co_return records;
}

DeclarationOutcome outcome_of(const Declaration& declaration, const Records& records) {
  const auto mine = records.by_key.find(declaration.key);
  const std::string name = fmt::format("{}/{}", declaration.key.project, declaration.key.deployment);
  if (mine != records.by_key.end()) {
    const DeploymentRecord& record = mine->second;
    if (record.server_id == declaration.server_id && record.base_name == declaration.base_name) return record;
    return failure(
        Error(ErrorKind::conflict, fmt::format("{} stands as \"{}\" on pool {}; it cannot become \"{}\" or move", name,
                                               record.base_name, record.pool, declaration.base_name))
            .with_remedy("declare it where it was, or declare a new deployment and clone from this one"));
  }
  const auto holder = records.by_name.find({declaration.server_id, declaration.base_name});
  if (holder == records.by_name.end()) {
    // Taken away between two statements: the next pass finds it free.
    return failure(
        Error(ErrorKind::conflict, fmt::format("{} was being removed just now", name)).handled_by(Handling::retry));
  }
  return failure(Error(ErrorKind::conflict,
                       fmt::format("{} would have the name \"{}\", which belongs to {}/{} on that server", name,
                                   declaration.base_name, holder->second.project, holder->second.deployment))
                     .with_remedy("rename one of the two"));
}

}  // namespace

Task<Result<std::vector<DeclarationOutcome>>> declare_deployments(pg::Connection* connection,
                                                                  std::vector<Declaration> declarations) {
  std::vector<DeclarationOutcome> outcomes;
  if (declarations.empty()) co_return outcomes;
  const pg::Param input = input_of(declarations);
  const auto inserted = co_await insert_new(connection, input);
  if (!inserted) co_return failure(inserted.error());
  const auto updated = co_await update_sources(connection, input);
  if (!updated) co_return failure(updated.error());
  const auto records = co_await load_touched(connection, input);
  if (!records) co_return failure(records.error());
  outcomes.reserve(declarations.size());
  for (const Declaration& declaration : declarations) outcomes.push_back(outcome_of(declaration, *records));
  co_return outcomes;
}

Task<Result<DeploymentRecord>> declare_deployment(pg::Connection* connection, Declaration declaration) {
  std::vector<Declaration> one;
  one.push_back(std::move(declaration));
  auto outcomes = co_await declare_deployments(connection, std::move(one));
  if (!outcomes) co_return failure(std::move(outcomes.error()));
  co_return std::move(outcomes->front());
}

}  // namespace opi::store
