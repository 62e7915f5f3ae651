#include "yaml/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

namespace opi::yaml {
namespace {

/// One code point of a text; `size` 0 when the bytes are not UTF-8.
struct Decoded {
  std::uint32_t code = 0;
  std::size_t size = 0;
};

Decoded decode(std::string_view bytes) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {first, 1};
  std::size_t size = 0;
  if ((first & 0xE0U) == 0xC0U)
    size = 2;
  else if ((first & 0xF0U) == 0xE0U)
    size = 3;
  else if ((first & 0xF8U) == 0xF0U)
    size = 4;
  if (size == 0 || bytes.size() < size) return {};
  std::uint32_t code = first & (0x7FU >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0U) != 0x80U) return {};
    code = code << 6U | (byte(i) & 0x3FU);
  }
  constexpr std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < least[size] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return {};
  return {code, size};
}

bool printable(std::uint32_t code) {
  if (code < 0x7F) return code >= 0x20 || code == '\t' || code == '\n' || code == '\r';
  return code == 0x85 || (code >= 0xA0 && code <= 0xFFFD) || code >= 0x10000;
}

bool continuation(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U;
}

/// Does the character at `byte` end a line? The CR of a CR LF does not, its LF does.
bool ends_line(std::string_view text, std::size_t byte) {
  if (text[byte] == '\n') return true;
  return text[byte] == '\r' && (byte + 1 == text.size() || text[byte + 1] != '\n');
}

}  // namespace

bool is_plain_ascii(std::string_view text) noexcept {
  return std::ranges::all_of(text,
                             [](char c) { return (c >= ' ' && c < 0x7F) || c == '\n' || c == '\t' || c == '\r'; });
}

std::optional<TextFault> find_text_fault(std::string_view text) {
  Position position;
  while (position.byte < text.size()) {
    const Decoded decoded = decode(text.substr(position.byte));
    if (decoded.size == 0) {
      const auto byte = static_cast<unsigned char>(text[position.byte]);
      return TextFault{position, fmt::format("not UTF-8 (byte 0x{:02X})", byte)};
    }
    if (!printable(decoded.code)) {
      return TextFault{position, fmt::format("the control character U+{:04X} is not allowed", decoded.code)};
    }
    if (ends_line(text, position.byte)) {
      ++position.line;
      position.column = 1;
    } else {
      ++position.column;
    }
    position.byte += decoded.size;
    ++position.character;
  }
  return std::nullopt;
}

void Cursor::forward() {
  if (ends_line(text_, position_.byte)) {
    ++position_.line;
    position_.column = 1;
  } else {
    ++position_.column;
  }
  ++position_.byte;
  while (position_.byte < text_.size() && continuation(text_[position_.byte])) ++position_.byte;
  ++position_.character;
}

void Cursor::back() {
  --position_.byte;
  while (position_.byte > 0 && continuation(text_[position_.byte])) --position_.byte;
  --position_.character;
  if (!ends_line(text_, position_.byte)) {
    --position_.column;
    return;
  }
  --position_.line;
  position_.column = 1;
  for (std::size_t i = position_.byte; i > 0 && !ends_line(text_, i - 1); --i) {
    if (!continuation(text_[i - 1])) ++position_.column;
  }
}

const Position& Cursor::at(std::size_t character) {
  while (position_.character < character && position_.byte < text_.size()) forward();
  while (position_.character > character) back();
  return position_;
}

}  // namespace opi::yaml
