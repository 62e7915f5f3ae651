#pragma once
/// @file
/// The daemon: every part that serves, and the one visible list of the phases in which they start and stop.

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "aio/lifespan.hpp"
#include "aio/task_scope.hpp"
#include "app/git_monitors.hpp"
#include "app/reconciler.hpp"
#include "app/service_notify.hpp"
#include "app/services.hpp"
#include "git/webhook.hpp"
#include "http/git_routes.hpp"
#include "http/probe_server.hpp"
#include "http/server.hpp"
#include "http/snapshot.hpp"

namespace opi::app {

/// Ownership: owns everything that serves; destroy it after `stop()`. Threading: one executor's thread, the process's
/// main thread; the probes have their own.
class Application final : public http::StatusSource, public http::GitControl {
 public:
  /// Errors: as Services::create.
  static Result<std::unique_ptr<Application>> create(asio::any_io_executor executor, Settings settings, LogSink* sink);
  ~Application() override;

  /// Boot banner, probes, pools, startup tasks, Git monitor, HTTP; see `phases()`.
  Task<Result<>> start();
  /// New work is refused from here on, and running work may finish.
  void begin_drain();
  /// The same backwards. Always returns; the first error is the result.
  Task<Result<>> stop();

  /// Takes changed pool settings and rotated passwords, reads changed files again, looks at everything now (SIGHUP).
  void reload();

  http::StatusSnapshot status() const override;
  Task<Result<>> suspend(Kind kind, std::string name, std::string reason) override;
  Task<Result<>> resume(Kind kind, std::string name) override;
  Task<Result<>> reconcile(Kind kind, std::string name) override;

  /// After `start()`.
  std::uint16_t http_port() const noexcept { return http_port_; }
  std::uint16_t probes_port() const noexcept;
  Services& services() noexcept { return *services_; }

 private:
  explicit Application(std::unique_ptr<Services> services);

  /// The lifespan of seed.md as data.
  std::vector<aio::Phase> phases();
  Task<Result<aio::PhaseOutcome>> show_banner();
  Task<Result<aio::PhaseOutcome>> start_probes();
  Task<Result<>> stop_probes();
  Task<Result<aio::PhaseOutcome>> run_startup_tasks();
  Task<> reload_settings();
  Task<> reconcile_always();
  Task<Result<>> stop_reconciler();
  Task<Result<aio::PhaseOutcome>> start_http();
  Task<Result<>> stop_http();
  Task<> beat_watchdog();
  http::Readiness readiness() const;
  http::GitStatus git_status(const std::vector<http::RepositoryStatus>& repositories) const;
  bool known(Kind kind, std::string_view name);

  std::unique_ptr<Services> services_;
  Logger log_;
  WallTime booted_;
  ServiceNotify notify_;
  Reconciler reconciler_;
  aio::TaskScope tasks_;
  bool reloading_ = false;
  bool reload_again_ = false;                                 ///< asked for while the last one was under way
  std::optional<Result<aio::PhaseOutcome>> startup_outcome_;  ///< once the startup tasks have been tried
  asio::steady_timer startup_tried_;
  GitMonitors monitors_;
  std::optional<git::WebhookReceiver> webhooks_;
  std::optional<http::ProbeServer> probes_;
  std::optional<http::Server> http_;
  const http::Server* http_seen_ = nullptr;  ///< what the metrics route reads
  std::uint16_t http_port_ = 0;
  std::unique_ptr<aio::Lifespan> lifespan_;
};

}  // namespace opi::app
