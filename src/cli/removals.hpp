#pragma once
/// @file
/// `opi removals`: what is not declared any more, and a person's word about it.

#include "app/settings_loader.hpp"
#include "cli/arguments.hpp"

namespace opi::cli {

/// `opi removals list`, `confirm PROJECT [DEPLOYMENT] [--now]`, `keep PROJECT [DEPLOYMENT]` and `namespace NAME`. 0, or
/// 1 when it failed or nothing of that name is undeclared.
int run_removals(const Arguments& arguments, const app::Environment& environment);

}  // namespace opi::cli
