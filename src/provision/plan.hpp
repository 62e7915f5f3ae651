#pragma once
/// @file
/// What has to be done: a pure function of what is declared, what is observed and what we know of before.

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "provision/clone.hpp"
#include "provision/desired_state.hpp"
#include "provision/drift.hpp"
#include "provision/observed_state.hpp"
#include "store/inventory.hpp"

namespace opi::provision {

/// What an action does. The order of the enumerators is the order in which they are done.
enum class ActionKind {
  // on the server: roles that cannot log in
  create_owner,
  create_read_only,
  stamp_role,
  restrict_role,
  grant_to_admin,
  // on the server: what is left of a copy that was interrupted
  discard_copy,
  // on the server: the database, which nobody can enter before it is opened
  create_database,
  set_database_owner,
  revoke_from_public,
  grant_connect,
  set_connection_limit,
  open_database,
  // into the database, as its tenant: all of another one
  copy_database,
  copy_over,  ///< the deployment has a database, which the copy takes the place of
  // inside the database
  drop_schema,  ///< one that is marked for deletion and empty
  create_schema,
  set_schema_owner,
  reown_object,  ///< a table, view, function … that somebody else owns; value: its type
  revoke_public_schema,
  grant_schema_usage,
  default_privileges,
  create_extension,
  // on the server: who may log in, last
  create_login,
  enable_login,
  grant_owner,
  set_login_role,
  set_search_path,
  set_password,
  verify_login,
  // the other login takes over
  rotate_login,
  // a login that was replaced ends
  disable_login,
  end_sessions,
  // a deployment that is not declared any more
  bury,
  final_dump,
  drop_database,
  drop_role,
  forget,
  // in the cluster
  write_object,
};
std::string_view to_string(ActionKind kind) noexcept;

/// In which batch an action is done; each batch of SQL but those of databases is one transaction.
enum class Stage {
  roles,
  discard,
  create_database,
  database,
  copy,
  inside,
  logins,
  verify,    ///< no SQL of an admin: a login
  rotation,  ///< no SQL: a password is journaled, and the plan is made again
  disable,
  sessions,  ///< ended and waited for
  removal,   ///< worked on by RemovalFlow
  cluster,   ///< worked on by ClusterManager
};
Stage stage_of(ActionKind kind) noexcept;

/// What an action is to a reader.
enum class Sign {
  create,  ///< + something that was never there
  change,  ///< ~ the declaration has changed
  remove,  ///< - something goes
  drift,   ///< ! somebody changed what is ours; it is put right
};

/// One thing to do. A plain value without secrets.
struct Action {
  ActionKind kind;
  Sign sign = Sign::create;
  std::string object;      ///< what sort of thing, for people: "role"
  std::string name;        ///< which one, for people: "shop_prod", "database shop_prod"
  std::string detail;      ///< how, for people: "owner, NOLOGIN"
  std::string subject;     ///< the role, schema or extension that the statement is about
  std::string value = {};  ///< what it becomes, where that is not implied

  /// Kind, subject and value: the same for two actions of one deployment that do the same.
  std::string effect() const;
  friend bool operator==(const Action&, const Action&) = default;
};

/// What has to be done for one deployment.
struct DeploymentPlan {
  std::string project;
  std::string deployment;
  std::string namespace_;
  std::string database;
  std::string pool;
  std::string server_version;              ///< "15.20"
  std::vector<Action> actions = {};        ///< in the order in which they are done
  std::vector<Drift> drifts = {};          ///< differences that somebody made; those that are fixed have their action
  std::vector<std::string> notes = {};     ///< what was seen and is left alone
  std::vector<std::string> approval = {};  ///< kinds of action in it that somebody must approve: "change-owner"
  std::string inputs = {};                 ///< DesiredDeployment::inputs_hash
  std::optional<Error> refusal = {};       ///< then there are no actions
  std::optional<Error> waiting = {};       ///< its server could not be asked; then there are no actions
  bool first_time = false;                 ///< never finished before
  bool to_record = false;                  ///< nothing may be left to do, but the inventory does not say so yet

  std::string title() const { return project + "/" + deployment; }
};

/// A deployment that is in the inventory and no longer declared, and of which nothing is to be done now.
struct KeptDeployment {
  std::string project;
  std::string deployment;
  std::string namespace_;
  std::string database;
  std::string pool;
  std::string reason;  ///< "no longer declared, kept"
};

struct PlanCounts {
  std::size_t create = 0, change = 0, remove = 0, drift = 0, refused = 0, waiting = 0;
  std::size_t total() const noexcept { return create + change + remove + drift; }
};

/// The plan of a pass.
struct Plan {
  std::vector<DeploymentPlan> deployments;
  std::vector<KeptDeployment> kept = {};

  PlanCounts counts() const;
  bool empty() const { return counts().total() == 0; }
  /// SHA-256, in hex, over the effects in a canonical form: equal when and only when the same would be done.
  std::string digest() const;
};

/// What the planner looks at. Borrowed; all of it outlives the call.
struct PlanInput {
  const DesiredDeployment& desired;
  const ObservedServer& server;
  const store::InventoryEntry* known = nullptr;  ///< null: never heard of
  const ObservedInside* inside = nullptr;        ///< null: not looked at
  std::optional<std::int64_t> server_id =
      {};  ///< of the server that the wanted pool leads to; empty: never used before
  /// What is to be done about a clone; null: nothing. `desired.database` is the copy's when there is one to make.
  const CloneDecision* clone = nullptr;
  bool rotate = false;   ///< its password is due to be replaced
  bool preview = false;  ///< of a flow, which looks at the inside itself: that it was not seen is not worth a note
  const DriftPolicies* policies = nullptr;  ///< null: the usual ones
};

/// True when the inside of the deployment's database has to be looked at before planning: it exists, lets us in, and
/// its inputs have changed or were never applied to the end.
bool needs_inside_look(const DesiredDeployment& desired, const ObservedServer& server,
                       const store::InventoryEntry* known);

/// Plans one deployment. Pure: no I/O, no clock. An object that is neither in the inventory as made by us nor carries
/// our stamp leads to a refusal, never to an action.
DeploymentPlan plan_deployment(const PlanInput& input);

/// The same in parts, for whoever works through them: what must be there before the inside can be looked at, the
/// inside, and the logins.
DeploymentPlan plan_server_part(const PlanInput& input);
void plan_inside_part(const PlanInput& input, const ObservedInside& inside, DeploymentPlan& plan);
void plan_login_part(const PlanInput& input, DeploymentPlan& plan);

/// What to record of the differences that a look found: of the inside of the database (`inside`), or of the rest. Pure.
store::DriftChange drift_change(const store::InventoryEntry& known, const std::vector<Drift>& found, bool inside);

/// For people: one block a deployment, then the counts and the digest. `refusals` and notes included. Ends with a line
/// break.
std::string to_text(const Plan& plan);
/// For machines; stable keys.
std::string to_json(const Plan& plan);

}  // namespace opi::provision
