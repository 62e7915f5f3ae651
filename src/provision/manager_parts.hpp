#pragma once
/// @file
/// What the files of the DatabaseManager share: what one look at everything found, and the flows of one pass.

#include <boost/asio/steady_timer.hpp>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "provision/cluster_manager.hpp"
#include "provision/database_manager.hpp"
#include "provision/removal_flow.hpp"
#include "store/clones.hpp"

namespace opi::provision {

/// What one look at everything found.
struct DatabaseManager::Estate {
  std::vector<DesiredDeployment> desired;
  bool whole = false;  ///< `desired` is all that is declared: what is not in it is not declared
  store::Inventory inventory;
  std::map<std::string, Result<ObservedServer>, std::less<>> servers;  ///< by pool
  std::vector<store::CloneRecord> clones = {};                         ///< ordered by deployment
  std::unordered_map<std::string, CloneDecision> decisions = {};       ///< by title; only those that are about a clone

  bool declares(const store::DeploymentKey& key) const;
  /// Deployments of the inventory on `pool` that nobody declares; none when `desired` is a selection.
  std::vector<const store::InventoryEntry*> undeclared(std::string_view pool) const;
  const ObservedServer* server(std::string_view pool) const {
    const auto found = servers.find(pool);
    return found == servers.end() || !found->second ? nullptr : &*found->second;
  }
};

/// Flows that are still to be run, shared by the workers of one pass.
struct DatabaseManager::Work {
  explicit Work(const asio::any_io_executor& executor) : ended(executor, SteadyTime::max()) {}

  struct Item {
    DesiredDeployment desired;
    FlowOrder order = {};
    std::optional<RemovalOrder> removal = {};  ///< then that is what is done, and nothing else
  };
  std::vector<Item> queue;
  std::size_t next = 0;
  std::size_t workers = 0;
  std::size_t total = 0;  ///< of all ranks
  SteadyTime told_at{};   ///< how far it has come
  store::Cause cause;
  Progress progress;
  std::vector<DeploymentReport> reports;
  asio::steady_timer ended;  ///< cancelled when the last worker ends
};

/// The cluster's part of one pass.
struct DatabaseManager::ClusterRound {
  ClusterOutcomes outcomes;
  std::optional<Error> failed = {};    ///< the cluster could not be asked at all
  std::vector<Work::Item> items = {};  ///< as they were queued, for those that are handed over later
};

}  // namespace opi::provision
