#include "app/reconciler.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "aio/with_deadline.hpp"
#include "store/file_ledger.hpp"

namespace opi::app {

using namespace std::chrono_literals;
using provision::DeploymentOutcome;

namespace {

constexpr auto prepare_deadline = 5s;
constexpr auto record_deadline = 10s;
constexpr BackoffLimits retry_limits{.first = 1s, .most = 60s};

SteadyTime in(std::chrono::milliseconds time) {
  return std::chrono::steady_clock::now() + time;
}

store::Cause cause_of(const std::string& commit) {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  return {.kind = commit.empty() ? "schedule" : "commit",
          .id = commit,
          .replica = fmt::format("{}/{}", host.data(), ::getpid())};
}

bool went_well(DeploymentOutcome outcome) {
  return outcome == DeploymentOutcome::created || outcome == DeploymentOutcome::changed ||
         outcome == DeploymentOutcome::unchanged || outcome == DeploymentOutcome::kept ||
         outcome == DeploymentOutcome::disabled || outcome == DeploymentOutcome::removed;
}

bool declared_and_well(DeploymentOutcome outcome) {
  return outcome == DeploymentOutcome::created || outcome == DeploymentOutcome::changed ||
         outcome == DeploymentOutcome::unchanged;
}

// A refusal waits for a person, who changes a file; everything else may go better the next time.
bool worth_a_retry(const provision::DeploymentReport& row) {
  return row.outcome == DeploymentOutcome::waiting ||
         (row.outcome == DeploymentOutcome::failed && (!row.error || row.error->handling() != Handling::needs_person));
}

}  // namespace

Reconciler::Reconciler(Services* services)
    : services_(services),
      log_(services->log().named("provision")),
      backoff_(retry_limits, static_cast<std::uint64_t>(::getpid())),
      woken_(services->executor(), SteadyTime::max()),
      answered_timer_(services->executor(), SteadyTime::max()),
      retention_(*services->settings().history.retention) {
  for (const auto& repository : services->repositories())
    for (const auto& branch : repository.settings->followed()) unread_.insert(ledger_key(repository, branch));
}

Task<Result<aio::PhaseOutcome>> Reconciler::run_startup_tasks(
    std::function<git::MirrorSettings(const Repository&)> mirror_of, SteadyTime deadline) {
  aio::PhaseOutcome outcome;
  if (auto prepared = co_await prepare(); !prepared) {
    if (prepared.error().kind == ErrorKind::cancelled) co_return failure(std::move(prepared.error()));
    // A key that does not open the control database is no outage: nothing may be done with it.
    if (prepared.error().handling() == Handling::needs_person) co_return failure(std::move(prepared.error()));
    say("control database", prepared.error());
    outcome.degraded.emplace_back("main");
  }
  files_known_ = std::ranges::all_of(services_->repositories(), [this](const auto& repository) {
    return suspended(store::SuspendedKind::repository, repository.name);
  });
  for (const auto& repository : services_->repositories()) {
    if (suspended(store::SuspendedKind::repository, repository.name)) continue;
    if (auto read = co_await read_files(repository, mirror_of(repository), deadline); !read) {
      if (read.error().kind == ErrorKind::cancelled) co_return failure(std::move(read.error()));
      say(repository.name, read.error());
      outcome.degraded.push_back(repository.name);
    }
  }
  const bool done = prepared_ && co_await attempt();
  if (!done && prepared_) {
    for (const auto& [title, status] : deployments_) {
      if (!status.last_error.empty()) outcome.degraded.push_back(title);
    }
  }
  std::size_t ready = 0;
  for (const auto& [title, status] : deployments_) ready += status.last_error.empty() ? 1 : 0;
  outcome.note = fmt::format("{} of {} deployments ready", ready, deployments_.size());
  co_return outcome;
}

Task<Result<>> Reconciler::prepare() {
  if (prepared_) co_return Result<>{};
  auto prepared = co_await services_->prepare_control(in(prepare_deadline));
  if (!prepared) co_return failure(std::move(prepared.error()));
  auto main = services_->pools().get("main");
  auto lease = co_await main->get().acquire({.task = "load the file ledger"});
  if (!lease) co_return failure(lease.error().to_error());
  if (auto loaded = co_await load_ledger(&**lease); !loaded) co_return failure(std::move(loaded.error()));
  prepared_ = true;
  for (const auto& one : suspensions_)
    if (one.kind == store::SuspendedKind::repository && told_suspended_) told_suspended_(one.name);
  co_return Result<>{};
}

Task<Result<>> Reconciler::load_ledger(pg::Connection* connection) {
  for (const auto& repository : services_->repositories()) {
    for (const auto& branch : repository.settings->followed()) {
      auto recorded = co_await store::load_files(connection, ledger_key(repository, branch));
      if (!recorded) co_return failure(std::move(recorded.error()));
      files_.load(std::move(*recorded), name_of_file(repository, branch, ""));
    }
  }
  auto suspensions = co_await store::load_suspensions(connection);
  if (!suspensions) co_return failure(std::move(suspensions.error()));
  suspensions_ = std::move(*suspensions);
  co_return Result<>{};
}

Task<Result<>> Reconciler::read_files(Repository repository, git::MirrorSettings settings, SteadyTime deadline) {
  LastActedOn last;
  for (const auto& branch : repository.settings->followed())
    last[branch] = files_.recorded(ledger_key(repository, branch));
  git::Mirror mirror(std::move(settings), services_->log().named("git"));
  auto read = co_await app::read_projects(repository, &mirror, &services_->projects(), std::move(last),
                                          services_->log(), deadline);
  co_await asio::this_coro::throw_if_cancelled(false);
  co_await mirror.close();
  co_await asio::this_coro::throw_if_cancelled(true);
  if (!read) co_return failure(std::move(read.error()));
  for (const auto& branch : read->branches) {
    if (branch.commit.empty()) continue;
    commit_ = branch.commit;
    const auto ledger = ledger_key(repository, branch.branch);
    unread_.erase(ledger);
    for (const auto& file : branch.files) {
      if (!file.usable) continue;
      files_.saw({.name = name_of_file(repository, branch.branch, file.path),
                  .ledger = ledger,
                  .path = file.path,
                  .blob = file.blob,
                  .commit = branch.commit,
                  .author = branch.author});
    }
  }
  files_known_ = true;
  for (const auto& problem : read->rejected) log_.warn(repository.name, problem.to_string());
  const std::string prefix = name_of_file(repository, repository.settings->followed().front(), "");
  for (const auto& broken : services_->projects().errors()) {
    const bool named = broken.source.file.contains(':');
    if (prefix.empty() ? !named : broken.source.file.starts_with(repository.name))
      tell(broken.source.file, broken.errors);
  }
  co_return Result<>{};
}

/// What is wrong with a file, and with which head that began.
void Reconciler::tell(std::string_view file, const std::vector<Error>& problems) {
  const auto sight = files_.sight(file);
  for (const auto& problem : problems) {
    log_.warn("projects",
              fmt::format("{} (first seen at {} by {})", problem.to_string(), sight.commit.substr(0, 7), sight.author));
  }
}

Task<bool> Reconciler::attempt() {
  const auto taken = asked_;
  bool done = false;
  if (auto prepared = co_await prepare(); !prepared) {
    say("control database", prepared.error());
  } else if (!files_known_) {
    // Nothing was read yet, which is not the same as nothing being declared. The monitor asks when it has something.
    wanted_ = false;
    done = true;
  } else {
    done = !wanted_ || co_await pass();
  }
  answered_ = taken;
  answered_timer_.cancel();
  co_return done;
}

Task<> Reconciler::keep_up() {
  bool done = caught_up_ && !wanted_;
  for (;;) {
    woken_.expires_after(until_next(done));
    (void)co_await woken_.async_wait(as_result);
    if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none) co_return;
    if (done && asked_ == answered_ && !wanted_) wanted_ = wanted_everything_ = true;  // the time of a resync has come
    done = co_await attempt();
  }
}

std::chrono::milliseconds Reconciler::until_next(bool done) {
  if (asked_ != answered_ || (done && wanted_)) return 0ms;  // woken while a round was running
  if (!done) return backoff_.next();
  backoff_.reset();
  const auto resync = *services_->settings().provision.resync_interval;
  return resync == 0ms ? std::chrono::hours{24 * 365} : resync;
}

void Reconciler::wake() {
  wanted_ = wanted_everything_ = true;
  backoff_.reset();
  woken_.cancel();
}

Result<> Reconciler::reconcile_project(std::string_view project) {
  const auto* known = services_->projects().find(project);
  if (known == nullptr) return failure(ErrorKind::not_found, fmt::format("no project {} is declared", project));
  wanted_ = true;
  wanted_files_.insert(known->source.file);
  backoff_.reset();
  woken_.cancel();
  return {};
}

std::optional<provision::Selection> Reconciler::next_selection() {
  const auto chosen = std::exchange(wanted_files_, {});
  const bool everything = std::exchange(wanted_everything_, false) || chosen.empty();
  const bool no_project_suspended =
      std::ranges::none_of(suspensions_, [](const auto& one) { return one.kind == store::SuspendedKind::project; });
  // Without the files of every repository nothing may look as if it were declared nowhere.
  if (everything && unread_.empty() && no_project_suspended) return provision::Selection{};
  provision::Selection selection;
  if (everything) {
    selection.files = files_.names();
  } else {
    selection.files.assign(chosen.begin(), chosen.end());
  }
  std::erase_if(selection.files, [this](const auto& file) { return suspended_file(file); });
  if (selection.files.empty()) return std::nullopt;
  return selection;
}

Task<bool> Reconciler::pass() {
  wanted_ = false;
  const auto selection = next_selection();
  if (!selection) {
    caught_up_ = true;
    co_return true;
  }
  ++counters_.passes;
  files_.begin_pass(selection->files);
  const auto began = std::chrono::steady_clock::now();
  auto report = co_await services_->databases().apply(*selection, cause_of(commit_),
                                                      [this](const provision::DeploymentReport& row) { note(row); });
  counters_.last_pass = std::chrono::steady_clock::now() - began;
  counters_.last_pass_ended = std::chrono::system_clock::now();
  if (!report) {
    ++counters_.passes_failed;
    wanted_ = wanted_everything_ = true;
    say("pass", report.error());
    co_return false;
  }
  last_problem_.clear();
  note_pass(*report, *selection);
  files_.judge(*report, services_->projects());
  if (auto recorded = co_await record_files(); !recorded) say("file ledger", recorded.error());
  if (auto main = services_->pools().get("main")) {
    if (auto trimmed = co_await retention_.trim_when_due(&main->get()); !trimmed) say("history", trimmed.error());
  }
  caught_up_ = true;
  co_return !want_again(*report);
}

/// Just the files whose deployments may go better the next time; what has no file any more shows in a pass over
/// everything only.
bool Reconciler::want_again(const provision::ApplyReport& report) {
  bool again = false;
  for (const auto& row : report.deployments) {
    if (!worth_a_retry(row)) continue;
    again = wanted_ = true;
    if (files_.knows(row.file)) {
      wanted_files_.insert(row.file);
    } else {
      wanted_everything_ = true;
    }
  }
  return again;
}

void Reconciler::note_pass(const provision::ApplyReport& report, const provision::Selection& selection) {
  std::erase_if(deployments_, [&](const auto& entry) {
    const auto file = file_of_deployment_.find(entry.first);
    const bool looked_at =
        selection.files.empty() || (file != file_of_deployment_.end() &&
                                    std::ranges::find(selection.files, file->second) != selection.files.end());
    return looked_at &&
           std::ranges::none_of(report.deployments, [&](const auto& row) { return row.title() == entry.first; });
  });
  // Rows with nothing to do are not all told one by one.
  for (const auto& row : report.deployments) note(row);
  for (const auto& row : report.deployments) {
    counters_.actions += row.actions;
    if (row.outcome == DeploymentOutcome::created || row.outcome == DeploymentOutcome::changed) {
      ++counters_.deployments_changed;
    } else if (went_well(row.outcome)) {
      ++counters_.deployments_unchanged;
    } else {
      ++counters_.deployments_failed;
    }
  }
  const bool quiet = std::ranges::all_of(
      report.deployments, [](const auto& row) { return !row.error && row.actions == 0 && went_well(row.outcome); });
  if (counters_.passes == 1 || !quiet)
    log_.info("pass",
              fmt::format("{}, {:.1f} s", report.summary(), static_cast<double>(report.duration.count()) / 1e6));
}

void Reconciler::note(const provision::DeploymentReport& row) {
  auto& status = deployments_[row.title()];
  const std::string state(declared_and_well(row.outcome) ? "ready" : to_string(row.outcome));
  const std::string error = row.error ? row.error->to_string() : "";
  const bool moved = status.state != state || status.last_error != error;
  if (moved || row.outcome == DeploymentOutcome::changed) {
    if (row.error) {
      log_.warn(row.title(), fmt::format("{}: {}", to_string(row.outcome), error));
    } else if (row.outcome != DeploymentOutcome::unchanged && (moved || row.actions != 0)) {
      log_.info(row.title(), fmt::format("{}, database {}, {:.0f} ms", to_string(row.outcome), row.database,
                                         static_cast<double>(row.duration.count()) / 1'000));
    }
  }
  if (moved) status.since = std::chrono::system_clock::now();
  file_of_deployment_[row.title()] = row.file;
  status.project = row.project;
  status.deployment = row.deployment;
  status.namespace_name = row.namespace_;
  status.database = row.database;
  status.state = state;
  status.last_error = error;
}

Task<Result<>> Reconciler::record_files() {
  const auto writes = files_.to_record(services_->projects());
  if (writes.empty()) co_return Result<>{};
  auto main = services_->pools().get("main");
  auto lease = co_await main->get().acquire({.deadline = in(record_deadline), .task = "record acted-on files"});
  if (!lease) co_return failure(lease.error().to_error());
  if (auto done = co_await store::record_acted(&**lease, writes.acted); !done)
    co_return failure(std::move(done.error()));
  if (auto done = co_await store::record_failed(&**lease, writes.failed); !done)
    co_return failure(std::move(done.error()));
  files_.recorded(writes);
  co_return Result<>{};
}

void Reconciler::take_change(const Repository& repository, const git::ChangeSet& set, git::Change& change) {
  const auto name = name_of_file(repository, set.branch, change.path);
  if (change.kind == git::ChangeKind::removed) {
    services_->projects().remove(name);
    files_.gone(name);
    wanted_everything_ = true;  // what is declared nowhere any more shows in a pass over everything only
    log_.info(name, "is gone from the repository; what it declared is disabled, and removed after its grace");
    return;
  }
  const bool fresh = files_.saw({.name = name,
                                 .ledger = ledger_key(repository, set.branch),
                                 .path = change.path,
                                 .blob = change.blob,
                                 .commit = set.commit,
                                 .author = set.author});
  wanted_files_.insert(name);
  const auto problems = services_->projects().replace(name, change.blob, set.commit, change.content);
  if (fresh) tell(name, problems);  // else it is offered again after a failure, and its problems were told
}

Task<Result<std::vector<std::string>>> Reconciler::act_on(Repository repository, git::ChangeSet changes) {
  commit_ = changes.commit;
  files_known_ = true;
  if (changes.last) unread_.erase(ledger_key(repository, changes.branch));
  files_changed_ += changes.changes.size();
  std::vector<std::string> gone;
  for (auto& change : changes.changes) {
    if (change.kind == git::ChangeKind::removed) gone.push_back(change.path);
    take_change(repository, changes, change);
    change.content = std::string();
  }
  for (const auto& file : changes.rejected) {
    const auto name = name_of_file(repository, changes.branch, file.path);
    files_.saw({.name = name,
                .ledger = ledger_key(repository, changes.branch),
                .path = file.path,
                .blob = file.blob,
                .commit = changes.commit,
                .author = changes.author});
    files_.unusable(name, file.error.to_string());
    services_->projects().reject(name, file.blob, changes.commit, file.error);
  }
  const auto ticket = ++asked_;
  wanted_ = true;
  backoff_.reset();
  woken_.cancel();
  while (answered_ < ticket) {
    (void)co_await answered_timer_.async_wait(as_result);
    if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none) {
      co_return failure(ErrorKind::cancelled, "stopped before the changes were acted on");
    }
  }
  std::vector<std::string> succeeded;
  for (const auto& change : changes.changes) {
    if (files_.succeeded(name_of_file(repository, changes.branch, change.path))) succeeded.push_back(change.path);
  }
  if (!gone.empty() && prepared_) {
    if (auto done = co_await forget(repository, changes.branch, std::move(gone)); !done)
      co_return failure(std::move(done.error()));
  }
  co_return succeeded;
}

Task<Result<>> Reconciler::forget(Repository repository, std::string branch, std::vector<std::string> paths) {
  auto main = services_->pools().get("main");
  auto lease = co_await main->get().acquire({.deadline = in(record_deadline), .task = "forget files that are gone"});
  if (!lease) co_return failure(lease.error().to_error());
  co_return co_await store::forget_files(&**lease, ledger_key(repository, branch), std::move(paths));
}

void Reconciler::say(std::string_view what, const Error& problem) {
  const std::string text = fmt::format("{}: {}", what, problem.to_string());
  if (text == last_problem_) return;
  last_problem_ = text;
  log_.warn(what, problem.to_string());
}

git::ActedOnBranches Reconciler::acted_blobs(const Repository& repository) const {
  git::ActedOnBranches acted;
  for (const auto& branch : repository.settings->followed()) {
    acted[branch] = files_.acted_on(ledger_key(repository, branch));
  }
  return acted;
}

std::vector<http::ProjectStatus> Reconciler::project_status() const {
  std::map<std::string, http::ProjectStatus, std::less<>> by_file;
  for (const auto& known : services_->projects().projects()) {
    by_file[known.source.file].name = known.project.name.value;
    by_file[known.source.file].suspended = suspended(store::SuspendedKind::project, known.project.name.value);
  }
  for (const auto& name : files_.names()) {
    const auto problem = files_.problem(name);
    if (problem.error.empty()) continue;
    auto& status = by_file[name];
    status.error = problem.error;
    status.commit = problem.commit;
    status.author = problem.author;
  }
  for (const auto& broken : services_->projects().errors()) {
    if (!broken.errors.empty()) by_file[broken.source.file].error = broken.errors.front().to_string();
  }
  std::vector<http::ProjectStatus> projects;
  for (auto& [file, status] : by_file) {
    status.file = file;
    projects.push_back(std::move(status));
  }
  return projects;
}

std::vector<http::DeploymentStatus> Reconciler::deployment_status() const {
  std::vector<http::DeploymentStatus> all;
  for (const auto& [title, status] : deployments_) all.push_back(status);
  return all;
}

}  // namespace opi::app
