#pragma once
/// @file
/// Follows the head of a repository and hands every changed, added and removed file to a handler, until it succeeded.

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "aio/task.hpp"
#include "base/backoff.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "git/mirror.hpp"
#include "git/monitor_status.hpp"

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

/// Changes that belong together: those between what was acted on and one commit.
struct ChangeSet {
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
/// Where the state of the last run comes from; asked once, again after a failure.
using LoadActedOn = std::function<Task<Result<ActedOn>>()>;
/// Acts on changes and gives the paths that succeeded; the others are offered again, each with its own backoff. A
/// handler that throws or fails has succeeded with none. It records success durably before it returns: the monitor only
/// remembers. Cancelled by stop().
using ChangeHandler = std::function<Task<Result<std::vector<std::string>>>(ChangeSet)>;

/// How the repository is followed.
struct MonitorSettings {
  MirrorSettings mirror;
  std::chrono::milliseconds interval{60'000};        ///< between checks of the head
  double jitter = 0.1;                               ///< share of each wait that is random, 0 to 1
  std::chrono::milliseconds check_deadline{30'000};  ///< of one question for the head
  std::chrono::milliseconds fetch_deadline{300'000};
  std::chrono::milliseconds stop_deadline{10'000};
  BackoffLimits unreachable{.first = std::chrono::milliseconds(1'000), .most = std::chrono::milliseconds(300'000)};
  BackoffLimits failed_file{.first = std::chrono::milliseconds(1'000), .most = std::chrono::milliseconds(600'000)};
  std::size_t batch_bytes_max = 16U << 20U;  ///< of content in one ChangeSet
};

/// Follows one branch of one repository.
///
/// State is kept per path and object id, so a force-push, a rewritten history or a depth-1 fetch needs no special care.
/// An empty repository or a missing branch is a state of its own and reports no removals. While the repository cannot
/// be reached, the last good state stays; each transition is one log line. The monitor knows nothing of what is done
/// with the files.
///
/// Ownership: owns its mirror and its task; destroy it after `stop()`. What the handler captures outlives that.
/// Threading: on the executor's thread, except `poke()` and `status()`: any thread.
/// Errors: none leaves it; they are in `status()` and in the log.
class GitMonitor {
 public:
  GitMonitor(const asio::any_io_executor& executor, MonitorSettings settings, LoadActedOn load, ChangeHandler handler,
             const Logger& log);
  GitMonitor(const asio::any_io_executor& executor, MonitorSettings settings, ActedOn acted_on, ChangeHandler handler,
             const Logger& log);
  ~GitMonitor();
  GitMonitor(const GitMonitor&) = delete;
  GitMonitor& operator=(const GitMonitor&) = delete;

  /// Begins to follow; does not wait for the first check. Errors: invalid (settings), conflict (started before).
  Task<Result<>> start();
  /// Ends the check that runs, its child processes and the handler included. Returns within the stop deadline, with an
  /// error when the handler ignored its cancellation. Idempotent.
  Task<Result<>> stop();

  /// Checks now (webhooks, "reconcile now"): also what waits for its backoff. A burst is one check.
  void poke();

  MonitorStatus status() const;

 private:
  struct Core;
  std::shared_ptr<Core> core_;  ///< shared with the running task
};

}  // namespace opi::git
