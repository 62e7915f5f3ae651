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
         outcome == DeploymentOutcome::unchanged || outcome == DeploymentOutcome::kept;
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
      repository_(*services->settings().projects.repository.url),
      backoff_(retry_limits, static_cast<std::uint64_t>(::getpid())),
      woken_(services->executor(), SteadyTime::max()),
      answered_timer_(services->executor(), SteadyTime::max()),
      retention_(*services->settings().history.retention) {}

Task<Result<aio::PhaseOutcome>> Reconciler::run_startup_tasks(git::Mirror* mirror, SteadyTime deadline) {
  aio::PhaseOutcome outcome;
  if (auto prepared = co_await prepare(); !prepared) {
    if (prepared.error().kind == ErrorKind::cancelled) co_return failure(std::move(prepared.error()));
    // A key that does not open the control database is no outage: nothing may be done with it.
    if (prepared.error().handling() == Handling::needs_person) co_return failure(std::move(prepared.error()));
    say("control database", prepared.error());
    outcome.degraded.emplace_back("main");
  }
  if (mirror == nullptr) {
    files_known_ = true;
  } else {
    if (auto read = co_await read_files(mirror, deadline); !read) {
      say("project files", read.error());
      outcome.degraded.emplace_back("projects");
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
  auto recorded = co_await store::load_files(&**lease, repository_);
  if (!recorded) co_return failure(std::move(recorded.error()));
  for (auto& file : *recorded) {
    auto& state = files_[file.path];
    state.recorded_blob = std::move(file.blob_id);
    state.recorded_error = std::move(file.error);
  }
  prepared_ = true;
  co_return Result<>{};
}

Task<Result<>> Reconciler::read_files(git::Mirror* mirror, SteadyTime deadline) {
  auto read = co_await app::read_projects(mirror, &services_->projects(), services_->log(), deadline);
  if (!read) co_return failure(std::move(read.error()));
  commit_ = read->commit;
  files_known_ = true;
  for (const auto& [path, blob] : read->blobs) files_[path].blob = blob;
  for (const auto& problem : read->rejected) log_.warn("projects", problem.to_string());
  for (const auto& problem : project_errors(services_->projects())) log_.warn("projects", problem.to_string());
  co_return Result<>{};
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
    if (done && asked_ == answered_) wanted_ = true;  // the time of a resync has come, or somebody woke us
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
  wanted_ = true;
  backoff_.reset();
  woken_.cancel();
}

Task<bool> Reconciler::pass() {
  wanted_ = false;
  ++counters_.passes;
  const auto began = std::chrono::steady_clock::now();
  auto report = co_await services_->databases().apply({}, cause_of(commit_),
                                                      [this](const provision::DeploymentReport& row) { note(row); });
  counters_.last_pass = std::chrono::steady_clock::now() - began;
  counters_.last_pass_ended = std::chrono::system_clock::now();
  if (!report) {
    ++counters_.passes_failed;
    wanted_ = true;
    say("pass", report.error());
    co_return false;
  }
  last_problem_.clear();
  std::erase_if(deployments_, [&](const auto& entry) {
    return std::ranges::none_of(report->deployments, [&](const auto& row) { return row.title() == entry.first; });
  });
  // Rows with nothing to do are not all told one by one.
  for (const auto& row : report->deployments) note(row);
  for (const auto& row : report->deployments) {
    counters_.actions += row.actions;
    if (row.outcome == DeploymentOutcome::created || row.outcome == DeploymentOutcome::changed) {
      ++counters_.deployments_changed;
    } else if (went_well(row.outcome)) {
      ++counters_.deployments_unchanged;
    } else {
      ++counters_.deployments_failed;
    }
  }
  judge_files(*report);
  if (auto recorded = co_await record_files(); !recorded) say("file ledger", recorded.error());
  if (auto main = services_->pools().get("main")) {
    if (auto trimmed = co_await retention_.trim_when_due(&main->get()); !trimmed) say("history", trimmed.error());
  }
  const bool again = std::ranges::any_of(report->deployments, worth_a_retry);
  if (again) wanted_ = true;
  caught_up_ = true;
  co_return !again;
}

void Reconciler::note(const provision::DeploymentReport& row) {
  auto& status = deployments_[row.title()];
  const std::string state(went_well(row.outcome) && row.outcome != DeploymentOutcome::kept ? "ready"
                                                                                           : to_string(row.outcome));
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
  status.project = row.project;
  status.deployment = row.deployment;
  status.namespace_name = row.namespace_;
  status.database = row.database;
  status.state = state;
  status.last_error = error;
}

void Reconciler::judge_files(const provision::ApplyReport& report) {
  for (auto& [path, state] : files_) {
    state.judged = true;
    state.error.clear();
  }
  for (const auto& broken : services_->projects().errors()) {
    if (!broken.errors.empty()) files_[broken.source.file].error = broken.errors.front().to_string();
  }
  for (const auto& row : report.deployments) {
    if (went_well(row.outcome) || row.file.empty()) continue;
    auto& error = files_[row.file].error;
    if (error.empty()) error = fmt::format("{}: {}", row.title(), row.error ? row.error->to_string() : "not done");
  }
}

Task<Result<>> Reconciler::record_files() {
  std::vector<store::ActedFile> acted;
  std::vector<store::FailedFile> failed;
  for (const auto& [path, state] : files_) {
    if (!state.judged || state.blob.empty()) continue;
    if (state.error.empty() && (state.recorded_blob != state.blob || !state.recorded_error.empty())) {
      std::string project;
      for (const auto& known : services_->projects().projects()) {
        if (known.source.file == path) project = known.project.name.value;
      }
      acted.push_back(
          {.repository = repository_, .path = path, .blob_id = state.blob, .project = project, .commit_id = commit_});
    } else if (!state.error.empty() && state.recorded_error != state.error) {
      failed.push_back({.repository = repository_, .path = path, .blob_id = state.blob, .error = state.error});
    }
  }
  if (acted.empty() && failed.empty()) co_return Result<>{};
  auto main = services_->pools().get("main");
  auto lease = co_await main->get().acquire({.deadline = in(record_deadline), .task = "record acted-on files"});
  if (!lease) co_return failure(lease.error().to_error());
  if (!acted.empty()) {
    if (auto done = co_await store::record_acted(&**lease, acted); !done) co_return failure(std::move(done.error()));
    for (const auto& file : acted) {
      files_[file.path].recorded_blob = file.blob_id;
      files_[file.path].recorded_error.clear();
    }
  }
  if (!failed.empty()) {
    if (auto done = co_await store::record_failed(&**lease, failed); !done) co_return failure(std::move(done.error()));
    for (const auto& file : failed) files_[file.path].recorded_error = file.error;
  }
  co_return Result<>{};
}

Task<Result<std::vector<std::string>>> Reconciler::act_on(git::ChangeSet changes) {
  commit_ = changes.commit;
  files_known_ = true;
  files_changed_ += changes.changes.size();
  std::vector<std::string> gone;
  for (const auto& change : changes.changes) {
    if (change.kind == git::ChangeKind::removed) {
      services_->projects().remove(change.path);
      files_.erase(change.path);
      gone.push_back(change.path);
      log_.info(change.path, "is gone from the repository; what it declared is kept");
      continue;
    }
    auto& state = files_[change.path];
    const bool seen = state.blob == change.blob;  // offered again after a failure: its problems were told
    state.blob = change.blob;
    state.judged = false;
    const auto problems = services_->projects().replace(change.path, change.blob, changes.commit, change.content);
    if (seen) continue;
    for (const auto& problem : problems) log_.warn("projects", problem.to_string());
  }
  for (const auto& file : changes.rejected) log_.warn("projects", file.error.to_string());
  const auto ticket = ++asked_;
  wake();
  while (answered_ < ticket) {
    (void)co_await answered_timer_.async_wait(as_result);
    if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none) {
      co_return failure(ErrorKind::cancelled, "stopped before the changes were acted on");
    }
  }
  std::vector<std::string> succeeded;
  for (const auto& change : changes.changes) {
    const auto state = files_.find(change.path);
    if (state == files_.end() || (state->second.judged && state->second.error.empty()))
      succeeded.push_back(change.path);
  }
  if (!gone.empty() && prepared_) {
    auto main = services_->pools().get("main");
    auto lease = co_await main->get().acquire({.deadline = in(record_deadline), .task = "forget files that are gone"});
    if (!lease) co_return failure(lease.error().to_error());
    if (auto done = co_await store::forget_files(&**lease, repository_, gone); !done)
      co_return failure(std::move(done.error()));
  }
  co_return succeeded;
}

void Reconciler::say(std::string_view what, const Error& problem) {
  const std::string text = fmt::format("{}: {}", what, problem.to_string());
  if (text == last_problem_) return;
  last_problem_ = text;
  log_.warn(what, problem.to_string());
}

git::ActedOn Reconciler::acted_blobs() const {
  git::ActedOn acted;
  for (const auto& [path, state] : files_) {
    if (state.judged && state.error.empty() && !state.blob.empty()) acted[path] = state.blob;
  }
  return acted;
}

std::vector<http::ProjectStatus> Reconciler::project_status() const {
  std::vector<http::ProjectStatus> projects;
  for (const auto& known : services_->projects().projects()) {
    projects.push_back({.name = known.project.name.value, .file = known.source.file});
  }
  for (const auto& broken : services_->projects().errors()) {
    const std::string error = broken.errors.empty() ? "" : broken.errors.front().to_string();
    const auto same = std::ranges::find(projects, broken.source.file, &http::ProjectStatus::file);
    if (same != projects.end()) {
      same->error = error;
    } else {
      projects.push_back({.name = "", .file = broken.source.file, .error = error});
    }
  }
  return projects;
}

std::vector<http::DeploymentStatus> Reconciler::deployment_status() const {
  std::vector<http::DeploymentStatus> all;
  for (const auto& [title, status] : deployments_) all.push_back(status);
  return all;
}

}  // namespace opi::app
