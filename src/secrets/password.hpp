#pragma once
/// @file
/// Random secrets from the operating system's generator.

#include <cstddef>

#include "base/secret_string.hpp"

namespace opi::secrets {

/// `length` (at least 20) characters of A–Z a–z 0–9, with at least three of each class, without modulo bias.
SecretString generate_password(std::size_t length = 32);
/// `bytes` random bytes.
SecretString generate_key(std::size_t bytes = 32);

}  // namespace opi::secrets
