#pragma once
/// @file
/// The pools by name, as long as their application lives.

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "pg/database_pool.hpp"

namespace opi::pg {

/// Ownership: owns its pools until it goes itself; one that was retired too, for somebody may have a reference to it.
/// Threading: every member from any thread.
class PoolRegistry {
 public:
  /// The name is free.
  DatabasePool& add(std::unique_ptr<DatabasePool> pool);
  /// Null when there is none.
  DatabasePool* find(std::string_view name) const;
  /// By name.
  std::vector<DatabasePool*> all() const;
  /// Not found any more from now on.
  DatabasePool* retire(std::string_view name);
  /// Those that go to this database, on a host that is among these. Their prepared statements are dropped before the
  /// next use; how many pools.
  std::size_t forget_statements(const ServerSettings& where) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::unique_ptr<DatabasePool>, std::less<>> pools_;
  std::vector<std::unique_ptr<DatabasePool>> retired_;
};

}  // namespace opi::pg
