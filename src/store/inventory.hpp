#pragma once
/// @file
/// What we made and own: servers, deployments, and a summary of their credentials.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "pg/connection.hpp"
#include "store/credential_journal.hpp"
#include "store/drift.hpp"

namespace opi::store {

/// Who a server is. Asked of the server itself.
struct ServerIdentity {
  std::optional<std::string> system_identifier =
      {};           ///< empty: we may not ask (some clouds); a swap then goes unnoticed
  int version = 0;  ///< 150020
};

/// Asks the server that `connection` is connected to. One statement, two when pg_control_system() is refused.
Task<Result<ServerIdentity>> identify_server(pg::Connection* connection);

/// A server as the control database knows it. Two pools that lead to one cluster (one system identifier) share one
/// record.
struct ServerRecord {
  std::int64_t id = 0;
  std::string pool;  ///< the pool it was registered or found by
  std::optional<std::string> system_identifier = {};
};

/// Registers `pool` as the way to the server `identity`, or confirms it. `connection` is in the control database.
/// Errors: conflict with Handling::needs_person (the pool led to another server before: wrong address, or a restored
/// copy).
Task<Result<ServerRecord>> register_server(pg::Connection* connection, std::string pool, ServerIdentity identity);

/// A person says that `pool` is another server now (an upgrade by dump and restore, a move). Everything recorded for it
/// is taken to live there. Errors: not_found, conflict (another record has that system identifier already).
Task<Result<ServerRecord>> accept_server(pg::Connection* connection, std::string pool, ServerIdentity identity);

/// One deployment's identity.
struct DeploymentKey {
  std::string project;
  std::string deployment;
  friend auto operator<=>(const DeploymentKey&, const DeploymentKey&) = default;
};

/// Life of a deployment. Each change is explicit; nothing moves by itself.
enum class DeploymentState {
  wanted,     ///< declared; not everything is there yet
  ready,      ///< made and verified
  tombstone,  ///< no longer declared: logins disabled, data kept, may come back
  removing,   ///< a recorded instruction says: take it away
};
std::string_view to_string(DeploymentState state) noexcept;

/// How far a deployment whose database was there before us was taken over.
enum class Adoption {
  none,      ///< it was made by us
  additive,  ///< only what is missing is added
  full,      ///< it is as all others
};
std::string_view to_string(Adoption adoption) noexcept;

/// What a project file says, before any SQL.
struct Declaration {
  DeploymentKey key;
  std::string cluster;
  std::int64_t server_id = 0;
  std::string base_name;   ///< project::DatabaseNames::base
  std::string namespace_;  ///< full, with the cluster's prefix
  std::string repository;  ///< URL or path of the projects repository, as configured; no password in it
  std::string file;        ///< path in the repository
  std::string blob_id;
  std::string commit_id;
  std::string deletion;  ///< "keep" or "remove"; empty: as the operator decides
};

/// A row of the inventory.
struct DeploymentRecord {
  std::int64_t id = 0;
  DeploymentKey key;
  std::string cluster;
  std::int64_t server_id = 0;
  std::string pool;  ///< of the server record
  std::string base_name;
  std::string database_name;  ///< base_name, or a generation of it
  int generation = 0;         ///< of the database; 0: the first
  std::string namespace_;
  std::string stamp;  ///< random, 32 hex digits, never changes: what our COMMENT ON ROLE names
  DeploymentState state = DeploymentState::wanted;
  Adoption adoption = Adoption::none;
  std::string repository, file, blob_id, commit_id;
  std::string inputs_hash;  ///< of everything that decides what must be; empty: never applied
  std::string secret_hash;  ///< keyed hash of the last published Secret's plaintext; empty: none
  std::string last_error;   ///< one line; empty: the last pass succeeded
  int failures = 0;         ///< passes that failed in a row
  WallTime created_at{};
  WallTime changed_at{};
  std::optional<WallTime> ready_at = {};
  std::optional<WallTime> deep_look_at = {};  ///< when the inside of the database was last looked at
  std::optional<WallTime> tombstone_at = {};
  std::string deletion;                       ///< Declaration::deletion, or what a person decided
  std::optional<WallTime> remove_after = {};  ///< of a tombstone: the end of its grace period
  bool removal_over = false;                  ///< that time has come, by the control database's clock when it was read
  bool removal_confirmed = false;             ///< a person said that it may go
  std::string final_dump;                     ///< path of the last dump; empty: none was made
};

/// The outcome of one declaration: the record, or why it is refused (conflict: another deployment has that name on that
/// server, or this deployment stood on another server or under another name before).
using DeclarationOutcome = Result<DeploymentRecord>;

/// Records declarations before any SQL is run for them; of several new ones that want one name, the first by key gets
/// it. New ones get a stamp and state `wanted`; known ones get their source (file, blob, commit, namespace, cluster)
/// updated; state and everything else stay. Three statements whatever the number.
Task<Result<std::vector<DeclarationOutcome>>> declare_deployments(pg::Connection* connection,
                                                                  std::vector<Declaration> declarations);
Task<Result<DeploymentRecord>> declare_deployment(pg::Connection* connection, Declaration declaration);

/// What to change of a record; what is not set stays.
struct DeploymentChange {
  std::int64_t id = 0;
  std::optional<DeploymentState> state =
      {};  ///< ready sets ready_at, tombstone sets tombstone_at, wanted and ready clear it
  std::optional<std::string> inputs_hash = {};
  std::optional<std::string> secret_hash = {};
  std::optional<std::string> database_name = {};
  std::optional<int> generation = {};
  std::optional<std::string> last_error = {};  ///< "" clears it and `failures`; anything else counts one more failure
  bool looked_deep = false;                    ///< deep_look_at becomes now
};

/// Applies all of them in one statement. Errors: not_found when one of the ids is unknown (nothing is changed then).
Task<Result<>> change_deployments(pg::Connection* connection, std::vector<DeploymentChange> changes);
Task<Result<>> change_deployment(pg::Connection* connection, DeploymentChange change);

/// not_found when there is none.
Task<Result<DeploymentRecord>> find_deployment(pg::Connection* connection, DeploymentKey key);

/// The last step of a removal: record and credentials go, history stays. Only in state `removing` (conflict otherwise).
Task<Result<>> forget_deployment(pg::Connection* connection, std::int64_t id);

/// A deployment with a summary of its logins' newest credentials.
struct InventoryEntry {
  DeploymentRecord deployment;
  std::vector<CredentialSummary> credentials = {};  ///< newest generation per login that is not retired, by slot
  std::vector<DriftRecord> drift = {};              ///< what was seen of it before
};

/// Everything at one moment.
struct Inventory {
  std::vector<ServerRecord> servers;
  std::vector<InventoryEntry> entries;  ///< ordered by project and deployment
  const InventoryEntry* find(std::string_view project, std::string_view deployment) const noexcept;
};

/// Four statements, whatever the size of the estate. `cluster` empty: all clusters; `projects` empty: all of them.
Task<Result<Inventory>> load_inventory(pg::Connection* connection, std::string cluster = {},
                                       std::vector<std::string> projects = {});

}  // namespace opi::store
