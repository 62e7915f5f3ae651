#pragma once
/// @file
/// Where in an input something stands.

#include <string>

namespace opi {

/// A position in a text file, as editors count it.
/// Line and column start at 1 and the column counts Unicode code points; 0 means "not known".
/// A plain value: copy it freely, safe from any thread.
struct Place {
  std::string file;
  int line = 0;
  int column = 0;

  bool known() const noexcept { return !file.empty(); }

  /// "file:line:column", "file:line" or "file", as much as is known; "" when nothing is.
  std::string to_string() const;

  friend bool operator==(const Place&, const Place&) = default;
};

}  // namespace opi
