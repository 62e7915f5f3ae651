#pragma once
/// @file
/// Reads `opi.yaml` and the environment into checked Settings, or says everything that is wrong with them.
///
/// Precedence, weakest first: default, file, environment. The variable of a field is `OPI_` and the field's path in
/// upper case, with
/// `__` between the steps and `_` for a dash: databases.main.pool.max is OPI_DATABASES__MAIN__POOL__MAX. Lists are
/// separated by commas. A variable that starts with OPI_, has a `__` in it and names no field is refused; others are
/// not ours. Relative file names in the file count from its folder, those in the environment from the working
/// directory.

#include <expected>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "app/settings.hpp"
#include "base/result.hpp"

namespace opi::app {

/// The process's variables, or a test's.
using Environment = std::map<std::string, std::string, std::less<>>;

/// A copy of the environment of this process. Not safe while another thread changes it.
Environment process_environment();

/// At least one Error of kind invalid, in the order of the file, then of the variables' names. Each prints itself as
/// "file:line:column: field: what and what instead" or "environment variable NAME: field: …".
using SettingsErrors = std::vector<Error>;

template <class T>
using Checked = std::expected<T, SettingsErrors>;

/// The largest configuration file that is read, in bytes.
inline constexpr std::size_t settings_bytes_max = 1U << 20U;

/// Which file to read: `chosen` (from --config), else $OPI_CONFIG, else ./opi.yaml, else ./.opi/opi.yaml (the demo's),
/// else /etc/opi/opi.yaml. Errors: not_found, when none of the last three is there; a chosen file is returned even when
/// it is missing.
Result<std::string> find_settings_file(std::string_view chosen, const Environment& environment);

/// Reads and checks. Files that hold secrets are read once to see that they can be.
/// A missing or unreadable file is one Error that names it.
Checked<Settings> load_settings(const std::string& file, const Environment& environment);

/// The same on text that was read already; `file` is only a name, `folder` is where relative file names count from.
Checked<Settings> parse_settings(std::string_view text, const std::string& file, const std::string& folder,
                                 const Environment& environment);

}  // namespace opi::app
