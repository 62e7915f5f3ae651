#pragma once
/// @file
/// Which Secrets there have to be, and what is in them: the projects' age keys and the deployments' credentials.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "aio/task.hpp"
#include "base/result.hpp"
#include "pg/database_pools.hpp"
#include "provision/cluster_objects.hpp"
#include "provision/cluster_target.hpp"
#include "provision/project_manager.hpp"
#include "secrets/platform_key.hpp"
#include "store/cluster_state.hpp"
#include "store/project_keys.hpp"

namespace opi::provision {

/// The private key of `config.age-private-key`: an age file (armored or, after "base64+age:", in base64) that is sealed
/// to the platform key; "age:" may stand before it. Errors: invalid, denied.
Result<SecretString> open_sealed_text(std::string_view text, const secrets::PlatformKey& key);

/// Ownership: borrows everything. Threading: one executor's thread.
class SecretManager {
 public:
  SecretManager(pg::DatabasePool& main, pg::DatabasePools* pools, const secrets::PlatformKey* key, ClusterRules rules)
      : main_(main), pools_(pools), key_(key), rules_(std::move(rules)) {}

  /// A project's keys, the current one first; what is over is left out. Makes the first one, and takes the one that the
  /// project file brings (a change of it is a rotation). With `look_only` nothing is made: what would be
  /// stands in front, as a key without a number.
  Task<Result<std::vector<store::ProjectKey>>> keys_of(pg::Connection* connection, std::vector<store::ProjectKey> known,
                                                       const SourcedProject* project, bool look_only);

  /// What applications of `desired` use, without the password.
  Result<Credentials> credentials_of(const DesiredDeployment& desired, const std::string& database,
                                     const store::Credential& credential) const;
  /// The same with it. Errors: as store::open_password.
  Result<SecretData> open_credentials(const DesiredDeployment& desired, const std::string& database,
                                      const store::Credential& credential) const;
  Result<SecretData> open_keys(const std::vector<store::ProjectKey>& keys) const;

 private:
  pg::DatabasePool& main_;
  pg::DatabasePools* pools_;
  const secrets::PlatformKey* key_;
  ClusterRules rules_;
};

}  // namespace opi::provision
