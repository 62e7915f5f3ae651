#pragma once
/// @file
/// How the key of one age file is wrapped for those who may open it, and unwrapped again
/// (https://age-encryption.org/v1, "X25519 recipient stanza" and "scrypt recipient stanza").

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/secret_string.hpp"
#include "secrets/age.hpp"
#include "secrets/age_header.hpp"
#include "secrets/primitives.hpp"

namespace opi::secrets {

using AgeFileKey = SecretBytes<16>;

/// Who may be asked to open a file. Views: what they name outlives the call.
struct AgeOpeners {
  std::span<const AgeIdentity> identities = {};
  /// Asked once, and only for a file that is sealed with a passphrase; none: such a file is denied.
  std::function<Result<SecretString>()> passphrase = {};
  unsigned scrypt_log_n_max = age_scrypt_log_n_max;
};

/// The header's bytes with its MAC line, for a fresh file key in `file_key`.
Result<std::string> make_age_header(std::span<const AgeRecipient> recipients, AgeFileKey& file_key);
Result<std::string> make_age_header(const SecretString& passphrase, unsigned log_n, AgeFileKey& file_key);

/// Checks every stanza's shape, unwraps the file key with the first opener that fits, and checks the header's MAC.
/// Errors: invalid (malformed, MAC), denied (nobody opens it), unsupported (a type that is not), exhausted (no memory
/// for scrypt), and those of `openers.passphrase`.
Result<SecretString> open_age_header(const AgeHeader& header, const AgeOpeners& openers);

}  // namespace opi::secrets
