#include "pg/quote.hpp"

#include <stdexcept>

namespace opi::pg {
namespace {

constexpr std::size_t identifier_bytes_max = 63;  // NAMEDATALEN - 1

std::string enclose(std::string_view text, char quote) {
  std::string result;
  result.reserve(text.size() + 2);
  result += quote;
  for (const char character : text) {
    if (character == quote) result += quote;
    result += character;
  }
  result += quote;
  return result;
}

}  // namespace

std::string quote_identifier(std::string_view name) {
  if (name.empty()) throw std::invalid_argument("an SQL identifier must not be empty");
  if (name.size() > identifier_bytes_max) throw std::invalid_argument("an SQL identifier has at most 63 bytes");
  if (name.contains('\0')) throw std::invalid_argument("an SQL identifier must not contain a NUL byte");
  return enclose(name, '"');
}

std::string quote_literal(std::string_view text) {
  if (text.contains('\0')) throw std::invalid_argument("an SQL literal must not contain a NUL byte");
  // With standard_conforming_strings on a backslash is a plain character; an E'' string means the same under either
  // setting.
  if (!text.contains('\\')) return enclose(text, '\'');
  std::string doubled;
  doubled.reserve(text.size() + 8);
  for (const char character : text) {
    if (character == '\\') doubled += '\\';
    doubled += character;
  }
  return " E" + enclose(doubled, '\'');
}

}  // namespace opi::pg
