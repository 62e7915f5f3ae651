#pragma once
/// @file
/// The one function that quotes identifiers and the one that quotes literals.

#include <string>
#include <string_view>

namespace opi::pg {

/// `name` as a double-quoted SQL identifier. Throws std::invalid_argument for an empty name, one with a NUL byte, or
/// one longer than 63 bytes (the server would cut it): names are checked long before.
std::string quote_identifier(std::string_view name);

/// `text` as a single-quoted SQL literal, safe with standard_conforming_strings on (which every session of ours pins).
/// Throws std::invalid_argument for a NUL byte. For DDL only, which takes no parameters; queries use Params.
std::string quote_literal(std::string_view text);

}  // namespace opi::pg
