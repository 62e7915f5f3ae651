#pragma once
/// @file
/// The few cryptographic operations of this room, on OpenSSL: the only file beside keyed_hash.cpp and scram.cpp that
/// calls it.

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/secret_string.hpp"

struct evp_cipher_st;
struct evp_cipher_ctx_st;
struct evp_kdf_st;

namespace opi::secrets {

/// `Size` bytes that are wiped when they go. Not copyable.
template <std::size_t Size>
class SecretBytes {
 public:
  SecretBytes() noexcept = default;
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  ~SecretBytes() { wipe(bytes_.data(), Size); }

  unsigned char* data() noexcept { return bytes_.data(); }
  const unsigned char* data() const noexcept { return bytes_.data(); }
  static constexpr std::size_t size() noexcept { return Size; }
  std::string_view view() const noexcept { return {reinterpret_cast<const char*>(bytes_.data()), Size}; }

 private:
  std::array<unsigned char, Size> bytes_{};
};

using Key = SecretBytes<32>;

/// Fills `bytes` from the operating system's generator. Throws std::system_error when that fails, which it does not on
/// a running system.
void random_bytes(std::span<unsigned char> bytes);

/// True when both are equal; takes the same time whatever they are. Lengths may show.
bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept;

/// X25519 (RFC 7748): the public point of a 32-byte scalar.
std::array<unsigned char, 32> x25519_public(std::string_view scalar);
/// The shared secret into `shared`; false when it is all zero (a point of low order).
bool x25519(std::string_view scalar, std::string_view point, Key& shared);

/// scrypt (RFC 7914) with N = 2^`log_n`, r = 8, p = 1, 32 bytes into `key`; `log_n` is 1 to 30. Takes 2^(log_n + 10)
/// bytes of memory and about a second at 18: never on an event loop. False when that memory is not to be had.
bool scrypt(std::string_view passphrase, std::string_view salt, unsigned log_n, Key& key);

/// HMAC-SHA-256 of `bytes`.
std::array<unsigned char, 32> hmac_sha256(std::string_view key, std::string_view bytes);

/// HKDF-SHA-256 (RFC 5869), 32 bytes. The algorithm is fetched once for each object. Not synchronised.
class Hkdf {
 public:
  Hkdf();
  void derive(std::string_view input, std::string_view salt, std::string_view info, Key& into) const;

 private:
  struct Free {
    void operator()(evp_kdf_st* kdf) const noexcept;
  };
  std::unique_ptr<evp_kdf_st, Free> kdf_;
};

/// ChaCha20-Poly1305 (RFC 8439) with a 12-byte nonce and no additional data, under one key. The algorithm is fetched
/// and the key scheduled once for each object. Move-only, not synchronised.
class ChaCha20Poly1305 {
 public:
  static constexpr std::size_t tag_size = 16;
  using Nonce = std::array<unsigned char, 12>;

  explicit ChaCha20Poly1305(const Key& key);

  /// Appends ciphertext and tag to `into`.
  void seal(const Nonce& nonce, std::string_view plaintext, std::string& into);
  /// Writes ciphertext and tag to `out`, which has room for both and does not overlap `plaintext`.
  void seal_to(const Nonce& nonce, std::string_view plaintext, char* out);
  /// Writes the plaintext to `out`, which has room for it and does not overlap `sealed`. False when the tag does not
  /// match or there is none; what `out` then holds has been wiped.
  bool open_to(const Nonce& nonce, std::string_view sealed, char* out);
  /// Appends the plaintext to `into`; false, and nothing appended, when the tag does not match or `sealed` is shorter
  /// than a tag.
  bool open(const Nonce& nonce, std::string_view sealed, std::string& into);

 private:
  struct Free {
    void operator()(evp_cipher_ctx_st* context) const noexcept;
    void operator()(evp_cipher_st* cipher) const noexcept;
  };
  std::unique_ptr<evp_cipher_st, Free> cipher_;
  std::unique_ptr<evp_cipher_ctx_st, Free> context_;  ///< holds the key; the library wipes it
};

}  // namespace opi::secrets
