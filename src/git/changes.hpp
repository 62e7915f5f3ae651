#pragma once
/// @file
/// What a monitor hands to whoever acts on it. Plain values.

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "git/snapshot.hpp"

namespace opi::git {

/// What happened to a file since it was last acted on.
enum class ChangeKind { added, changed, removed };
std::string_view to_string(ChangeKind kind) noexcept;

/// One file to act on.
struct Change {
  ChangeKind kind = ChangeKind::changed;
  std::string path;
  std::string blob;     ///< the new object id; for a removed file the one last acted on
  std::string content;  ///< empty for a removed file
};

/// Changes that belong together: those between what was acted on and one commit of one branch.
struct ChangeSet {
  std::string branch;
  std::string commit;
  std::string author;
  WallTime committed = {};
  std::vector<Change> changes;         ///< added and changed ones by path, then removed ones
  std::vector<RejectedFile> rejected;  ///< files that cannot be used as they are; each told once per content
  std::size_t files_total = 0;         ///< matching files of this commit; 0 with removals: everything was deleted
  bool last = true;                    ///< false: more of the same commit follows, cut by `batch_bytes_max`
};

/// Path → object id of what was last acted on with success.
using ActedOn = std::map<std::string, std::string>;
/// The same by branch.
using ActedOnBranches = std::map<std::string, ActedOn>;
/// Where the state of the last run comes from; asked once, again after a failure.
using LoadActedOn = std::function<Task<Result<ActedOnBranches>>()>;
/// Acts on changes and gives the paths that succeeded; the others are offered again, each with its own backoff. A
/// handler that throws or fails has succeeded with none. It records success durably before it returns: the monitor only
/// remembers. Cancelled by stop().
using ChangeHandler = std::function<Task<Result<std::vector<std::string>>>(ChangeSet)>;

}  // namespace opi::git
