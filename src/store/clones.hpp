#pragma once
/// @file
/// The journal of clones: what was begun into which database, so that a copy that was interrupted is taken away and
/// none is made twice.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "aio/task.hpp"
#include "base/result.hpp"
#include "pg/connection.hpp"

namespace opi::store {

/// How far a clone has come. Only forward.
enum class CloneState {
  begun,      ///< the database may be there, with nothing or a part in it; nobody uses it
  copied,     ///< everything is in it; nobody uses it yet
  done,       ///< it is the deployment's database
  discarded,  ///< it was taken away, or never was there
};
std::string_view to_string(CloneState state) noexcept;

/// One clone.
struct CloneRecord {
  std::int64_t id = 0;
  std::int64_t deployment_id = 0;
  std::string instruction;  ///< the declaration's word for this one copy: the same is not made twice
  std::string source;       ///< name of the deployment that is copied
  std::string from;         ///< the database that is copied
  std::string database;     ///< the new one
  int generation = 0;       ///< of the new one
  std::string replaces;     ///< the database that the deployment had before, which is kept; empty: none
  CloneState state = CloneState::begun;
};

/// Records that `clone` begins; on disk when this returns. id and state of the argument are ignored.
/// Errors: conflict when another clone of the deployment is neither done nor discarded, and those of Connection.
Task<Result<CloneRecord>> begin_clone(pg::Connection* connection, CloneRecord clone);
/// On disk when this returns. Errors: not_found, conflict (it is further already).
Task<Result<>> advance_clone(pg::Connection* connection, std::int64_t id, CloneState state);

/// Every deployment's newest clone that was not discarded, ordered by deployment. One statement. `deployment_id` 0:
/// all.
Task<Result<std::vector<CloneRecord>>> load_clones(pg::Connection* connection, std::int64_t deployment_id = 0);

}  // namespace opi::store
