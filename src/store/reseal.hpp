#pragma once
/// @file
/// Rotation of the platform key: everything that the control database keeps sealed is sealed anew to the first key.

#include <cstddef>
#include <map>
#include <string>

#include "aio/task.hpp"
#include "base/result.hpp"
#include "pg/connection.hpp"
#include "secrets/platform_key.hpp"

namespace opi::store {

/// What was found, and what was sealed anew.
struct ResealReport {
  std::size_t current = 0;                           ///< sealed to the first key already
  std::map<std::string, std::size_t> resealed = {};  ///< by the public key they were sealed to
  std::size_t total() const;
};

/// In one transaction: opens every sealed value that is not sealed to `key.recipient()`, with whichever identity of
/// `key` fits, seals it to that recipient, and proves that the new one opens to the same bytes. All or nothing: when
/// one does not open, nothing changes. `dry_run` opens and seals likewise, and writes nothing. Retired credentials hold
/// nothing sealed. Other processes may go on; what they write meanwhile is in the next report.
///
/// Ownership: `key` outlives the call. Errors: denied (a value that no identity opens; names the key it is sealed to),
/// invalid (a damaged one), and those of Connection.
Task<Result<ResealReport>> reseal(pg::Connection* connection, const secrets::PlatformKey* key, bool dry_run);

}  // namespace opi::store
