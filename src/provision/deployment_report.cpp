#include "provision/deployment_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace opi::provision {

std::string_view to_string(DeploymentOutcome outcome) noexcept {
  switch (outcome) {
    case DeploymentOutcome::created: return "created";
    case DeploymentOutcome::changed: return "changed";
    case DeploymentOutcome::unchanged: return "unchanged";
    case DeploymentOutcome::failed: return "failed";
    case DeploymentOutcome::refused: return "refused";
    case DeploymentOutcome::waiting: return "waiting";
    case DeploymentOutcome::kept: return "kept";
    case DeploymentOutcome::disabled: return "disabled";
    case DeploymentOutcome::removed: return "removed";
  }
  return "unknown";
}

void sort_rows(ApplyReport& report) {
  std::ranges::sort(report.deployments, [](const auto& a, const auto& b) {
    return std::tie(a.project, a.deployment, a.file) < std::tie(b.project, b.deployment, b.file);
  });
}

std::size_t ApplyReport::count(DeploymentOutcome outcome) const noexcept {
  return static_cast<std::size_t>(std::ranges::count(deployments, outcome, &DeploymentReport::outcome));
}

bool ApplyReport::succeeded() const noexcept {
  return count(DeploymentOutcome::failed) == 0 && count(DeploymentOutcome::refused) == 0 &&
         count(DeploymentOutcome::waiting) == 0;
}

std::string ApplyReport::summary() const {
  std::string text;
  for (auto i = static_cast<int>(DeploymentOutcome::created); i <= static_cast<int>(DeploymentOutcome::removed); ++i) {
    const auto outcome = static_cast<DeploymentOutcome>(i);
    if (const auto times = count(outcome); times != 0)
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", times, to_string(outcome));
  }
  return text.empty() ? "nothing is declared" : text;
}

}  // namespace opi::provision
