#include "app/settings_fields.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "app/settings_values.hpp"
#include "provision/approval.hpp"

namespace opi::app {

namespace {

using std::chrono::milliseconds;
using Problem = std::optional<std::string>;

constexpr std::uint64_t any_u32 = std::numeric_limits<std::uint32_t>::max();
constexpr std::size_t text_bytes_max = 4'096;

template <class E>
struct Choice {
  E value;
  std::string_view name;
};
constexpr std::array<Choice<LogLevel>, 4> log_levels{
    {{LogLevel::debug, "debug"}, {LogLevel::info, "info"}, {LogLevel::warn, "warn"}, {LogLevel::error, "error"}}};
constexpr std::array<Choice<LogFormat>, 3> log_formats{
    {{LogFormat::automatic, "auto"}, {LogFormat::text, "text"}, {LogFormat::json, "json"}}};
constexpr std::array<Choice<pg::TlsMode>, 5> tls_modes{{{pg::TlsMode::disable, "disable"},
                                                        {pg::TlsMode::prefer, "prefer"},
                                                        {pg::TlsMode::require, "require"},
                                                        {pg::TlsMode::verify_ca, "verify-ca"},
                                                        {pg::TlsMode::verify_full, "verify-full"}}};
constexpr std::array<Choice<pg::ResetProfile>, 3> reset_profiles{
    {{pg::ResetProfile::always, "always"}, {pg::ResetProfile::smart, "smart"}, {pg::ResetProfile::never, "never"}}};

template <class E, std::size_t N>
std::string names_of(const std::array<Choice<E>, N>& choices) {
  std::string text;
  for (std::size_t i = 0; i < N; ++i) {
    if (i != 0) text += i + 1 == N ? " or " : ", ";
    text += choices[i].name;
  }
  return text;
}

/// What each text of a setting must be, beyond its type.
struct TextRule {
  bool may_be_empty = false;
  std::string_view takes = "a text";
  Problem (*check)(std::string_view) = nullptr;
};

Problem check_database_name(std::string_view text) {
  if (text.size() <= 63) return std::nullopt;
  return fmt::format("{} is longer than PostgreSQL's 63 bytes; write a shorter name", in_quotes(text));
}

Problem check_prefix(std::string_view text) {
  // A namespace is a DNS label of 63; half of it is left to the project's name.
  bool fine = text.size() <= 32 && !text.starts_with('-');
  for (const char c : text) fine = fine && ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-');
  if (fine) return std::nullopt;
  return fmt::format("{} cannot begin a namespace; write at most 32 lower-case letters, digits and dashes",
                     in_quotes(text));
}

Problem check_host(std::string_view text) {
  const auto host = host_from(text);
  if (!host) return host.error();
  if (host->port) return fmt::format("{} has a port in it; write the host here and the port in port", in_quotes(text));
  return std::nullopt;
}

Problem check_branch(std::string_view text) {
  const bool bad = text.starts_with('-') || text.find_first_of(" ~^:?*[\\") != std::string_view::npos ||
                   text.find("..") != std::string_view::npos;
  if (!bad) return std::nullopt;
  return fmt::format("{} is not a branch name; write one like main", in_quotes(text));
}

Problem check_url(std::string_view text) {
  if (const auto scheme = text.find("://"); scheme != std::string_view::npos) {
    const std::string_view authority = text.substr(scheme + 3, text.find('/', scheme + 3) - (scheme + 3));
    const auto at = authority.rfind('@');
    if (at != std::string_view::npos && authority.substr(0, at).find(':') != std::string_view::npos) {
      return "has a password in it; write it in password or password_file, and its user in username";
    }
  }
  if (!text.starts_with('-') && text.find_first_of(" \"'<>") == std::string_view::npos) return std::nullopt;
  return fmt::format("{} is not an address that Git takes; write one like https://host/path.git", in_quotes(text));
}

Problem check_address(std::string_view text) {
  const std::string address{text};
  std::array<unsigned char, sizeof(in6_addr)> parsed{};
  if (text == "localhost" || inet_pton(AF_INET, address.c_str(), parsed.data()) == 1 ||
      inet_pton(AF_INET6, address.c_str(), parsed.data()) == 1) {
    return std::nullopt;
  }
  return fmt::format("{} is not an address of this machine; write one like 127.0.0.1, ::1 or 0.0.0.0", in_quotes(text));
}

Problem check_pattern(std::string_view text) {
  if (!text.starts_with('/') && text.find("..") == std::string_view::npos) return std::nullopt;
  return fmt::format("{} leaves the repository; write a pattern like projects/*.yaml", in_quotes(text));
}

Problem check_approval(std::string_view text) {
  if (provision::approval_kind_named(text)) return std::nullopt;
  return fmt::format("{} is not known; write drop, clone-over or change-owner", in_quotes(text));
}

Problem check_list_host(std::string_view text) {
  const auto host = host_from(text);
  return host ? Problem{} : Problem{host.error()};
}

constexpr TextRule plain{};
constexpr TextRule optional_text{.may_be_empty = true};
constexpr TextRule database_name{.takes = "a name of at most 63 bytes", .check = check_database_name};
constexpr TextRule namespace_prefix{
    .may_be_empty = true, .takes = "lower-case letters, digits and dashes, at most 32", .check = check_prefix};
constexpr TextRule host_name{.takes = "a name, an address, or the absolute directory of a unix socket",
                             .check = check_host};
constexpr TextRule branch_name{.takes = "a branch", .check = check_branch};
constexpr TextRule git_url{.may_be_empty = true, .takes = "an address that Git takes", .check = check_url};
constexpr TextRule listen_address{.takes = "an address of this machine", .check = check_address};
constexpr TextRule path_pattern{.takes = "a pattern", .check = check_pattern};
constexpr TextRule approval_kind{.takes = "drop, clone-over or change-owner", .check = check_approval};
constexpr TextRule list_host{.takes = "a host", .check = check_list_host};
constexpr TextRule project_name{.takes = "the name of a project"};
constexpr TextRule file_name{.takes = "a file name"};
constexpr TextRule optional_file_name{.may_be_empty = true, .takes = "a file name"};

Problem check_text(std::string_view text, const TextRule& rule) {
  if (text.empty()) return rule.may_be_empty ? Problem{} : Problem{fmt::format("is empty; write {}", rule.takes)};
  if (text.size() > text_bytes_max) {
    return fmt::format("is longer than {} bytes; write a shorter text", text_bytes_max);
  }
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == '\x7f') {
      return fmt::format("{} has a control character in it; write {}", in_quotes(text), rule.takes);
    }
  }
  return rule.check == nullptr ? Problem{} : rule.check(text);
}

Problem check_one(std::span<const std::string> items) {
  if (items.size() == 1) return std::nullopt;
  return "is a list; write one value";
}

/// Collects the fields of one Settings object, section by section.
class FieldList {
 public:
  std::vector<Field> take() { return std::move(fields_); }

  void enter(std::string_view section) { prefix_ += std::string(section) + "."; }
  void leave() {
    prefix_.pop_back();
    const auto dot = prefix_.rfind('.');
    prefix_.resize(dot == std::string::npos ? 0 : dot + 1);
  }

  void text(std::string_view name, Setting<std::string>& to, const TextRule& rule, std::string about,
            std::string_view rival = {}) {
    Field& field = add(name, FieldKind::text, std::string(rule.takes), std::move(about), to, rival);
    field.assign = [&to, rule](std::span<const std::string> items) -> Problem {
      if (auto problem = check_one(items)) return problem;
      if (auto problem = check_text(items[0], rule)) return problem;
      to.value = items[0];
      return std::nullopt;
    };
    field.show = [&to] { return to.value; };
  }

  void path(std::string_view name, Setting<std::string>& to, const TextRule& rule, std::string about,
            std::string_view rival = {}) {
    text(name, to, rule, std::move(about), rival);
    fields_.back().kind = FieldKind::path;
  }

  template <class Number>
  void number(std::string_view name, Setting<Number>& to, std::uint64_t least, std::uint64_t most, std::string about) {
    Field& field = add(name, FieldKind::number,
                       most == any_u32 ? "a whole number" : fmt::format("a whole number from {} to {}", least, most),
                       std::move(about), to);
    field.assign = [&to, least, most](std::span<const std::string> items) -> Problem {
      if (auto problem = check_one(items)) return problem;
      const auto value = whole_number_from(items[0], least, most);
      if (!value) return value.error();
      to.value = static_cast<Number>(*value);
      return std::nullopt;
    };
    field.show = [&to] { return fmt::format("{}", to.value); };
  }

  void share(std::string_view name, Setting<double>& to, std::string about) {
    Field& field = add(name, FieldKind::fraction, "a number from 0 to 1", std::move(about), to);
    field.assign = [&to](std::span<const std::string> items) -> Problem {
      if (auto problem = check_one(items)) return problem;
      const auto value = share_from(items[0]);
      if (!value) return value.error();
      to.value = *value;
      return std::nullopt;
    };
    field.show = [&to] { return fmt::format("{}", to.value); };
  }

  /// `least` 0 lets "0" switch the thing off.
  void duration(std::string_view name, Setting<milliseconds>& to, milliseconds least, std::string about) {
    const bool off = least.count() == 0;
    Field& field = add(name, FieldKind::duration, off ? "a duration, or 0" : "a duration", std::move(about), to);
    field.assign = [&to, least](std::span<const std::string> items) -> Problem {
      if (auto problem = check_one(items)) return problem;
      const auto value = duration_from(items[0]);
      if (!value) return value.error();
      if (*value < least) {
        return fmt::format("{} is too short; write at least {}", in_quotes(items[0]), duration_text(least));
      }
      to.value = *value;
      return std::nullopt;
    };
    field.show = [&to] { return duration_text(to.value); };
  }

  void size(std::string_view name, Setting<std::uint32_t>& to, std::uint32_t least, std::uint32_t most,
            std::string about) {
    Field& field = add(name, FieldKind::size, fmt::format("a size from {} to {}", size_text(least), size_text(most)),
                       std::move(about), to);
    field.assign = [&to, least, most](std::span<const std::string> items) -> Problem {
      if (auto problem = check_one(items)) return problem;
      const auto value = size_from(items[0], least, most);
      if (!value) return value.error();
      to.value = *value;
      return std::nullopt;
    };
    field.show = [&to] { return size_text(to.value); };
  }

  template <class E, std::size_t N>
  void choice(std::string_view name, Setting<E>& to, const std::array<Choice<E>, N>& choices, std::string about) {
    Field& field = add(name, FieldKind::choice, names_of(choices), std::move(about), to);
    field.assign = [&to, &choices](std::span<const std::string> items) -> Problem {
      if (auto problem = check_one(items)) return problem;
      for (const auto& one : choices) {
        if (one.name != items[0]) continue;
        to.value = one.value;
        return std::nullopt;
      }
      return fmt::format("{} is not known; write {}", in_quotes(items[0]), names_of(choices));
    };
    field.show = [&to, &choices] {
      for (const auto& one : choices) {
        if (one.value == to.value) return std::string(one.name);
      }
      return std::string();
    };
  }

  void list(std::string_view name, Setting<std::vector<std::string>>& to, const TextRule& rule, std::size_t least,
            std::string takes, std::string about, std::string_view rival = {}) {
    Field& field = add(name, FieldKind::list, std::move(takes), std::move(about), to, rival);
    field.assign = [&to, rule, least](std::span<const std::string> items) -> Problem {
      constexpr std::size_t items_max = 1'000;
      if (items.size() < least) return fmt::format("is empty; write at least {}", least);
      if (items.size() > items_max) return fmt::format("has more than {} items; write fewer", items_max);
      for (const auto& item : items) {
        if (auto problem = check_text(item, rule)) return problem;
        if (std::ranges::count(items, item) > 1) return fmt::format("{} stands twice; write it once", in_quotes(item));
      }
      to.value.assign(items.begin(), items.end());
      return std::nullopt;
    };
    field.show = [&to] { return fmt::format("{}", fmt::join(to.value, ", ")); };
  }

  /// Two fields: the secret itself, and the file that holds it.
  void secret(std::string_view name, SecretSetting& to, std::string about) {
    const std::string file = std::string(name) + "_file";
    Field field{.path = prefix_ + std::string(name),
                .kind = FieldKind::secret,
                .takes = "a text",
                .about = about,
                .rival = prefix_ + file,
                .origin = &to.origin};
    field.assign = [&to](std::span<const std::string> items) -> Problem {
      constexpr std::size_t secret_bytes_max = 64U << 10U;
      if (items.size() != 1) return "is a list; write one value";
      if (items[0].empty()) return "is empty; write the secret, or leave the field out";
      if (items[0].size() > secret_bytes_max) return "is longer than 64KiB; write a shorter secret";
      if (items[0].find('\0') != std::string::npos) return "has a zero byte in it; write a text";
      to.bytes = std::make_shared<const SecretString>(items[0]);
      return std::nullopt;
    };
    field.reset = [&to] {
      to.bytes = nullptr;
      to.origin = {};
    };
    field.show = [&to] { return std::string(to.bytes == nullptr ? "" : "****"); };
    fields_.push_back(std::move(field));
    path(file, to.file, optional_file_name,
         "A file that holds it, read anew when it is used; beside it, " + std::string(name) + " may not stand.", name);
  }

 private:
  template <class T>
  Field& add(std::string_view name, FieldKind kind, std::string takes, std::string about, Setting<T>& to,
             std::string_view rival = {}) {
    Field field{.path = prefix_ + std::string(name),
                .kind = kind,
                .takes = std::move(takes),
                .about = std::move(about),
                .rival = rival.empty() ? "" : prefix_ + std::string(rival),
                .origin = &to.origin};
    field.reset = [&to, initial = to.value] {
      to.value = initial;
      to.origin = {};
    };
    return fields_.emplace_back(std::move(field));
  }

  std::string prefix_;
  std::vector<Field> fields_;
};

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
  list.text("user", database.user, database_name,
            "The administrator: a superuser, or one with CREATEROLE and CREATEDB.");
  list.secret("password", database.password, "Its password; without one none is sent.");
  list.text("database", database.database, database_name,
            "What a further pool connects to; main connects to control.database.");
  list.list("projects", database.projects, project_name, 0, "a list of projects, or \"*\"",
            "The projects that may name this pool; \"*\": all of them, which is the default of main.");
  list.enter("tls");
  list.choice("mode", database.tls.mode, tls_modes, "Whether the connection is encrypted and the server verified.");
  list.path("ca_file", database.tls.ca_file, optional_file_name,
            "The certificate authorities to trust (PEM); empty: the system's.");
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

void describe_repository(FieldList& list, RepositorySettings& repository) {
  list.enter("projects");
  list.enter("repository");
  list.text("url", repository.url, git_url, "The Git repository of project files; empty: none is monitored.");
  list.text("branch", repository.branch, branch_name, "The branch that is followed.");
  list.list("paths", repository.paths, path_pattern, 1, "a list of patterns",
            "Which files of it are project files; * stands for anything but a slash.");
  list.duration("poll_interval", repository.poll_interval, milliseconds{100}, "How often its head is looked at.");
  list.duration("timeout", repository.timeout, milliseconds{100}, "Of one fetch or look.");
  list.text("username", repository.username, optional_text, "For https.");
  list.secret("password", repository.password, "For https: a password or token.");
  list.path("ssh_key_file", repository.ssh_key_file, optional_file_name, "For ssh: the private key.");
  list.path("ssh_known_hosts_file", repository.ssh_known_hosts_file, optional_file_name,
            "For ssh: the host keys to trust.");
  list.path("mirror_directory", repository.mirror_directory, optional_file_name,
            "Where the mirror stands; empty: mirror in state.directory.");
  list.leave();
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
  describe_repository(list, settings.projects.repository);
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
  list.list("approval", settings.provision.approval, approval_kind, 0, "a list of drop, clone-over and change-owner",
            "Kinds of action that are only done by `opi apply --digest`, when somebody has seen the plan.");
  list.leave();
  list.enter("clone");
  list.text(
      "pg_dump", settings.clone.pg_dump, file_name,
      "What clone-from copies with: a path, or a name in /usr/local/bin, /usr/bin or /bin; not older than the server.");
  list.text("pg_restore", settings.clone.pg_restore, file_name, "Its other half; not older than pg_dump.");
  list.duration("timeout", settings.clone.timeout, second, "Of one copy.");
  list.leave();
  list.enter("history");
  list.duration("retention", settings.history.retention, milliseconds{0},
                "How long it is kept what was done, by whom and how it ended; 0: for ever.");
  list.leave();
  list.enter("state");
  list.path("directory", settings.state.directory, file_name, "Where the daemon keeps its files.");
  list.leave();
  return list.take();
}

}  // namespace opi::app
