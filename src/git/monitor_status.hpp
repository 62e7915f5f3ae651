#pragma once
/// @file
/// What can be seen of a GitMonitor from any thread, and the locked place where it stands.

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "git/mirror.hpp"

namespace opi::git {

enum class MonitorState {
  created,      ///< not started
  starting,     ///< no check has ended yet
  following,    ///< the last check succeeded
  empty,        ///< the repository has none of the branches
  unreachable,  ///< the last check failed; what was good stays
  suspended,    ///< somebody said so; nothing is asked and nothing is acted on
  stopped,
};
std::string_view to_string(MonitorState state) noexcept;

/// A file that was offered and not acted on, or that cannot be used.
struct WaitingFile {
  std::string path;
  std::string blob;
  std::uint32_t attempts = 0;       ///< 0: rejected, never offered
  std::string error = {};           ///< why it is rejected
  std::string seen_at_commit = {};  ///< the head at which it was first seen so
  std::string seen_author = {};
  std::string branch = {};
};

/// One followed branch.
struct BranchStatus {
  std::string branch;
  std::string head = {};  ///< commit whose files are in force or being acted on; "" while there is none
  std::string author = {};
  std::size_t files = 0;                      ///< matching files of it
  std::optional<WallTime> behind_since = {};  ///< since when something of it waits to be acted on: the lag
  std::optional<WallTime> last_acted = {};    ///< when a change was last acted on
  std::string refused_commit = {};            ///< the branch has moved there, and its signature does not satisfy
  std::string refused_author = {};
  std::string refused_reason = {};
};

/// A copy of everything at one moment.
struct MonitorStatus {
  std::string name;
  MonitorState state = MonitorState::created;
  std::optional<WallTime> last_check;    ///< when the last question for the heads was answered, or failed
  std::optional<WallTime> last_success;  ///< when the heads were last read and everything of them was offered
  std::optional<WallTime> next_check;    ///< none while suspended
  std::string last_head;                 ///< of the first branch: the commit that was last listed
  std::uint32_t errors_in_a_row = 0;     ///< failed checks
  std::string last_error;                ///< of the last failed check; empty after a success
  std::optional<WallTime> failing_since;
  std::size_t files = 0;  ///< matching files of all branches
  std::vector<BranchStatus> branches;
  std::vector<WaitingFile> waiting;
  std::uint64_t checks = 0;
  std::uint64_t checks_failed = 0;  ///< of these
  std::uint64_t change_sets = 0;    ///< handed to the handler
  MirrorStatistics children;
};

/// Threading: every member from any thread.
class MonitorBoard {
 public:
  explicit MonitorBoard(std::string name);
  MonitorStatus status() const;
  /// Under the lock: `change` is short and does not call back.
  void update(const std::function<void(MonitorStatus&)>& change);

 private:
  mutable std::mutex mutex_;
  MonitorStatus status_;
};

}  // namespace opi::git
