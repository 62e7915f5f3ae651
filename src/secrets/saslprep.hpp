#pragma once
/// @file
/// SASLprep (RFC 4013): passwords that look the same become the same bytes before they are hashed.

#include "base/secret_string.hpp"

namespace opi::secrets {

/// The prepared password; a copy of `password` when it cannot be prepared (no UTF-8, a character that is forbidden or
/// was not assigned in Unicode 3.2), as PostgreSQL and its clients do.
SecretString saslprep(const SecretString& password);

}  // namespace opi::secrets
