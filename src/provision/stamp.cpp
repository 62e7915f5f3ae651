#include "provision/stamp.hpp"

#include <fmt/format.h>

#include <utility>

namespace opi::provision {
namespace {

constexpr std::string_view prefix = "managed by opi:";

bool plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

std::string encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (plain(c)) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (plain(text[i])) {
      out += text[i];
      continue;
    }
    if (text[i] != '%' || i + 2 >= text.size()) return std::nullopt;
    const int high = hex_value(text[i + 1]);
    const int low = hex_value(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  if (out.empty()) return std::nullopt;
  return out;
}

/// The value of " key=value" at the front of `rest`, which is taken off.
std::optional<std::string> take_field(std::string_view& rest, std::string_view key) {
  if (!rest.starts_with(' ')) return std::nullopt;
  rest.remove_prefix(1);
  if (!rest.starts_with(key) || !rest.substr(key.size()).starts_with('=')) return std::nullopt;
  rest.remove_prefix(key.size() + 1);
  const auto value = rest.substr(0, rest.find(' '));
  rest.remove_prefix(value.size());
  return decoded(value);
}

}  // namespace

std::string Stamp::to_comment() const {
  return fmt::format("{} project={} deployment={} id={}", prefix, encoded(project), encoded(deployment), encoded(id));
}

std::optional<Stamp> parse_stamp(std::string_view comment) {
  if (!comment.starts_with(prefix)) return std::nullopt;
  auto rest = comment.substr(prefix.size());
  auto project = take_field(rest, "project");
  if (!project) return std::nullopt;
  auto deployment = take_field(rest, "deployment");
  if (!deployment) return std::nullopt;
  auto id = take_field(rest, "id");
  if (!id || !rest.empty()) return std::nullopt;
  return Stamp{.id = *std::move(id), .project = *std::move(project), .deployment = *std::move(deployment)};
}

}  // namespace opi::provision
