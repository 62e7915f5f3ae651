#pragma once
/// @file
/// What has to be done in the cluster: a pure function of what is wanted, what is found and what we wrote before.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "provision/cluster_objects.hpp"
#include "provision/cluster_target.hpp"
#include "provision/plan.hpp"
#include "store/cluster_state.hpp"

namespace opi::provision {

/// What becomes of one object.
enum class ClusterStep {
  nothing,
  create,   ///< it was never there
  restore,  ///< somebody deleted it; it comes back with the same content
  change,   ///< what is wanted has changed
  correct,  ///< somebody changed it
  warn,     ///< the same, and the policy says that it stays
  refuse,   ///< it is somebody else's
  wait,     ///< it is being deleted; it is made again when that is over
};

struct ClusterDecision {
  ClusterStep step = ClusterStep::nothing;
  std::string detail = {};          ///< why, for people
  std::optional<Error> error = {};  ///< of refuse and wait
  bool writes() const noexcept {
    return step == ClusterStep::create || step == ClusterStep::restore || step == ClusterStep::change ||
           step == ClusterStep::correct;
  }
};

/// Pure. `known` is null when it was never written.
ClusterDecision decide(const DesiredObject& object, const ObservedObject& observed,
                       const store::ClusterObjectRow* known, const ClusterRules& rules);

/// One thing that is done to an object, as a plan shows it. A plain value without secrets.
struct ClusterAction {
  Sign sign = Sign::create;
  std::string object;  ///< "secret"
  std::string name;    ///< "rig-shop/prod-database"
  std::string detail;
  /// What it does, in a form that is equal when and only when the same is done: "Created" and the hash of its inputs.
  std::string effect;

  /// All that an approval is about: "secret rig-shop/prod-database Created 1f…".
  std::string approval() const { return object + " " + name + " " + effect; }
  friend bool operator==(const ClusterAction&, const ClusterAction&) = default;
};

/// The decision as the plan shows it; nothing when there is nothing to do.
///
/// `inputs` is what decides the content: the object's own, or a word for what is only known when it is done.
std::optional<ClusterAction> action_of(const DesiredObject& object, const ClusterDecision& decision,
                                       std::string_view inputs);

/// The same of one that goes: `version` says which one.
ClusterAction removal_action(const DesiredObject& object, std::string detail, std::string_view version);

/// The reason of the event that tells of it: "Created", "Restored" …
std::string_view reason_of(ClusterStep step) noexcept;

}  // namespace opi::provision
