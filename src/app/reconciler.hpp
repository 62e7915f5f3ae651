#pragma once
/// @file
/// Keeps the estate as the project files say: the first pass, every change of a file, and whatever failed before.

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "aio/lifespan.hpp"
#include "aio/task.hpp"
#include "app/file_book.hpp"
#include "app/history_retention.hpp"
#include "app/services.hpp"
#include "base/backoff.hpp"
#include "git/monitor.hpp"
#include "http/snapshot.hpp"
#include "store/suspensions.hpp"

namespace opi::app {

/// Ownership: borrows the services, which outlive it. Threading: one executor's thread; `caught_up` from any thread.
/// Cancellation: of `keep_up` ends the running pass at its next suspension; the next start continues it.
/// Errors: nothing is lost: what could not be done now is kept and tried again, with backoff, or when `main` comes
/// back.
class Reconciler {
 public:
  explicit Reconciler(Services* services);

  /// The startup tasks of seed.md, tried once: control database, the project files of every repository, first pass.
  /// What cannot be done now is named as degraded and done by `keep_up`. `mirror_of` gives the settings of a
  /// repository's mirror, which nobody else uses meanwhile.
  Task<Result<aio::PhaseOutcome>> run_startup_tasks(std::function<git::MirrorSettings(const Repository&)> mirror_of,
                                                    SteadyTime deadline);

  /// Does what is left, again and again, until cancelled. Spawn it once.
  Task<> keep_up();

  /// The handler of a repository's Git monitor: takes the changes, waits for the pass over them, and names the paths
  /// that were acted on with success. The others are offered again by the monitor.
  Task<Result<std::vector<std::string>>> act_on(Repository repository, git::ChangeSet changes);

  /// Something has changed outside (a pool came back, a person asks): look at everything now.
  void wake();
  /// Look at one project now. Errors: not_found.
  Result<> reconcile_project(std::string_view project);

  /// A suspended project is left alone, and a suspended repository is not followed, until resumed; both are durable
  /// when this returns. Errors: those of the control database, without which nothing is changed.
  Task<Result<>> suspend(store::SuspendedKind kind, std::string name, std::string reason);
  Task<Result<>> resume(store::SuspendedKind kind, std::string name);
  bool suspended(store::SuspendedKind kind, std::string_view name) const;
  /// Called with every suspended repository once the control database has told.
  void on_suspended_repository(std::function<void(const std::string&)> told) { told_suspended_ = std::move(told); }

  /// path → blob of the files that were acted on with success: what the Git monitor need not offer again.
  git::ActedOnBranches acted_blobs(const Repository& repository) const;

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
  Task<Result<>> read_files(Repository repository, git::MirrorSettings settings, SteadyTime deadline);
  Task<Result<>> load_ledger(pg::Connection* connection);
  /// True when nothing has to be tried again.
  Task<bool> pass();
  bool want_again(const provision::ApplyReport& report);
  Task<Result<>> record_files();
  /// What the next pass is about: everything, or some files; none: there is nothing to do.
  std::optional<provision::Selection> next_selection();
  void take_change(const Repository& repository, const git::ChangeSet& set, git::Change& change);
  Task<Result<>> forget(Repository repository, std::string branch, std::vector<std::string> paths);
  void note(const provision::DeploymentReport& row);
  void note_pass(const provision::ApplyReport& report, const provision::Selection& selection);
  void tell(std::string_view file, const std::vector<Error>& problems);
  bool suspended_file(std::string_view file) const;
  void say(std::string_view what, const Error& problem);
  std::chrono::milliseconds until_next(bool done);

  Services* services_;
  Logger log_;
  Backoff backoff_;
  asio::steady_timer woken_;
  asio::steady_timer answered_timer_;
  bool prepared_ = false;
  bool files_known_ = false;            ///< of one repository at least, or there is none: an empty estate means that
  std::set<std::string> unread_;        ///< followed branches (ledger keys) of which no head is known yet
  bool wanted_ = true;                  ///< a pass has to be made
  bool wanted_everything_ = true;       ///< over everything
  std::set<std::string> wanted_files_;  ///< else over these files
  std::uint64_t asked_ = 0;             ///< tickets of act_on
  std::uint64_t answered_ = 0;
  std::string commit_;        ///< that the project files were seen at last
  std::string last_problem_;  ///< said in the log once, until it changes
  std::atomic<bool> caught_up_ = false;
  FileBook files_;
  std::map<std::string, std::string, std::less<>> file_of_deployment_;  ///< by title
  std::vector<store::Suspension> suspensions_;
  std::function<void(const std::string&)> told_suspended_;
  std::map<std::string, http::DeploymentStatus, std::less<>> deployments_;
  http::ProvisionCounters counters_;
  std::uint64_t files_changed_ = 0;
  HistoryRetention retention_;
};

}  // namespace opi::app
