#pragma once
/// @file
/// The age key pairs of projects: sealed to the platform key, the old one kept beside the new one for a while.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/secret_string.hpp"
#include "pg/connection.hpp"
#include "secrets/platform_key.hpp"

namespace opi::store {

/// One key pair of a project. Copyable: the private key is inside `sealed` only.
struct ProjectKey {
  std::int64_t id = 0;
  std::string project;
  std::string recipient;  ///< the public key, "age1…"
  std::string sealed;     ///< age file (binary) that holds the private key; open_project_key opens it
  std::string origin;     ///< empty: made by us; else SHA-256, in hex, of the ciphertext in the project file
  WallTime created_at{};
  bool current = false;                       ///< what is encrypted, is encrypted to this one
  std::optional<WallTime> retire_after = {};  ///< of one that was replaced
  bool over = false;                          ///< that time has come, by the control database's clock
};

/// All keys, by project, the current one first. One statement.
Task<Result<std::vector<ProjectKey>>> load_project_keys(pg::Connection* connection);

/// A key pair that is to be the project's.
struct NewProjectKey {
  std::string project;
  std::string origin = {};                    ///< as ProjectKey::origin
  std::optional<SecretString> identity = {};  ///< the private key; none: a new one is made
  std::chrono::seconds overlap{24 * 3'600};   ///< how long the one that it replaces is kept
};

/// Makes it the project's current key; the one before stays for `overlap`. Durable when this returns. Without
/// `identity`, and with `replace` false, a project that has a key keeps it: any number of callers agree on one. A
/// private key that is the current one already changes only its origin. Ownership: `key` outlives the call. Errors:
/// invalid (no age identity), those of PlatformKey and Connection.
Task<Result<ProjectKey>> set_project_key(pg::Connection* connection, const secrets::PlatformKey* key,
                                         NewProjectKey wanted, bool replace);

/// Forgets keys that are over. Says how many.
Task<Result<std::size_t>> drop_project_keys(pg::Connection* connection);

/// The private key in the three-line form of age-keygen. Pure. Errors: denied, invalid (damaged, or another's).
Result<SecretString> open_project_key(const secrets::PlatformKey& key, const ProjectKey& project_key);

}  // namespace opi::store
