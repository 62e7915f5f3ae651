#pragma once
/// @file
/// The text of a small file, bounded.

#include <cstddef>
#include <string>

#include "base/result.hpp"

namespace opi::app {

/// The whole of a regular file of at most `bytes_max` bytes. Blocking. The message does not name the file: the caller
/// does. Errors: not_found, denied, invalid (no regular file, or too big), unavailable (anything else of the system).
Result<std::string> read_small_file(const std::string& path, std::size_t bytes_max);

}  // namespace opi::app
