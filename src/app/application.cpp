#include "app/application.hpp"

#include <fmt/format.h>

#include <chrono>
#include <iostream>
#include <utility>

#include "aio/with_deadline.hpp"
#include "app/boot_banner.hpp"
#include "app/settings_rooms.hpp"
#include "app/version.hpp"
#include "http/metrics.hpp"
#include "http/readiness.hpp"
#include "http/status_routes.hpp"

namespace opi::app {

using namespace std::chrono_literals;

namespace {

// A first pass that takes longer goes on in the background: the server is up in seconds, whatever it finds.
constexpr auto startup_patience = 15s;
constexpr auto startup_stop = 15s;
// Shorter than that: the Git monitor, which starts next, uses the same mirror.
constexpr auto read_deadline = 8s;
constexpr auto monitor_stop = 11s;
constexpr auto http_stop = 10s;
constexpr auto reload_deadline = 8s;  // less than a stop has for the tasks that it waits for
constexpr auto probes_stop = 1s;

SteadyTime in(std::chrono::milliseconds time) {
  return std::chrono::steady_clock::now() + time;
}

http::BuildInfo build_info() {
  return {.version = std::string(version()), .commit = std::string(commit())};
}

Task<Result<>> nothing_to_stop() {
  co_return Result<>{};
}

}  // namespace

Result<std::unique_ptr<Application>> Application::create(asio::any_io_executor executor, Settings settings,
                                                         LogSink* sink) {
  auto services = Services::create(std::move(executor), std::move(settings), sink);
  if (!services) return failure(std::move(services.error()));
  return std::unique_ptr<Application>(new Application(std::move(*services)));
}

Application::Application(std::unique_ptr<Services> services)
    : services_(std::move(services)),
      log_(services_->log()),
      booted_(std::chrono::system_clock::now()),
      notify_(ServiceNotify::from_environment()),
      reconciler_(services_.get()),
      tasks_(services_->executor(), log_, "application"),
      startup_tried_(services_->executor(), SteadyTime::max()),
      monitors_(services_.get(), &reconciler_, log_.named("git")),
      lifespan_(std::make_unique<aio::Lifespan>(phases(), log_.named("lifespan"))) {}

Application::~Application() = default;

// Top to bottom is the order of starting, bottom to top the order of stopping.
std::vector<aio::Phase> Application::phases() {
  using enum aio::PhasePolicy;
  std::vector<aio::Phase> phases;
  phases.push_back({"boot_banner", required, 1s, 1s, [this] { return show_banner(); }, nothing_to_stop});
  phases.push_back(
      {"probes", required, 5s, probes_stop + 1s, [this] { return start_probes(); }, [this] { return stop_probes(); }});
  for (auto& phase : services_->foundation_phases()) phases.push_back(std::move(phase));
  phases.push_back({"startup_tasks", required, startup_patience + 5s, startup_stop,
                    [this] { return run_startup_tasks(); }, [this] { return stop_reconciler(); }});
  phases.push_back({"git_monitor", degradable, 5s, monitor_stop, [this] { return monitors_.start(); },
                    [this] { return monitors_.stop(); }});
  phases.push_back(
      {"http_api", required, 5s, http_stop + 1s, [this] { return start_http(); }, [this] { return stop_http(); }});
  return phases;
}

Task<Result<>> Application::start() {
  auto started = co_await lifespan_->start();
  if (!started) co_return failure(std::move(started.error()));
  notify_.ready("serving");
  if (notify_.watchdog_interval()) tasks_.spawn("watchdog", beat_watchdog());
  log_.named("lifespan").info("serving", fmt::format("http://{}:{}", *services_->settings().http.address, http_port_));
  co_return Result<>{};
}

void Application::begin_drain() {
  notify_.stopping();
  lifespan_->begin_drain();
  if (http_) http_->begin_drain();
}

Task<Result<>> Application::stop() {
  begin_drain();
  auto stopped = co_await lifespan_->stop();
  tasks_.cancel();
  co_await tasks_.join();
  log_.sink().flush();
  co_return stopped;
}

void Application::reload() {
  log_.named("lifespan").info("reload", "looking at everything again");
  reload_again_ = true;
  if (!std::exchange(reloading_, true)) tasks_.spawn("reload", reload_settings());
  monitors_.poke();
  reconciler_.wake();
}

Task<> Application::reload_settings() {
  while (std::exchange(reload_again_, false)) co_await services_->reload(in(reload_deadline));
  reloading_ = false;
}

Task<Result<aio::PhaseOutcome>> Application::show_banner() {
  const auto& settings = services_->settings();
  BootBanner banner{.environment = *settings.environment,
                    .boot_time = booted_,
                    .git_monitoring = !services_->repositories().empty(),
                    .pools = {}};
  for (const auto& [name, database] : settings.databases) banner.pools.push_back(name);
  print_boot_banner(std::cout, banner);
  co_return aio::PhaseOutcome{};
}

Task<Result<aio::PhaseOutcome>> Application::start_probes() {
  probes_.emplace(
      probe_address(services_->settings()), build_info(), [this] { return readiness(); }, log_.named("probes"));
  auto port = probes_->start();
  if (!port) co_return failure(std::move(port.error()));
  co_return aio::PhaseOutcome{.note = fmt::format("port {}", *port)};
}

Task<Result<>> Application::stop_probes() {
  probes_->stop(in(probes_stop));
  co_return Result<>{};
}

Task<Result<aio::PhaseOutcome>> Application::run_startup_tasks() {
  auto& main = services_->pools().get("main")->get();
  main.on_availability([this](bool available) {
    if (available) reconciler_.wake();
  });
  tasks_.spawn("reconcile", reconcile_always());
  startup_tried_.expires_after(startup_patience);
  if (!startup_outcome_) (void)co_await startup_tried_.async_wait(as_result);
  if (startup_outcome_) co_return std::move(*startup_outcome_);
  co_return aio::PhaseOutcome{.degraded = {"startup_tasks"}, .note = "the first pass goes on in the background"};
}

Task<> Application::reconcile_always() {
  startup_outcome_ = co_await reconciler_.run_startup_tasks(
      [this](const Repository& repository) {
        return services_->mirror_settings(repository, mirror_directory(services_->settings(), repository.name));
      },
      in(read_deadline));
  const bool tried = startup_outcome_->has_value();
  startup_tried_.cancel();
  if (tried) co_await reconciler_.keep_up();
}

Task<Result<>> Application::stop_reconciler() {
  if (auto main = services_->pools().get("main")) main->get().on_availability({});
  tasks_.cancel();
  co_await tasks_.join();
  co_return Result<>{};
}

Task<Result<aio::PhaseOutcome>> Application::start_http() {
  const auto& settings = services_->settings();
  std::vector<http::Route> routes{http::status_route(this), http::metrics_route(this, &http_seen_)};
  for (auto& route : http::git_control_routes(this, this)) routes.push_back(std::move(route));
  webhooks_.emplace(monitors_.webhook_targets());
  if (!webhooks_->empty()) {
    for (auto& route : http::webhook_routes(&*webhooks_)) routes.push_back(std::move(route));
  }
  http_.emplace(services_->executor(), http::Router(http::with_landing(std::move(routes))), http_limits(settings),
                log_.named("http"));
  http_seen_ = &*http_;
  auto port = http_->listen(http_address(settings));
  if (!port) co_return failure(std::move(port.error()));
  http_port_ = *port;
  co_return aio::PhaseOutcome{.note = fmt::format("port {}", *port)};
}

Task<Result<>> Application::stop_http() {
  co_return co_await http_->stop(in(http_stop));
}

Task<> Application::beat_watchdog() {
  while (co_await aio::sleep_for(*notify_.watchdog_interval())) notify_.watchdog();
}

std::uint16_t Application::probes_port() const noexcept {
  return probes_ ? probes_->port() : std::uint16_t{0};
}

// On the probe thread: only what is safe from there.
http::Readiness Application::readiness() const {
  std::vector<std::string> missing;
  if (!reconciler_.caught_up()) missing.emplace_back("startup_tasks");
  for (auto& name : monitors_.troubled()) missing.push_back(std::move(name));
  return http::readiness_of(lifespan_->status(), services_->pool_stats(), std::move(missing));
}

http::GitStatus Application::git_status(const std::vector<http::RepositoryStatus>& repositories) const {
  http::GitStatus git{.enabled = !services_->repositories().empty(), .files_changed = reconciler_.files_changed()};
  if (!git.enabled) return git;
  const auto& first = services_->repositories().front();
  git.repository = *first.settings->url;
  git.branch = first.settings->followed().front();
  if (repositories.empty()) return git;
  const auto& seen = repositories.front();
  git.running =
      seen.state != to_string(git::MonitorState::created) && seen.state != to_string(git::MonitorState::stopped);
  if (!seen.branches.empty()) git.head = seen.branches.front().head;
  git.polls = seen.checks;
  git.polls_failed = seen.checks_failed;
  git.last_success = seen.last_success;
  git.last_error = seen.last_error;
  return git;
}

bool Application::known(Kind kind, std::string_view name) {
  return kind == Kind::repository ? monitors_.find(name) != nullptr : services_->projects().find(name) != nullptr;
}

Task<Result<>> Application::suspend(Kind kind, std::string name, std::string reason) {
  if (!known(kind, name)) co_return failure(ErrorKind::not_found, fmt::format("nothing here is called {}", name));
  const auto stored = kind == Kind::repository ? store::SuspendedKind::repository : store::SuspendedKind::project;
  auto done = co_await reconciler_.suspend(stored, name, std::move(reason));
  if (done && kind == Kind::repository) monitors_.find(name)->suspend();
  co_return done;
}

Task<Result<>> Application::resume(Kind kind, std::string name) {
  // What was suspended may be gone by now, and must still be resumable.
  const auto stored = kind == Kind::repository ? store::SuspendedKind::repository : store::SuspendedKind::project;
  if (!known(kind, name) && !reconciler_.suspended(stored, name))
    co_return failure(ErrorKind::not_found, fmt::format("nothing here is called {}", name));
  auto done = co_await reconciler_.resume(stored, name);
  if (!done) co_return done;
  if (kind == Kind::project) {
    monitors_.poke();  // its changes wait there
  } else if (auto* monitor = monitors_.find(name)) {
    monitor->resume();
  }
  co_return done;
}

Task<Result<>> Application::reconcile(Kind kind, std::string name) {
  const auto stored = kind == Kind::repository ? store::SuspendedKind::repository : store::SuspendedKind::project;
  if (!known(kind, name)) co_return failure(ErrorKind::not_found, fmt::format("nothing here is called {}", name));
  if (reconciler_.suspended(stored, name))
    co_return failure(Error(ErrorKind::conflict, fmt::format("{} is suspended", name)).with_remedy("resume it first"));
  if (kind == Kind::project) co_return reconciler_.reconcile_project(name);
  monitors_.find(name)->poke();
  reconciler_.wake();
  co_return Result<>{};
}

http::StatusSnapshot Application::status() const {
  const auto& settings = services_->settings();
  auto repositories = monitors_.status();
  http::WebhookStatus webhooks;
  if (webhooks_) {
    const auto seen = webhooks_->counters();
    webhooks = {.woken = seen.woken, .ignored = seen.ignored, .refused = seen.refused, .invalid = seen.invalid};
  }
  auto git = git_status(repositories);
  return {.build = build_info(),
          .environment = *settings.environment,
          .cluster = *settings.cluster.name,
          .booted = booted_,
          .lifespan = lifespan_->status(),
          .pools = services_->pool_stats(),
          .git = std::move(git),
          .repositories = std::move(repositories),
          .webhooks = webhooks,
          .provision = reconciler_.counters(),
          .projects = reconciler_.project_status(),
          .deployments = reconciler_.deployment_status()};
}

}  // namespace opi::app
