#pragma once
/// @file
/// The JSON Schema of project files, for editors.

#include <string>

namespace opi::project {

/// JSON Schema 2020-12 of all layouts, made from the same tables as the parser's rules, indented by two spaces, with a
/// line break at its end. It says of every file what the parser says, but for what needs more than one value at a time:
/// unique names, references, the namespace, the names of databases. The same bytes on every call. Pure.
std::string json_schema();

}  // namespace opi::project
