#pragma once
/// @file
/// One encrypted value of a SOPS file: "ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]".

#include <map>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/secret_string.hpp"
#include "secrets/aes_gcm.hpp"
#include "secrets/keyed_hash.hpp"
#include "secrets/sops_tree.hpp"

namespace opi::secrets::sops {

/// Encrypts and decrypts values under one data key. Remembers, by a keyed hash of each value that it decrypted and of
/// its place, the nonce it had: the same value at the same place is then encrypted to the same text. Not synchronised.
class ValueCipher {
 public:
  /// `data_key` has 32 bytes.
  explicit ValueCipher(std::string_view data_key);

  /// The text for a scalar or comment; an empty string or comment stays empty. `place` is authenticated with it.
  std::string encrypt(const Value& value, std::string_view place);
  /// The value of a text. An empty one is an empty string. Errors: invalid (no such text, or not for this key and
  /// place), with the reason and never the text.
  Result<Value> decrypt(std::string_view text, std::string_view place);

 private:
  Digest key_of(const Value& value, std::string_view place) const;
  Aes256Gcm cipher_;
  KeyedHash hash_;
  std::map<Digest, std::string> nonces_;
};

/// True when `text` has the form of an encrypted value.
bool looks_encrypted(std::string_view text) noexcept;

}  // namespace opi::secrets::sops
