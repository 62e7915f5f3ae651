#pragma once
/// @file
/// From Settings to the plain settings that each room takes; only app and cli see both.

#include <string_view>
#include <vector>

#include "app/settings.hpp"
#include "http/server.hpp"
#include "pg/settings.hpp"

namespace opi::app {

/// The pool `name` of `settings.databases` (a broken invariant when there is none). Its password provider reads a
/// password file anew at each dial, owns copies of what it needs and is safe from any thread.
pg::PoolConfig pool_config(const Settings& settings, std::string_view name);

/// All of them, `main` first, the rest by name.
std::vector<pg::PoolConfig> pool_configs(const Settings& settings);

/// Where the API listens, and its limits.
http::ListenAddress http_address(const Settings& settings);
http::ServerLimits http_limits(const Settings& settings);
/// Where the probes listen.
http::ListenAddress probe_address(const Settings& settings);

/// The platform key's text (an age identity), read now. Blocking. Errors: as SecretSetting::read, naming the field.
Result<SecretString> platform_key(const Settings& settings);

/// Where the mirror of the projects repository stands: the setting, or `<state.directory>/mirror`.
std::string mirror_directory(const Settings& settings);

}  // namespace opi::app
