#pragma once
/// @file
/// Hashes: SHA-256 for what is public, HMAC-SHA-256 for what is not.

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/secret_string.hpp"

namespace opi::secrets {

using Digest = std::array<std::byte, 32>;

/// SHA-256 (FIPS 180-4). Pure, safe from any thread.
Digest sha256(std::string_view bytes);
std::string to_hex(const Digest& digest);

/// HMAC-SHA-256 (RFC 2104) under one key: tells whether a plaintext changed without keeping it, and without letting
/// anyone who reads the hash try guesses. Move-only, wiped on destruction; const members are safe from any thread.
class KeyedHash {
 public:
  /// Errors: invalid (a key of less than 16 bytes).
  static Result<KeyedHash> create(SecretString key);

  Digest digest(std::string_view bytes) const;
  /// 64 lower-case hex digits.
  std::string hex(std::string_view bytes) const;

 private:
  explicit KeyedHash(SecretString key) noexcept : key_(std::move(key)) {}
  SecretString key_;
};

}  // namespace opi::secrets
