#pragma once
/// @file
/// Keeps the estate as the project files say: the first pass, every change of a file, and whatever failed before.

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <string>
#include <vector>

#include "aio/lifespan.hpp"
#include "aio/task.hpp"
#include "app/history_retention.hpp"
#include "app/services.hpp"
#include "base/backoff.hpp"
#include "git/monitor.hpp"
#include "http/snapshot.hpp"

namespace opi::app {

/// Ownership: borrows the services, which outlive it. Threading: one executor's thread; `caught_up` from any thread.
/// Cancellation: of `keep_up` ends the running pass at its next suspension; the next start continues it.
/// Errors: nothing is lost: what could not be done now is kept and tried again, with backoff, or when `main` comes
/// back.
class Reconciler {
 public:
  explicit Reconciler(Services* services);

  /// The startup tasks of seed.md, tried once: control database, project files (from `mirror`, which may be null: no
  /// repository is configured), first pass. What cannot be done now is named as degraded and done by `keep_up`.
  Task<Result<aio::PhaseOutcome>> run_startup_tasks(git::Mirror* mirror, SteadyTime deadline);

  /// Does what is left, again and again, until cancelled. Spawn it once.
  Task<> keep_up();

  /// The Git monitor's handler: takes the changes, waits for the pass over them, and names the paths that were acted on
  /// with success. The others are offered again by the monitor.
  Task<Result<std::vector<std::string>>> act_on(git::ChangeSet changes);

  /// Something has changed outside (a pool came back, a person asks): look at everything now.
  void wake();

  /// path → blob of the files that were acted on with success: what the Git monitor need not offer again.
  git::ActedOn acted_blobs() const;

  /// The control database is ready and a pass over everything was made since the start.
  bool caught_up() const noexcept { return caught_up_; }

  http::ProvisionCounters counters() const { return counters_; }
  /// Files that the monitor reported as added, changed or removed.
  std::uint64_t files_changed() const noexcept { return files_changed_; }
  std::vector<http::ProjectStatus> project_status() const;
  std::vector<http::DeploymentStatus> deployment_status() const;

 private:
  /// One round of what is left; true when nothing is.
  Task<bool> attempt();
  Task<Result<>> prepare();
  Task<Result<>> read_files(git::Mirror* mirror, SteadyTime deadline);
  /// True when nothing has to be tried again.
  Task<bool> pass();
  Task<Result<>> record_files();
  void note(const provision::DeploymentReport& row);
  void judge_files(const provision::ApplyReport& report);
  void say(std::string_view what, const Error& problem);
  std::chrono::milliseconds until_next(bool done);

  /// What became of a file's newest version.
  struct FileState {
    std::string blob;
    std::string error;          ///< "" when it was acted on with success
    bool judged = false;        ///< a pass has looked at this version
    std::string recorded_blob;  ///< what the control database says: acted on with success
    std::string recorded_error;
    friend bool operator==(const FileState&, const FileState&) = default;
  };

  Services* services_;
  Logger log_;
  std::string repository_;
  Backoff backoff_;
  asio::steady_timer woken_;
  asio::steady_timer answered_timer_;
  bool prepared_ = false;
  bool files_known_ = false;  ///< the project files were read, or there is no repository: an empty estate means that
  bool wanted_ = true;        ///< a pass has to be made
  std::uint64_t asked_ = 0;   ///< tickets of act_on
  std::uint64_t answered_ = 0;
  std::string commit_;        ///< that the project files were seen at last
  std::string last_problem_;  ///< said in the log once, until it changes
  std::atomic<bool> caught_up_ = false;
  std::map<std::string, FileState, std::less<>> files_;
  std::map<std::string, http::DeploymentStatus, std::less<>> deployments_;
  http::ProvisionCounters counters_;
  std::uint64_t files_changed_ = 0;
  HistoryRetention retention_;
};

}  // namespace opi::app
