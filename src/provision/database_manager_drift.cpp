// What a look at everything found that somebody changed.

#include <utility>

#include "provision/manager_parts.hpp"

namespace opi::provision {

/// Written when a difference appears and when it is gone; an unchanged estate costs nothing.
Task<Result<>> DatabaseManager::record_drift(const Estate* estate, const Plan* plan) {
  std::vector<store::DriftChange> changes;
  for (std::size_t i = 0; i < estate->desired.size(); ++i) {
    const auto& planned = plan->deployments[i];
    const auto* known = estate->inventory.find(planned.project, planned.deployment);
    if (known == nullptr || planned.refusal || planned.waiting) continue;
    auto change = drift_change(*known, planned.drifts, false);
    if (!change.empty()) changes.push_back(std::move(change));
  }
  if (changes.empty()) co_return Result<>{};
  auto lease =
      co_await main_.acquire({.deadline = SystemClock().steady() + settings_.plan_deadline, .task = "record drift"});
  if (!lease) co_return failure(lease.error().to_error());
  co_return co_await store::change_drift(&**lease, std::move(changes));
}

}  // namespace opi::provision
