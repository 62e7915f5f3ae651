#include "secrets/shamir.hpp"

#include <cstdint>
#include <set>
#include <string>

namespace opi::secrets {
namespace {

using Byte = std::uint8_t;

/// Without tables and branches on the operands: they are secret.
Byte multiply(Byte a, Byte b) noexcept {
  unsigned product = 0;
  unsigned left = a;
  for (unsigned bit = 0; bit < 8; ++bit) {
    product ^= left & (0U - (b >> bit & 1U));
    left = (left << 1U) ^ (0x11bU & (0U - (left >> 7U & 1U)));
  }
  return static_cast<Byte>(product);
}

/// a^254: the multiplicative inverse, and 0 for 0.
Byte invert(Byte a) noexcept {
  Byte power = a;
  Byte result = 1;
  for (int bit = 1; bit < 8; ++bit) {
    power = multiply(power, power);
    result = multiply(result, power);
  }
  return result;
}

Byte last(const SecretString& share) noexcept {
  return static_cast<Byte>(share.reveal().back());
}

}  // namespace

Result<SecretString> combine_shares(std::span<const SecretString> shares) {
  if (shares.size() < 2) return failure(ErrorKind::invalid, "shares: fewer than two");
  const std::size_t size = shares.front().size();
  std::set<Byte> seen;
  for (const SecretString& share : shares) {
    if (share.size() != size || size < 2) return failure(ErrorKind::invalid, "shares: their lengths differ");
    if (last(share) == 0 || !seen.insert(last(share)).second) {
      return failure(ErrorKind::invalid, "shares: one is there twice, or is numbered 0");
    }
  }
  std::string secret(size - 1, '\0');
  for (const SecretString& share : shares) {
    Byte weight = 1;  // of this share at x = 0, after Lagrange
    for (const SecretString& other : shares) {
      if (&other == &share) continue;
      weight = multiply(weight, multiply(last(other), invert(static_cast<Byte>(last(other) ^ last(share)))));
    }
    for (std::size_t i = 0; i + 1 < size; ++i) {
      const Byte part = multiply(static_cast<Byte>(share.reveal()[i]), weight);
      secret[i] = static_cast<char>(static_cast<Byte>(secret[i]) ^ part);
    }
  }
  return SecretString::take(std::move(secret));
}

}  // namespace opi::secrets
