#pragma once
/// @file
/// `opi validate FILE…`: every error of every project file, before anybody commits it.

#include <iosfwd>
#include <string>
#include <vector>

namespace opi::cli {

struct ValidateArguments {
  std::vector<std::string> files = {};  ///< paths; "-" is standard input
  bool json = false;                    ///< one JSON document instead of lines
};

/// Prints to `err` "file:line:column: error: …" for every error of every file (and for names that collide between the
/// files), to `out` one line that sums up; with `json` all of it as one document to `out`. Needs no configuration, so
/// clusters and pools are not looked up. Returns 0, or 1 when anything is wrong, an unreadable file included.
int run_validate(const ValidateArguments& arguments, std::ostream& out, std::ostream& err);

}  // namespace opi::cli
