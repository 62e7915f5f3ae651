#pragma once
/// @file
/// Which changes of the configuration take effect while the daemon runs.

#include <string>
#include <vector>

#include "app/settings.hpp"

namespace opi::app {

/// What a configuration that was read again amounts to.
struct SettingsReload {
  Settings settings;                      ///< in force from now on
  std::vector<std::string> refused = {};  ///< "opi.yaml:9:5: http.port: 8080 → 8081 takes effect with a restart"
};

/// Takes from `fresh` what can change: everything of `databases` but which pools there are, which projects may use
/// them, and which server `main` is on, for the state of all else lives there. Passwords change silently. Pure.
SettingsReload reload_settings(const Settings& present, Settings fresh);

}  // namespace opi::app
