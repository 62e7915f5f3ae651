#pragma once
/// @file
/// The running part of a GitMonitor: what one check does, and what is known of each branch.

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "aio/task_scope.hpp"
#include "git/change_tracker.hpp"
#include "git/monitor.hpp"

namespace opi::git {

/// Everything the running task needs; the task keeps it alive, so a stop that was given up touches nothing that is
/// gone.
struct GitMonitor::Core : std::enable_shared_from_this<Core> {
  Core(const asio::any_io_executor& executor, MonitorSettings s, LoadActedOn l, ChangeHandler h, const Logger& logger);

  /// One followed branch.
  struct Branch {
    Branch(std::string called, BackoffLimits failed_file, std::uint64_t seed)
        : name(std::move(called)), tracker(failed_file, seed) {}
    std::string name;
    ChangeTracker tracker;
    std::optional<Snapshot> snapshot;  ///< none: not looked at yet
    std::string seen;                  ///< where the remote was last said to stand, and was fetched; "": no such branch
    bool stale = false;                ///< the mirror lost its files: fetched again before they are looked at
    std::optional<WallTime> behind_since;
    std::optional<WallTime> last_acted;
  };

  /// Until cancelled.
  Task<> follow();
  /// One round: where are the heads, what is new there, act on it.
  Task<Result<>> check();
  /// Asks for the heads; fetches only what moved.
  Task<Result<>> refresh();
  /// What the mirror held is fetched again by the next check that asks the remote, and not looked at before.
  void distrust_mirror();
  Task<Result<>> act(Branch* branch, bool impatient);
  Task<Result<>> offer(Branch* branch, std::vector<FileBlob> present, std::vector<FileBlob> removed,
                       std::vector<RejectedFile> rejected, bool last);
  void take(Branch& branch, Snapshot fresh);
  void settle(Branch& branch, const std::vector<ChangeKind>& kinds, const std::vector<FileBlob>& files,
              const std::vector<std::string>& succeeded);
  void note(const Result<>& outcome);
  void show(const Result<>& outcome);
  void enter(MonitorState next);
  void plan_next(bool failed);
  SteadyTime next_round() const;
  const std::string& name() const { return settings.mirror.name; }

  MonitorSettings settings;
  LoadActedOn load;
  ChangeHandler handler;
  Logger log;
  Mirror mirror;
  std::vector<Branch> branches;  ///< in the order of the settings; never changed
  Backoff unreachable;
  std::minstd_rand random;
  asio::steady_timer alarm;  ///< cancelled by poke(), suspend() and resume()
  aio::TaskScope scope;
  MonitorBoard board;
  std::atomic<bool> poke_queued = false;
  bool poked = false;
  bool loaded = false;
  bool begun = false;
  bool suspended = false;
  bool asked = false;  ///< the remote, by the round that runs
  MonitorState state = MonitorState::created;
  SteadyTime last_question = {};
  SteadyTime next_question = {};
  std::optional<SteadyTime> failing_since;
  std::uint32_t errors_in_a_row = 0;
};

}  // namespace opi::git
