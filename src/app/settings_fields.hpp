#pragma once
/// @file
/// Every field of Settings as data: its path, type, documentation and how to set and show it. The one table that the
/// loader, `opi config show` and docs/configuration.md are made from, so that no field can be forgotten in one of them.

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/settings.hpp"

namespace opi::app {

/// What sort of YAML value a field takes.
enum class FieldKind { text, number, fraction, duration, size, choice, list, secret, path };

/// One field of one Settings object. Borrows that object: valid while it lives and its `databases` and
/// `projects.repositories` keep their keys.
struct Field {
  std::string path;  ///< "databases.main.pool.max"
  FieldKind kind = FieldKind::text;
  std::string takes;       ///< for people: "a whole number from 1 to 65535"
  std::string about;       ///< one sentence
  std::string rival = {};  ///< the path of the field that may not stand beside this one
  Origin* origin = nullptr;
  /// Sets the value from its text (a list from its items); nothing else happens. What is wrong and what instead, or
  /// nothing.
  std::function<std::optional<std::string>(std::span<const std::string> items)> assign;
  /// Back to the default, origin included.
  std::function<void()> reset;
  /// As `opi.yaml` would have it, lists separated by ", "; a secret as "****", nothing as "".
  std::function<std::string()> show;

  bool secret() const noexcept { return kind == FieldKind::secret; }
  /// OPI_DATABASES__MAIN__POOL__MAX.
  std::string variable() const;
};

/// The fields of `settings`, in the order of the documentation; those of `databases` and
/// `projects.repositories` once per entry.
std::vector<Field> fields_of(Settings& settings);

/// The variable of a path: OPI_ + upper case, `.` as `__`, `-` as `_`.
std::string variable_of(std::string_view path);

/// docs/configuration.md: every field with type, default, variable and meaning. Ends with a newline.
std::string settings_manual();

}  // namespace opi::app
