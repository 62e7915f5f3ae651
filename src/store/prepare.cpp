#include "store/prepare.hpp"

#include "store/control_database.hpp"

namespace opi::store {

Task<Result<PreparedStore>> prepare_control_store(pg::Connection* connection, const secrets::PlatformKey* key,
                                                  SteadyTime deadline) {
  const auto revoked = co_await revoke_public_from_control_database(connection);
  if (!revoked) co_return failure(revoked.error());
  const auto migrated = co_await migrate(connection, deadline);
  if (!migrated) co_return failure(migrated.error());
  auto keys = co_await check_platform_key(connection, key);
  if (!keys) co_return failure(std::move(keys.error()));
  co_return PreparedStore{.migrations = *migrated, .public_revoked = *revoked, .keys = std::move(*keys)};
}

}  // namespace opi::store
