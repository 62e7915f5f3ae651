#pragma once
/// @file
/// `opi serve` and `opi demo`: the daemon, on a configuration of yours or on one that is made for you.

#include <functional>
#include <string>

#include "app/application.hpp"
#include "app/settings_loader.hpp"
#include "cli/arguments.hpp"

namespace opi::cli {

/// Runs the daemon until SIGINT or SIGTERM. 0, 1 (it could not start, or not stop cleanly), 78 (bad configuration).
int run_serve(const std::string& config, const app::Environment& environment);

/// The same on loaded settings; `on_serving` is called once everything is up.
int serve(app::Settings settings, std::function<void(app::Application&)> on_serving);

/// `opi demo [--once]`.
int run_demo(const Arguments& arguments, const app::Environment& environment);

}  // namespace opi::cli
