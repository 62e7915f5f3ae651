#pragma once
/// @file
/// age v1 with X25519: keys, and sealing of small values.

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/secret_string.hpp"

namespace opi::secrets {

/// A public key, "age1…" (https://age-encryption.org/v1, X25519 recipient type).
class AgeRecipient {
 public:
  static Result<AgeRecipient> parse(std::string_view text);
  std::string to_string() const;
  friend bool operator==(const AgeRecipient&, const AgeRecipient&) = default;

 private:
  friend class AgeIdentity;
  friend Result<std::string> age_encrypt(std::string_view, std::span<const AgeRecipient>);
  std::array<std::byte, 32> point_{};
};

/// A private key, "AGE-SECRET-KEY-1…". Move-only, wiped on destruction.
class AgeIdentity {
 public:
  /// From the operating system's generator.
  static AgeIdentity generate();
  static Result<AgeIdentity> parse(std::string_view text);
  /// The first identity of a key file: comments and empty lines are skipped.
  static Result<AgeIdentity> parse_file(std::string_view text);
  /// Every identity of a key file, in order; at least one. An error names the line by its number, never by its content.
  static Result<std::vector<AgeIdentity>> parse_all(std::string_view text);
  const AgeRecipient& recipient() const noexcept { return recipient_; }
  SecretString to_secret() const;
  /// The three-line form: "# created: …", "# public key: age1…", the key.
  SecretString to_key_file(std::string_view created) const;

 private:
  friend Result<SecretString> age_decrypt(std::string_view, std::span<const AgeIdentity>);
  SecretString scalar_;
  AgeRecipient recipient_;
};

/// A binary age file with one X25519 stanza per recipient. Errors: invalid (no recipient).
Result<std::string> age_encrypt(std::string_view plaintext, std::span<const AgeRecipient> recipients);
/// Opens a binary or armored age file. Errors: invalid (malformed, with the reason), denied (no identity opens it).
Result<SecretString> age_decrypt(std::string_view file, std::span<const AgeIdentity> identities);

/// "-----BEGIN AGE ENCRYPTED FILE-----" … around a binary age file.
std::string age_armor(std::string_view binary);

}  // namespace opi::secrets
