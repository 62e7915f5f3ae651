#pragma once
/// @file
/// Secrets of the settings that are themselves sealed to the platform key.

#include "base/result.hpp"
#include "base/secret_string.hpp"
#include "secrets/platform_key.hpp"

namespace opi::app {

/// What `text` stands for: after "base64+age:" an age file (binary or armored) in base64, after "age:" or by itself an
/// armored one, in both cases opened with `key`; after "plain:" the rest as it is; anything else is itself. A literal
/// "\n" in an armored file is a line break, as some environments pass it. Errors: invalid, denied (the key does not
/// open it).
Result<SecretString> unsealed(SecretString text, const secrets::PlatformKey& key);

}  // namespace opi::app
