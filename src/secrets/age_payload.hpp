#pragma once
/// @file
/// The payload of an age file: the plaintext in sealed chunks (https://age-encryption.org/v1, "Payload").

#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/secret_string.hpp"
#include "secrets/primitives.hpp"

namespace opi::secrets {

/// Size of what `seal_age_payload` appends for a plaintext of `size` bytes: nonce, chunks and one tag for each.
std::size_t age_payload_size(std::size_t size) noexcept;

/// Appends nonce and chunks to `into`.
void seal_age_payload(std::string_view file_key, std::string_view plaintext, std::string& into);

/// Errors: invalid (cut short, damaged, something after the last chunk). Nothing of a damaged payload is released.
Result<SecretString> open_age_payload(std::string_view file_key, std::string_view payload);

}  // namespace opi::secrets
