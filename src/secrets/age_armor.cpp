// The text form of an age file: strict base64 between two marker lines.
#include <algorithm>

#include "secrets/age.hpp"
#include "secrets/base64.hpp"

namespace opi::secrets {
namespace {

constexpr std::string_view begin_line = "-----BEGIN AGE ENCRYPTED FILE-----";
constexpr std::string_view end_line = "-----END AGE ENCRYPTED FILE-----";
constexpr std::size_t columns = 64;
constexpr std::size_t outer_space_max = 1024;

bool is_space(char c) noexcept {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f';
}

bool all_space(std::string_view text) noexcept {
  return std::ranges::all_of(text, is_space);
}

/// Takes a line and its end (LF or CRLF) from `text`.
std::string_view take_line(std::string_view& text) noexcept {
  const std::size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

std::unexpected<Error> refuse(const char* reason) {
  return failure(ErrorKind::invalid, std::string("age armor: ") + reason);
}

}  // namespace

std::string age_armor(std::string_view binary) {
  const std::string text = base64_encode(binary);
  std::string armored(begin_line);
  armored.push_back('\n');
  for (std::size_t at = 0; at < text.size(); at += columns) {
    armored.append(text, at, columns);
    armored.push_back('\n');
  }
  armored.append(end_line);
  armored.push_back('\n');
  return armored;
}

bool is_age_armor(std::string_view text) noexcept {
  const auto* first = std::ranges::find_if_not(text, is_space);
  return text.substr(static_cast<std::size_t>(first - text.begin())).starts_with(begin_line);
}

Result<std::string> age_dearmor(std::string_view text) {
  std::size_t before = 0;
  std::string_view line;
  while (true) {
    if (text.empty()) return refuse("no BEGIN line");
    const std::size_t size = text.size();
    line = take_line(text);
    if (!all_space(line)) break;
    before += size - text.size();
    if (before > outer_space_max) return refuse("too much white space before the BEGIN line");
  }
  if (line != begin_line) return refuse("text before the BEGIN line");

  std::string binary;
  binary.reserve(text.size() / 4 * 3);
  bool last = false;
  while (true) {
    if (text.empty()) return refuse("no END line");
    line = take_line(text);
    if (line == end_line) break;
    if (last) return refuse("a line after one shorter than 64 columns");
    if (line.empty()) return refuse("an empty line");
    if (line.size() > columns) return refuse("a line longer than 64 columns");
    auto decoded = base64_decode(line);
    if (!decoded) return refuse(decoded.error().message.c_str());
    last = line.size() < columns || line.ends_with('=');
    binary += *decoded;
  }
  if (text.size() > outer_space_max || !all_space(text)) return refuse("text after the END line");
  return binary;
}

}  // namespace opi::secrets
