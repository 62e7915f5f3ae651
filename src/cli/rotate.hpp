#pragma once
/// @file
/// `opi rotate`: new passwords, on demand.

#include "app/settings_loader.hpp"
#include "cli/arguments.hpp"

namespace opi::cli {

/// `opi rotate PROJECT [DEPLOYMENT]`: prints what was done and until when the old logins are valid. 0, or 1 when
/// something failed, was refused or waits.
int run_rotate(const Arguments& arguments, const app::Environment& environment);

}  // namespace opi::cli
