#include "app/git_monitors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <utility>

#include "aio/task_scope.hpp"

namespace opi::app {

namespace {

git::MonitorSettings monitor_settings(const Services& services, const Repository& repository) {
  git::MonitorSettings settings{
      .mirror = services.mirror_settings(repository, mirror_directory(services.settings(), repository.name))};
  settings.interval = *repository.settings->poll_interval;
  settings.fetch_deadline = *repository.settings->timeout;
  settings.check_deadline = *repository.settings->timeout;
  return settings;
}

http::BranchStatus shown(const git::BranchStatus& branch) {
  return {.branch = branch.branch,
          .head = branch.head,
          .author = branch.author,
          .files = branch.files,
          .behind_since = branch.behind_since,
          .last_acted = branch.last_acted,
          .refused_commit = branch.refused_commit,
          .refused_author = branch.refused_author,
          .refused_reason = branch.refused_reason};
}

bool in_trouble(const git::MonitorStatus& status) {
  return status.state == git::MonitorState::unreachable ||
         std::ranges::any_of(status.branches, [](const auto& branch) { return !branch.refused_commit.empty(); });
}

Task<> stop_one(git::GitMonitor* monitor, Result<>* into) {
  *into = co_await monitor->stop();
}

}  // namespace

GitMonitors::GitMonitors(Services* services, Reconciler* reconciler, Logger log)
    : services_(services), reconciler_(reconciler), log_(std::move(log)) {}

Task<Result<aio::PhaseOutcome>> GitMonitors::start() {
  aio::PhaseOutcome outcome;
  if (services_->repositories().empty()) outcome.note = "no repository configured";
  for (const auto& repository : services_->repositories()) {
    auto settings = monitor_settings(*services_, repository);
    settings.suspended = reconciler_->suspended(store::SuspendedKind::repository, repository.name);
    auto monitor = std::make_unique<git::GitMonitor>(
        services_->executor(), std::move(settings), reconciler_->acted_blobs(repository),
        [reconciler = reconciler_, repository](git::ChangeSet changes) {
          return reconciler->act_on(repository, std::move(changes));
        },
        log_);
    auto started = co_await monitor->start();
    if (!started) {
      log_.error(repository.name, started.error().to_string());
      outcome.degraded.push_back(repository.name);
    }
    followed_.push_back({.repository = repository, .monitor = std::move(monitor)});
  }
  started_ = true;
  reconciler_->on_suspended_repository([this](const std::string& name) {
    if (auto* monitor = find(name)) monitor->suspend();
  });
  co_return outcome;
}

Task<Result<>> GitMonitors::stop() {
  reconciler_->on_suspended_repository({});
  std::vector<Result<>> results(followed_.size());
  {
    aio::TaskScope scope(co_await asio::this_coro::executor, log_, "git monitors");
    for (std::size_t i = 0; i < followed_.size(); ++i)
      scope.spawn(followed_[i].repository.name, stop_one(followed_[i].monitor.get(), &results[i]));
    co_await scope.join();
  }
  for (auto& result : results)
    if (!result) co_return failure(std::move(result.error()));
  co_return Result<>{};
}

void GitMonitors::poke() {
  for (const auto& one : followed_) one.monitor->poke();
}

git::GitMonitor* GitMonitors::find(std::string_view name) {
  for (const auto& one : followed_)
    if (one.repository.name == name) return one.monitor.get();
  return nullptr;
}

std::vector<http::RepositoryStatus> GitMonitors::status() const {
  std::vector<http::RepositoryStatus> all;
  for (const auto& one : followed_) {
    const auto seen = one.monitor->status();
    http::RepositoryStatus status{.name = one.repository.name,
                                  .url = *one.repository.settings->url,
                                  .state = std::string(to_string(seen.state)),
                                  .last_check = seen.last_check,
                                  .last_success = seen.last_success,
                                  .next_check = seen.next_check,
                                  .failing_since = seen.failing_since,
                                  .errors_in_a_row = seen.errors_in_a_row,
                                  .last_error = seen.last_error,
                                  .checks = seen.checks,
                                  .checks_failed = seen.checks_failed,
                                  .fetches = seen.children.fetch,
                                  .waiting = seen.waiting.size()};
    for (const auto& branch : seen.branches) status.branches.push_back(shown(branch));
    all.push_back(std::move(status));
  }
  return all;
}

std::vector<std::string> GitMonitors::troubled() const {
  std::vector<std::string> names;
  if (!started_) return names;
  for (const auto& one : followed_)
    if (in_trouble(one.monitor->status())) names.push_back("repository " + one.repository.name);
  return names;
}

std::vector<git::WebhookTarget> GitMonitors::webhook_targets() {
  std::vector<git::WebhookTarget> targets;
  for (const auto& one : followed_) {
    const auto& secret = one.repository.settings->webhook_secret;
    if (!secret.given()) continue;
    targets.push_back({.name = one.repository.name,
                       .url = *one.repository.settings->url,
                       .branches = one.repository.settings->followed(),
                       .secret = [secret, this]() -> Result<SecretString> {
                         auto text = secret.read();
                         if (!text) return text;
                         return services_->unsealed(std::move(*text));
                       },
                       .wake = [monitor = one.monitor.get()] { monitor->poke(); }});
  }
  return targets;
}

}  // namespace opi::app
