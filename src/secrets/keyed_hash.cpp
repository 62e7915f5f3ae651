#include "secrets/keyed_hash.hpp"

#include <openssl/evp.h>

#include <cstring>
#include <stdexcept>

#include "secrets/primitives.hpp"

namespace opi::secrets {
namespace {
constexpr std::size_t key_bytes_min = 16;
}

Digest sha256(std::string_view bytes) {
  Digest digest{};
  unsigned size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()), &size, EVP_sha256(),
                 nullptr) != 1 ||
      size != digest.size()) {
    throw std::runtime_error("OpenSSL: SHA-256");
  }
  return digest;
}

std::string to_hex(const Digest& digest) {
  static constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  text.reserve(digest.size() * 2);
  for (const std::byte byte : digest) {
    const auto value = std::to_integer<unsigned>(byte);
    text.push_back(digits[value >> 4U]);
    text.push_back(digits[value & 15U]);
  }
  return text;
}

Result<KeyedHash> KeyedHash::create(SecretString key) {
  if (key.size() < key_bytes_min) return failure(ErrorKind::invalid, "a hash key has at least 16 bytes");
  return KeyedHash(std::move(key));
}

Digest KeyedHash::digest(std::string_view bytes) const {
  const auto code = hmac_sha256(key_.reveal(), bytes);
  Digest digest{};
  std::memcpy(digest.data(), code.data(), digest.size());
  return digest;
}

std::string KeyedHash::hex(std::string_view bytes) const {
  return to_hex(digest(bytes));
}

}  // namespace opi::secrets
