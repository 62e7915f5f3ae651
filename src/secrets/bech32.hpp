#pragma once
/// @file
/// Bech32 (BIP 173) as age uses it: without the limit of 90 characters.

#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/secret_string.hpp"

namespace opi::secrets {

/// A decoded text: its human-readable part in lower case, and its bytes.
struct Bech32 {
  std::string prefix;
  SecretString data;
};

/// `prefix` + "1" + data + checksum, all in lower case. `prefix` is printable ASCII in lower case, not empty (else
/// std::invalid_argument).
SecretString bech32_encode(std::string_view prefix, std::string_view bytes);

/// Strict: one case throughout, known characters only, right checksum, zero padding bits. Pure.
/// Errors: invalid, with the reason and never the text.
Result<Bech32> bech32_decode(std::string_view text);

}  // namespace opi::secrets
