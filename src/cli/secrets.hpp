#pragma once
/// @file
/// `opi secrets`: the rotation of the platform key, and of a project's.

#include "app/settings_loader.hpp"
#include "cli/arguments.hpp"

namespace opi::cli {

/// Seals everything in the control database to the first platform key, or with --dry-run says what would be. Returns 0,
/// 1 when something does not open (nothing is changed then), or 78.
int run_secrets_reseal(const Arguments& arguments, const app::Environment& environment);

/// Gives the project another age key. Returns 0, 1 when it has none of ours (its file brings it), or 78.
int run_secrets_replace_key(const Arguments& arguments, const app::Environment& environment);

}  // namespace opi::cli
