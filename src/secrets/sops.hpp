#pragma once
/// @file
/// SOPS files (https://github.com/getsops/sops): encrypt, decrypt, edit and re-key them, to the letter of the program.
///
///     const auto file = sops::encrypt(manifest, sops::Format::yaml,
///                                     {.recipients = recipients, .selector = {.encrypted_regex =
///                                     "^(data|stringData)$"},
///                                      .now = now});
///     const auto plain = sops::decrypt(*file, sops::Format::yaml, {.identities = identities});
///
/// Everything is a pure function of its arguments but for the random data key and nonces; safe from any thread. Values
/// of a plaintext are wiped from the tree that holds them; the library that reads YAML does not wipe its buffers.
/// Errors carry one of `error_codes` in Error::code, which tells what the program's exit code would be.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/secret_string.hpp"
#include "secrets/age.hpp"

namespace opi::secrets::sops {

/// How a file is written. `binary` is any bytes, in a JSON envelope once encrypted.
enum class Format { yaml, json, dotenv, ini, binary };

/// By the end of the name: .yaml .yml .json .env .ini; anything else is binary.
Format format_of(std::string_view path) noexcept;
/// "yaml", "json", "dotenv", "ini" or "binary".
std::optional<Format> format_named(std::string_view name) noexcept;

/// What went wrong, in Error::code.
namespace error_codes {
inline constexpr std::string_view unreadable = "sops-input";         ///< not in its format, or no SOPS file
inline constexpr std::string_view unwritable = "sops-output";        ///< cannot be written in the format asked for
inline constexpr std::string_view encrypting = "sops-encrypt";       ///< a value that cannot be encrypted
inline constexpr std::string_view value = "sops-value";              ///< a value that does not decrypt
inline constexpr std::string_view mac = "sops-mac";                  ///< the MAC is missing or does not match
inline constexpr std::string_view data_key = "sops-data-key";        ///< no key at hand opens the file
inline constexpr std::string_view already_encrypted = "sops-twice";  ///< a plaintext with SOPS metadata
inline constexpr std::string_view empty = "sops-empty";              ///< no document
inline constexpr std::string_view path = "sops-path";                ///< --extract names nothing
}  // namespace error_codes

/// Which values are encrypted: at most one of these is set; none means unencrypted_suffix "_unencrypted". Suffixes and
/// regular expressions (RE2, unanchored) test every key on a value's path; comment expressions test the comments right
/// before the value or before what it is in.
struct Selector {
  std::string unencrypted_suffix = {};
  std::string encrypted_suffix = {};
  std::string unencrypted_regex = {};
  std::string encrypted_regex = {};
  std::string unencrypted_comment_regex = {};
  std::string encrypted_comment_regex = {};
  friend bool operator==(const Selector&, const Selector&) = default;
};

/// How structured output is indented: spaces for YAML; for JSON spaces, or a tab.
struct Layout {
  int yaml_indent = 4;
  int json_indent = -1;  ///< -1: a tab
};

struct EncryptOptions {
  std::span<const AgeRecipient> recipients = {};  ///< at least one; each can open the file alone
  Selector selector = {};                         ///< ignored for binary
  bool mac_only_encrypted = false;                ///< values that stay plain are not authenticated
  WallTime now = {};                              ///< becomes `lastmodified`
  Layout layout = {};
};

struct DecryptOptions {
  std::span<const AgeIdentity> identities = {};
  bool ignore_mac = false;  ///< for salvage: what comes out may have been reordered, cut or moved
  Layout layout = {};
};

/// Errors: invalid with code unreadable, already_encrypted, empty or encrypting (a number outside of 64 bits, a key
/// that is no string, more than one selector, a regular expression that is none, no recipient).
Result<std::string> encrypt(std::string_view plaintext, Format format, const EncryptOptions& options);
/// Reads one format and writes another: `to` holds what `from` held, without the comments it has no place for.
Result<std::string> encrypt(std::string_view plaintext, Format from, Format to, const EncryptOptions& options);

/// The MAC is verified before anything is returned. Errors, in this order: invalid (unreadable), denied (data_key;
/// names the key services that the file is also sealed to), invalid (value), invalid (mac).
Result<SecretString> decrypt(std::string_view file, Format format, const DecryptOptions& options);
Result<SecretString> decrypt(std::string_view file, Format from, Format to, const DecryptOptions& options);
/// One value or branch, `path` as in `["a"]["b"][0]`: a string as it is, anything else in format `to`.
Result<SecretString> extract(std::string_view file, Format from, Format to, std::string_view path,
                             const DecryptOptions& options);

/// `file` with `plaintext` as its new content: the same data key, keys and rules; a value that stays what it was, where
/// it was, keeps its ciphertext. Errors: those of decrypt and encrypt.
Result<std::string> edit(std::string_view file, std::string_view plaintext, Format format,
                         const DecryptOptions& options, WallTime now);

/// The keys that a file is sealed to.
struct KeyList {
  std::vector<std::string> age = {};      ///< recipients as they are written there
  std::vector<std::string> foreign = {};  ///< "pgp 85D7…", "kms arn:…": other services, which we only keep
  std::size_t groups = 1;                 ///< more than one: the data key is shared among them (Shamir)
  int threshold = 0;
};
/// Reads the metadata alone: nothing is decrypted. Errors: invalid (unreadable).
Result<KeyList> keys_of(std::string_view file, Format format);
/// True when `text` has SOPS metadata where its format keeps them.
bool is_encrypted(std::string_view text, Format format);

/// What update_keys did.
struct KeyUpdate {
  std::string file = {};  ///< the new text; empty when nothing changed
  std::vector<std::string> added = {};
  std::vector<std::string> removed = {};
};
/// Seals the data key to `recipients` and to nobody else but the `foreign` keys (as KeyList names them), which must be
/// in the file already and are kept untouched. Values and MAC stay as they are: whoever once had the data key still has
/// it. Errors: invalid, denied (data_key), unsupported (a foreign key that is not there; several key groups).
Result<KeyUpdate> update_keys(std::string_view file, Format format, std::span<const AgeRecipient> recipients,
                              std::span<const std::string> foreign, const DecryptOptions& options);

}  // namespace opi::secrets::sops
