#include "app/settings_rooms.hpp"

#include <fmt/format.h>

#include <utility>

#include "app/settings_values.hpp"

namespace opi::app {

namespace {

std::vector<pg::HostPort> hosts_of(const DatabaseSettings& database) {
  if (database.hosts->empty()) return {{*database.host, *database.port}};
  std::vector<pg::HostPort> hosts;
  for (const std::string& text : *database.hosts) {
    const auto parts = host_from(text);  // the loader let it through, so it parses
    if (parts) hosts.push_back({parts->host, parts->port.value_or(*database.port)});
  }
  return hosts;
}

pg::PasswordProvider password_of(const SecretSetting& secret) {
  if (!secret.given()) return {};
  return [secret] { return secret.read(); };
}

}  // namespace

pg::PoolConfig pool_config(const Settings& settings, std::string_view name) {
  const DatabaseSettings& database = settings.databases.find(name)->second;
  const PoolLimits& pool = database.pool;
  return {.name = std::string(name),
          .server = {.hosts = hosts_of(database),
                     .target = *database.target,
                     .host_order = *database.load_balance,
                     .role_recheck = *database.role_recheck,
                     .user = *database.user,
                     .database = name == "main" ? *settings.control.database : *database.database,
                     .password = password_of(database.password),
                     .tls = *database.tls.mode,
                     .tls_ca_file = *database.tls.ca_file,
                     .channel_binding = *database.tls.channel_binding,
                     .application_name = *database.application_name,
                     .connect_timeout = *database.connect_timeout,
                     .statement_timeout = *database.statement_timeout,
                     .lock_timeout = *database.lock_timeout,
                     .idle_in_transaction_timeout = *database.idle_in_transaction_timeout},
          .pool = {.min = *pool.min,
                   .max = *pool.max,
                   .max_waiting = *pool.max_waiting,
                   .acquire_timeout = *pool.acquire_timeout,
                   .max_lifetime = *pool.max_lifetime,
                   .lifetime_jitter = *pool.lifetime_jitter,
                   .idle_timeout = *pool.idle_timeout,
                   .ping_after_idle = *pool.ping_after_idle,
                   .ping_timeout = *pool.ping_timeout,
                   .leak_after = *pool.leak_after,
                   .reset = *pool.reset}};
}

std::vector<pg::PoolConfig> pool_configs(const Settings& settings) {
  std::vector<pg::PoolConfig> configs;
  configs.push_back(pool_config(settings, "main"));
  for (const auto& [name, database] : settings.databases) {
    if (name != "main") configs.push_back(pool_config(settings, name));
  }
  return configs;
}

http::ListenAddress http_address(const Settings& settings) {
  return {.address = *settings.http.address, .port = *settings.http.port, .port_setting = "http.port"};
}

http::ServerLimits http_limits(const Settings& settings) {
  const HttpLimits& limits = settings.http.limits;
  return {.header_bytes = *limits.header_bytes,
          .body_bytes = *limits.body_bytes,
          .header_time = *limits.header_time,
          .body_time = *limits.body_time,
          .write_time = *limits.write_time,
          .idle_time = *limits.idle_time,
          .requests_per_connection = *limits.requests_per_connection,
          .connections = *limits.connections};
}

http::ListenAddress probe_address(const Settings& settings) {
  return {.address = *settings.probes.address, .port = *settings.probes.port, .port_setting = "probes.port"};
}

Result<SecretString> platform_key(const Settings& settings) {
  const SecretSetting& key = settings.secrets.platform_key;
  if (!key.given()) {
    return failure(Error{ErrorKind::not_found, "secrets.platform_key: is missing"}.with_remedy(
        "set secrets.platform_key_file, or SOPS_AGE_KEY_CONTENT"));
  }
  auto secret = key.read();
  if (!secret) return failure(std::move(secret.error()).while_doing("secrets.platform_key_file"));
  return secret;
}

std::string mirror_directory(const Settings& settings, std::string_view name) {
  if (name == default_repository) {
    const std::string& given = *settings.projects.repository.mirror_directory;
    return given.empty() ? *settings.state.directory + "/mirror" : given;
  }
  const std::string& given = *settings.projects.repositories.find(name)->second.mirror_directory;
  return given.empty() ? *settings.state.directory + "/mirrors/" + std::string(name) : given;
}

std::vector<Repository> repositories_of(const Settings& settings) {
  std::vector<Repository> repositories;
  if (settings.projects.repository.configured()) {
    repositories.push_back({.name = std::string(default_repository), .settings = &settings.projects.repository});
  }
  for (const auto& [name, repository] : settings.projects.repositories) {
    repositories.push_back({.name = name, .settings = &repository});
  }
  return repositories;
}

std::string name_of_file(const Repository& repository, std::string_view branch, std::string_view path) {
  const bool first = repository.settings->followed().front() == branch;
  if (first && repository.name == default_repository) return std::string(path);
  return first ? fmt::format("{}:{}", repository.name, path) : fmt::format("{}@{}:{}", repository.name, branch, path);
}

std::string ledger_key(const Repository& repository, std::string_view branch) {
  return name_of_file(repository, branch, *repository.settings->url);
}

git::MirrorSettings mirror_settings(const Repository& repository, std::filesystem::path directory) {
  const RepositorySettings& from = *repository.settings;
  git::MirrorSettings mirror{.name = repository.name,
                             .url = *from.url,
                             .branches = from.followed(),
                             .directory = std::move(directory),
                             .patterns = *from.paths,
                             .ca_file = *from.ca_file,
                             .proxy = *from.proxy};
  if (!from.ssh_key_file->empty() || !from.ssh_known_hosts_file->empty()) {
    mirror.ssh = git::SshCredentials{.key_file = *from.ssh_key_file, .known_hosts_file = *from.ssh_known_hosts_file};
  }
  mirror.verification = {.mode = *from.verify.mode,
                         .allowed_signers_file = *from.verify.allowed_signers_file,
                         .openpgp_keyring_file = *from.verify.openpgp_keyring_file};
  mirror.limits.file_bytes_max = *from.file_bytes_max;
  mirror.limits.files_max = *from.files_max;
  return mirror;
}

}  // namespace opi::app
