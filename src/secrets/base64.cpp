#include "secrets/base64.hpp"

#include <array>
#include <cstdint>

namespace opi::secrets {
namespace {

constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t no_digit = 0xff;

constexpr std::array<std::uint8_t, 256> digit_values = [] {
  std::array<std::uint8_t, 256> values{};
  values.fill(no_digit);
  for (std::size_t i = 0; i < alphabet.size(); ++i) {
    values[static_cast<unsigned char>(alphabet[i])] = static_cast<std::uint8_t>(i);
  }
  return values;
}();

}  // namespace

std::string base64_encode(std::string_view bytes, Padding padding) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  std::uint32_t bits = 0;
  unsigned held = 0;
  for (const char byte : bytes) {
    bits = (bits << 8U | static_cast<unsigned char>(byte)) & 0xffffU;
    held += 8;
    while (held >= 6) {
      held -= 6;
      text.push_back(alphabet[bits >> held & 63U]);
    }
  }
  if (held > 0) text.push_back(alphabet[bits << (6 - held) & 63U]);
  while (padding == Padding::padded && text.size() % 4 != 0) text.push_back('=');
  return text;
}

Result<std::string> base64_decode(std::string_view text, Padding padding) {
  if (padding == Padding::padded) {
    if (text.size() % 4 != 0) return failure(ErrorKind::invalid, "base64: the length is not a multiple of four");
    for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  }
  if (text.size() % 4 == 1) return failure(ErrorKind::invalid, "base64: an impossible length");
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3 + 2);
  std::uint32_t bits = 0;
  unsigned held = 0;
  for (const char c : text) {
    const std::uint8_t value = digit_values[static_cast<unsigned char>(c)];
    if (value == no_digit) return failure(ErrorKind::invalid, "base64: a character outside the alphabet");
    bits = (bits << 6U | value) & 0xffffU;
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes.push_back(static_cast<char>(bits >> held & 0xffU));
    }
  }
  if ((bits & ((1U << held) - 1)) != 0) return failure(ErrorKind::invalid, "base64: stray bits at the end");
  return bytes;
}

}  // namespace opi::secrets
