// Deployments that nobody declares any more: what is shown of them, decided about them, and done.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "aio/with_deadline.hpp"
#include "provision/manager_parts.hpp"
#include "store/removal.hpp"

namespace opi::provision {
namespace {

constexpr std::chrono::seconds flow_grace{5};

Task<Result<DeploymentReport>> bounded(RemovalFlow* flow) {
  auto report = co_await flow->run();
  if (report.error && report.error->kind == ErrorKind::cancelled) co_return failure(*std::move(report.error));
  co_return report;
}

DeploymentReport row_of(const store::DeploymentRecord& record) {
  return {.project = record.key.project,
          .deployment = record.key.deployment,
          .namespace_ = record.namespace_,
          .database = record.database_name,
          .pool = record.pool};
}

bool selected(const Selection& selection, const store::DeploymentKey& key) {
  return (selection.project.empty() || selection.project == key.project) &&
         (selection.deployment.empty() || selection.deployment == key.deployment);
}

}  // namespace

bool DatabaseManager::Estate::declares(const store::DeploymentKey& key) const {
  // In the order of project and deployment.
  const auto place =
      std::ranges::lower_bound(desired, std::tie(key.project, key.deployment), {},
                               [](const DesiredDeployment& one) { return std::tie(one.project, one.deployment); });
  return place != desired.end() && place->project == key.project && place->deployment == key.deployment;
}

std::vector<const store::InventoryEntry*> DatabaseManager::Estate::undeclared(std::string_view pool) const {
  std::vector<const store::InventoryEntry*> gone;
  if (!whole) return gone;
  for (const auto& entry : inventory.entries) {
    if (entry.deployment.pool == pool && !declares(entry.deployment.key)) gone.push_back(&entry);
  }
  return gone;
}

std::vector<RemovalDecision> DatabaseManager::removals(const Estate& estate) const {
  if (!estate.whole) return {};
  const auto broken = projects_.errors();
  return decide_removals({.desired = estate.desired,
                          .projects = projects_.projects(),
                          .broken = broken,
                          .inventory = estate.inventory,
                          .repositories = settings_.repositories,
                          .now = SystemClock().wall()},
                         settings_.removal);
}

void DatabaseManager::plan_removals(const Estate& estate, Plan& plan) const {
  for (const auto& decision : removals(estate)) {
    const auto& record = decision.entry->deployment;
    auto planned = plan_removal(decision, estate.server(record.pool), !settings_.dump.directory.empty());
    const bool acts = decision.step == RemovalStep::bury || decision.step == RemovalStep::remove;
    if (acts && estate.server(record.pool) == nullptr) {
      const auto server = estate.servers.find(record.pool);
      planned.waiting = server == estate.servers.end() ? Error(ErrorKind::not_found, "no pool leads to its server")
                                                       : server->second.error();
    }
    planned.approval = demanded_approval(planned.actions, settings_.approval);
    if (acts || !planned.actions.empty()) plan.deployments.push_back(std::move(planned));
    if (acts) continue;
    plan.kept.push_back({.project = record.key.project,
                         .deployment = record.key.deployment,
                         .namespace_ = record.namespace_,
                         .database = record.database_name,
                         .pool = record.pool,
                         .reason = decision.reason});
  }
}

void DatabaseManager::queue_removals(const Estate& estate, const Plan& plan, bool approved, Work& work,
                                     ApplyReport& report) const {
  const auto declared = static_cast<std::ptrdiff_t>(estate.desired.size());  // whose plans come first
  const auto planned_of = [&](const store::DeploymentKey& key) {
    return std::find_if(plan.deployments.begin() + declared, plan.deployments.end(), [&key](const DeploymentPlan& one) {
      return one.project == key.project && one.deployment == key.deployment;
    });
  };
  for (const auto& decision : removals(estate)) {
    const auto& record = decision.entry->deployment;
    const auto* server = estate.server(record.pool);
    const bool acts = decision.step == RemovalStep::bury || decision.step == RemovalStep::remove;
    const auto planned = planned_of(record.key);
    auto row = row_of(record);
    if (server != nullptr && planned != plan.deployments.end()) {
      if (!approved && !planned->approval.empty()) {
        row.outcome = DeploymentOutcome::refused;
        row.error = needs_approval(record.key.project, record.key.deployment, planned->approval, true);
        report.deployments.push_back(std::move(row));
        continue;
      }
      RemovalOrder order{.entry = *decision.entry, .step = decision.step, .reason = decision.reason};
      if (approved) order.approved.emplace(*planned);
      work.queue.push_back({.removal = std::move(order)});
      continue;
    }
    row.outcome = acts ? DeploymentOutcome::waiting : DeploymentOutcome::kept;
    if (acts) row.error = Error(ErrorKind::unavailable, row.title() + ": its server cannot be asked");
    row.notes = {decision.reason};
    report.deployments.push_back(std::move(row));
  }
}

/// As run_flow.
Task<DeploymentReport> DatabaseManager::run_removal(RemovalOrder order, store::Cause cause) {
  const auto tools = flow_tools();
  auto deadline = SystemClock().steady() + settings_.deadline;
  if (order.step == RemovalStep::remove && !settings_.dump.directory.empty()) deadline += settings_.dump.deadline;
  auto broken = row_of(order.entry.deployment);
  broken.outcome = DeploymentOutcome::failed;
  try {
    RemovalFlow flow(&tools, std::move(order), settings_.removal, settings_.dump, std::move(cause), deadline);
    auto report = co_await aio::with_deadline(bounded(&flow), deadline + flow_grace,
                                              fmt::format("{}: not done within its deadline", broken.title()));
    if (report) co_return *std::move(report);
    broken.error = std::move(report.error());
  } catch (const std::exception& exception) {
    broken.error = Error(ErrorKind::internal, broken.title() + ": " + exception.what());
  }
  co_return broken;
}

Task<Result<DatabaseManager::Estate>> DatabaseManager::load_undeclared(pg::Connection* connection) {
  Estate estate{.desired = desired({}), .whole = true};
  auto inventory = co_await store::load_inventory(connection, settings_.rules.cluster);
  if (!inventory) co_return failure(std::move(inventory.error()));
  estate.inventory = *std::move(inventory);
  co_return estate;
}

Task<Result<std::vector<UndeclaredDeployment>>> DatabaseManager::undeclared() {
  auto lease = co_await main_.acquire(
      {.deadline = SystemClock().steady() + settings_.plan_deadline, .task = "list undeclared deployments"});
  if (!lease) co_return failure(lease.error().to_error());
  auto estate = co_await load_undeclared(&**lease);
  if (!estate) co_return failure(std::move(estate.error()));
  std::vector<UndeclaredDeployment> all;
  for (const auto& decision : removals(*estate)) {
    const auto& record = decision.entry->deployment;
    all.push_back({.project = record.key.project,
                   .deployment = record.key.deployment,
                   .database = record.database_name,
                   .pool = record.pool,
                   .state = record.state,
                   .step = decision.step,
                   .reason = decision.reason,
                   .remove_after = record.remove_after});
  }
  co_return all;
}

Task<Result<std::vector<std::string>>> DatabaseManager::confirm_removal(Selection selection, store::Cause cause,
                                                                        bool now) {
  co_return co_await decide_by_hand(std::move(selection), std::move(cause),
                                    now ? RemovalWord::remove_now : RemovalWord::confirm);
}

Task<Result<std::vector<std::string>>> DatabaseManager::keep_undeclared(Selection selection, store::Cause cause) {
  co_return co_await decide_by_hand(std::move(selection), std::move(cause), RemovalWord::keep);
}

Task<Result<std::vector<std::string>>> DatabaseManager::decide_by_hand(Selection selection, store::Cause cause,
                                                                       RemovalWord word) {
  auto lease = co_await main_.acquire(
      {.deadline = SystemClock().steady() + settings_.plan_deadline, .task = "decide about removals"});
  if (!lease) co_return failure(lease.error().to_error());
  auto estate = co_await load_undeclared(&**lease);
  if (!estate) co_return failure(std::move(estate.error()));
  std::vector<std::int64_t> ids;
  std::vector<std::string> titles;
  std::vector<store::HistoryEvent> history;
  for (const auto& entry : estate->inventory.entries) {
    const auto& record = entry.deployment;
    if (!selected(selection, record.key) || estate->declares(record.key)) continue;
    ids.push_back(record.id);
    titles.push_back(record.key.project + "/" + record.key.deployment);
    history.push_back({.at = SystemClock().wall(),
                       .project = record.key.project,
                       .deployment = record.key.deployment,
                       .server = record.pool,
                       .action = word == RemovalWord::keep ? "keep_undeclared" : "confirm_removal",
                       .statement = word == RemovalWord::remove_now ? "without a grace period" : "",
                       .cause = cause});
  }
  if (ids.empty()) {
    co_return failure(Error(ErrorKind::not_found,
                            "nothing of that name is undeclared; what is declared is removed from its file first"));
  }
  Result<> done;
  if (word == RemovalWord::keep) {
    auto kept = co_await store::keep_deployments(&**lease, std::move(ids));
    if (!kept) done = failure(std::move(kept.error()));
  } else {
    done = co_await store::confirm_removals(&**lease, std::move(ids), word == RemovalWord::remove_now);
  }
  if (done) done = co_await store::append_history(&**lease, std::move(history));
  if (!done) co_return failure(std::move(done.error()));
  co_return titles;
}

}  // namespace opi::provision
