#include "secrets/sops_yaml_scalar.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "secrets/base64.hpp"
#include "secrets/sops_numbers.hpp"
#include "yaml/node.hpp"

namespace opi::secrets::sops {
namespace {

struct Character {
  std::uint32_t code = 0;
  std::size_t size = 1;
};

/// The character at the start of `text`; none when those bytes are no UTF-8.
std::optional<Character> decode(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return Character{.code = first, .size = 1};
  const std::size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < size) return {};
  std::uint32_t code = first & (0xFFU >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) return {};
    code = code << 6U | (byte(i) & 0x3FU);
  }
  constexpr std::array<std::uint32_t, 5> least{0, 0, 0x80, 0x800, 0x10000};
  if (code < least.at(size) || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return {};
  return Character{.code = code, .size = size};
}

/// libyaml's notion: what lies outside of the basic plane counts as not printable.
bool printable(std::uint32_t code) {
  return code == 0x0A || (code >= 0x20 && code <= 0x7E) || (code >= 0xA0 && code < 0xD800) ||
         (code >= 0xE000 && code < 0xFFFE && code != 0xFEFF);
}

bool line_break(std::uint32_t code) {
  return code == '\n' || code == '\r' || code == 0x85 || code == 0x2028 || code == 0x2029;
}

/// What a scalar may be written as.
struct Analysis {
  bool utf8 = true;
  bool line_breaks = false;  ///< other than LF
  bool line_feeds = false;
  bool plain = true;
  bool single_quoted = true;
  bool block = true;
};

bool indicator_first(std::string_view text) {
  constexpr std::string_view always = "#,[]{}&*!|>'\"%@`";
  if (always.find(text[0]) != std::string_view::npos) return true;
  if (text.starts_with("---") || text.starts_with("...")) return true;
  const bool alone = text.size() == 1 || text[1] == ' ' || text[1] == '\t' || text[1] == '\n' || text[1] == '\r';
  return (text[0] == '-' || text[0] == '?' || text[0] == ':') && alone;
}

Analysis analyse(std::string_view text) {
  Analysis result;
  bool special = false;
  bool tab = false;
  bool previous_space = false;
  bool previous_break = false;
  bool break_space = false;
  bool space_break = false;
  bool indicators = indicator_first(text);
  for (std::size_t at = 0; at < text.size();) {
    const auto character = decode(text.substr(at));
    if (!character) return {.utf8 = false};
    const std::uint32_t code = character->code;
    const char next = at + 1 < text.size() ? text[at + 1] : ' ';
    if (code == ':' && (next == ' ' || next == '\t' || next == '\n' || next == '\r')) indicators = true;
    if (code == '#' && at > 0 && (text[at - 1] == ' ' || text[at - 1] == '\t' || text[at - 1] == '\n'))
      indicators = true;
    if (code == '\t') {
      tab = true;
    } else if (!printable(code)) {
      special = true;
    }
    if (code == ' ') {
      break_space = break_space || previous_break;
    } else if (line_break(code)) {
      (code == '\n' ? result.line_feeds : result.line_breaks) = true;
      space_break = space_break || previous_space;
    }
    previous_space = code == ' ';
    previous_break = line_break(code);
    at += character->size;
  }
  const bool outer_space = text.front() == ' ' || text.back() == ' ';
  const bool breaks = result.line_feeds || result.line_breaks;
  result.plain = !indicators && !special && !tab && !breaks && !outer_space;
  result.single_quoted = !special && !tab && !break_space && !space_break && !breaks;
  result.block = !special && !space_break && !result.line_breaks && text.back() != ' ';
  return result;
}

/// "1:30:00", which YAML 1.1 takes for a number to the base of 60.
bool sexagesimal(std::string_view text) {
  if (text.find(':') == std::string_view::npos) return false;
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  if (text.empty() || !digit(text[0])) return false;
  std::size_t at = 0;
  while (at < text.size() && (digit(text[at]) || text[at] == '_')) ++at;
  std::size_t groups = 0;
  while (at < text.size() && text[at] == ':') {
    ++at;
    const std::size_t start = at;
    while (at < text.size() && digit(text[at]) && at - start < 2) ++at;
    if (at == start || (at - start == 2 && text[start] > '5')) return false;
    ++groups;
  }
  if (at < text.size() && text[at] == '.') {
    ++at;
    while (at < text.size() && (digit(text[at]) || text[at] == '_')) ++at;
  }
  return groups > 0 && at == text.size();
}

/// Would a plain text be read as something else than a string, by YAML 1.2 or by the tables of 1.1?
bool means_something(std::string_view text) {
  constexpr std::array<std::string_view, 17> old{"y", "Y",  "yes", "Yes", "YES", "on",  "On",  "ON", "n",
                                                 "N", "no", "No",  "NO",  "off", "Off", "OFF", "<<"};
  if (std::ranges::find(old, text) != old.end()) return true;
  if (yaml::resolve_scalar({}, yaml::Style::plain, text) != yaml::ScalarType::string) return true;
  const char first = text.empty() ? ' ' : text[0];
  if ((first < '0' || first > '9') && first != '-' && first != '+') return false;
  std::string digits(text);
  std::erase(digits, '_');
  return read_yaml_time(text) || read_yaml_integer(text) || sexagesimal(text) ||
         yaml::resolve_scalar({}, yaml::Style::plain, digits) != yaml::ScalarType::string;
}

std::string escape(std::uint32_t code) {
  switch (code) {
    case 0: return "\\0";
    case 7: return "\\a";
    case 8: return "\\b";
    case 9: return "\\t";
    case 10: return "\\n";
    case 11: return "\\v";
    case 12: return "\\f";
    case 13: return "\\r";
    case 27: return "\\e";
    case '"': return "\\\"";
    case '\\': return "\\\\";
    case 0x85: return "\\N";
    case 0x2028: return "\\L";
    case 0x2029: return "\\P";
    default: break;
  }
  if (code <= 0xFF) return fmt::format("\\x{:02X}", code);
  if (code <= 0xFFFF) return fmt::format("\\u{:04X}", code);
  return fmt::format("\\U{:08X}", code);
}

std::string double_quoted(std::string_view text) {
  std::string written = "\"";
  for (std::size_t at = 0; at < text.size();) {
    const Character character = decode(text.substr(at)).value_or(Character{});
    const std::uint32_t code = character.code;
    if (!printable(code) || line_break(code) || code == '"' || code == '\\') {
      written += escape(code);
    } else {
      written += text.substr(at, character.size);
    }
    at += character.size;
  }
  return written + '"';
}

std::string single_quoted(std::string_view text) {
  std::string written = "'";
  for (const char c : text) written.append(c == '\'' ? 2 : 1, c);
  return written + '\'';
}

std::string literal(std::string_view text, std::size_t indent, std::size_t deeper) {
  std::string written = "|";
  // A tab too, where libyaml would not write it and then not read what it wrote: it takes the tab for indentation.
  if (text[0] == ' ' || text[0] == '\n' || text[0] == '\t') written += std::to_string(deeper);
  if (!text.ends_with('\n')) {
    written += '-';
  } else if (text.size() == 1 || text[text.size() - 2] == '\n') {
    written += '+';
  }
  written += '\n';
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    if (!line.empty()) written.append(indent, ' ').append(line);
    written += '\n';
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return written;
}

std::string write(std::string_view text, bool one_line, std::size_t indent, std::size_t deeper) {
  if (text.empty()) return "\"\"";
  const Analysis may = analyse(text);
  if (!may.utf8) return "!!binary " + base64_encode(text);
  if (may.line_feeds) {
    return one_line || !may.block || deeper > 9 ? double_quoted(text) : literal(text, indent, deeper);
  }
  if (means_something(text)) return double_quoted(text);
  if (may.plain) return std::string(text);
  return may.single_quoted ? single_quoted(text) : double_quoted(text);
}

}  // namespace

std::string write_yaml_string(std::string_view text, std::size_t indent, std::size_t deeper) {
  return write(text, false, indent, deeper);
}

std::string write_yaml_key(std::string_view text) {
  return write(text, true, 0, 0);
}

}  // namespace opi::secrets::sops
