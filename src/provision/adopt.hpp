#pragma once
/// @file
/// Taking over a database that was made by hand, or by a program that gave role, database and schema one name.

#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/result.hpp"
#include "base/secret_string.hpp"
#include "provision/plan.hpp"

namespace opi::provision {

/// What is adopted and how far.
struct AdoptOrder {
  store::Adoption how_far = store::Adoption::additive;
  std::optional<SecretString> password =
      {};  ///< the owner's, as the application has it; without one a new login is made
};

/// What would change, in the two steps in which it may be done.
struct AdoptReport {
  DeploymentPlan additive;  ///< only adds: marks, roles, rights of our own; nothing that is there works otherwise
  DeploymentPlan full;      ///< then: foreign rights taken, owners and attributes as they are for every deployment
};

/// True for an action that changes nothing that is there.
bool is_additive(const Action& action) noexcept;
/// Leaves the additive actions in `plan`, and those on logins that are ours, not the adopted owner; each of the others
/// becomes a note.
void keep_additive(DeploymentPlan& plan, const project::DatabaseNames& names);

/// The owner of an adopted deployment may log in, as the application does, until the first rotation away from its
/// password is over: until the first credential of slot a is retired.
bool owner_still_logs_in(const store::InventoryEntry* known) noexcept;

/// The names of a known deployment's logins are the journal's: an adopted deployment's first login is its owner.
void use_journaled_logins(DesiredDeployment& desired, const store::InventoryEntry* known);

/// Two blocks, "additive" and "full", as plans are printed. Ends with a line break.
std::string to_text(const AdoptReport& report);
std::string to_json(const AdoptReport& report);

/// The password in a Secret's manifest (YAML or JSON: DATABASE_PASSWORD, APP_DATABASE_PASSWORD or password, in data or
/// stringData), or the only line of the text. Errors: invalid, not_found.
Result<SecretString> password_from_secret(std::string_view text, std::string file);

}  // namespace opi::provision
