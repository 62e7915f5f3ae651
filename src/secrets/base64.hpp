#pragma once
/// @file
/// Standard base64 (RFC 4648 §4), strict: one text for each value.

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace opi::secrets {

enum class Padding { padded, unpadded };

std::string base64_encode(std::string_view bytes, Padding padding = Padding::padded);

/// Refuses white space, characters outside the alphabet, padding other than asked for, and stray bits in the last
/// character. Errors: invalid, with the reason and never the text.
Result<std::string> base64_decode(std::string_view text, Padding padding = Padding::padded);

}  // namespace opi::secrets
