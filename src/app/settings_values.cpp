#include "app/settings_values.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

namespace opi::app {

namespace {

constexpr std::size_t quoted_bytes_max = 60;
constexpr std::uint64_t milliseconds_max = 10ULL * 366 * 24 * 3600 * 1000;

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};
constexpr std::array<Unit, 4> duration_units{{{"ms", 1}, {"s", 1'000}, {"m", 60'000}, {"h", 3'600'000}}};
constexpr std::array<Unit, 3> size_units{{{"", 1}, {"KiB", 1U << 10U}, {"MiB", 1U << 20U}}};

/// The leading digits as a number and what follows them; nothing when there are no digits or too many.
std::optional<std::pair<std::uint64_t, std::string_view>> digits_then_unit(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end == text.data()) return std::nullopt;
  return std::pair{number, text.substr(static_cast<std::size_t>(end - text.data()))};
}

std::unexpected<std::string> wrong_duration(std::string_view text) {
  return std::unexpected(
      fmt::format("{} is not a duration; write a number and a unit, like 500ms, 30s, 2m or 24h", in_quotes(text)));
}

std::unexpected<std::string> wrong_size(std::string_view text, std::uint32_t least, std::uint32_t most) {
  return std::unexpected(fmt::format("{} is not a size in bytes; write one from {} to {}, like 16384, 16KiB or 1MiB",
                                     in_quotes(text), size_text(least), size_text(most)));
}

std::unexpected<std::string> wrong_host(std::string_view text) {
  return std::unexpected(fmt::format(
      "{} is not a host; write a name, an address, name:port, [v6-address]:port, or the absolute directory of a unix "
      "socket",
      in_quotes(text)));
}

bool is_host_text(std::string_view host) {
  if (host.empty() || host.size() > 255) return false;
  for (const char c : host) {
    if (static_cast<unsigned char>(c) <= ' ' || c == '\x7f' || c == ',' || c == '/') return false;
  }
  return true;
}

}  // namespace

std::string in_quotes(std::string_view text) {
  std::string result = "\"";
  for (const char c : text.substr(0, quoted_bytes_max)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      result += fmt::format("\\x{:02x}", byte);
    } else {
      if (c == '"' || c == '\\') result += '\\';
      result += c;
    }
  }
  result += text.size() > quoted_bytes_max ? "…\"" : "\"";
  return result;
}

Parsed<std::chrono::milliseconds> duration_from(std::string_view text) {
  if (text == "0") return std::chrono::milliseconds{0};
  const auto parts = digits_then_unit(text);
  if (!parts) return wrong_duration(text);
  for (const Unit& unit : duration_units) {
    if (unit.name != parts->second) continue;
    if (parts->first > milliseconds_max / unit.factor) {
      return std::unexpected(fmt::format("{} is longer than ten years; write a shorter one", in_quotes(text)));
    }
    return std::chrono::milliseconds{static_cast<std::int64_t>(parts->first * unit.factor)};
  }
  return wrong_duration(text);
}

std::string duration_text(std::chrono::milliseconds duration) {
  const auto count = static_cast<std::uint64_t>(duration.count());
  if (count == 0) return "0s";
  for (auto unit = duration_units.rbegin(); unit != duration_units.rend(); ++unit) {
    if (count % unit->factor == 0) return fmt::format("{}{}", count / unit->factor, unit->name);
  }
  return fmt::format("{}ms", count);
}

Parsed<std::uint64_t> whole_number_from(std::string_view text, std::uint64_t least, std::uint64_t most) {
  const auto parts = digits_then_unit(text);
  if (!parts || !parts->second.empty()) {
    return std::unexpected(
        fmt::format("{} is not a whole number; write one from {} to {}", in_quotes(text), least, most));
  }
  if (parts->first < least || parts->first > most) {
    return std::unexpected(
        fmt::format("{} is out of range; write a whole number from {} to {}", parts->first, least, most));
  }
  return parts->first;
}

Parsed<double> share_from(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value) || value < 0 || value > 1) {
    return std::unexpected(fmt::format("{} is not a share; write a number from 0 to 1, like 0.2", in_quotes(text)));
  }
  return value;
}

Parsed<std::uint32_t> size_from(std::string_view text, std::uint32_t least, std::uint32_t most) {
  const auto parts = digits_then_unit(text);
  if (!parts) return wrong_size(text, least, most);
  for (const Unit& unit : size_units) {
    if (unit.name != parts->second) continue;
    if (parts->first > most / unit.factor || parts->first * unit.factor < least) return wrong_size(text, least, most);
    return static_cast<std::uint32_t>(parts->first * unit.factor);
  }
  return wrong_size(text, least, most);
}

std::string size_text(std::uint64_t bytes) {
  for (auto unit = size_units.rbegin(); unit != size_units.rend(); ++unit) {
    if (bytes != 0 && bytes % unit->factor == 0) return fmt::format("{}{}", bytes / unit->factor, unit->name);
  }
  return fmt::format("{}", bytes);
}

Parsed<HostText> host_from(std::string_view text) {
  if (text.starts_with('/')) {
    // sun_path holds 108 bytes, and libpq appends "/.s.PGSQL.65535".
    if (text.size() > 90 || text.find(',') != std::string_view::npos) return wrong_host(text);
    return HostText{std::string(text), std::nullopt};
  }
  std::string_view host = text;
  std::string_view port;
  bool has_port = false;
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos) return wrong_host(text);
    host = text.substr(1, close - 1);
    const std::string_view rest = text.substr(close + 1);
    if (!rest.empty() && !rest.starts_with(':')) return wrong_host(text);
    has_port = !rest.empty();
    if (has_port) port = rest.substr(1);
  } else if (const auto colon = text.find(':'); colon != std::string_view::npos && colon == text.rfind(':')) {
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    has_port = true;
  }
  if (!is_host_text(host)) return wrong_host(text);
  HostText result{std::string(host), std::nullopt};
  if (has_port) {
    const auto number = whole_number_from(port, 1, 65'535);
    if (!number) return wrong_host(text);
    result.port = static_cast<std::uint16_t>(*number);
  }
  return result;
}

}  // namespace opi::app
