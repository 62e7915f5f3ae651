// The part of the planner that is about who may log in.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

#include "provision/plan_parts.hpp"

namespace opi::provision {
namespace {

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
  const bool owner_itself = login.name == owner;  // of an adopted deployment
  if (!owner_itself && !is_member(login, owner)) {
    planner.add(ActionKind::grant_owner, missing(input), "grant", owner, "to " + login.name, login.name);
  }
  const auto* role = setting_of(login, desired.database, "role");
  if (!owner_itself && (role == nullptr || *role != owner)) {
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

void plan_login_a(const PlanInput& input, DeploymentPlan& plan, Planner& planner) {
  const auto& login = input.desired.names.login_a;
  const auto* role = input.server.role(login);
  const auto* credential = credential_of(input.known, store::LoginSlot::a);
  if (role == nullptr) {
    planner.add(ActionKind::create_login, missing(input), "login", login,
                "SCRAM-SHA-256, SET ROLE " + input.desired.names.base, login, "LOGIN");
    return;
  }
  if (login != input.desired.names.base) {  // an adopted owner was looked at as such
    planner.restrict(*role, true);
    planner.stamp(*role);
  }
  if (!role->login || role->expired) {
    planner.add(ActionKind::enable_login, missing(input), "login", login,
                role->expired ? "has expired (policy: fix)" : "may not log in (policy: fix)", login,
                role->expired ? "expired" : "");
  }
  plan_login_rules(input, *role, planner);
  if (credential == nullptr) return;  // refused by the server part
  if (credential->state == store::CredentialState::intent) {
    planner.add(ActionKind::set_password, Sign::create, "login", login, "its password is set as it was journaled",
                login);
  } else if (credential->state == store::CredentialState::applied) {
    planner.add(ActionKind::verify_login, Sign::create, "login", login, "has yet to be proven by a login", login);
  } else if (credential->state != store::CredentialState::done) {
    plan.to_record = true;
  } else if (role->verifier_known && role->verifier != credential->verifier) {
    plan.notes.push_back(fmt::format("the password of {} was changed by somebody; left so", login));
  }
}

void plan_login_b(const PlanInput& input, Planner& planner) {
  const auto& login = input.desired.names.login_b;
  const auto* role = input.server.role(login);
  if (role == nullptr) {
    planner.add(ActionKind::create_login, missing(input), "login", login, "for rotation, NOLOGIN until then", login,
                "NOLOGIN");
    return;
  }
  planner.restrict(*role, credential_of(input.known, store::LoginSlot::b) != nullptr);
  planner.stamp(*role);
  plan_login_rules(input, *role, planner);
}

}  // namespace

void plan_login_part(const PlanInput& input, DeploymentPlan& plan) {
  Planner planner(input, plan);
  plan_login_a(input, plan, planner);
  plan_login_b(input, planner);
  settle_adopted(input, plan);
  sort_actions(plan);
}

}  // namespace opi::provision
