#pragma once
/// @file
/// Whether a deployment's database is to be made as a copy of another's now: a pure decision.

#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "provision/clone_copy.hpp"
#include "provision/desired_state.hpp"
#include "provision/observed_state.hpp"
#include "store/clones.hpp"
#include "store/inventory.hpp"

namespace opi::provision {

/// What is looked at. Borrowed; all of it outlives the call.
struct CloneInput {
  const DesiredDeployment& desired;
  const store::InventoryEntry* known = nullptr;   ///< of the deployment; null: never heard of
  const store::CloneRecord* record = nullptr;     ///< its newest clone that was not discarded
  const store::InventoryEntry* source = nullptr;  ///< of the deployment that is copied; null: not in the inventory
  const DesiredDeployment* coming = nullptr;      ///< the source's declaration, when the same pass makes it first
  const ToolVersions* versions = nullptr;         ///< null: not asked yet
  const CloneTools* tools = nullptr;
  int server_version = 0;      ///< 150020
  bool database_there = true;  ///< the deployment's own database, when it has been ready before
};

/// What is to be done about a clone. A plain value.
struct CloneDecision {
  /// An interrupted copy that goes first, whatever else: a database that nobody uses.
  std::optional<store::CloneRecord> discard = {};
  /// The copy to make, or (state copied) to go on with.
  std::optional<store::CloneRecord> make = {};
  bool over = false;  ///< the deployment has a database; the copy becomes a new generation in its place, and it is kept
  bool needs_versions = false;        ///< ask the programs for theirs, and decide again
  std::optional<Error> refusal = {};  ///< it cannot be made; nothing of the deployment is
  std::optional<Error> waiting = {};  ///< the source is not ready yet
  std::vector<std::string> notes = {};
};

/// Pure: no I/O, no clock. `once` makes the copy when the deployment's database is made, and never again; a database
/// that is there already is not touched. `force-clone` copies once more, once for each time it is switched on. `always`
/// copies for each version of the project file.
CloneDecision decide_clone(const CloneInput& input);

/// "shop_prod_v2" for generation 2, the base for 0.
std::string generation_name(const std::string& base, int generation);

/// The schemas of the source and what they are called in the copy, in pairs: the default one and the declared extra
/// ones.
std::vector<std::pair<std::string, std::string>> renamed_schemas(const DesiredDeployment& desired,
                                                                 const std::string& source_base);

}  // namespace opi::provision
