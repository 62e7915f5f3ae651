#include "store/drift.hpp"

#include "store/json_rows.hpp"

namespace opi::store {
namespace {

constexpr std::size_t detail_bytes_max = 1024;

}  // namespace

Task<Result<>> change_drift(pg::Connection* connection, std::vector<DriftChange> changes) {
  JsonRows appeared;
  JsonRows gone;
  for (const auto& change : changes) {
    for (const auto& one : change.appeared) {
      appeared.push_back(JsonRow{{"id", change.deployment_id},
                                 {"key", storable(one.key, detail_bytes_max)},
                                 {"detail", storable(one.detail, detail_bytes_max)},
                                 {"inside", one.inside}});
    }
    for (const auto& key : change.gone)
      gone.push_back(JsonRow{{"id", change.deployment_id}, {"key", storable(key, detail_bytes_max)}});
  }
  if (appeared.empty() && gone.empty()) co_return Result<>{};
  const auto changed = co_await connection->query(
      "WITH gone AS (DELETE FROM opi.drift d USING json_to_recordset($2::json) AS g(id bigint, key text) "
      "WHERE d.deployment_id = g.id AND d.key = g.key) "
      "INSERT INTO opi.drift (deployment_id, key, detail, inside) "
      "SELECT a.id, a.key, a.detail, a.inside FROM json_to_recordset($1::json) "
      "AS a(id bigint, key text, detail text, inside boolean) JOIN opi.deployments d ON d.id = a.id "
      "ON CONFLICT DO NOTHING",
      {rows_param(appeared), rows_param(gone)});
  if (!changed) co_return failure(changed.error());
  co_return Result<>{};
}

}  // namespace opi::store
