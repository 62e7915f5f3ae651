#pragma once
/// @file
/// One Git monitor for each repository of project files, started and stopped together.

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "aio/lifespan.hpp"
#include "aio/task.hpp"
#include "app/reconciler.hpp"
#include "app/services.hpp"
#include "git/monitor.hpp"
#include "git/webhook.hpp"
#include "http/snapshot.hpp"

namespace opi::app {

/// Ownership: borrows services and reconciler, which outlive it; destroy it after `stop()`. Threading: one executor's
/// thread; `troubled` from any.
class GitMonitors {
 public:
  GitMonitors(Services* services, Reconciler* reconciler, Logger log);

  /// Each begins to follow; one whose settings are impossible is named as degraded.
  Task<Result<aio::PhaseOutcome>> start();
  /// All at the same time, so that one silent server costs its deadline once. The first error is the result.
  Task<Result<>> stop();

  void poke();
  /// Null when there is no such repository, or nothing was started.
  git::GitMonitor* find(std::string_view name);

  std::vector<http::RepositoryStatus> status() const;
  /// The repositories that cannot be reached, or whose head is refused: "repository projects".
  std::vector<std::string> troubled() const;
  /// Those that webhooks can wake. They borrow us.
  std::vector<git::WebhookTarget> webhook_targets();

 private:
  struct Followed {
    Repository repository;
    std::unique_ptr<git::GitMonitor> monitor;
  };
  Services* services_;
  Reconciler* reconciler_;
  Logger log_;
  std::vector<Followed> followed_;  ///< complete before `started_` says so, and never changed after
  std::atomic<bool> started_ = false;
};

}  // namespace opi::app
