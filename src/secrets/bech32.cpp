#include "secrets/bech32.hpp"

#include <array>
#include <cstdint>
#include <stdexcept>

namespace opi::secrets {
namespace {

constexpr std::string_view bech32_alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
constexpr std::size_t checksum_length = 6;

/// The BCH code of BIP 173, one 5-bit value at a time.
class Checksum {
 public:
  void add(std::uint32_t value) noexcept {
    static constexpr std::array<std::uint32_t, 5> generator{0x3b6a57b2U, 0x26508e6dU, 0x1ea119faU, 0x3d4233ddU,
                                                            0x2a1462b3U};
    const std::uint32_t top = state_ >> 25U;
    state_ = (state_ & 0x1ffffffU) << 5U ^ value;
    for (std::size_t i = 0; i < generator.size(); ++i) {
      if ((top >> i & 1U) != 0) state_ ^= generator[i];
    }
  }
  void add_prefix(std::string_view prefix) noexcept {
    for (const char c : prefix) add(static_cast<unsigned char>(c) >> 5U);
    add(0);
    for (const char c : prefix) add(static_cast<unsigned char>(c) & 31U);
  }
  std::uint32_t state() const noexcept { return state_; }

 private:
  std::uint32_t state_ = 1;
};

bool printable(char c) noexcept {
  return c >= 33 && c <= 126;
}
bool upper(char c) noexcept {
  return c >= 'A' && c <= 'Z';
}
bool lower(char c) noexcept {
  return c >= 'a' && c <= 'z';
}
char to_lower(char c) noexcept {
  return upper(c) ? static_cast<char>(c - 'A' + 'a') : c;
}

/// Cuts the 5-bit values of `digits` into bytes; false when the bits left over are not zero, or are a whole digit.
bool regroup(std::string_view digits, std::string& bytes) {
  std::uint32_t bits = 0;
  unsigned held = 0;
  for (const char digit : digits) {
    bits = (bits << 5U | static_cast<unsigned char>(digit)) & 0xfffU;
    held += 5;
    if (held >= 8) {
      held -= 8;
      bytes.push_back(static_cast<char>(bits >> held & 0xffU));
    }
  }
  return held < 5 && (bits & ((1U << held) - 1)) == 0;
}

}  // namespace

SecretString bech32_encode(std::string_view prefix, std::string_view bytes) {
  for (const char c : prefix) {
    if (!printable(c) || upper(c)) throw std::invalid_argument("bech32: a prefix is printable and in lower case");
  }
  if (prefix.empty()) throw std::invalid_argument("bech32: empty prefix");
  std::string text;
  text.reserve(prefix.size() + 1 + (bytes.size() * 8 + 4) / 5 + checksum_length);  // no growth: nothing is left unwiped
  text.append(prefix);
  text.push_back('1');
  Checksum checksum;
  checksum.add_prefix(prefix);
  const auto put = [&](std::uint32_t value) {
    checksum.add(value);
    text.push_back(bech32_alphabet[value]);
  };
  std::uint32_t bits = 0;
  unsigned held = 0;
  for (const char byte : bytes) {
    bits = (bits << 8U | static_cast<unsigned char>(byte)) & 0xfffU;
    held += 8;
    while (held >= 5) {
      held -= 5;
      put(bits >> held & 31U);
    }
  }
  if (held > 0) put(bits << (5 - held) & 31U);
  for (std::size_t i = 0; i < checksum_length; ++i) checksum.add(0);
  const std::uint32_t code = checksum.state() ^ 1U;
  for (std::size_t i = 0; i < checksum_length; ++i) text.push_back(bech32_alphabet[code >> 5 * (5 - i) & 31U]);
  return SecretString::take(std::move(text));
}

Result<Bech32> bech32_decode(std::string_view text) {
  bool any_upper = false;
  bool any_lower = false;
  for (const char c : text) {
    if (!printable(c)) return failure(ErrorKind::invalid, "bech32: a character that is not printable ASCII");
    any_upper = any_upper || upper(c);
    any_lower = any_lower || lower(c);
  }
  if (any_upper && any_lower) return failure(ErrorKind::invalid, "bech32: upper and lower case mixed");
  const std::size_t separator = text.rfind('1');
  if (separator == std::string_view::npos || separator == 0) {
    return failure(ErrorKind::invalid, "bech32: no prefix before a '1'");
  }
  if (text.size() - separator - 1 < checksum_length) return failure(ErrorKind::invalid, "bech32: too short");

  Bech32 decoded;
  for (const char c : text.substr(0, separator)) decoded.prefix.push_back(to_lower(c));
  Checksum checksum;
  checksum.add_prefix(decoded.prefix);
  std::string digits;
  digits.reserve(text.size());
  bool known = true;
  for (const char c : text.substr(separator + 1)) {
    const std::size_t value = bech32_alphabet.find(to_lower(c));
    known = known && value != std::string_view::npos;
    if (!known) break;
    checksum.add(static_cast<std::uint32_t>(value));
    digits.push_back(static_cast<char>(value));
  }
  std::string bytes;
  bytes.reserve(digits.size());
  const bool right = known && checksum.state() == 1;
  const bool padded = right && regroup(std::string_view(digits).substr(0, digits.size() - checksum_length), bytes);
  wipe(digits);
  decoded.data = SecretString::take(std::move(bytes));
  if (!known) return failure(ErrorKind::invalid, "bech32: a character outside the alphabet");
  if (!right) return failure(ErrorKind::invalid, "bech32: the checksum does not match");
  if (!padded) return failure(ErrorKind::invalid, "bech32: padding that is not zero");
  return decoded;
}

}  // namespace opi::secrets
