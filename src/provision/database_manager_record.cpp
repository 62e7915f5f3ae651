// What a pass writes down beside its flows: drift, the versions in force, who approved what.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

#include "provision/manager_parts.hpp"
#include "store/history.hpp"

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

/// A new version of a file that changes nothing for a database is still the version that is in force.
Task<Result<>> DatabaseManager::update_sources(const Estate* estate, const Plan* plan) {
  std::vector<store::Declaration> declarations;
  for (std::size_t i = 0; i < estate->desired.size(); ++i) {
    const auto& wanted = estate->desired[i];
    const auto* known = estate->inventory.find(wanted.project, wanted.deployment);
    const auto& planned = plan->deployments[i];
    if (known == nullptr || planned.refusal || planned.waiting || !planned.actions.empty() || planned.to_record)
      continue;
    const auto& record = known->deployment;
    const auto repository = settings_.repositories.of(wanted.source.file);
    if (record.blob_id == wanted.source.blob && record.file == wanted.source.file && record.repository == repository &&
        record.namespace_ == wanted.namespace_ && record.deletion == wanted.deletion && !record.removal_confirmed)
      continue;
    store::Declaration one{
        .key = record.key, .cluster = record.cluster, .server_id = record.server_id, .base_name = record.base_name};
    one.namespace_ = wanted.namespace_;
    one.repository = repository;
    one.file = wanted.source.file;
    one.blob_id = wanted.source.blob;
    one.commit_id = wanted.source.commit;
    one.deletion = wanted.deletion;
    declarations.push_back(std::move(one));
  }
  if (declarations.empty()) co_return Result<>{};
  auto lease =
      co_await main_.acquire({.deadline = SystemClock().steady() + settings_.plan_deadline, .task = "record versions"});
  if (!lease) co_return failure(lease.error().to_error());
  auto declared = co_await store::declare_deployments(&**lease, std::move(declarations));
  if (!declared) co_return failure(std::move(declared.error()));
  co_return Result<>{};
}

/// Who approved what, in the history of each deployment that it is about.
Task<Result<>> DatabaseManager::record_approval(const Plan* plan, store::Cause cause) {
  std::vector<store::HistoryEvent> events;
  for (const auto& one : plan->deployments) {
    if (one.actions.empty()) continue;
    store::HistoryEvent event{.at = SystemClock().wall(), .project = one.project, .deployment = one.deployment};
    event.server = one.pool;
    event.action = "approve_plan";
    event.cause = cause;
    event.message = fmt::format("digest {}, {} actions{}{}", plan->digest(), one.actions.size(),
                                one.approval.empty() ? "" : ", among them: ", fmt::join(one.approval, ", "));
    events.push_back(std::move(event));
  }
  if (events.empty()) co_return Result<>{};
  auto lease = co_await main_.acquire(
      {.deadline = SystemClock().steady() + settings_.plan_deadline, .task = "record an approval"});
  if (!lease) co_return failure(lease.error().to_error());
  co_return co_await store::append_history(&**lease, std::move(events));
}

}  // namespace opi::provision
