#pragma once
/// @file
/// What may only be done when a person has seen the plan: kinds of action, and a plan that was approved by its digest.

#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/result.hpp"
#include "provision/plan.hpp"

namespace opi::provision {

/// Kinds of action that the operator can put under approval.
enum class ApprovalKind {
  drop,          ///< something with data in it, or a role, goes for good
  clone_over,    ///< a deployment that has data gets a copy of another's in its place
  change_owner,  ///< a database or schema that belongs to somebody else is taken
};
std::string_view to_string(ApprovalKind kind) noexcept;  ///< "drop", "clone-over", "change-owner"
std::optional<ApprovalKind> approval_kind_named(std::string_view name) noexcept;

/// What the operator's settings say: nothing by default.
using ApprovalPolicy = std::set<ApprovalKind>;

/// The kind that an action is of; most are of none.
std::optional<ApprovalKind> approval_kind(const Action& action) noexcept;
/// The kinds under `policy` that a plan has, each once, as they are written: "change-owner".
std::vector<std::string> demanded_approval(const std::vector<Action>& actions, const ApprovalPolicy& policy);

/// The answer to whoever would do it without: needs a person, and says how. `whole`: it shows in the plan of everything
/// only.
Error needs_approval(std::string_view project, std::string_view deployment, const std::vector<std::string>& kinds,
                     bool whole = false);

/// At least the first 8 hex digits of a digest, and not one that differs.
Result<std::string> parse_digest(std::string_view text);
bool same_digest(std::string_view given, std::string_view digest) noexcept;

/// The effects that somebody has approved for one deployment; whatever else turns out to be needed is not among them.
/// Who approves a rotation approves what is done to the login that takes over.
class ApprovedEffects {
 public:
  explicit ApprovedEffects(const DeploymentPlan& plan);
  /// Null when all of `actions` were in the plan; otherwise the error that says which was not.
  std::optional<Error> refusal_of(std::span<const Action> actions) const;

 private:
  std::string title_;
  std::set<std::string> effects_;
  std::set<std::string> rotated_;  ///< logins that take over
};

}  // namespace opi::provision
