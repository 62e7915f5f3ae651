#include "provision/cluster_plan.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace opi::provision {
namespace {

std::string title_of(const DesiredObject& object) {
  return kube::to_string(object.object());
}

std::string lower_kind(const DesiredObject& object) {
  std::string kind(object.kind.kind);
  std::ranges::transform(kind, kind.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return kind;
}

std::string full_name(const DesiredObject& object) {
  return object.name_space.empty() ? object.name : object.name_space + "/" + object.name;
}

ClusterDecision refused(const DesiredObject& object, const ObservedObject& observed) {
  const bool name_space = object.kind == kube::namespaces;
  auto error =
      Error(ErrorKind::conflict, fmt::format("{} is not ours: {}; not touched", title_of(object), observed.detail))
          .handled_by(Handling::needs_person)
          .with_remedy(name_space ? fmt::format("choose another namespace, or hand it over: label it "
                                                "created-by={} and {}={}",
                                                manager_name, project_label, object.project)
                                  : std::string("rename or remove it"));
  return {.step = ClusterStep::refuse, .detail = observed.detail, .error = std::move(error)};
}

}  // namespace

ClusterDecision decide(const DesiredObject& object, const ObservedObject& observed,
                       const store::ClusterObjectRow* known, const ClusterRules& rules) {
  const bool new_content = known == nullptr || known->inputs != object.inputs;
  switch (observed.presence) {
    case Presence::foreign: return refused(object, observed);
    case Presence::terminating:
      return {.step = ClusterStep::wait,
              .detail = "it is being deleted",
              .error = Error(ErrorKind::unavailable, fmt::format("{} is being deleted", title_of(object)))};
    case Presence::absent:
      if (known != nullptr && !known->version.empty())
        return {.step = ClusterStep::restore, .detail = "somebody deleted it"};
      return {.step = ClusterStep::create};
    case Presence::same:
      if (!new_content) return {};
      return {.step = ClusterStep::change, .detail = known == nullptr ? "not recorded" : "its declaration changed"};
    case Presence::different: break;
  }
  if (new_content) return {.step = ClusterStep::change, .detail = observed.detail};
  const auto policy = object.holds_secret() ? rules.secret_drift : rules.drift;
  if (policy == DriftPolicy::ignore) return {};
  return {.step = policy == DriftPolicy::fix ? ClusterStep::correct : ClusterStep::warn,
          .detail = fmt::format("{} is not as we wrote it", observed.detail)};
}

std::optional<ClusterAction> action_of(const DesiredObject& object, const ClusterDecision& decision,
                                       std::string_view inputs) {
  if (!decision.writes()) return std::nullopt;
  Sign sign = Sign::drift;
  if (decision.step == ClusterStep::create) sign = Sign::create;
  if (decision.step == ClusterStep::change) sign = Sign::change;
  return ClusterAction{.sign = sign,
                       .object = lower_kind(object),
                       .name = full_name(object),
                       .detail = decision.detail,
                       .effect = fmt::format("{} {}", reason_of(decision.step), inputs)};
}

ClusterAction removal_action(const DesiredObject& object, std::string detail, std::string_view version) {
  return {.sign = Sign::remove,
          .object = lower_kind(object),
          .name = full_name(object),
          .detail = std::move(detail),
          .effect = fmt::format("Removed {}", version)};
}

std::string_view reason_of(ClusterStep step) noexcept {
  switch (step) {
    case ClusterStep::create: return "Created";
    case ClusterStep::restore: return "Restored";
    case ClusterStep::change: return "Changed";
    case ClusterStep::correct: return "Corrected";
    case ClusterStep::warn: return "Drifted";
    case ClusterStep::refuse: return "Refused";
    case ClusterStep::wait: return "Waiting";
    case ClusterStep::nothing: break;
  }
  return "Unchanged";
}

}  // namespace opi::provision
