#include "store/adoption.hpp"

#include <fmt/format.h>

#include <utility>

#include "store/durable.hpp"
#include "store/row_reader.hpp"

namespace opi::store {

Task<Result<>> set_adoption(pg::Connection* connection, std::int64_t deployment_id, Adoption adoption) {
  const auto changed = co_await connection->query(
      fmt::format("WITH {} UPDATE opi.deployments d SET adoption = $2::text::opi.adoption, changed_at = now() "
                  "FROM durable WHERE d.id = $1 AND d.adoption <= $2::text::opi.adoption",
                  durable_cte),
      {deployment_id, std::string(to_string(adoption))});
  if (!changed) co_return failure(changed.error());
  if (changed->affected() == 1) co_return Result<>{};
  co_return failure(ErrorKind::conflict, "the deployment is not in the inventory, or adopted further already");
}

Task<Result<>> keep_verifier(pg::Connection* connection, std::int64_t credential_id, std::string verifier) {
  const auto changed = co_await connection->query(
      fmt::format(
          "WITH {} UPDATE opi.credentials c SET verifier = $2 FROM durable WHERE c.id = $1 AND c.state = 'intent'",
          durable_cte),
      {credential_id, std::move(verifier)});
  if (!changed) co_return failure(changed.error());
  if (changed->affected() == 1) co_return Result<>{};
  co_return failure(ErrorKind::not_found, "a credential that is not an intent keeps its verifier");
}

}  // namespace opi::store
