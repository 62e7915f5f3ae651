#include "yaml/node.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

namespace opi::yaml {
namespace {

constexpr std::string_view core_tag = "tag:yaml.org,2002:";

template <std::size_t N>
bool is_one_of(std::string_view value, const std::array<std::string_view, N>& words) {
  return std::ranges::find(words, value) != words.end();
}

constexpr std::array<std::string_view, 5> null_words{"", "~", "null", "Null", "NULL"};
constexpr std::array<std::string_view, 3> true_words{"true", "True", "TRUE"};
constexpr std::array<std::string_view, 3> false_words{"false", "False", "FALSE"};
constexpr std::array<std::string_view, 3> infinity_words{".inf", ".Inf", ".INF"};
constexpr std::array<std::string_view, 3> nan_words{".nan", ".NaN", ".NAN"};

bool digit(char c) {
  return c >= '0' && c <= '9';
}
bool octal(char c) {
  return c >= '0' && c <= '7';
}
bool hexadecimal(char c) {
  return digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

std::string_view without_sign(std::string_view value) {
  if (value.starts_with('-') || value.starts_with('+')) value.remove_prefix(1);
  return value;
}

/// [-+]?[0-9]+ | 0o[0-7]+ | 0x[0-9a-fA-F]+
bool is_integer(std::string_view value) {
  if (value.starts_with("0o")) return value.size() > 2 && std::ranges::all_of(value.substr(2), octal);
  if (value.starts_with("0x")) return value.size() > 2 && std::ranges::all_of(value.substr(2), hexadecimal);
  const std::string_view digits = without_sign(value);
  return !digits.empty() && std::ranges::all_of(digits, digit);
}

/// [-+]?( \.[0-9]+ | [0-9]+(\.[0-9]*)? )([eE][-+]?[0-9]+)? | [-+]?\.inf | \.nan
bool is_floating(std::string_view value) {
  if (is_one_of(value, nan_words)) return true;
  std::string_view rest = without_sign(value);
  if (is_one_of(rest, infinity_words)) return true;
  const auto skip_digits = [&rest] {
    const auto end = std::ranges::find_if_not(rest, digit);
    const auto count = static_cast<std::size_t>(end - rest.begin());
    rest.remove_prefix(count);
    return count;
  };
  const std::size_t whole = skip_digits();
  std::size_t fraction = 0;
  if (rest.starts_with('.')) {
    rest.remove_prefix(1);
    fraction = skip_digits();
  }
  if (whole == 0 && fraction == 0) return false;
  if (rest.starts_with('e') || rest.starts_with('E')) {
    rest = without_sign(rest.substr(1));
    if (skip_digits() == 0) return false;
  }
  return rest.empty();
}

ScalarType resolve_plain(std::string_view value) {
  if (is_one_of(value, null_words)) return ScalarType::null;
  if (is_one_of(value, true_words) || is_one_of(value, false_words)) return ScalarType::boolean;
  if (is_integer(value)) return ScalarType::integer;
  if (is_floating(value)) return ScalarType::floating;
  return ScalarType::string;
}

}  // namespace

ScalarType resolve_scalar(std::string_view tag, Style style, std::string_view value) noexcept {
  if (tag.empty()) return style == Style::plain ? resolve_plain(value) : ScalarType::string;
  if (!tag.starts_with(core_tag)) return ScalarType::string;
  const std::string_view name = tag.substr(core_tag.size());
  const ScalarType plain = resolve_plain(value);
  if (name == "null" && plain == ScalarType::null) return plain;
  if (name == "bool" && plain == ScalarType::boolean) return plain;
  if (name == "int" && plain == ScalarType::integer) return plain;
  if (name == "float" && (plain == ScalarType::floating || plain == ScalarType::integer)) return ScalarType::floating;
  return ScalarType::string;
}

Place Node::place() const {
  return {.file = file ? *file : std::string{}, .line = line, .column = column};
}

const Entry* Node::find_entry(std::string_view key) const noexcept {
  const auto found = std::ranges::find_if(entries, [&](const Entry& entry) { return entry.key.value == key; });
  return found == entries.end() ? nullptr : &*found;
}

const Node* Node::find(std::string_view key) const noexcept {
  const Entry* entry = find_entry(key);
  return entry == nullptr ? nullptr : &entry->value;
}

ScalarType Node::type() const noexcept {
  return resolve_scalar(tag, style, value);
}

std::string_view Node::type_name() const noexcept {
  if (is_mapping()) return "mapping";
  if (is_sequence()) return "list";
  switch (type()) {
    case ScalarType::null: return "null";
    case ScalarType::boolean: return "boolean";
    case ScalarType::integer: return "integer";
    case ScalarType::floating: return "number";
    case ScalarType::string: return "string";
  }
  return "string";
}

std::optional<std::string_view> Node::as_string() const noexcept {
  if (!is_scalar() || type() != ScalarType::string) return std::nullopt;
  return value;
}

std::optional<bool> Node::as_boolean() const noexcept {
  if (!is_scalar() || type() != ScalarType::boolean) return std::nullopt;
  return is_one_of(value, true_words);
}

std::optional<std::int64_t> Node::as_integer() const noexcept {
  if (!is_scalar() || type() != ScalarType::integer) return std::nullopt;
  std::string_view digits = value;
  int base = 10;
  if (digits.starts_with("0o") || digits.starts_with("0x")) {
    base = digits[1] == 'o' ? 8 : 16;
    digits.remove_prefix(2);
  } else if (digits.starts_with('+')) {
    digits.remove_prefix(1);
  }
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number, base);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return number;
}

std::optional<double> Node::as_number() const noexcept {
  if (!is_scalar()) return std::nullopt;
  const ScalarType which = type();
  if (which == ScalarType::integer) {
    if (const auto whole = as_integer()) return static_cast<double>(*whole);
  } else if (which != ScalarType::floating) {
    return std::nullopt;
  }
  if (is_one_of(value, nan_words)) return std::numeric_limits<double>::quiet_NaN();
  std::string_view digits = value;
  const double sign = digits.starts_with('-') ? -1.0 : 1.0;
  digits = without_sign(digits);
  if (is_one_of(digits, infinity_words)) return sign * std::numeric_limits<double>::infinity();
  double number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error == std::errc::invalid_argument) return std::nullopt;
  // Out of range: from_chars leaves the value alone; whether it was too large or too small shows in the exponent.
  if (error == std::errc::result_out_of_range) {
    const bool small = digits.find("e-") != digits.npos || digits.find("E-") != digits.npos;
    return sign * (small ? 0.0 : std::numeric_limits<double>::infinity());
  }
  return sign * number;
}

}  // namespace opi::yaml
