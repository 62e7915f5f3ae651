#pragma once
/// @file
/// `opi secrets reseal`: the last step but one of rotating the platform key.

#include "app/settings_loader.hpp"
#include "cli/arguments.hpp"

namespace opi::cli {

/// Seals everything in the control database to the first platform key, or with --dry-run says what would be. Returns 0,
/// 1 when something does not open (nothing is changed then), or 78.
int run_secrets_reseal(const Arguments& arguments, const app::Environment& environment);

}  // namespace opi::cli
