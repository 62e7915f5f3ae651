#pragma once
/// @file
/// Proves that the platform key opens this control database, and opens the keys that are kept in it.

#include "aio/task.hpp"
#include "base/result.hpp"
#include "pg/connection.hpp"
#include "secrets/keyed_hash.hpp"
#include "secrets/platform_key.hpp"

namespace opi::store {

/// What the platform key opened. Move-only.
struct ControlKeys {
  secrets::KeyedHash
      hash;  ///< keyed hashes of plaintexts (Secrets, inputs): stable for the life of the control database
  bool first_use = false;  ///< this call sealed the check value: the control database belongs to this key from now on
};

/// At first use seals a random check value and a random hash key to `key`; afterwards opens them.
/// Two processes at first use agree on one value. A control database that holds credentials but no check value is
/// refused.
///
/// Ownership: `key` outlives the call. Errors: denied with Handling::needs_person ("the platform key does not open this
/// control database …", naming the public keys of both), and those of Connection.
Task<Result<ControlKeys>> check_platform_key(pg::Connection* connection, const secrets::PlatformKey* key);

}  // namespace opi::store
