// The part of the DatabaseManager that is about clones: what there is to decide, and what comes before what.

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <utility>

#include "provision/manager_parts.hpp"

namespace opi::provision {

CloneInput DatabaseManager::clone_input(const Estate& estate, const DesiredDeployment& wanted) const {
  CloneInput input{
      .desired = wanted, .known = estate.inventory.find(wanted.project, wanted.deployment), .tools = &settings_.clone};
  if (input.known != nullptr) {
    const auto found =
        std::ranges::lower_bound(estate.clones, input.known->deployment.id, {}, &store::CloneRecord::deployment_id);
    if (found != estate.clones.end() && found->deployment_id == input.known->deployment.id) input.record = &*found;
  }
  if (!wanted.clone) return input;
  input.source = estate.inventory.find(wanted.project, wanted.clone->source);
  for (const auto& other : estate.desired) {
    if (other.project == wanted.project && other.deployment == wanted.clone->source) input.coming = &other;
  }
  return input;
}

/// Which databases copies go into has to be known before the server is asked about them.
Task<Result<>> DatabaseManager::look_at_clones(Estate* estate, pg::Connection* connection) {
  auto clones = co_await store::load_clones(connection);
  if (!clones) co_return failure(std::move(clones.error()));
  estate->clones = *std::move(clones);
  for (auto& one : estate->desired) {
    const auto input = clone_input(*estate, one);
    if (!one.clone && (input.record == nullptr || input.record->state >= store::CloneState::done)) continue;
    auto decision = decide_clone(input);
    if (decision.make) one.database = decision.make->database;
    estate->decisions.emplace(one.title(), std::move(decision));
  }
  co_return Result<>{};
}

/// What can only be said with the programs' and the servers' versions.
Task<> DatabaseManager::judge_clones(Estate* estate) {
  std::optional<ToolVersions> versions;
  for (const auto& one : estate->desired) {
    const auto found = estate->decisions.find(one.title());
    const auto* server = estate->server(one.pool);
    if (found == estate->decisions.end() || !found->second.needs_versions || server == nullptr) continue;
    if (!versions) versions = co_await ask_tool_versions(settings_.clone);
    auto input = clone_input(*estate, one);
    input.versions = &*versions;
    input.server_version = server->facts.version;
    found->second = decide_clone(input);
  }
}

/// What is copied is made before its copies.
Task<> DatabaseManager::run_in_ranks(std::shared_ptr<Work> work, const std::vector<DesiredDeployment>* all) {
  work->total = work->queue.size();
  std::map<std::size_t, std::vector<Work::Item>> ranks;
  for (auto& item : work->queue) ranks[clone_rank(*all, item.desired).value_or(0)].push_back(std::move(item));
  for (auto& [rank, items] : ranks) {
    work->queue = std::move(items);
    work->next = 0;
    co_await run_flows(work);
    if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none) co_return;
  }
}

}  // namespace opi::provision
