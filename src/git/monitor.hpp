#pragma once
/// @file
/// Follows the branches of a repository and hands every changed, added and removed file to a handler, until it
/// succeeded.

#include <chrono>
#include <memory>
#include <string>

#include "aio/task.hpp"
#include "base/backoff.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "git/changes.hpp"
#include "git/mirror.hpp"
#include "git/monitor_status.hpp"

namespace opi::git {

/// How the repository is followed.
struct MonitorSettings {
  MirrorSettings mirror;
  bool suspended = false;                            ///< from the start, until `resume()`
  std::chrono::milliseconds interval{60'000};        ///< between checks of the heads
  double jitter = 0.1;                               ///< share of each wait that is random, 0 to 1
  std::chrono::milliseconds poke_spacing{100};       ///< checks that were asked for begin at least that far apart
  std::chrono::milliseconds check_deadline{30'000};  ///< of one question for the heads
  std::chrono::milliseconds fetch_deadline{300'000};
  std::chrono::milliseconds stop_deadline{10'000};
  BackoffLimits unreachable{.first = std::chrono::milliseconds(1'000), .most = std::chrono::milliseconds(300'000)};
  BackoffLimits failed_file{.first = std::chrono::milliseconds(1'000), .most = std::chrono::milliseconds(600'000)};
  std::size_t batch_bytes_max = 16U << 20U;  ///< of content in one ChangeSet
};

/// Follows branches of one repository: one question for all heads an interval; a branch is fetched when it moved.
///
/// State is kept per branch, path and object id, so a force-push, a rewritten history or a depth-1 fetch needs no
/// special care. An empty repository or a missing branch is a state of its own and reports no removals. While the
/// repository cannot be reached, the last good state stays; each transition is one log line. A handler runs alone:
/// while it does, heads may move on as they like, and the next set has what they lead to. Files that wait are offered
/// again without asking the remote. The monitor knows nothing of what is done with the files.
///
/// Ownership: owns its mirror and its task; destroy it after `stop()`. What the handler captures outlives that.
/// Threading: on the executor's thread, except `poke()`, `suspend()`, `resume()` and `status()`: any thread.
/// Errors: none leaves it; they are in `status()` and in the log.
class GitMonitor {
 public:
  GitMonitor(const asio::any_io_executor& executor, MonitorSettings settings, LoadActedOn load, ChangeHandler handler,
             const Logger& log);
  GitMonitor(const asio::any_io_executor& executor, MonitorSettings settings, ActedOnBranches acted_on,
             ChangeHandler handler, const Logger& log);
  ~GitMonitor();
  GitMonitor(const GitMonitor&) = delete;
  GitMonitor& operator=(const GitMonitor&) = delete;

  /// Begins to follow; does not wait for the first check. Errors: invalid (settings), conflict (started before).
  Task<Result<>> start();
  /// Ends the check that runs, its child processes and the handler included. Returns within the stop deadline, with an
  /// error when the handler ignored its cancellation. Idempotent.
  Task<Result<>> stop();

  /// Checks now (webhooks, "reconcile now"): also what waits for its backoff. A burst is one check. Nothing while
  /// suspended.
  void poke();
  /// No further check begins; one that runs ends as usual. Idempotent, like its opposite, which checks at once.
  void suspend();
  void resume();

  MonitorStatus status() const;

 private:
  struct Core;
  std::shared_ptr<Core> core_;  ///< shared with the running task
};

}  // namespace opi::git
