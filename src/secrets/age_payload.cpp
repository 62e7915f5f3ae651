#include "secrets/age_payload.hpp"

#include <algorithm>
#include <cstdint>

namespace opi::secrets {
namespace {

constexpr std::size_t chunk_bytes = 64 * 1024;
constexpr std::size_t nonce_bytes = 16;
constexpr std::size_t sealed_chunk_bytes = chunk_bytes + ChaCha20Poly1305::tag_size;

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
  return std::max<std::size_t>(1, (size + chunk_bytes - 1) / chunk_bytes);
}

}  // namespace

std::size_t age_payload_size(std::size_t size) noexcept {
  return nonce_bytes + size + chunks_of(size) * ChaCha20Poly1305::tag_size;
}

void seal_age_payload(std::string_view file_key, std::string_view plaintext, std::string& into) {
  into.reserve(into.size() + age_payload_size(plaintext.size()));
  SecretBytes<nonce_bytes> nonce;
  random_bytes({nonce.data(), nonce.size()});
  into.append(nonce.view());
  auto cipher = payload_cipher(file_key, nonce.view());
  const std::size_t chunks = chunks_of(plaintext.size());
  for (std::size_t i = 0; i < chunks; ++i) {
    cipher.seal(chunk_nonce(i, i + 1 == chunks), plaintext.substr(i * chunk_bytes, chunk_bytes), into);
  }
}

Result<SecretString> open_age_payload(std::string_view file_key, std::string_view payload) {
  if (payload.size() < nonce_bytes + ChaCha20Poly1305::tag_size) {
    return failure(ErrorKind::invalid, "age payload: cut short before the first chunk");
  }
  auto cipher = payload_cipher(file_key, payload.substr(0, nonce_bytes));
  payload.remove_prefix(nonce_bytes);
  std::string plaintext;
  plaintext.reserve(payload.size());  // enough for all of it: no reallocation leaves a copy behind
  std::uint64_t counter = 0;
  const auto refuse = [&](const char* reason) {
    wipe(plaintext);
    return failure(ErrorKind::invalid, reason);
  };
  while (true) {
    const bool last = payload.size() <= sealed_chunk_bytes;
    const std::string_view chunk = payload.substr(0, sealed_chunk_bytes);
    if (last && counter > 0 && chunk.size() <= ChaCha20Poly1305::tag_size) {
      return refuse("age payload: cut short, or an empty chunk at the end");
    }
    if (!cipher.open(chunk_nonce(counter, last), chunk, plaintext)) {
      return refuse("age payload: damaged, cut short, or followed by something else");
    }
    if (last) return SecretString::take(std::move(plaintext));
    payload.remove_prefix(chunk.size());
    ++counter;
  }
}

}  // namespace opi::secrets
