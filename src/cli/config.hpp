#pragma once
/// @file
/// `opi config check` and `opi config show`: what a configuration says, or everything that is wrong with it.

#include <iosfwd>
#include <optional>
#include <string>

#include "app/settings_loader.hpp"

namespace opi::cli {

/// Exit code for a configuration that cannot be used (EX_CONFIG of sysexits.h).
inline constexpr int exit_bad_configuration = 78;

/// Loads the Settings of a command: --config `file` ("" when not given), or the usual places. Prints every error to
/// `errors`, one line each, and returns nothing; the command then ends with exit_bad_configuration.
std::optional<app::Settings> load_or_explain(const std::string& file, const app::Environment& environment,
                                             std::ostream& errors);

/// Prints "opi.yaml: ok, 2 databases (main, analytics), projects from https://…" and returns 0, or the errors and 78.
int run_config_check(const std::string& file, const app::Environment& environment, std::ostream& out,
                     std::ostream& errors);

/// Prints every field with its value and origin, secrets masked: a table, or with `json` one object
/// {"file": …, "fields": [{"path", "value", "origin", "variable"} …]}. Returns 0, or 78 with the errors.
int run_config_show(const std::string& file, bool json, const app::Environment& environment, std::ostream& out,
                    std::ostream& errors);

/// Prints docs/configuration.md, made from the table of fields (`opi config manual > docs/configuration.md`). Returns
/// 0.
int run_config_manual(std::ostream& out);

}  // namespace opi::cli
