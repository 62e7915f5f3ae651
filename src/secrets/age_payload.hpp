#pragma once
/// @file
/// The payload of an age file: the plaintext in sealed chunks (https://age-encryption.org/v1, "Payload").

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/secret_string.hpp"
#include "secrets/primitives.hpp"

namespace opi::secrets {

/// Plaintext bytes of every chunk but the last, which may have fewer.
inline constexpr std::size_t age_chunk_bytes = 64 * 1024;
inline constexpr std::size_t age_payload_nonce_bytes = 16;
inline constexpr std::size_t age_sealed_chunk_bytes = age_chunk_bytes + ChaCha20Poly1305::tag_size;

/// Seals chunk after chunk under the payload key of one file. Not synchronised.
class AgePayloadSealer {
 public:
  /// Draws the payload's nonce and appends it to `into`.
  AgePayloadSealer(std::string_view file_key, std::string& into);
  /// Appends the sealed chunk. Each is age_chunk_bytes long but the last, which is shorter or as long, and empty only
  /// when it is the only one.
  void seal(std::string_view chunk, bool last, std::string& into);

 private:
  AgePayloadSealer(std::string_view file_key, const SecretBytes<age_payload_nonce_bytes>& nonce, std::string& into);
  ChaCha20Poly1305 cipher_;
  std::uint64_t counter_ = 0;
};

/// Opens chunk after chunk. Not synchronised.
class AgePayloadOpener {
 public:
  /// `nonce` is the payload's first 16 bytes.
  AgePayloadOpener(std::string_view file_key, std::string_view nonce);
  /// Appends the plaintext of a sealed chunk; the caller knows whether more follows. False when it is damaged, out of
  /// its place, or an empty last chunk that is not the only one; nothing is appended then.
  bool open(std::string_view sealed, bool last, std::string& into);
  std::uint64_t chunks() const noexcept { return counter_; }

 private:
  ChaCha20Poly1305 cipher_;
  std::uint64_t counter_ = 0;
};

/// Size of what `seal_age_payload` appends for a plaintext of `size` bytes: nonce, chunks and one tag for each.
std::size_t age_payload_size(std::size_t size) noexcept;

/// Appends nonce and chunks to `into`.
void seal_age_payload(std::string_view file_key, std::string_view plaintext, std::string& into);

/// Errors: invalid (cut short, damaged, something after the last chunk). Nothing of a damaged payload is released.
Result<SecretString> open_age_payload(std::string_view file_key, std::string_view payload);

}  // namespace opi::secrets
