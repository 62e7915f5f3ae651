#include "store/json_rows.hpp"

#include <algorithm>
#include <cstddef>

namespace opi::store {
namespace {

bool continues(char c) noexcept {
  return (static_cast<unsigned char>(c) & 0xc0U) == 0x80U;
}

/// Length of the well-formed UTF-8 character at the start of `text` (RFC 3629: no overlong forms, no surrogates); 0
/// when there is none.
std::size_t character_length(std::string_view text) noexcept {
  const auto first = static_cast<unsigned char>(text.front());
  if (first == 0) return 0;
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  if (!std::ranges::all_of(text.substr(1, length - 1), continues)) return 0;
  const auto second = static_cast<unsigned char>(text[1]);
  if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f)) return 0;
  if ((first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)) return 0;
  return length;
}

}  // namespace

std::string storable(std::string_view text, std::size_t bytes_max) {
  std::string kept;
  kept.reserve(std::min(text.size(), bytes_max));
  while (!text.empty()) {
    const std::size_t length = character_length(text);
    const std::size_t step = std::max<std::size_t>(length, 1);
    if (kept.size() + step > bytes_max) break;
    if (length == 0) {
      kept.push_back('?');
    } else {
      kept.append(text.substr(0, length));
    }
    text.remove_prefix(step);
  }
  return kept;
}

}  // namespace opi::store
