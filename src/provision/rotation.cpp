#include "provision/rotation.hpp"

#include <functional>

#include "provision/plan_parts.hpp"

namespace opi::provision {

using store::CredentialState;
using store::LoginSlot;

std::string_view to_string(LoginFate fate) noexcept {
  switch (fate) {
    case LoginFate::idle: return "idle";
    case LoginFate::incoming: return "incoming";
    case LoginFate::in_use: return "in use";
    case LoginFate::replaced: return "replaced";
    case LoginFate::ending: return "ending";
  }
  return "unknown";
}

const std::string& login_of(const project::DatabaseNames& names, LoginSlot slot) noexcept {
  if (slot == LoginSlot::read_only) return names.read_only;
  return slot == LoginSlot::b ? names.login_b : names.login_a;
}

LoginSlot other_of(LoginSlot slot) noexcept {
  return slot == LoginSlot::a ? LoginSlot::b : LoginSlot::a;
}

LoginFate fate_of(const PlanInput& input, LoginSlot slot) noexcept {
  const auto* credential = credential_of(input.known, slot);
  if (credential == nullptr) return LoginFate::idle;
  if (slot == LoginSlot::read_only && !input.desired.read_only_login) return LoginFate::ending;
  if (credential->state < CredentialState::done) return LoginFate::incoming;
  if (!credential->overlap_until) return LoginFate::in_use;
  if (!credential->overlap_over) return LoginFate::replaced;
  if (credential->grace_over) return LoginFate::ending;
  const auto& login = login_of(input.desired.names, slot);
  const auto* role = input.server.role(login);
  if (role == nullptr || !role->login) return LoginFate::ending;
  const auto sessions = input.server.sessions.find(login);
  const bool none = sessions != input.server.sessions.end() && sessions->second == 0;
  return none ? LoginFate::ending : LoginFate::replaced;
}

const store::CredentialSummary* current_login(const store::InventoryEntry& known) noexcept {
  const store::CredentialSummary* current = nullptr;
  for (const auto slot : {LoginSlot::a, LoginSlot::b}) {
    const auto* one = credential_of(&known, slot);
    if (one == nullptr || one->overlap_until) continue;
    if (one->state < CredentialState::done) return one;
    current = one;
  }
  return current;
}

const store::CredentialSummary* replaced_login(const store::InventoryEntry& known) noexcept {
  for (const auto slot : {LoginSlot::a, LoginSlot::b}) {
    const auto* one = credential_of(&known, slot);
    if (one != nullptr && one->overlap_until) return one;
  }
  return nullptr;
}

bool rotation_is_due(const RotationRules& rules, const store::InventoryEntry* known, WallTime now) {
  if (rules.interval.count() == 0 || known == nullptr) return false;
  if (known->deployment.state != store::DeploymentState::ready || replaced_login(*known) != nullptr) return false;
  const auto* current = current_login(*known);
  if (current == nullptr || current->state != CredentialState::done || !current->published_at) return false;
  const auto spread = static_cast<std::int64_t>(std::hash<std::string>{}(known->deployment.stamp) % 1'000);
  return *current->published_at + rules.interval - rules.interval * spread / 5'000 <= now;
}

}  // namespace opi::provision
