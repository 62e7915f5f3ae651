#include "provision/drift.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "provision/plan_parts.hpp"

namespace opi::provision {
namespace {

struct FieldText {
  std::string_view name;
  std::string_view about;
};
constexpr std::array<FieldText, drift_field_count> field_texts{{
    {"role_attributes", "Attributes of our roles: LOGIN, CREATEDB, SUPERUSER and the like."},
    {"role_comment", "Our stamp in the comments of our roles."},
    {"database_owner", "The owner of a database."},
    {"database_privileges", "What PUBLIC may on a database, and who of ours may connect."},
    {"connection_limit", "The connection limit of a database."},
    {"closed_database", "A database that was closed to connections."},
    {"schemas", "Declared schemas and their owners."},
    {"schema_privileges", "What PUBLIC may in schema public, what the reader may, default privileges."},
    {"extensions", "Declared extensions that are missing."},
    {"logins", "Logins that were disabled, have expired, or are no members of their owner any more."},
    {"login_settings", "The role that a login acts as, and its search_path."},
    {"passwords", "A login's password that is not the published one."},
    {"foreign_members", "Roles of others that were made members of ours."},
}};

std::optional<DriftField> field_of(ActionKind kind) {
  switch (kind) {
    case ActionKind::restrict_role: return DriftField::role_attributes;
    case ActionKind::stamp_role: return DriftField::role_comment;
    case ActionKind::set_database_owner: return DriftField::database_owner;
    case ActionKind::revoke_from_public:
    case ActionKind::grant_connect: return DriftField::database_privileges;
    case ActionKind::set_connection_limit: return DriftField::connection_limit;
    case ActionKind::open_database: return DriftField::closed_database;
    case ActionKind::create_schema:
    case ActionKind::set_schema_owner: return DriftField::schemas;
    case ActionKind::revoke_public_schema:
    case ActionKind::grant_schema_usage:
    case ActionKind::default_privileges: return DriftField::schema_privileges;
    case ActionKind::create_extension: return DriftField::extensions;
    case ActionKind::enable_login:
    case ActionKind::grant_owner: return DriftField::logins;
    case ActionKind::set_login_role:
    case ActionKind::set_search_path: return DriftField::login_settings;
    case ActionKind::set_password: return DriftField::passwords;
    default: return std::nullopt;
  }
}

std::string key_of(const Action& action) {
  return fmt::format("{} {} {}", to_string(action.kind), action.subject, action.value);
}

bool recorded(const DeploymentPlan& plan, const std::string& key) {
  return std::ranges::any_of(plan.drifts, [&](const Drift& one) { return one.key == key; });
}

std::optional<WallTime> seen(const PlanInput& input, const std::string& key) {
  if (input.known == nullptr) return std::nullopt;
  for (const auto& one : input.known->drift) {
    if (one.key == key) return one.seen_at;
  }
  return std::nullopt;
}

const DriftPolicies& policies_of(const PlanInput& input) {
  static const DriftPolicies usual;
  return input.policies == nullptr ? usual : *input.policies;
}

}  // namespace

std::string_view to_string(DriftField field) noexcept {
  return field_texts[static_cast<std::size_t>(field)].name;
}
std::string_view about(DriftField field) noexcept {
  return field_texts[static_cast<std::size_t>(field)].about;
}
std::string_view to_string(DriftPolicy policy) noexcept {
  switch (policy) {
    case DriftPolicy::fix: return "fix";
    case DriftPolicy::warn: return "warn";
    case DriftPolicy::ignore: return "ignore";
  }
  return "?";
}

DriftPolicies::DriftPolicies() noexcept {
  of.fill(DriftPolicy::fix);
  for (const auto field : {DriftField::closed_database, DriftField::passwords, DriftField::foreign_members})
    (*this)[field] = DriftPolicy::warn;
}

std::string drift_text(const Drift& drift) {
  std::string text = drift.detail;
  if (drift.since) {
    text += fmt::format(", since {:%Y-%m-%d %H:%M}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(*drift.since)));
  }
  return fmt::format("{} (policy: {})", text, to_string(drift.policy));
}

void settle_drift(const PlanInput& input, DeploymentPlan& plan) {
  std::erase_if(plan.actions, [&](const Action& action) {
    const auto field = action.sign == Sign::drift ? field_of(action.kind) : std::nullopt;
    if (!field) return false;
    const auto policy = policies_of(input)[*field];
    auto key = key_of(action);
    if (policy != DriftPolicy::ignore && !recorded(plan, key)) {
      Drift drift{.field = *field, .policy = policy, .name = action.name, .detail = action.detail};
      drift.since = seen(input, key);
      drift.key = std::move(key);
      drift.inside = stage_of(action.kind) == Stage::inside;
      plan.drifts.push_back(std::move(drift));
    }
    return policy != DriftPolicy::fix;
  });
}

store::DriftChange drift_change(const store::InventoryEntry& known, const std::vector<Drift>& found, bool inside) {
  store::DriftChange change{.deployment_id = known.deployment.id};
  for (const auto& one : found) {
    const bool old = std::ranges::any_of(known.drift, [&](const auto& before) { return before.key == one.key; });
    if (one.inside == inside && !old) change.appeared.push_back({one.key, one.detail, inside});
  }
  for (const auto& before : known.drift) {
    const bool still = std::ranges::any_of(found, [&](const Drift& one) { return one.key == before.key; });
    if (before.inside == inside && !still) change.gone.push_back(before.key);
  }
  return change;
}

DriftPolicy Planner::notice(DriftField field, std::string name, std::string detail, bool ours) {
  const auto policy = policies_of(input_)[field];
  auto key = fmt::format("{} {}", to_string(field), detail);
  if (policy != DriftPolicy::warn || recorded(plan_, key)) return policy;
  Drift drift{.field = field, .policy = policy, .name = std::move(name), .detail = std::move(detail)};
  drift.since = seen(input_, key);
  drift.key = std::move(key);
  drift.ours = ours;
  plan_.drifts.push_back(std::move(drift));
  return policy;
}

}  // namespace opi::provision
