#include "pg/settings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace opi::pg {
namespace {

constexpr std::size_t text_bytes_max = 1'024;  // of any one setting; far above what a server takes
constexpr std::size_t name_bytes_max = 63;     // NAMEDATALEN - 1: the server cuts longer ones and lets in somebody else
constexpr std::size_t hosts_max = 32;
constexpr std::uint32_t connections_max = 10'000;
constexpr std::uint32_t waiting_max = 1'000'000;

bool same_setting(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
  });
}

bool is_setting_name(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.';
  });
}

Result<> check_text(std::string_view field, std::string_view text, bool required,
                    std::size_t bytes_max = text_bytes_max) {
  if (required && text.empty()) return failure(ErrorKind::invalid, fmt::format("{}: must not be empty", field));
  if (text.contains('\0')) return failure(ErrorKind::invalid, fmt::format("{}: must not contain a NUL byte", field));
  if (text.size() > bytes_max) {
    return failure(ErrorKind::invalid,
                   fmt::format("{}: has {} bytes; at most {} are allowed", field, text.size(), bytes_max));
  }
  return {};
}

Result<> check_options(const ServerSettings& server) {
  const auto pins = startup_pins(server);
  for (const auto& [name, value] : server.options) {
    if (!is_setting_name(name)) {
      return failure(ErrorKind::invalid, fmt::format("options: \"{}\" is not the name of a setting", name));
    }
    if (const auto checked = check_text("options." + name, value, false); !checked) return checked;
    if (std::ranges::any_of(pins, [&](const auto& pin) { return same_setting(pin.first, name); })) {
      return failure(ErrorKind::invalid, fmt::format("options.{}: is pinned for every session; leave it out", name));
    }
  }
  return {};
}

std::string milliseconds(std::chrono::milliseconds duration) {
  return std::to_string(std::max<std::int64_t>(duration.count(), 0));
}

}  // namespace

std::string_view to_string(SessionTarget target) noexcept {
  switch (target) {
    case SessionTarget::any: return "any";
    case SessionTarget::read_write: return "read-write";
    case SessionTarget::read_only: return "read-only";
    case SessionTarget::primary: return "primary";
    case SessionTarget::standby: return "standby";
    case SessionTarget::prefer_standby: return "prefer-standby";
  }
  return "any";
}

std::string_view to_string(HostRole role) noexcept {
  switch (role) {
    case HostRole::unknown: return "unknown";
    case HostRole::primary: return "primary";
    case HostRole::standby: return "standby";
  }
  return "unknown";
}

Fit fit_of(SessionTarget target, HostRole role) noexcept {
  const bool standby = role == HostRole::standby;
  switch (target) {
    case SessionTarget::any: return Fit::good;
    case SessionTarget::read_write:
    case SessionTarget::primary: return standby ? Fit::none : Fit::good;
    case SessionTarget::read_only:
    case SessionTarget::standby: return standby ? Fit::good : Fit::none;
    case SessionTarget::prefer_standby: return standby ? Fit::good : Fit::second_best;
  }
  return Fit::good;
}

std::string to_string(const HostPort& host) {
  if (host.host.starts_with('/')) return host.host;
  if (host.host.contains(':')) return fmt::format("[{}]:{}", host.host, host.port);
  return fmt::format("{}:{}", host.host, host.port);
}

Result<> validate(const ServerSettings& server) {
  if (server.hosts.empty()) return failure(ErrorKind::invalid, "hosts: name at least one host");
  if (server.hosts.size() > hosts_max) {
    return failure(ErrorKind::invalid,
                   fmt::format("hosts: {} are too many; at most {}", server.hosts.size(), hosts_max));
  }
  for (const HostPort& host : server.hosts) {
    if (const auto checked = check_text("host", host.host, true); !checked) return checked;
    if (host.host.contains(',')) return failure(ErrorKind::invalid, "host: give several hosts as several entries");
    if (host.port == 0) return failure(ErrorKind::invalid, "port: must be 1 to 65535");
  }
  if (const auto checked = check_text("user", server.user, true, name_bytes_max); !checked) return checked;
  if (const auto checked = check_text("database", server.database, true, name_bytes_max); !checked) return checked;
  if (const auto checked = check_text("application_name", server.application_name, false); !checked) return checked;
  if (const auto checked = check_text("tls_ca_file", server.tls_ca_file, false); !checked) return checked;
  if (server.channel_binding == ChannelBinding::require && server.tls == TlsMode::disable) {
    return failure(ErrorKind::invalid, "channel_binding: require needs TLS; set tls to require or verify_full");
  }
  if (server.connect_timeout.count() <= 0) return failure(ErrorKind::invalid, "connect_timeout: must be above 0");
  if (server.role_recheck.count() <= 0) return failure(ErrorKind::invalid, "role_recheck: must be above 0");
  return check_options(server);
}

Result<> validate(const PoolConfig& config) {
  if (const auto checked = check_text("name", config.name, true); !checked) return checked;
  const PoolSettings& pool = config.pool;
  if (pool.max == 0 || pool.max > connections_max) {
    return failure(ErrorKind::invalid, fmt::format("pool.max: {} is not 1 to {}", pool.max, connections_max));
  }
  if (pool.min > pool.max) {
    return failure(ErrorKind::invalid, fmt::format("pool.min: {} is above pool.max ({})", pool.min, pool.max));
  }
  if (pool.max_waiting > waiting_max) {
    return failure(ErrorKind::invalid, fmt::format("pool.max_waiting: at most {}", waiting_max));
  }
  if (pool.acquire_timeout.count() <= 0) return failure(ErrorKind::invalid, "pool.acquire_timeout: must be above 0");
  if (pool.ping_timeout.count() <= 0) return failure(ErrorKind::invalid, "pool.ping_timeout: must be above 0");
  if (!(pool.lifetime_jitter >= 0.0 && pool.lifetime_jitter <= 1.0)) {
    return failure(ErrorKind::invalid, "pool.lifetime_jitter: must be 0 to 1");
  }
  for (const auto& [field, value] :
       {std::pair{"max_lifetime", pool.max_lifetime}, std::pair{"idle_timeout", pool.idle_timeout},
        std::pair{"ping_after_idle", pool.ping_after_idle}, std::pair{"leak_after", pool.leak_after}}) {
    if (value.count() < 0) return failure(ErrorKind::invalid, fmt::format("pool.{}: must be 0 (off) or above", field));
  }
  return validate(config.server);
}

std::vector<std::pair<std::string, std::string>> startup_pins(const ServerSettings& server) {
  std::vector<std::pair<std::string, std::string>> pins;
  if (server.pin_role_and_path) pins = {{"role", "none"}, {"search_path", "pg_catalog,pg_temp"}};
  const std::vector<std::pair<std::string, std::string>> always = {
      {"standard_conforming_strings", "on"},
      {"client_encoding", "UTF8"},
      {"statement_timeout", milliseconds(server.statement_timeout)},
      {"lock_timeout", milliseconds(server.lock_timeout)},
      {"idle_in_transaction_session_timeout", milliseconds(server.idle_in_transaction_timeout)},
      {"default_transaction_read_only", server.target == SessionTarget::read_only ? "on" : "off"},
      {"row_security", "on"},
      {"DateStyle", "ISO"},
      {"bytea_output", "hex"},
  };
  pins.insert(pins.end(), always.begin(), always.end());
  return pins;
}

}  // namespace opi::pg
