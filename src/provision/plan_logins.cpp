// The part of the planner that decides who may log in, and by which password.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>
#include <vector>

#include "provision/plan_parts.hpp"
#include "provision/rotation.hpp"

namespace opi::provision {
namespace {

using store::CredentialState;
using store::LoginSlot;

/// Names in the order of a search_path, as the catalog shows them: separated by commas, quoted where a keyword asks for
/// it.
bool same_search_path(std::string_view stored, const std::vector<std::string>& schemas) {
  std::string plain;
  for (const char c : stored) {
    if (c != '"' && c != ' ') plain += c;
  }
  return plain == fmt::format("{}", fmt::join(schemas, ","));
}

const std::string* setting_of(const ObservedRole& role, std::string_view database, std::string_view name) {
  for (const auto& setting : role.settings) {
    if (setting.database == database && setting.name == name) return &setting.value;
  }
  return nullptr;
}

bool is_member(const ObservedRole& role, std::string_view group) {
  bool inherit = false;
  bool set = false;
  for (const auto& one : role.memberships) {
    if (one.role != group) continue;
    inherit = inherit || one.inherit;
    set = set || one.set;
  }
  return inherit && set;
}

/// What both logins have in common: member of the owner, acting as it, in its schemas.
void plan_login_rules(const PlanInput& input, const ObservedRole& login, Planner& planner) {
  const auto& desired = input.desired;
  const auto& owner = desired.names.base;
  // An adopted deployment's owner, and the reader, act as themselves.
  const bool as_itself = login.name == owner || login.name == desired.names.read_only;
  if (!as_itself && !is_member(login, owner)) {
    planner.add(ActionKind::grant_owner, missing(input), "grant", owner, "to " + login.name, login.name);
  }
  const auto* role = setting_of(login, desired.database, "role");
  if (!as_itself && (role == nullptr || *role != owner)) {
    planner.add(
        ActionKind::set_login_role, missing(input), "login", login.name,
        fmt::format("acts as {} instead of {} in {}", role == nullptr ? "itself" : *role, owner, desired.database),
        login.name);
  }
  const auto* path = setting_of(login, desired.database, "search_path");
  if (path == nullptr || !same_search_path(*path, desired.schemas)) {
    planner.add(ActionKind::set_search_path, different(input), "login", login.name,
                fmt::format("search_path {} → {}", path == nullptr ? "none" : *path, fmt::join(desired.schemas, ", ")),
                login.name);
  }
}

/// It is made valid: NOLOGIN until now, or with a password of before.
void plan_incoming(const PlanInput& input, const ObservedRole& role, const store::CredentialSummary& credential,
                   Planner& planner) {
  const bool taking_over = finished_before(input.known);
  if (credential.state == CredentialState::intent) {
    planner.add(ActionKind::set_password, taking_over ? Sign::change : Sign::create, "login", role.name,
                "its password is set as it was journaled", role.name);
  } else if (credential.state == CredentialState::applied) {
    planner.add(ActionKind::verify_login, taking_over ? Sign::change : Sign::create, "login", role.name,
                "has yet to be proven by a login", role.name);
  }
}

void plan_enabled(const PlanInput& input, const ObservedRole& role, LoginFate fate, Planner& planner) {
  if (role.login && !role.expired) return;
  auto sign = missing(input);
  std::string detail = role.expired ? "has expired" : "may not log in";
  if (fate == LoginFate::incoming && finished_before(input.known)) {
    sign = Sign::change;
    detail = "may log in again";
  } else if (input.known != nullptr && input.known->deployment.tombstone_at) {
    sign = Sign::change;
    detail = "is declared again: may log in again";
  }
  planner.add(ActionKind::enable_login, sign, "login", role.name, std::move(detail), role.name,
              role.expired ? "expired" : "");
}

/// A login whose time is over: first nobody may come in, then whoever is in is sent away.
void plan_ending(const PlanInput& input, const ObservedRole* role, const std::string& login, Planner& planner) {
  if (role == nullptr) {
    planner.record();
    return;
  }
  if (role->login) {
    const bool reader = login == input.desired.names.read_only;
    planner.add(ActionKind::disable_login, Sign::change, "login", login,
                reader ? "is not declared any more: NOLOGIN" : "was replaced and its overlap is over: NOLOGIN", login);
  }
  const auto sessions = input.server.sessions.find(login);
  const auto count = sessions == input.server.sessions.end() ? 0 : sessions->second;
  planner.add(ActionKind::end_sessions, Sign::change, "login", login,
              fmt::format("its sessions end, its password is forgotten ({} now)", count), login);
}

void plan_login(const PlanInput& input, LoginSlot slot, Planner& planner) {
  const auto& login = login_of(input.desired.names, slot);
  const auto* role = input.server.role(login);
  const auto* credential = credential_of(input.known, slot);
  // Before anything is journaled, the first login is the one that will be.
  const bool first = slot == LoginSlot::a && (input.known == nullptr || current_login(*input.known) == nullptr);
  const auto fate = first ? LoginFate::incoming : fate_of(input, slot);
  if (fate == LoginFate::ending) {
    plan_ending(input, role, login, planner);
    if (role == nullptr) return;
  } else if (role == nullptr) {
    const bool enters = fate != LoginFate::idle;
    planner.add(ActionKind::create_login, missing(input), "login", login,
                enters ? "SCRAM-SHA-256, SET ROLE " + input.desired.names.base : "for rotation, NOLOGIN until then",
                login, enters ? "LOGIN" : "NOLOGIN");
    return;
  }
  if (login != input.desired.names.base && slot != LoginSlot::read_only) {  // those were looked at as roles
    planner.restrict(*role, fate != LoginFate::idle);
    planner.stamp(*role);
  }
  if (fate != LoginFate::idle && fate != LoginFate::ending) plan_enabled(input, *role, fate, planner);
  plan_login_rules(input, *role, planner);
  if (credential == nullptr) return;
  if (fate == LoginFate::incoming) {
    plan_incoming(input, *role, *credential, planner);
    if (credential->state > CredentialState::applied) planner.record();
  } else if (fate != LoginFate::ending && role->verifier_known && role->verifier != credential->verifier) {
    const auto policy = planner.notice(DriftField::passwords, login,
                                       fmt::format("the password of {} was changed by somebody; left so", login));
    if (policy == DriftPolicy::fix) {
      planner.add(ActionKind::set_password, Sign::drift, "login", login,
                  "its password was changed by somebody; the published one is set again", login);
    }
  }
}

/// The reader is a role before it is a login: what is missing of it is made before.
void plan_reader(const PlanInput& input, Planner& planner) {
  const auto& reader = input.desired.names.read_only;
  const bool known = credential_of(input.known, LoginSlot::read_only) != nullptr;
  if (!input.desired.read_only_login && !known) return;
  if (known && input.server.role(reader) != nullptr) return plan_login(input, LoginSlot::read_only, planner);
  if (!input.desired.read_only_login) return planner.record();  // it is gone, and so is its login
  const auto* role = input.server.role(reader);
  const ObservedRole fresh{.name = reader};
  const auto sign = finished_before(input.known) ? Sign::change : Sign::create;
  planner.add(ActionKind::enable_login, sign, "login", reader, "may log in, and read", reader);
  planner.add(ActionKind::set_password, sign, "login", reader, "its password is set as it was journaled", reader);
  plan_login_rules(input, role == nullptr ? fresh : *role, planner);
}

/// The password is old: the other login takes over.
void plan_rotation(const PlanInput& input, Planner& planner) {
  if (!input.rotate || input.known == nullptr) return;
  const auto* current = current_login(*input.known);
  if (current == nullptr || current->state != CredentialState::done) return;
  const auto& next = login_of(input.desired.names, other_of(current->slot));
  planner.add(ActionKind::rotate_login, Sign::change, "login", next,
              fmt::format("a new password; takes over from {}", current->login), next);
}

}  // namespace

const store::CredentialSummary* credential_of(const store::InventoryEntry* known, store::LoginSlot slot) noexcept {
  if (known == nullptr) return nullptr;
  for (const auto& one : known->credentials) {
    if (one.slot == slot) return &one;
  }
  return nullptr;
}

bool reader_logs_in(const PlanInput& input) noexcept {
  return input.desired.read_only_login || credential_of(input.known, LoginSlot::read_only) != nullptr;
}

void plan_login_part(const PlanInput& input, DeploymentPlan& plan) {
  Planner planner(input, plan);
  plan_login(input, LoginSlot::a, planner);
  plan_login(input, LoginSlot::b, planner);
  plan_reader(input, planner);
  plan_rotation(input, planner);
  settle_adopted(input, plan);
  settle_drift(input, plan);
  sort_actions(plan);
}

}  // namespace opi::provision
