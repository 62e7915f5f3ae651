#pragma once
/// @file
/// Numbers as PostgreSQL's binary forms have them: big end first.

#include <array>
#include <bit>
#include <cstddef>
#include <cstring>
#include <string_view>

namespace opi::pg {

/// Of an unsigned number.
template <class Unsigned>
std::array<char, sizeof(Unsigned)> to_network(Unsigned value) noexcept {
  if constexpr (std::endian::native != std::endian::big && sizeof(Unsigned) > 1) value = std::byteswap(value);
  return std::bit_cast<std::array<char, sizeof(Unsigned)>>(value);
}

/// The number at the beginning of `bytes`, which has so many.
template <class Unsigned>
Unsigned from_network(std::string_view bytes) noexcept {
  Unsigned value = 0;
  std::memcpy(&value, bytes.data(), sizeof value);
  if constexpr (std::endian::native != std::endian::big && sizeof(Unsigned) > 1) value = std::byteswap(value);
  return value;
}

}  // namespace opi::pg
