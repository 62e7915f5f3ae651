#pragma once
/// @file
/// AES-256-GCM (NIST SP 800-38D) with nonces of any length, and SHA-512, both as SOPS uses them.

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

struct evp_cipher_st;
struct evp_cipher_ctx_st;
struct evp_md_ctx_st;

namespace opi::secrets {

/// One key, many messages: the algorithm is fetched once for each object. Move-only, not synchronised.
class Aes256Gcm {
 public:
  static constexpr std::size_t key_size = 32;
  static constexpr std::size_t tag_size = 16;

  /// `key` has 32 bytes (else std::invalid_argument).
  explicit Aes256Gcm(std::string_view key);

  /// Ciphertext followed by its tag. `nonce` is not empty; the same one must never seal two different messages.
  std::string seal(std::string_view nonce, std::string_view associated, std::string_view plaintext);
  /// Appends the plaintext to `into`; false, and nothing appended, when `tag` does not match, is not 16 bytes long, or
  /// `nonce` is empty or longer than 1024 bytes.
  bool open(std::string_view nonce, std::string_view associated, std::string_view ciphertext, std::string_view tag,
            std::string& into);

 private:
  struct Free {
    void operator()(evp_cipher_ctx_st* context) const noexcept;
    void operator()(evp_cipher_st* cipher) const noexcept;
  };
  std::unique_ptr<evp_cipher_st, Free> cipher_;
  std::unique_ptr<evp_cipher_ctx_st, Free> context_;  ///< holds the key; the library wipes it
};

/// SHA-512 (FIPS 180-4) of what is added piece by piece. Not synchronised.
class Sha512 {
 public:
  Sha512();
  void add(std::string_view bytes);
  /// 128 upper-case hex digits. Ends the hash: nothing may be added after it.
  std::string finish_hex();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const noexcept;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

}  // namespace opi::secrets
