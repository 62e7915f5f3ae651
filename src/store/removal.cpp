#include "store/removal.hpp"

#include <fmt/format.h>

#include <utility>

#include "store/durable.hpp"
#include "store/row_reader.hpp"

namespace opi::store {
namespace {

/// One statement that must touch the one deployment it is about.
Task<Result<>> touch_one(pg::Connection* connection, std::string sql, pg::Params params, const char* otherwise) {
  const auto touched =
      co_await connection->query(fmt::format(fmt::runtime(sql), fmt::arg("durable", durable_cte)), std::move(params));
  if (!touched) co_return failure(touched.error());
  if (touched->affected() == 1) co_return Result<>{};
  co_return failure(ErrorKind::conflict, otherwise);
}

}  // namespace

Task<Result<>> bury_deployment(pg::Connection* connection, std::int64_t id, std::chrono::seconds grace) {
  pg::Params params;
  params.emplace_back(id);
  params.emplace_back(std::int64_t{grace.count()});
  co_return co_await touch_one(connection,
                               "WITH {durable} UPDATE opi.deployments d SET state = 'tombstone', changed_at = now(), "
                               "tombstone_at = coalesce(d.tombstone_at, now()), "
                               "remove_after = coalesce(d.remove_after, now() + $2::bigint * interval '1 second') "
                               "FROM durable WHERE d.id = $1::bigint AND d.state <> 'removing'",
                               std::move(params), "a deployment that is being removed does not become a tombstone");
}

Task<Result<>> begin_removal(pg::Connection* connection, std::int64_t id) {
  pg::Params params;
  params.emplace_back(id);
  co_return co_await touch_one(
      connection,
      "WITH {durable} UPDATE opi.deployments d SET state = 'removing', changed_at = now() FROM durable "
      "WHERE d.id = $1::bigint AND (d.state = 'removing' OR (d.state = 'tombstone' AND d.remove_after <= now()))",
      std::move(params), "a deployment is removed only after its grace period as a tombstone");
}

Task<Result<>> confirm_removals(pg::Connection* connection, std::vector<std::int64_t> ids, bool now) {
  const auto confirmed = co_await connection->query(
      fmt::format("WITH {} UPDATE opi.deployments d SET removal_confirmed_at = now(), changed_at = now(), "
                  "deletion = CASE WHEN d.deletion = 'keep' THEN 'remove' ELSE d.deletion END, "
                  "remove_after = CASE WHEN $2::boolean THEN now() ELSE d.remove_after END "
                  "FROM durable WHERE d.id = ANY ($1::text[]::bigint[])",
                  durable_cte),
      {ids_param(ids), now});
  if (!confirmed) co_return failure(confirmed.error());
  co_return Result<>{};
}

Task<Result<std::int64_t>> keep_deployments(pg::Connection* connection, std::vector<std::int64_t> ids) {
  const auto kept = co_await connection->query(
      fmt::format("WITH {} UPDATE opi.deployments d SET deletion = 'keep', removal_confirmed_at = NULL, "
                  "remove_after = NULL, changed_at = now() FROM durable "
                  "WHERE d.id = ANY ($1::text[]::bigint[]) AND d.state <> 'removing'",
                  durable_cte),
      {ids_param(ids)});
  if (!kept) co_return failure(kept.error());
  co_return kept->affected();
}

Task<Result<>> record_final_dump(pg::Connection* connection, std::int64_t id, std::string path) {
  pg::Params params;
  params.emplace_back(id);
  params.emplace_back(std::move(path));
  co_return co_await touch_one(connection,
                               "WITH {durable} UPDATE opi.deployments d SET final_dump = $2, changed_at = now() "
                               "FROM durable WHERE d.id = $1::bigint",
                               std::move(params), "a dump of a deployment that is not in the inventory");
}

}  // namespace opi::store
