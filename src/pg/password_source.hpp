#pragma once
/// @file
/// Password providers from a file and from memory; any function of the same form is one too.

#include <string>

#include "pg/settings.hpp"

namespace opi::pg {

/// Reads the file anew at each dial, so that replacing it (by a rename, as secret stores do) rotates the password. One
/// line break at the end is not part of it. The provider's errors (not_found, denied, unavailable; invalid: no regular
/// file, empty, over 64 KiB, a NUL byte) name the file and never what is in it; sessions of today live on.
PasswordProvider password_from_file(std::string path);

/// Always the same.
PasswordProvider fixed_password(SecretString password);

}  // namespace opi::pg
