#include "app/services.hpp"

#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "app/control_access.hpp"
#include "app/settings_rooms.hpp"
#include "secrets/self_test.hpp"

namespace opi::app {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t blocking_threads = 4;
constexpr auto private_postgres_start = 60s;
constexpr auto private_postgres_stop = 30s;
// The pools are up in seconds whatever their servers do: a server that is silent for longer leaves its pool degraded.
constexpr auto pools_start = 5s;
constexpr auto pools_stop = 10s;

SteadyTime in(std::chrono::milliseconds time) {
  return std::chrono::steady_clock::now() + time;
}

std::vector<std::string> pool_names(const Settings& settings) {
  std::vector<std::string> names;
  for (const auto& [name, database] : settings.databases) names.push_back(name);
  return names;
}

provision::ManagerSettings manager_settings(const Settings& settings) {
  provision::ManagerSettings manager;
  manager.rules.cluster = *settings.cluster.name;
  manager.rules.namespace_prefix = *settings.cluster.namespace_prefix;
  manager.rules.control_database = *settings.control.database;
  for (const auto& [name, database] : settings.databases) {
    if (name != "main") manager.rules.pool_projects[name] = *database.projects;
  }
  manager.repository = *settings.projects.repository.url;
  manager.parallelism = *settings.provision.parallelism;
  manager.deadline = *settings.provision.deadline;
  manager.deep_interval = *settings.provision.deep_interval;
  manager.clone = {.pg_dump = *settings.clone.pg_dump,
                   .pg_restore = *settings.clone.pg_restore,
                   .deadline = *settings.clone.timeout};
  for (const auto& name : *settings.provision.approval) {
    if (const auto kind = provision::approval_kind_named(name)) manager.approval.insert(*kind);
  }
  return manager;
}

std::optional<PrivatePostgresSettings> private_settings(const Settings& settings) {
  if (settings.private_postgres.directory->empty()) return std::nullopt;
  const auto& main = settings.databases.at("main");
  return PrivatePostgresSettings{.directory = *settings.private_postgres.directory,
                                 .port = *main.port,
                                 .superuser = *main.user,
                                 .password_file = *main.password.file};
}

}  // namespace

Result<std::unique_ptr<Services>> Services::create(asio::any_io_executor executor, Settings settings, LogSink* sink) {
  // Before anything is sealed or opened: what cannot be trusted to do that must not start.
  if (auto passed = secrets::self_test(); !passed) return failure(std::move(passed.error()));
  auto text = app::platform_key(settings);
  if (!text) return failure(std::move(text.error()));
  auto key = secrets::PlatformKey::parse(text->reveal());
  if (!key) return failure(std::move(key.error()).while_doing("secrets.platform_key"));
  return std::unique_ptr<Services>(new Services(std::move(executor), std::move(settings), std::move(*key), sink));
}

Services::Services(asio::any_io_executor executor, Settings settings, secrets::PlatformKey key, LogSink* sink)
    : executor_(std::move(executor)),
      settings_(std::move(settings)),
      key_(std::move(key)),
      log_(*sink, "opi"),
      blocking_(blocking_threads),
      pools_(executor_, blocking_, log_.named("pool")),
      projects_(project::ParseContext{.known_clusters = {}, .known_pools = pool_names(settings_)}) {
  if (auto server = private_settings(settings_)) private_postgres_.emplace(executor_, std::move(*server), log_);
}

std::vector<aio::Phase> Services::foundation_phases() {
  std::vector<aio::Phase> phases;
  if (private_postgres_) {
    phases.push_back({.name = "private_postgres",
                      .policy = aio::PhasePolicy::required,
                      .start_deadline = private_postgres_start,
                      .stop_deadline = private_postgres_stop,
                      .start = [this] { return start_private_postgres(); },
                      .stop = [this] { return private_postgres_->stop(in(private_postgres_stop - 1s)); }});
  }
  phases.push_back({.name = "database_pools",
                    .policy = aio::PhasePolicy::required,
                    .start_deadline = pools_start + 10s,
                    .stop_deadline = pools_stop + 1s,
                    .start = [this] { return open_pools(); },
                    .stop = [this] { return close_pools(); }});
  return phases;
}

Task<Result<aio::PhaseOutcome>> Services::start_private_postgres() {
  auto started = co_await private_postgres_->start(in(private_postgres_start - 1s));
  if (!started) co_return failure(std::move(started.error()));
  co_return aio::PhaseOutcome{.note = fmt::format("PostgreSQL {}, port {}", private_postgres_->version(),
                                                  *settings_.databases.at("main").port)};
}

Task<Result<aio::PhaseOutcome>> Services::open_pools() {
  auto opened = co_await pools_.initialize(pool_configs(settings_), in(pools_start));
  if (!opened) co_return failure(std::move(opened.error()));
  pools_open_ = true;
  databases_.emplace(
      projects_, pools_.get("main")->get(), manager_settings(settings_),
      provision::ManagerTools{.pools = &pools_, .key = &key_, .blocking = &blocking_, .log = log_.named("provision")});
  aio::PhaseOutcome outcome;
  for (const auto& pool : *opened) {
    if (!pool.available) outcome.degraded.push_back(pool.name);
  }
  co_return outcome;
}

Task<Result<>> Services::close_pools() {
  co_return co_await pools_.close(in(pools_stop));
}

Task<Result<>> Services::prepare_control(SteadyTime deadline) {
  auto prepared = co_await app::prepare_control(executor_, &pools_, &blocking_, &key_, log_, deadline);
  if (!prepared) co_return failure(std::move(prepared.error()));
  co_return Result<>{};
}

std::optional<git::MirrorSettings> Services::mirror_settings(std::filesystem::path directory) const {
  const auto& repository = settings_.projects.repository;
  if (!repository.configured()) return std::nullopt;
  git::MirrorSettings mirror{.url = *repository.url, .branch = *repository.branch, .directory = std::move(directory)};
  mirror.patterns = *repository.paths;
  if (!repository.username->empty() || repository.password.given()) {
    mirror.http = git::HttpCredentials{.username = *repository.username,
                                       .password = [secret = repository.password] { return secret.read(); }};
  }
  if (!repository.ssh_key_file->empty()) {
    mirror.ssh =
        git::SshCredentials{.key_file = *repository.ssh_key_file, .known_hosts_file = *repository.ssh_known_hosts_file};
  }
  return mirror;
}

std::vector<pg::PoolStats> Services::pool_stats() const {
  if (!pools_open_) return {};
  return pools_.stats();
}

}  // namespace opi::app
