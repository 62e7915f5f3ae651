#include "secrets/age_payload.hpp"

#include <algorithm>
#include <cstdint>

namespace opi::secrets {
namespace {

/// An 11-byte big-endian counter and the mark of the last chunk.
ChaCha20Poly1305::Nonce chunk_nonce(std::uint64_t counter, bool last) noexcept {
  ChaCha20Poly1305::Nonce nonce{};
  for (std::size_t i = 0; i < sizeof counter; ++i) {
    nonce[nonce.size() - 2 - i] = static_cast<unsigned char>(counter >> 8 * i & 0xffU);
  }
  nonce.back() = last ? 1 : 0;
  return nonce;
}

ChaCha20Poly1305 payload_cipher(std::string_view file_key, std::string_view nonce) {
  Key key;
  Hkdf().derive(file_key, nonce, "payload", key);
  return ChaCha20Poly1305(key);
}

/// An empty plaintext is one empty chunk; otherwise the last chunk is never empty, and may be full.
std::size_t chunks_of(std::size_t size) noexcept {
  return std::max<std::size_t>(1, (size + age_chunk_bytes - 1) / age_chunk_bytes);
}

/// A payload's nonce, drawn on construction.
struct RandomNonce : SecretBytes<age_payload_nonce_bytes> {
  RandomNonce() { random_bytes({data(), size()}); }
};

}  // namespace

AgePayloadSealer::AgePayloadSealer(std::string_view file_key, const SecretBytes<age_payload_nonce_bytes>& nonce,
                                   std::string& into)
    : cipher_(payload_cipher(file_key, nonce.view())) {
  into.append(nonce.view());
}

AgePayloadSealer::AgePayloadSealer(std::string_view file_key, std::string& into)
    : AgePayloadSealer(file_key, RandomNonce(), into) {}

void AgePayloadSealer::seal(std::string_view chunk, bool last, std::string& into) {
  cipher_.seal(chunk_nonce(counter_++, last), chunk, into);
}

AgePayloadOpener::AgePayloadOpener(std::string_view file_key, std::string_view nonce)
    : cipher_(payload_cipher(file_key, nonce)) {}

bool AgePayloadOpener::open(std::string_view sealed, bool last, std::string& into) {
  if (last && counter_ > 0 && sealed.size() <= ChaCha20Poly1305::tag_size) return false;
  if (!cipher_.open(chunk_nonce(counter_, last), sealed, into)) return false;
  ++counter_;
  return true;
}

std::size_t age_payload_size(std::size_t size) noexcept {
  return age_payload_nonce_bytes + size + chunks_of(size) * ChaCha20Poly1305::tag_size;
}

void seal_age_payload(std::string_view file_key, std::string_view plaintext, std::string& into) {
  into.reserve(into.size() + age_payload_size(plaintext.size()));
  AgePayloadSealer sealer(file_key, into);
  const std::size_t chunks = chunks_of(plaintext.size());
  for (std::size_t i = 0; i < chunks; ++i) {
    sealer.seal(plaintext.substr(i * age_chunk_bytes, age_chunk_bytes), i + 1 == chunks, into);
  }
}

Result<SecretString> open_age_payload(std::string_view file_key, std::string_view payload) {
  if (payload.size() < age_payload_nonce_bytes + ChaCha20Poly1305::tag_size) {
    return failure(ErrorKind::invalid, "age payload: cut short before the first chunk");
  }
  AgePayloadOpener opener(file_key, payload.substr(0, age_payload_nonce_bytes));
  payload.remove_prefix(age_payload_nonce_bytes);
  std::string plaintext;
  plaintext.reserve(payload.size());  // enough for all of it: no reallocation leaves a copy behind
  while (true) {
    const bool last = payload.size() <= age_sealed_chunk_bytes;
    const std::string_view chunk = payload.substr(0, age_sealed_chunk_bytes);
    if (!opener.open(chunk, last, plaintext)) {
      wipe(plaintext);
      return failure(ErrorKind::invalid, "age payload: damaged, cut short, or followed by something else");
    }
    if (last) return SecretString::take(std::move(plaintext));
    payload.remove_prefix(chunk.size());
  }
}

}  // namespace opi::secrets
