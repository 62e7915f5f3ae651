#pragma once
/// @file
/// What it takes to get from the pools there are to the pools that are wanted: a list of typed actions, printable.

#include <string>
#include <string_view>
#include <vector>

#include "pg/settings.hpp"

namespace opi::pg {

/// What is done to one pool.
enum class PoolChange {
  resize,   ///< in place: limits, and what only later dials look at; no session is touched
  recycle,  ///< sessions are made anew on the same servers: idle ones now, lent ones when they come back
  replace,  ///< the same, and the new ones go to other servers or to another database
  add,
  remove,  ///< closed, its leases given time to come back
  reject,  ///< cannot be: then nothing of the plan is done
};
std::string_view to_string(PoolChange change) noexcept;

struct PoolAction {
  PoolChange change = PoolChange::resize;
  std::string pool;
  /// "max 10 → 20": each field that differs, old and new. Never a secret, and nothing that depends on one.
  std::vector<std::string> details = {};
  std::string reason = {};  ///< reject: why, and what to do

  /// "~ main        resize   max 10 → 20"
  std::string to_string() const;
  friend bool operator==(const PoolAction&, const PoolAction&) = default;
};

/// A plain value. It carries the wanted configuration, password providers included.
struct PoolPlan {
  std::vector<PoolAction> actions = {};  ///< in the order of doing: rejects first, removals last
  std::vector<PoolConfig> present = {};  ///< what it was made for
  std::vector<PoolConfig> wanted = {};

  bool empty() const noexcept { return actions.empty(); }
  bool rejected() const noexcept;
  const PoolAction* find(std::string_view pool) const noexcept;
  /// One line an action and one with the sums, each ending in a line break; stable in a pipe.
  std::string to_string() const;
};

/// Pure. A pool is known by its name alone. Password providers are not looked at: a rotated password is no change of
/// the plan, the wanted provider is used from the next dial on.
PoolPlan plan_pools(std::vector<PoolConfig> present, std::vector<PoolConfig> wanted);

}  // namespace opi::pg
