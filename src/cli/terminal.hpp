#pragma once
/// @file
/// The terminal that a person sits at, whatever standard input and output are.

#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/secret_string.hpp"

namespace opi::cli {

/// Asks on the terminal and reads one line that is not shown. Errors: unavailable (there is no terminal), cancelled (it
/// was closed).
Result<SecretString> ask_secret(std::string_view question);

/// Writes to the terminal, or to standard error without one.
void tell_terminal(std::string_view text);

}  // namespace opi::cli
