#pragma once
/// @file
/// What the files of the planner share: how an action is added, and how a difference is called.

#include <string>
#include <string_view>
#include <utility>

#include "provision/plan.hpp"

namespace opi::provision {

/// The database that is planned for is a copy that is not there yet, or not in use yet.
bool copies(const PlanInput& input) noexcept;
/// It was finished once; what is missing now was taken away by somebody.
bool finished_before(const store::InventoryEntry* known) noexcept;
/// It was there before us and is, or is being, taken over.
bool adopted(const PlanInput& input) noexcept;
/// The end of each part for an adopted deployment, before settle_drift: what differs is a change and no drift before it
/// was finished, and while it is only added to, the rest becomes notes.
void settle_adopted(const PlanInput& input, DeploymentPlan& plan);
/// The declaration has changed since the last finished pass, or there was none.
bool inputs_changed(const PlanInput& input);
/// Something that must be there is not: it is new, or somebody took it away.
Sign missing(const PlanInput& input) noexcept;
/// Something is otherwise than declared: because the declaration changed, or because somebody changed it.
Sign different(const PlanInput& input);
/// The newest credential of a slot that is not retired; null when there is none.
const store::CredentialSummary* credential_of(const store::InventoryEntry* known, store::LoginSlot slot) noexcept;
/// The reader has, or is getting, a login of its own; one that is ending is ended by what ends logins.
bool reader_logs_in(const PlanInput& input) noexcept;
/// By stage; within one in the order in which they were found.
void sort_actions(DeploymentPlan& plan);

/// What is done about differences that somebody made is the policies' decision: each gets its record, and those that
/// are not fixed lose their action. Of actions that it has seen before it changes nothing.
void settle_drift(const PlanInput& input, DeploymentPlan& plan);

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
  /// Nothing is left to do on the server, but the inventory does not say so yet.
  void record() { plan_.to_record = true; }
  /// A difference without an action of its own. Recorded when its policy is `warn`; what to do for `fix` is the
  /// caller's. Returns the policy.
  DriftPolicy notice(DriftField field, std::string name, std::string detail, bool ours = true);
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
