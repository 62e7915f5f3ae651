#include "store/login_rotation.hpp"

#include <fmt/format.h>

#include "store/durable.hpp"

namespace opi::store {

Task<Result<>> replace_logins(pg::Connection* connection, std::int64_t deployment_id, std::int64_t successor,
                              RotationTimes times) {
  const auto replaced = co_await connection->query(
      fmt::format("WITH {} UPDATE opi.credentials c SET changed_at = now(), "
                  "overlap_until = now() + $3::bigint * interval '1 second', "
                  "grace_until = now() + ($3::bigint + $4::bigint) * interval '1 second' "
                  "FROM durable WHERE c.deployment_id = $1::bigint AND c.id <> $2::bigint AND c.slot IN ('a', 'b') "
                  "AND c.state <> 'retired' AND c.overlap_until IS NULL",
                  durable_cte),
      {deployment_id, successor, std::int64_t{times.overlap.count()}, std::int64_t{times.grace.count()}});
  if (!replaced) co_return failure(replaced.error());
  co_return Result<>{};
}

Task<Result<>> end_overlap(pg::Connection* connection, std::int64_t deployment_id) {
  const auto ended = co_await connection->query(
      fmt::format("WITH {} UPDATE opi.credentials c SET changed_at = now(), "
                  "overlap_until = least(c.overlap_until, now()), grace_until = least(c.grace_until, now()) "
                  "FROM durable WHERE c.deployment_id = $1::bigint AND c.state <> 'retired' "
                  "AND c.overlap_until IS NOT NULL AND c.grace_until > now()",
                  durable_cte),
      {deployment_id});
  if (!ended) co_return failure(ended.error());
  co_return Result<>{};
}

}  // namespace opi::store
