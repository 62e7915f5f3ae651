#pragma once
/// @file
/// The platform's own age key: seals what the control database keeps, opens what is sealed to the platform.

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/secret_string.hpp"
#include "secrets/age.hpp"

namespace opi::secrets {

/// One or more age identities. The first one seals; all of them open, so that a key can be rotated: new key first, old
/// ones below. Move-only, wiped on destruction; const members are safe from any thread.
class PlatformKey {
 public:
  /// Reads the content of a key file, or the same text from the environment (SOPS_AGE_KEY_CONTENT): identities one per
  /// line; comment lines and empty lines are skipped. Lines may also be separated by a literal "\n", as some
  /// environments pass them. Errors: invalid (no identity; a line that is none, named by its number and never by its
  /// content; a comment with another public key than the identity below it).
  static Result<PlatformKey> parse(std::string_view text);
  /// A fresh one with one identity.
  static PlatformKey generate();

  /// The public key that `seal` seals to.
  const AgeRecipient& recipient() const noexcept { return identities_.front().recipient(); }
  /// Public keys of all identities, sealing one first.
  std::vector<std::string> recipients() const;

  /// A binary age file for the first identity.
  Result<std::string> seal(std::string_view plaintext) const;
  /// Opens a binary or armored age file. Errors: invalid (malformed), denied (none of the identities opens it).
  Result<SecretString> open(std::string_view file) const;

  /// The first identity in the three-line form, for a new key file.
  SecretString to_key_file(std::string_view created) const;

 private:
  explicit PlatformKey(std::vector<AgeIdentity> identities) noexcept : identities_(std::move(identities)) {}
  std::vector<AgeIdentity> identities_;  ///< never empty
};

}  // namespace opi::secrets
