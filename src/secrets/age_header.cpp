#include "secrets/age_header.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "secrets/base64.hpp"

namespace opi::secrets {
namespace {

constexpr std::size_t columns = 64;
constexpr std::size_t stanzas_max = 1'000;
constexpr std::size_t header_bytes_max = 1U << 20U;
constexpr std::size_t mac_bytes = 32;
constexpr std::string_view stanza_mark = "->";
constexpr std::string_view end_mark = "---";

/// Walks the lines of the header; keeps count of them for messages.
class Lines {
 public:
  explicit Lines(std::string_view text) noexcept : text_(text) {}

  /// The next line without its line feed; empty when there is none that ends.
  std::optional<std::string_view> next() noexcept {
    const std::string_view window = text_.substr(at_, header_bytes_max - std::min(at_, header_bytes_max));
    const std::size_t length = window.find('\n');
    if (length == std::string_view::npos) return {};
    at_ += length + 1;
    ++number_;
    return window.substr(0, length);
  }
  std::size_t offset() const noexcept { return at_; }
  std::unexpected<Error> refuse(std::string_view reason) const {
    return failure(ErrorKind::invalid, fmt::format("age header, line {}: {}", number_, reason));
  }
  std::unexpected<Error> cut_short() const {
    return failure(ErrorKind::invalid, fmt::format("age header, line {}: it does not end", number_ + 1));
  }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t number_ = 0;
};

/// The arguments after a mark: each preceded by exactly one space, of printable characters, not empty.
std::optional<std::vector<std::string>> split_arguments(std::string_view text) {
  std::vector<std::string> arguments;
  while (!text.empty()) {
    if (text.front() != ' ') return {};
    text.remove_prefix(1);
    const std::string_view argument = text.substr(0, text.find(' '));
    if (argument.empty()) return {};
    if (!std::ranges::all_of(argument, [](char c) { return c >= 33 && c <= 126; })) return {};
    arguments.emplace_back(argument);
    text.remove_prefix(argument.size());
  }
  return arguments;
}

/// A body ends with the first line that is shorter than 64 columns; it may be empty.
Result<std::string> parse_body(Lines& lines) {
  std::string body;
  while (true) {
    const auto line = lines.next();
    if (!line) return lines.cut_short();
    if (line->size() > columns) return lines.refuse("a body line longer than 64 columns");
    auto decoded = base64_decode(*line, Padding::unpadded);
    if (!decoded) return lines.refuse(decoded.error().message);
    body += *decoded;
    if (line->size() < columns) return body;
  }
}

}  // namespace

Result<AgeHeader> parse_age_header(std::string_view file) {
  Lines lines(file);
  const auto intro = lines.next();
  if (!intro) return lines.cut_short();
  if (*intro != age_intro) return lines.refuse("not an age file of version 1");
  AgeHeader header;
  while (true) {
    const auto line = lines.next();
    if (!line) return lines.cut_short();
    if (line->starts_with(end_mark)) {
      auto arguments = split_arguments(line->substr(end_mark.size()));
      if (!arguments || arguments->size() != 1) return lines.refuse("a malformed MAC line");
      auto mac = base64_decode(arguments->front(), Padding::unpadded);
      if (!mac) return lines.refuse(mac.error().message);
      if (mac->size() != mac_bytes) return lines.refuse("the MAC is not 32 bytes");
      if (header.stanzas.empty()) return lines.refuse("no recipient stanza before the MAC");
      header.mac = std::move(*mac);
      header.authenticated = file.substr(0, lines.offset() - line->size() - 1 + end_mark.size());
      header.payload = file.substr(lines.offset());
      return header;
    }
    if (!line->starts_with(stanza_mark)) return lines.refuse("neither a stanza nor the MAC");
    auto arguments = split_arguments(line->substr(stanza_mark.size()));
    if (!arguments || arguments->empty()) return lines.refuse("a malformed stanza line");
    if (header.stanzas.size() == stanzas_max) return lines.refuse("more than 1000 stanzas");
    AgeStanza stanza{.type = std::move(arguments->front())};
    stanza.arguments.assign(std::make_move_iterator(arguments->begin() + 1), std::make_move_iterator(arguments->end()));
    auto body = parse_body(lines);
    if (!body) return failure(std::move(body.error()));
    stanza.body = std::move(*body);
    header.stanzas.push_back(std::move(stanza));
  }
}

std::string write_age_header(const std::vector<AgeStanza>& stanzas) {
  std::string text(age_intro);
  text.push_back('\n');
  for (const AgeStanza& stanza : stanzas) {
    text.append(stanza_mark).append(" ").append(stanza.type);
    for (const std::string& argument : stanza.arguments) text.append(" ").append(argument);
    text.push_back('\n');
    const std::string body = base64_encode(stanza.body, Padding::unpadded);
    for (std::size_t at = 0; at < body.size(); at += columns) {
      text.append(body, at, columns);
      text.push_back('\n');
    }
    if (body.size() % columns == 0) text.push_back('\n');  // a full last line does not end a body
  }
  text.append(end_mark);
  return text;
}

}  // namespace opi::secrets
