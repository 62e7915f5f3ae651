#pragma once
/// @file
/// The SHA-256 of a text, for digests of effects and of inputs.

#include <string>
#include <string_view>

namespace opi::provision {

/// 64 lower-case hex digits. Pure; safe from any thread.
std::string sha256_hex(std::string_view text);

}  // namespace opi::provision
