#include "app/settings_reload.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "app/settings_fields.hpp"

namespace opi::app {

namespace {

using FieldsByPath = std::map<std::string, Field, std::less<>>;

FieldsByPath fields_by_path(Settings& settings) {
  FieldsByPath fields;
  for (Field& field : fields_of(settings)) {
    std::string path = field.path;
    fields.emplace(std::move(path), std::move(field));
  }
  return fields;
}

bool is_of_a_pool(std::string_view path) {
  return path.starts_with("databases.");
}

bool changes_while_running(std::string_view path) {
  constexpr std::array of_main = {"databases.main.host", "databases.main.hosts", "databases.main.port"};
  if (!is_of_a_pool(path) || path.ends_with(".projects") || path.ends_with(".connections")) return false;
  return std::ranges::find(of_main, path) == of_main.end();
}

std::string shown(const std::string& value) {
  return value.empty() ? "(none)" : value;
}

bool same_secret(const SecretSetting& a, const SecretSetting& b) {
  if (a.bytes == nullptr || b.bytes == nullptr) return a.bytes == b.bytes;
  return *a.bytes == *b.bytes;
}

}  // namespace

SettingsReload reload_settings(const Settings& present, Settings fresh) {
  SettingsReload reload{.settings = present};
  const auto refuse = [&](const std::string& where, const std::string& what) {
    reload.refused.push_back(fmt::format("{}{}{} takes effect with a restart", where, where.empty() ? "" : ": ", what));
  };
  for (const auto& [name, database] : fresh.databases) {
    if (!present.databases.contains(name)) refuse(database.origin.to_string(), "databases." + name + ": a new pool");
  }
  for (const auto& [name, database] : present.databases) {
    if (!fresh.databases.contains(name)) refuse(fresh.file, "databases." + name + ": removing a pool");
  }
  Settings before = present;
  const FieldsByPath old_fields = fields_by_path(before);
  const FieldsByPath new_fields = fields_by_path(fresh);
  for (const auto& [path, field] : new_fields) {
    const auto old = old_fields.find(path);
    if (old == old_fields.end() || field.secret()) continue;
    const std::string was = old->second.show();
    const std::string is = field.show();
    if (was == is || changes_while_running(path)) continue;
    refuse(field.origin->given() ? field.origin->to_string() : fresh.file,
           fmt::format("{}: {} → {}", path, shown(was), shown(is)));
  }
  if (!same_secret(present.secrets.platform_key, fresh.secrets.platform_key)) {
    refuse(fresh.secrets.platform_key.origin.to_string(), "secrets.platform_key: another key");
  }
  if (!same_secret(present.projects.repository.password, fresh.projects.repository.password)) {
    refuse(fresh.projects.repository.password.origin.to_string(), "projects.repository.password: another password");
  }
  for (auto& [name, database] : reload.settings.databases) {
    const auto found = fresh.databases.find(name);
    if (found == fresh.databases.end()) continue;
    DatabaseSettings wanted = std::move(found->second);
    wanted.projects = database.projects;
    wanted.connections = database.connections;
    if (name == "main") {
      wanted.host = database.host;
      wanted.hosts = database.hosts;
      wanted.port = database.port;
    }
    database = std::move(wanted);
  }
  return reload;
}

}  // namespace opi::app
