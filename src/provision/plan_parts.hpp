#pragma once
/// @file
/// What the parts of the planner share; no part of its interface.

#include <string>
#include <string_view>
#include <utility>

#include "provision/plan.hpp"

namespace opi::provision {

/// The database that is planned for is a copy that is not there yet, or not in use yet.
bool copies(const PlanInput& input) noexcept;
/// A pass over it has ended well before.
bool finished_before(const store::InventoryEntry* known) noexcept;
/// It was there before us and is, or is being, taken over.
bool adopted(const PlanInput& input) noexcept;
/// The end of each part for an adopted deployment: what differs is a change and no drift before it was finished, and
/// while it is only added to, the rest becomes notes.
void settle_adopted(const PlanInput& input, DeploymentPlan& plan);
/// The declaration has changed since the last finished pass, or there was none.
bool inputs_changed(const PlanInput& input);
/// Something that must be there is not: it is new, or somebody took it away.
Sign missing(const PlanInput& input) noexcept;
/// Something is otherwise than declared: because the declaration changed, or because somebody changed it.
Sign different(const PlanInput& input);
/// The newest credential of a slot that is not retired; null when there is none.
const store::CredentialSummary* credential_of(const store::InventoryEntry* known, store::LoginSlot slot) noexcept;
/// By stage; within one in the order in which they were found.
void sort_actions(DeploymentPlan& plan);

/// Adds to one plan. Borrows both; lives for one call of the planner.
class Planner {
 public:
  Planner(const PlanInput& input, DeploymentPlan& plan) : input_(input), plan_(plan) {}

  void roles();
  void database();
  void copy();

  void add(ActionKind kind, Sign sign, std::string object, std::string name, std::string detail, std::string subject,
           std::string value = {}) {
    plan_.actions.push_back(
        {kind, sign, std::move(object), std::move(name), std::move(detail), std::move(subject), std::move(value)});
  }
  /// Attributes that none of our roles may have, and NOLOGIN where it must not log in.
  void restrict(const ObservedRole& role, bool may_login);
  void stamp(const ObservedRole& role);

 private:
  void admin_membership();
  void new_database();
  void privileges(const ObservedDatabase& database);
  void grant_connect(const std::string& database, const std::string& role, Sign sign) {
    add(ActionKind::grant_connect, sign, "grant", "database " + database, "CONNECT to " + role, database, role);
  }
  /// An admin that inherits nothing may become the owner, but not enter as it.
  bool admin_needs_connect() const {
    const auto& facts = input_.server.facts;
    return !facts.superuser && !facts.inherit && facts.version < 160000;
  }

  const PlanInput& input_;
  DeploymentPlan& plan_;
};

}  // namespace opi::provision
