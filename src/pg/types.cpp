#include "pg/types.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace opi::pg {
namespace {

using Name = std::pair<std::uint32_t, std::string_view>;

constexpr std::array names = {
    Name{oid::unknown, "unknown"},
    Name{oid::boolean, "boolean"},
    Name{oid::bytea, "bytea"},
    Name{oid::char_, "\"char\""},
    Name{oid::name, "name"},
    Name{oid::int8, "bigint"},
    Name{oid::int2, "smallint"},
    Name{oid::int4, "integer"},
    Name{oid::text, "text"},
    Name{oid::oid, "oid"},
    Name{oid::json, "json"},
    Name{oid::xml, "xml"},
    Name{oid::float4, "real"},
    Name{oid::float8, "double precision"},
    Name{oid::bpchar, "char"},
    Name{oid::varchar, "varchar"},
    Name{oid::date, "date"},
    Name{oid::timestamp, "timestamp"},
    Name{oid::timestamptz, "timestamptz"},
    Name{oid::numeric, "numeric"},
    Name{oid::uuid, "uuid"},
    Name{oid::jsonb, "jsonb"},
    Name{oid::bool_array, "boolean[]"},
    Name{oid::int2_array, "smallint[]"},
    Name{oid::int4_array, "integer[]"},
    Name{oid::text_array, "text[]"},
    Name{oid::int8_array, "bigint[]"},
    Name{oid::float4_array, "real[]"},
    Name{oid::float8_array, "double precision[]"},
};

constexpr std::string_view hex_digits = "0123456789abcdef";

int hex_value(char digit) noexcept {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

}  // namespace

std::string oid::name_of(std::uint32_t type) {
  const auto* const found = std::ranges::find(names, type, &Name::first);
  return found != names.end() ? std::string(found->second) : fmt::format("type {}", type);
}

std::string Uuid::to_string() const {
  std::string text;
  text.reserve(36);
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    if (at == 4 || at == 6 || at == 8 || at == 10) text += '-';
    text += hex_digits[std::to_integer<unsigned>(bytes[at]) >> 4U];
    text += hex_digits[std::to_integer<unsigned>(bytes[at]) & 0xFU];
  }
  return text;
}

std::optional<Uuid> Uuid::parse(std::string_view text) {
  if (text.size() >= 2 && text.front() == '{' && text.back() == '}') text = text.substr(1, text.size() - 2);
  Uuid uuid;
  std::size_t digits = 0;
  for (const char character : text) {
    // A dash may stand after every fourth digit (uuid_in).
    if (character == '-' && digits > 0 && digits < 32 && digits % 4 == 0) continue;
    const int value = hex_value(character);
    if (value < 0 || digits == 32) return std::nullopt;
    std::byte& byte = uuid.bytes[digits / 2];
    byte = (byte << 4U) | static_cast<std::byte>(value);
    ++digits;
  }
  if (digits != 32) return std::nullopt;
  return uuid;
}

}  // namespace opi::pg
