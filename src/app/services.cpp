#include "app/services.hpp"

#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "app/cluster_access.hpp"
#include "app/control_access.hpp"
#include "app/sealed_text.hpp"
#include "app/settings_loader.hpp"
#include "app/settings_reload.hpp"
#include "app/settings_rooms.hpp"
#include "secrets/self_test.hpp"

namespace opi::app {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t blocking_threads = 4;
constexpr auto private_postgres_start = 60s;
constexpr auto private_postgres_stop = 60s;
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
    manager.connections[name] = *database.connections;
  }
  for (const auto& repository : repositories_of(settings)) {
    for (const auto& branch : repository.settings->followed())
      manager.repositories.urls.emplace(name_of_file(repository, branch, ""), *repository.settings->url);
  }
  manager.parallelism = *settings.provision.parallelism;
  manager.deadline = *settings.provision.deadline;
  manager.deep_interval = *settings.provision.deep_interval;
  manager.clone = {.pg_dump = *settings.clone.pg_dump,
                   .pg_restore = *settings.clone.pg_restore,
                   .deadline = *settings.clone.timeout};
  manager.rules.allowed_extensions = *settings.provision.extensions;
  for (const auto& name : *settings.provision.approval) {
    if (const auto kind = provision::approval_kind_named(name)) manager.approval.insert(*kind);
  }
  using std::chrono::duration_cast;
  using std::chrono::seconds;
  manager.rotation = {.overlap = duration_cast<seconds>(*settings.rotation.overlap),
                      .grace = duration_cast<seconds>(*settings.rotation.grace),
                      .interval = duration_cast<seconds>(*settings.rotation.interval)};
  for (std::size_t i = 0; i < manager.drift.of.size(); ++i) manager.drift.of[i] = *settings.drift.policies[i];
  const auto& removal = settings.removal;
  manager.removal = {.keep = *removal.by_default == RemovalDefault::keep,
                     .grace = duration_cast<seconds>(*removal.grace),
                     .most = *removal.most,
                     .most_percent = *removal.most_percent};
  manager.dump = {
      .directory = *removal.dump_directory, .program = *removal.pg_dump, .deadline = *removal.dump_deadline};
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
      repositories_(repositories_of(settings_)),
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
  auto& main = pools_.get("main")->get();
  auto manager = manager_settings(settings_);
  auto cluster =
      make_cluster_manager(settings_, projects_, manager.rules,
                           {.main = &main, .pools = &pools_, .key = &key_, .log = log_.named("cluster")}, blocking_);
  if (!cluster) co_return failure(std::move(cluster.error()));
  cluster_ = *std::move(cluster);
  provision::ManagerTools tools{.pools = &pools_, .key = &key_, .blocking = &blocking_, .log = log_.named("provision")};
  tools.cluster = cluster_.get();
  databases_.emplace(projects_, main, std::move(manager), std::move(tools));
  aio::PhaseOutcome outcome;
  for (const auto& pool : *opened) {
    if (!pool.available) outcome.degraded.push_back(pool.name);
  }
  co_return outcome;
}

namespace {

/// On the blocking pool.
struct LoadSettings {
  std::string file;
  Checked<Settings> operator()() const { return load_settings(file, process_environment()); }
};

}  // namespace

Task<Result<>> Services::change_pools(Settings wanted, SteadyTime deadline) {
  pg::PoolPlan plan = pools_.plan(pool_configs(wanted));
  if (plan.empty()) log_.named("settings").info("reload", "no pool changes; passwords are read anew");
  auto applied = co_await pools_.apply(std::move(plan), deadline);
  if (!applied) co_return applied;
  for (auto& [name, database] : settings_.databases) database = std::move(wanted.databases.find(name)->second);
  co_return applied;
}

Task<> Services::reload(SteadyTime deadline) {
  const Logger log = log_.named("settings");
  auto fresh = co_await blocking_.run(LoadSettings{.file = settings_.file});
  if (!fresh) {
    for (const Error& error : fresh.error()) log.error("reload", error.to_string());
    log.error("reload", "not taken; the settings of before stay in force");
    co_return;
  }
  SettingsReload changes = reload_settings(settings_, std::move(*fresh));
  for (const std::string& line : changes.refused) log.warn("reload", line);
  if (auto changed = co_await change_pools(std::move(changes.settings), deadline); !changed) {
    log.error("reload", changed.error().to_string());
    log.error("reload", "not taken; the settings of before stay in force");
  }
}

Task<Result<>> Services::close_pools() {
  co_return co_await pools_.close(in(pools_stop));
}

Task<Result<>> Services::prepare_control(SteadyTime deadline) {
  auto prepared = co_await app::prepare_control(executor_, &pools_, &blocking_, &key_, log_, deadline);
  if (!prepared) co_return failure(std::move(prepared.error()));
  co_return Result<>{};
}

git::MirrorSettings Services::mirror_settings(const Repository& repository, std::filesystem::path directory) const {
  auto mirror = app::mirror_settings(repository, std::move(directory));
  const RepositorySettings& from = *repository.settings;
  if (!from.username->empty() || from.password.given()) {
    mirror.http = git::HttpCredentials{.username = *from.username,
                                       .password = [secret = from.password, this]() -> Result<SecretString> {
                                         if (!secret.given()) return SecretString();
                                         auto text = secret.read();
                                         if (!text) return text;
                                         return unsealed(std::move(*text));
                                       }};
  }
  return mirror;
}

Result<SecretString> Services::unsealed(SecretString text) const {
  return app::unsealed(std::move(text), key_);
}

std::vector<pg::PoolStats> Services::pool_stats() const {
  if (!pools_open_) return {};
  return pools_.stats();
}

}  // namespace opi::app
