#pragma once
/// @file
/// What becomes of deployments that nobody declares any more: pure decisions. Unknown means keep.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "provision/desired_state.hpp"
#include "provision/plan.hpp"
#include "provision/project_manager.hpp"
#include "store/inventory.hpp"

namespace opi::provision {

/// What the operator decides about removal. A plain value.
struct RemovalRules {
  bool keep = false;  ///< what is not declared any more is left as it is, unless its project file said `remove`
  std::chrono::seconds grace{std::chrono::hours{24 * 30}};  ///< from the tombstone to the removal
  /// The brake: more than `most` deployments, or more than one and more than `most_percent` of the estate, within a
  /// day: none of them goes before somebody has confirmed it.
  std::uint32_t most = 10;
  std::uint32_t most_percent = 25;
};

/// What is done with one deployment.
enum class RemovalStep {
  keep,    ///< nothing, for a reason that has to go away by itself or by a person
  hold,    ///< nothing, until somebody confirms it: the brake
  rest,    ///< it is a tombstone, and its grace period runs
  bury,    ///< becomes a tombstone: logins disabled, sessions ended, data kept
  remove,  ///< goes for good
};

/// What was decided for one undeclared deployment. Borrows from the inventory.
struct RemovalDecision {
  const store::InventoryEntry* entry = nullptr;
  RemovalStep step = RemovalStep::keep;
  std::string reason;  ///< for people: "its file cannot be read, kept"
};

/// What the decision looks at. Borrowed; all of it outlives the call and what it returns.
struct RemovalInput {
  const std::vector<DesiredDeployment>& desired;  ///< all of the estate, never a selection
  const std::vector<SourcedProject>& projects;    ///< every project in force, of all clusters
  const std::vector<BrokenFile>& broken;
  const store::Inventory& inventory;
  const FollowedRepositories& repositories;  ///< what an inventory row must come from to be judged by these files
  WallTime now{};
};

/// One decision for each deployment of the inventory that is not in `desired`, in the inventory's order. Pure.
///
/// Kept are: what `deletion: keep` was declared for, what a repository declared that is not followed, what is declared
/// for another cluster, what a file that cannot be read may still declare. An estate that declares nothing at all, and
/// a mass deletion, are held until they are confirmed. A tombstone that was begun under the brake stays what it is.
std::vector<RemovalDecision> decide_removals(const RemovalInput& input, const RemovalRules& rules);

/// The plan of one decision: what is observed is still there. `server`: null when it could not be asked. Pure.
DeploymentPlan plan_removal(const RemovalDecision& decision, const ObservedServer* server, bool with_dump);

/// Every database that may have been made for it: the one in use first, then those that copies replaced or never
/// became.
std::vector<std::string> databases_of(const store::DeploymentRecord& record);

/// Every role that was made for a deployment of that base name: logins first, the owner last.
std::vector<std::string> roles_of(std::string_view base_name);

}  // namespace opi::provision
