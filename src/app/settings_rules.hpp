#pragma once
/// @file
/// What must hold between settings that are each fine alone.

#include "app/settings.hpp"
#include "app/settings_loader.hpp"

namespace opi::app {

/// Every broken rule, at the place or variable of the value that breaks it; `root` is where the file begins, for what
/// is missing. Reads the files that hold secrets, to see that they can be read. Empty when all is well.
SettingsErrors check_rules(const Settings& settings, const Place& root);

}  // namespace opi::app
