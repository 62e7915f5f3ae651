#pragma once
/// @file
/// `opi adopt`: takes over a database that was there before us.

#include "app/settings_loader.hpp"
#include "cli/arguments.hpp"

namespace opi::cli {

/// Without --additive or --full prints what would change: 0 nothing, 2 changes. With one of them does it: 0, or 1 when
/// it failed or was refused.
int run_adopt(const Arguments& arguments, const app::Environment& environment);

}  // namespace opi::cli
