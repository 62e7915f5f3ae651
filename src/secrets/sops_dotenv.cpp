// KEY=value lines: no quoting, no escapes but "\n".
#include <cmath>

#include "secrets/sops_formats.hpp"
#include "secrets/sops_numbers.hpp"

namespace opi::secrets::sops {
namespace {

std::string with_line_feeds(std::string_view text) {
  std::string value;
  value.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escaped = text.substr(i).starts_with("\\n");
    value.push_back(escaped ? '\n' : text[i]);
    i += escaped ? 1 : 0;
  }
  return value;
}

}  // namespace

std::string as_text(const Value& value) {
  if (value.is(Kind::boolean)) return value.boolean ? "true" : "false";
  if (value.is(Kind::null)) return "null";
  if (!value.is(Kind::floating)) return value.bytes();
  if (!std::isfinite(value.number)) return write_decimal(value.number);
  // A float stays one: "1" becomes "1.0".
  std::string text = write_yaml_number(value.number);
  for (char& c : text) c = c == 'e' ? 'E' : c;
  return text.find_first_of(".E") == std::string::npos ? text + ".0" : text;
}

Result<Branches> read_dotenv(std::string_view text) {
  Value map = Value::of_kind(Kind::map);
  for (int number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.empty()) continue;
    if (map.map.size() >= values_max) return failure(ErrorKind::invalid, "too many lines");
    if (line[0] == '#') {
      append(map, {}, Value::of_comment(std::string(line.substr(1))));
      continue;
    }
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) {
      return failure(Error(ErrorKind::invalid, "neither a comment nor KEY=value").at({.line = number, .column = 1}));
    }
    append(map, std::string(line.substr(0, equals)), Value::of_string(with_line_feeds(line.substr(equals + 1))));
  }
  Branches branches;
  branches.push_back(std::move(map));
  return branches;
}

Result<std::string> write_dotenv(const Value& map) {
  std::string text;
  for (const Item& item : map.map) {
    if (item.value.is(Kind::comment)) {
      text.append("#").append(item.value.text).append("\n");
      continue;
    }
    if (item.value.is(Kind::map) || item.value.is(Kind::list)) {
      return failure(ErrorKind::invalid, "a dotenv file has no place for maps and lists");
    }
    if (item.key.find_first_of("=\n") != std::string::npos || item.key.starts_with('#')) {
      return failure(ErrorKind::invalid, "a key that a dotenv file cannot hold");
    }
    text.append(item.key).append("=");
    SecretString value = SecretString::take(as_text(item.value));
    for (const char c : value.reveal()) {
      if (c == '\n') {
        text += "\\n";
      } else {
        text += c;
      }
    }
    text += '\n';
  }
  return text;
}

}  // namespace opi::secrets::sops
