#pragma once
/// @file
/// age v1 (https://age-encryption.org/v1): keys, and sealing of values that fit into memory. Files of any size:
/// age_stream.hpp.

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/secret_string.hpp"

namespace opi::secrets {

/// A public key, "age1…" (https://age-encryption.org/v1, X25519 recipient type). A plain value, safe from any thread.
class AgeRecipient {
 public:
  /// Errors: invalid, with the reason; unsupported, naming the key type (ML-KEM hybrid, SSH, a plugin's).
  static Result<AgeRecipient> parse(std::string_view text);
  /// A recipients file: one public key a line, comments ("#") and empty lines skipped, at least one. An error names the
  /// line.
  static Result<std::vector<AgeRecipient>> parse_all(std::string_view text);
  std::string to_string() const;
  /// The 32 bytes of the point, valid while this object lives.
  std::string_view point() const noexcept { return {reinterpret_cast<const char*>(point_.data()), point_.size()}; }
  friend bool operator==(const AgeRecipient&, const AgeRecipient&) = default;

 private:
  friend class AgeIdentity;
  AgeRecipient() = default;
  std::array<std::byte, 32> point_{};
};

/// A private key, "AGE-SECRET-KEY-1…". Move-only, wiped on destruction; const members are safe from any thread.
class AgeIdentity {
 public:
  /// From the operating system's generator.
  static AgeIdentity generate();
  /// Errors: invalid, with the reason and never the text; unsupported, naming the key type.
  static Result<AgeIdentity> parse(std::string_view text);
  /// The first identity of a key file: comments and empty lines are skipped.
  static Result<AgeIdentity> parse_file(std::string_view text);
  /// Every identity of a key file, in order; at least one. An error names the line by its number, never by its content.
  /// A "# public key:" comment must belong to the identity that follows it.
  static Result<std::vector<AgeIdentity>> parse_all(std::string_view text);
  const AgeRecipient& recipient() const noexcept { return recipient_; }
  SecretString to_secret() const;
  /// The 32 bytes of the scalar, valid while this object lives.
  std::string_view scalar() const noexcept { return scalar_.reveal(); }
  /// The three-line form: "# created: …", "# public key: age1…", the key.
  SecretString to_key_file(std::string_view created) const;

 private:
  explicit AgeIdentity(SecretString scalar);
  SecretString scalar_;
  AgeRecipient recipient_;
};

/// Work factor that a passphrase is stretched with when nothing else is asked for: 2^18 rounds, about a second.
inline constexpr unsigned age_scrypt_log_n = 18;
/// Work factors above this one are refused when opening: 2^22 rounds take 4 GiB of memory.
inline constexpr unsigned age_scrypt_log_n_max = 22;

/// A binary age file with one X25519 stanza per recipient. Errors: invalid (no recipient, more than 1 000, or one that
/// is no usable point).
Result<std::string> age_encrypt(std::string_view plaintext, std::span<const AgeRecipient> recipients);
/// Opens a binary or armored age file. Errors: invalid (malformed, with the reason), denied (no identity opens it),
/// unsupported (only keys of a type that is not, which is named).
Result<SecretString> age_decrypt(std::string_view file, std::span<const AgeIdentity> identities);

/// The same for a passphrase, which stands alone in a file. Both stretch it with scrypt: for the blocking pool, never
/// for an event loop. `log_n` is 1 to 22. Errors: as above, and exhausted (no memory for the work factor).
Result<std::string> age_encrypt_with_passphrase(std::string_view plaintext, const SecretString& passphrase,
                                                unsigned log_n = age_scrypt_log_n);
Result<SecretString> age_decrypt_with_passphrase(std::string_view file, const SecretString& passphrase,
                                                 unsigned log_n_max = age_scrypt_log_n_max);

/// "-----BEGIN AGE ENCRYPTED FILE-----" … around a binary age file.
std::string age_armor(std::string_view binary);
/// True when `text` starts, after white space, with the armor's first line.
bool is_age_armor(std::string_view text) noexcept;
/// What stands between the markers. Strict: 64 columns on every line but the last, canonical base64, nothing but white
/// space (at most 1 KiB each) around it. Errors: invalid, with the reason.
Result<std::string> age_dearmor(std::string_view text);

}  // namespace opi::secrets
