#pragma once
/// @file
/// `opi repositories`, `opi suspend`, `opi resume` and `opi reconcile`: what people say to the daemon that runs here.

#include <optional>
#include <string>
#include <string_view>

#include "app/settings_loader.hpp"
#include "cli/arguments.hpp"

namespace opi::cli {

/// Asks the daemon of the same configuration on http.address and http.port, from this machine. 0; 1 when there is
/// none, it refuses, or it does not answer in ten seconds; 78 for a bad configuration.
int run_repositories(const Arguments& arguments, const app::Environment& environment);

/// The answer of GET /api/v1/repositories as a table, with a line of reason for what fails or is refused; nothing when
/// it is not what that route answers. Never throws on input.
std::optional<std::string> repositories_text(std::string_view json);

}  // namespace opi::cli
