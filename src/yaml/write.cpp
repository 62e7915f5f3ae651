#include <fmt/format.h>

#include <algorithm>

#include "yaml/edit.hpp"
#include "yaml/text.hpp"

namespace opi::yaml {
namespace {

bool letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// Plain in every YAML there is: starts like a word or a path, and is none of the words that some schema knows.
bool safe_plain(std::string_view value) {
  constexpr std::string_view inner = " _./@+~-";
  if (value.empty() || value.ends_with(' ') || !(letter(value[0]) || value[0] == '/' || value[0] == '_')) return false;
  const bool good = std::ranges::all_of(
      value, [&](char c) { return letter(c) || (c >= '0' && c <= '9') || inner.find(c) != inner.npos; });
  if (!good) return false;
  std::string lower(value.substr(0, 6));
  std::ranges::transform(lower, lower.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  constexpr std::string_view words[] = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"};
  return std::ranges::find(words, lower) == std::ranges::end(words);
}

/// The escape of the character at `start`, or "" when it may stand as it is; `size` is its length.
std::string escape(std::string_view value, std::size_t start, std::size_t& size) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(value[start + i]); };
  size = 1;
  switch (value[start]) {
    case '"': return "\\\"";
    case '\\': return "\\\\";
    case '\n': return "\\n";
    case '\t': return "\\t";
    case '\r': return "\\r";
    default: break;
  }
  if (byte(0) < 0x20 || byte(0) == 0x7F) return fmt::format("\\x{:02X}", byte(0));
  const std::string_view rest = value.substr(start);
  if (rest.size() >= 2 && byte(0) == 0xC2 && byte(1) < 0xA0) {
    size = 2;
    return fmt::format("\\x{:02X}", byte(1));
  }
  constexpr std::pair<std::string_view, std::string_view> breaking[] = {{"\xE2\x80\xA8", "\\u2028"},
                                                                        {"\xE2\x80\xA9", "\\u2029"},
                                                                        {"\xEF\xBB\xBF", "\\uFEFF"},
                                                                        {"\xEF\xBF\xBE", "\\uFFFE"},
                                                                        {"\xEF\xBF\xBF", "\\uFFFF"}};
  for (const auto& [bytes, escaped] : breaking) {
    if (!rest.starts_with(bytes)) continue;
    size = bytes.size();
    return std::string(escaped);
  }
  return {};
}

std::string double_quoted(std::string_view value) {
  std::string text = "\"";
  for (std::size_t i = 0; i < value.size();) {
    std::size_t size = 1;
    const std::string escaped = escape(value, i, size);
    text += escaped.empty() ? value.substr(i, size) : std::string_view(escaped);
    i += size;
  }
  return text + '"';
}

bool fits_block(std::string_view value) {
  if (value.empty() || value.ends_with("\n\n") || value == "\n") return false;
  if (value[0] == ' ' || value[0] == '\t' || value[0] == '\n') return false;
  for (std::size_t i = 0; i < value.size();) {
    std::size_t size = 1;
    const std::string escaped = escape(value, i, size);
    const bool plain = escaped.empty() || value[i] == '"' || value[i] == '\\' || value[i] == '\n' || value[i] == '\t';
    if (!plain) return false;
    i += size;
  }
  return true;
}

}  // namespace

std::string write_string(std::string_view value) {
  return safe_plain(value) ? std::string(value) : double_quoted(value);
}

std::string write_block(std::string_view value, std::size_t indent) {
  if (!fits_block(value)) return double_quoted(value);
  const bool closed = value.ends_with('\n');
  std::string text = closed ? "|" : "|-";
  std::string_view rest = closed ? value.substr(0, value.size() - 1) : value;
  while (true) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    text += '\n';
    if (!line.empty()) text += std::string(indent, ' ').append(line);
    if (end == rest.npos) return text;
    rest.remove_prefix(end + 1);
  }
}

}  // namespace opi::yaml
