#pragma once
/// @file
/// SCRAM-SHA-256 verifiers, as PostgreSQL keeps them (RFC 5803 form).

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/secret_string.hpp"

namespace opi::secrets {

/// "SCRAM-SHA-256$4096:<salt>$<StoredKey>:<ServerKey>" with a fresh 16-byte salt. The password goes through SASLprep
/// first, as at a login. An empty password or a control character is invalid.
Result<std::string> scram_verifier(const SecretString& password);

/// The same with a given salt (1 to 64 bytes) and iteration count (1 to 1 000 000).
Result<std::string> scram_verifier(const SecretString& password, std::string_view salt, std::uint32_t iterations);

/// True when `password` matches `verifier`; false for another password or a text that is no such verifier, one of more
/// than a million iterations included. Constant time in the password.
bool scram_matches(std::string_view verifier, const SecretString& password);

}  // namespace opi::secrets
