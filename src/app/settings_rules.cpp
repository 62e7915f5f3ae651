#include "app/settings_rules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "app/settings_values.hpp"
#include "provision/connection_budget.hpp"

namespace opi::app {

namespace {

class Rules {
 public:
  explicit Rules(const Place& root) : root_(root) {}

  /// "path: what" where the value was said.
  void broken(const Origin& origin, std::string_view path, std::string_view what) {
    const std::string text = fmt::format("{}: {}", path, what);
    Error error{ErrorKind::invalid, text};
    if (origin.source == Origin::Source::environment) {
      error.message = fmt::format("environment variable {}: {}", origin.variable, text);
    } else {
      error.place = origin.given() ? origin.place : root_;
    }
    // In the order of the file, then what variables said.
    const auto order = [](const Error& one) {
      return std::tuple(!one.place.known(), one.place.line, one.place.column);
    };
    errors_.insert(std::ranges::upper_bound(errors_, order(error), {}, order), std::move(error));
  }

  SettingsErrors take() { return std::move(errors_); }

 private:
  const Place& root_;
  SettingsErrors errors_;
};

void check_secret(Rules& rules, const SecretSetting& secret, const std::string& path) {
  if (secret.file->empty()) return;
  const auto read = secret.read();
  if (read) return;
  rules.broken(secret.file.origin, path + "_file",
               fmt::format("{} {}; write the name of a file that holds the secret", in_quotes(*secret.file),
                           read.error().causes.front()));
}

void check_database(Rules& rules, const std::string& name, const DatabaseSettings& database) {
  const std::string path = "databases." + name;
  const PoolLimits& pool = database.pool;
  if (*pool.min > *pool.max) {
    const bool min_said = pool.min.origin.given();
    rules.broken(min_said ? pool.min.origin : pool.max.origin, path + (min_said ? ".pool.min" : ".pool.max"),
                 min_said ? fmt::format("{} is more than pool.max ({}); write at most {}, or raise pool.max", *pool.min,
                                        *pool.max, *pool.max)
                          : fmt::format("{} is less than pool.min ({}); write at least {}, or lower pool.min",
                                        *pool.max, *pool.min, *pool.min));
  }
  constexpr std::uint32_t beside = provision::ConnectionBudget::least;
  if (const auto all = *database.connections; all != 0 && all < *pool.max + beside) {
    rules.broken(database.connections.origin, path + ".connections",
                 fmt::format("{} is less than pool.max ({}) and {} beside it; write at least {}, or lower pool.max",
                             all, *pool.max, beside, *pool.max + beside));
  }
  if (name == "main" && database.database.origin.given()) {
    rules.broken(database.database.origin, path + ".database",
                 "main connects to the control database; write its name in control.database");
  }
  if (*database.tls.mode == pg::TlsMode::disable && !database.tls.ca_file->empty()) {
    rules.broken(database.tls.ca_file.origin, path + ".tls.ca_file",
                 "is of no use while tls.mode is disable; write verify-full there, or leave this out");
  }
  if (*database.tls.mode == pg::TlsMode::disable && *database.tls.channel_binding == pg::ChannelBinding::require) {
    rules.broken(database.tls.channel_binding.origin, path + ".tls.channel_binding",
                 "require needs TLS; write require or verify-full in tls.mode");
  }
  const auto& projects = *database.projects;
  if (projects.size() > 1 && std::ranges::find(projects, "*") != projects.end()) {
    rules.broken(database.projects.origin, path + ".projects", "\"*\" stands for all projects; write it alone");
  }
  check_secret(rules, database.password, path + ".password");
}

void check_private_postgres(Rules& rules, const Settings& settings) {
  const auto& directory = settings.private_postgres.directory;
  const auto main = settings.databases.find("main");
  if (directory->empty() || main == settings.databases.end()) return;
  if (*main->second.host != "127.0.0.1" || !main->second.hosts->empty() || main->second.password.file->empty()) {
    rules.broken(directory.origin, "private_postgres.directory",
                 "needs databases.main.host 127.0.0.1 and databases.main.password_file: that is where and as whom the "
                 "server is made");
  }
}

void check_repository(Rules& rules, const RepositorySettings& repository, const std::string& path) {
  check_secret(rules, repository.password, path + ".password");
  check_secret(rules, repository.webhook_secret, path + ".webhook_secret");
  const VerifySettings& verify = repository.verify;
  if (*verify.mode != git::VerifyMode::none && verify.allowed_signers_file->empty() &&
      verify.openpgp_keyring_file->empty()) {
    rules.broken(verify.mode.origin, path + ".verify.mode",
                 "needs keys; write allowed_signers_file or openpgp_keyring_file beside it");
  }
}

void check_repositories(Rules& rules, const ProjectsSettings& projects) {
  check_repository(rules, projects.repository, "projects.repository");
  std::map<std::string, std::string> paths;
  if (projects.repository.configured()) paths.emplace(*projects.repository.url, "projects.repository");
  for (const auto& [name, repository] : projects.repositories) {
    const std::string path = "projects.repositories." + name;
    check_repository(rules, repository, path);
    if (name == "projects") {
      rules.broken(repository.origin, path, "is what projects.repository is called; write another name");
    }
    if (!repository.configured()) {
      rules.broken(repository.origin, path + ".url", "is missing; write the address of the repository");
      continue;
    }
    const auto [same, added] = paths.emplace(*repository.url, path);
    if (!added) {
      rules.broken(repository.url.origin, path + ".url",
                   fmt::format("is that of {} too; write its branches there", same->second));
    }
  }
}

/// Whether a listener on one of the addresses leaves no room for one on the other.
bool overlap(std::string_view one, std::string_view other) {
  const auto any = [](std::string_view address) { return address == "0.0.0.0" || address == "::"; };
  const auto plain = [](std::string_view address) { return address == "localhost" ? "127.0.0.1" : address; };
  return any(one) || any(other) || plain(one) == plain(other);
}

void check_ports(Rules& rules, const HttpSettings& http, const ProbeSettings& probes) {
  if (*http.port == 0 || *http.port != *probes.port || !overlap(*http.address, *probes.address)) return;
  const bool probes_said = probes.port.origin.given();
  rules.broken(probes_said ? probes.port.origin : http.port.origin, probes_said ? "probes.port" : "http.port",
               fmt::format("{} is {} too; write another port", *http.port, probes_said ? "http.port" : "probes.port"));
}

}  // namespace

SettingsErrors check_rules(const Settings& settings, const Place& root) {
  Rules rules{root};
  if (!settings.databases.contains("main")) {
    rules.broken({}, "databases.main", "is missing; write at least host and user of the server that provisions");
  }
  for (const auto& [name, database] : settings.databases) check_database(rules, name, database);
  check_repositories(rules, settings.projects);
  check_secret(rules, settings.secrets.platform_key, "secrets.platform_key");
  check_private_postgres(rules, settings);
  check_ports(rules, settings.http, settings.probes);
  return rules.take();
}

}  // namespace opi::app
