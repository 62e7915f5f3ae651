#include "provision/approval.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

namespace opi::provision {
namespace {

constexpr std::array<std::string_view, 3> kind_names{"drop", "clone-over", "change-owner"};
constexpr std::size_t digest_least = 8;
constexpr std::size_t digest_most = 64;

}  // namespace

std::string_view to_string(ApprovalKind kind) noexcept {
  return kind_names[static_cast<std::size_t>(kind)];
}

std::optional<ApprovalKind> approval_kind_named(std::string_view name) noexcept {
  for (std::size_t i = 0; i < kind_names.size(); ++i) {
    if (kind_names[i] == name) return static_cast<ApprovalKind>(i);
  }
  return std::nullopt;
}

std::optional<ApprovalKind> approval_kind(const Action& action) noexcept {
  switch (action.kind) {
    case ActionKind::set_database_owner:
    case ActionKind::reown_object:
    case ActionKind::set_schema_owner: return ApprovalKind::change_owner;
    case ActionKind::copy_over: return ApprovalKind::clone_over;
    case ActionKind::drop_database:
    case ActionKind::drop_role: return ApprovalKind::drop;
    default: return std::nullopt;
  }
}

std::vector<std::string> demanded_approval(const std::vector<Action>& actions, const ApprovalPolicy& policy) {
  ApprovalPolicy found;
  for (const auto& action : actions) {
    const auto kind = approval_kind(action);
    if (kind && policy.contains(*kind)) found.insert(*kind);
  }
  std::vector<std::string> names;
  for (const auto kind : found) names.emplace_back(to_string(kind));
  return names;
}

Error needs_approval(std::string_view project, std::string_view deployment, const std::vector<std::string>& kinds,
                     bool whole) {
  const auto selection = whole ? std::string() : fmt::format(" {} {}", project, deployment);
  return Error(ErrorKind::denied, fmt::format("{}/{}: needs approval: {}", project, deployment, fmt::join(kinds, ", ")))
      .with_remedy(
          fmt::format("look at: opi plan{0}, then: opi apply{0} --digest, with the digest it shows", selection))
      .handled_by(Handling::needs_person);
}

Result<std::string> parse_digest(std::string_view text) {
  const bool hex = std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  if (hex && text.size() >= digest_least && text.size() <= digest_most) return std::string(text);
  return failure(Error(ErrorKind::invalid, "a digest is 8 to 64 digits from 0 to f")
                     .with_remedy("take the one that opi plan shows"));
}

bool same_digest(std::string_view given, std::string_view digest) noexcept {
  return given.size() >= digest_least && digest.starts_with(given);
}

ApprovedEffects::ApprovedEffects(const DeploymentPlan& plan) : title_(plan.title()) {
  for (const auto& action : plan.actions) {
    effects_.insert(action.effect());
    if (action.kind == ActionKind::rotate_login) rotated_.insert(action.subject);
  }
}

std::optional<Error> ApprovedEffects::refusal_of(std::span<const Action> actions) const {
  for (const auto& action : actions) {
    // The journaled password may always be set again: the same bytes.
    if (action.kind == ActionKind::set_password || effects_.contains(action.effect())) continue;
    if (stage_of(action.kind) <= Stage::verify && rotated_.contains(action.subject)) continue;
    return Error(ErrorKind::conflict, fmt::format("{}: the world has moved since the plan: {} {} ({}) was not in it",
                                                  title_, action.object, action.name, action.detail))
        .with_remedy("look at the new plan: opi plan")
        .handled_by(Handling::needs_person);
  }
  return std::nullopt;
}

}  // namespace opi::provision
