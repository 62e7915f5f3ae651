#include "app/settings_fields.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "app/settings_field_list.hpp"
#include "app/settings_texts.hpp"
#include "app/settings_values.hpp"

namespace opi::app {

namespace {

constexpr std::array<Choice<LogLevel>, 4> log_levels{
    {{LogLevel::debug, "debug"}, {LogLevel::info, "info"}, {LogLevel::warn, "warn"}, {LogLevel::error, "error"}}};
constexpr std::array<Choice<LogFormat>, 3> log_formats{
    {{LogFormat::automatic, "auto"}, {LogFormat::text, "text"}, {LogFormat::json, "json"}}};
constexpr std::array<Choice<pg::TlsMode>, 5> tls_modes{{{pg::TlsMode::disable, "disable"},
                                                        {pg::TlsMode::prefer, "prefer"},
                                                        {pg::TlsMode::require, "require"},
                                                        {pg::TlsMode::verify_ca, "verify-ca"},
                                                        {pg::TlsMode::verify_full, "verify-full"}}};
constexpr std::array<Choice<pg::SessionTarget>, 6> session_targets{
    {{pg::SessionTarget::any, "any"},
     {pg::SessionTarget::read_write, "read-write"},
     {pg::SessionTarget::read_only, "read-only"},
     {pg::SessionTarget::primary, "primary"},
     {pg::SessionTarget::standby, "standby"},
     {pg::SessionTarget::prefer_standby, "prefer-standby"}}};
constexpr std::array<Choice<pg::HostOrder>, 2> host_orders{
    {{pg::HostOrder::listed, "disable"}, {pg::HostOrder::balanced, "random"}}};
constexpr std::array<Choice<pg::ChannelBinding>, 3> channel_bindings{{{pg::ChannelBinding::disable, "disable"},
                                                                      {pg::ChannelBinding::prefer, "prefer"},
                                                                      {pg::ChannelBinding::require, "require"}}};
constexpr std::array<Choice<pg::ResetProfile>, 3> reset_profiles{
    {{pg::ResetProfile::always, "always"}, {pg::ResetProfile::smart, "smart"}, {pg::ResetProfile::never, "never"}}};

constexpr std::array<Choice<git::VerifyMode>, 3> verify_modes{
    {{git::VerifyMode::none, "none"}, {git::VerifyMode::head, "head"}, {git::VerifyMode::every, "every"}}};

void describe_pool(FieldList& list, PoolLimits& pool) {
  constexpr milliseconds off{0};
  constexpr milliseconds shortest{1};
  list.enter("pool");
  list.number("min", pool.min, 0, 10'000, "Connections kept open.");
  list.number("max", pool.max, 1, 10'000, "Never more connections than this, whatever state they are in.");
  list.number("max_waiting", pool.max_waiting, 0, 1'000'000, "Acquires that may wait; one more fails at once.");
  list.duration("acquire_timeout", pool.acquire_timeout, shortest, "How long an acquire waits for a connection.");
  list.duration("max_lifetime", pool.max_lifetime, off, "A connection older than this is replaced; 0: never.");
  list.share("lifetime_jitter", pool.lifetime_jitter, "Each connection lives up to this share shorter.");
  list.duration("idle_timeout", pool.idle_timeout, off,
                "Connections above min that idle this long are closed; 0: never.");
  list.duration("ping_after_idle", pool.ping_after_idle, off,
                "A connection that idled longer is checked before it is lent; 0: never.");
  list.duration("ping_timeout", pool.ping_timeout, shortest, "How long that check may take.");
  list.duration("leak_after", pool.leak_after, off, "A connection held longer is reported with its holder; 0: never.");
  list.choice("reset", pool.reset, reset_profiles, "When the session of a returned connection is reset.");
  list.leave();
}

void describe_database(FieldList& list, std::string_view name, DatabaseSettings& database) {
  constexpr milliseconds off{0};
  constexpr milliseconds shortest{1};
  list.enter(name);
  list.text("host", database.host, host_name, "The server: a name, an address, or the directory of its unix socket.",
            "hosts");
  list.list("hosts", database.hosts, list_host, 1, "a list of hosts",
            "Several hosts of one cluster, tried in order; each may carry its own port.", "host");
  list.number("port", database.port, 1, 65'535, "The port of every host that carries none.");
  list.choice("target_session_attrs", database.target, session_targets,
              "Which of the hosts will do; provisioning needs one that takes writes.");
  list.choice("load_balance", database.load_balance, host_orders,
              "disable: the first of the hosts that will do; random: the one with the fewest of our connections.");
  list.duration("role_recheck", database.role_recheck, shortest,
                "How long it is believed that a host is a primary or a standby.");
  list.text("user", database.user, database_name,
            "The administrator: a superuser, or one with CREATEROLE and CREATEDB.");
  list.secret("password", database.password, "Its password; without one none is sent.");
  list.text("database", database.database, database_name,
            "What a further pool connects to; main connects to control.database.");
  list.list("application_hosts", database.application_hosts, list_host, 0, "a list of hosts",
            "Where applications reach this server, for their Secrets; empty: where we reach it.");
  list.list("projects", database.projects, project_name, 0, "a list of projects, or \"*\"",
            "The projects that may name this pool; \"*\": all of them, which is the default of main.");
  list.number(
      "connections", database.connections, 0, 20'000,
      "At most, the pool's and the short ones into databases together; 0: provision.parallelism beside the pool's.");
  list.enter("tls");
  list.choice("mode", database.tls.mode, tls_modes, "Whether the connection is encrypted and the server verified.");
  list.path("ca_file", database.tls.ca_file, optional_file_name,
            "The certificate authorities to trust (PEM); empty: the system's.");
  list.choice("channel_binding", database.tls.channel_binding, channel_bindings,
              "Whether the proof of the password is bound to the TLS session.");
  list.leave();
  list.duration("connect_timeout", database.connect_timeout, shortest, "Of one dial, authentication included.");
  list.duration("statement_timeout", database.statement_timeout, off, "Of one statement; 0: none.");
  list.duration("lock_timeout", database.lock_timeout, off, "Of waiting for a lock; 0: none.");
  list.duration("idle_in_transaction_timeout", database.idle_in_transaction_timeout, off,
                "The server ends a session that idles longer inside a transaction; 0: never.");
  list.text("application_name", database.application_name, database_name, "What the server's views show of us.");
  describe_pool(list, database.pool);
  list.leave();
}

void describe_repository(FieldList& list, std::string_view name, RepositorySettings& repository) {
  constexpr std::uint32_t mebibyte = 1U << 20U;
  list.enter(name);
  list.text("url", repository.url, git_url,
            "A Git repository of project files: https, ssh, git or file; empty: it is not monitored.");
  list.text("branch", repository.branch, branch_name, "The branch that is followed.", "branches");
  list.list("branches", repository.branches, branch_name, 1, "a list of branches",
            "Several branches that are followed.", "branch");
  list.list(
      "paths", repository.paths, path_pattern, 1, "a list of patterns",
      "Which files of it are project files; * stands for anything but a slash, ** for any number of directories.");
  list.duration("poll_interval", repository.poll_interval, milliseconds{100},
                "How often its heads are looked at, less up to a tenth.");
  list.duration("timeout", repository.timeout, milliseconds{100}, "Of one fetch or look.");
  list.text("username", repository.username, optional_text, "For https.");
  list.secret("password", repository.password, "For https: a password or token, also one sealed to the platform key.");
  list.path("ca_file", repository.ca_file, optional_file_name,
            "For https: the certificate authorities to trust (PEM); empty: the system's.");
  list.text("proxy", repository.proxy, proxy_url, "For https: a proxy; empty: none.");
  list.path("ssh_key_file", repository.ssh_key_file, optional_file_name, "For ssh: the private key.");
  list.path("ssh_known_hosts_file", repository.ssh_known_hosts_file, optional_file_name,
            "For ssh: the host keys to trust; no other is.");
  list.size("file_bytes_max", repository.file_bytes_max, 1'024, 64 * mebibyte,
            "A larger project file is refused by itself.");
  list.number("files_max", repository.files_max, 1, 1'000'000, "More project files are refused as a whole.");
  list.enter("verify");
  list.choice("mode", repository.verify.mode, verify_modes,
              "Which commits must be signed: none, the head, or every one since the last accepted head.");
  list.path("allowed_signers_file", repository.verify.allowed_signers_file, optional_file_name,
            "Who may sign with SSH keys, as ssh-keygen takes it.");
  list.path("openpgp_keyring_file", repository.verify.openpgp_keyring_file, optional_file_name,
            "Whose OpenPGP keys may sign: what `gpg --export` writes, as gpgv takes it.");
  list.leave();
  list.secret("webhook_secret", repository.webhook_secret,
              "What webhooks for it are signed with; without one none is taken.");
  list.path("mirror_directory", repository.mirror_directory, optional_file_name,
            "Where the mirror stands; empty: mirror, or mirrors/NAME, in state.directory.");
  list.leave();
}

void describe_http(FieldList& list, Settings& settings) {
  constexpr milliseconds shortest{1};
  constexpr std::uint32_t mebibyte = 1U << 20U;
  HttpLimits& limits = settings.http.limits;
  list.enter("http");
  list.text("address", settings.http.address, listen_address, "The address that the API and the dashboard listen on.");
  list.number("port", settings.http.port, 0, 65'535, "Their port; 0: any free one.");
  list.enter("limits");
  list.size("header_bytes", limits.header_bytes, 1'024, mebibyte,
            "The most that a request's line and headers may have.");
  list.size("body_bytes", limits.body_bytes, 0, 64 * mebibyte, "The most that a request's body may have.");
  list.duration("header_time", limits.header_time, shortest, "From a request's first byte to the end of its headers.");
  list.duration("body_time", limits.body_time, shortest, "From there to the end of its body.");
  list.duration("write_time", limits.write_time, shortest, "For the client to take the response.");
  list.duration("idle_time", limits.idle_time, shortest, "Between two requests of a connection.");
  list.number("requests_per_connection", limits.requests_per_connection, 1, any_u32, "Then the connection is closed.");
  list.number("connections", limits.connections, 1, 100'000,
              "At the same time; beyond it a client is told to come back.");
  list.leave();
  list.leave();
  list.enter("probes");
  list.text("address", settings.probes.address, listen_address,
            "The address that /livez, /readyz and /healthz listen on.");
  list.number("port", settings.probes.port, 0, 65'535, "Their port; 0: any free one.");
  list.leave();
}

}  // namespace

std::vector<Field> fields_of(Settings& settings) {
  constexpr milliseconds second{1'000};
  FieldList list;
  list.text("environment", settings.environment, plain, "What this installation is called; shown in the banner.");
  list.enter("log");
  list.choice("level", settings.log.level, log_levels, "The least that is logged.");
  list.choice("format", settings.log.format, log_formats, "auto: text on a terminal, JSON lines otherwise.");
  list.leave();
  list.enter("cluster");
  list.text("name", settings.cluster.name, plain, "Deployments of this cluster are ours, all others are left alone.");
  list.text("namespace_prefix", settings.cluster.namespace_prefix, namespace_prefix, "What the namespaces begin with.");
  describe_cluster(list, settings.cluster);
  list.leave();
  list.enter("control");
  list.text("database", settings.control.database, database_name,
            "The control database, on the server of pool main; created when it is absent.");
  list.leave();
  list.enter("databases");
  for (auto& [name, database] : settings.databases) describe_database(list, name, database);
  list.leave();
  list.enter("private_postgres");
  list.path(
      "directory", settings.private_postgres.directory, file_name,
      "Where opi makes and runs the server of pool main itself, for trying things; empty: somebody else runs it.");
  list.leave();
  list.enter("projects");
  describe_repository(list, "repository", settings.projects.repository);
  list.enter("repositories");
  for (auto& [name, repository] : settings.projects.repositories) describe_repository(list, name, repository);
  list.leave();
  list.leave();
  list.enter("secrets");
  list.secret("platform_key", settings.secrets.platform_key,
              "The age identity that seals what is stored; SOPS_AGE_KEY_CONTENT is used when neither is given.");
  list.leave();
  describe_http(list, settings);
  list.enter("provision");
  list.number("parallelism", settings.provision.parallelism, 1, 1'000, "Deployments worked on at the same time.");
  list.duration(
      "resync_interval", settings.provision.resync_interval, milliseconds{0},
      "How often the servers are observed again although no file has changed, so that drift is put right; 0: never.");
  list.duration("deep_interval", settings.provision.deep_interval, milliseconds{0},
                "How often the inside of each database is looked at although nothing has changed, jittered; 0: never.");
  list.duration("deadline", settings.provision.deadline, second, "Of the work on one deployment.");
  list.list("extensions", settings.provision.extensions, plain, 0, "a list of extensions",
            "Extensions that project files may ask for; the usual ones are trusted: their owner needs no superuser.");
  list.list("approval", settings.provision.approval, approval_kind, 0, "a list of drop, clone-over and change-owner",
            "Kinds of action that are only done by `opi apply --digest`, when somebody has seen the plan.");
  list.leave();
  describe_provisioning(list, settings);
  list.enter("state");
  list.path("directory", settings.state.directory, file_name, "Where the daemon keeps its files.");
  list.leave();
  return list.take();
}

}  // namespace opi::app
