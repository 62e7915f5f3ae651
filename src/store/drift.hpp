#pragma once
/// @file
/// Since when a difference has been seen: written when it appears and when it goes, never in between.

#include <cstdint>
#include <string>
#include <vector>

#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "pg/connection.hpp"

namespace opi::store {

/// A difference as it was first seen.
struct DriftRecord {
  std::string key;      ///< the same for the same difference, seen again
  bool inside = false;  ///< of the inside of the database, which is not looked at in every pass
  WallTime seen_at{};
};

/// What has changed since the last look at one deployment.
struct DriftChange {
  struct Seen {
    std::string key;
    std::string detail;
    bool inside = false;
  };
  std::int64_t deployment_id = 0;
  std::vector<Seen> appeared = {};
  std::vector<std::string> gone = {};

  bool empty() const noexcept { return appeared.empty() && gone.empty(); }
};

/// Records all of them; nothing to change costs no statement. Errors: those of Connection.
Task<Result<>> change_drift(pg::Connection* connection, std::vector<DriftChange> changes);

}  // namespace opi::store
