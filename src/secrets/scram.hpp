#pragma once
/// @file
/// SCRAM-SHA-256 verifiers, as PostgreSQL keeps them (RFC 5803 form).

#include <string>

#include "base/result.hpp"
#include "base/secret_string.hpp"

namespace opi::secrets {

/// "SCRAM-SHA-256$4096:<salt>$<StoredKey>:<ServerKey>" with a fresh 16-byte salt. The password is taken as it is (ours are ASCII, for which
/// SASLprep changes nothing); non-ASCII is refused as unsupported.
Result<std::string> scram_verifier(const SecretString& password);

/// True when `password` matches `verifier`; false for another password or a text that is no such verifier. Constant time in the password.
bool scram_matches(std::string_view verifier, const SecretString& password);

}  // namespace opi::secrets
