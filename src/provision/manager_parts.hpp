#pragma once
/// @file
/// What the parts of the DatabaseManager share; no part of its interface.

#include <boost/asio/steady_timer.hpp>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "provision/database_manager.hpp"
#include "store/clones.hpp"

namespace opi::provision {

/// What one look at everything found.
struct DatabaseManager::Estate {
  std::vector<DesiredDeployment> desired;
  store::Inventory inventory;
  std::map<std::string, Result<ObservedServer>, std::less<>> servers;  ///< by pool
  std::vector<store::CloneRecord> clones = {};                         ///< ordered by deployment
  std::unordered_map<std::string, CloneDecision> decisions = {};       ///< by title; only those that are about a clone

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
  };
  std::vector<Item> queue;
  std::size_t next = 0;
  std::size_t workers = 0;
  store::Cause cause;
  Progress progress;
  std::vector<DeploymentReport> reports;
  asio::steady_timer ended;  ///< cancelled when the last worker ends
};

}  // namespace opi::provision
