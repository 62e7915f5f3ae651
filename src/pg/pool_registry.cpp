#include "pg/pool_registry.hpp"

#include <algorithm>

namespace opi::pg {

DatabasePool& PoolRegistry::add(std::unique_ptr<DatabasePool> pool) {
  const std::scoped_lock lock(mutex_);
  std::string name = pool->name();
  return *pools_.emplace(std::move(name), std::move(pool)).first->second;
}

DatabasePool* PoolRegistry::find(std::string_view name) const {
  const std::scoped_lock lock(mutex_);
  const auto found = pools_.find(name);
  return found != pools_.end() ? found->second.get() : nullptr;
}

std::vector<DatabasePool*> PoolRegistry::all() const {
  const std::scoped_lock lock(mutex_);
  std::vector<DatabasePool*> pools;
  pools.reserve(pools_.size());
  for (const auto& [name, pool] : pools_) pools.push_back(pool.get());
  return pools;
}

DatabasePool* PoolRegistry::retire(std::string_view name) {
  const std::scoped_lock lock(mutex_);
  const auto found = pools_.find(name);
  if (found == pools_.end()) return nullptr;
  retired_.push_back(std::move(found->second));
  pools_.erase(found);
  return retired_.back().get();
}

std::size_t PoolRegistry::forget_statements(const ServerSettings& where) const {
  std::size_t pools = 0;
  for (DatabasePool* const pool : all()) {
    const ServerSettings server = pool->config().server;
    const bool same_host = std::ranges::any_of(
        server.hosts, [&](const HostPort& host) { return std::ranges::find(where.hosts, host) != where.hosts.end(); });
    if (server.database != where.database || !same_host) continue;
    pool->forget_statements();
    ++pools;
  }
  return pools;
}

}  // namespace opi::pg
