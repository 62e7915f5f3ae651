#pragma once
/// @file
/// `opi schema`: the JSON Schema of project files, for editors.

#include <iosfwd>

namespace opi::cli {

/// Prints the schema. Returns 0, or 1 when it could not be written.
int run_schema(std::ostream& out);

}  // namespace opi::cli
