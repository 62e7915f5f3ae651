#include "pg/field.hpp"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <stdexcept>

#include "pg/network_order.hpp"

namespace opi::pg {
namespace {

template <class Number>
bool parse_number(std::string_view text, Number& into) {
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, into);
  return error == std::errc{} && stopped == end;
}

bool is_binary(const Field& field, std::uint32_t type, std::size_t size) noexcept {
  return field.format == Format::binary && field.type == type && field.bytes.size() == size;
}

/// Types whose binary form is no text.
bool is_text_like(std::uint32_t type) noexcept {
  constexpr std::array others = {oid::boolean,    oid::bytea,      oid::int8,         oid::int2,
                                 oid::int4,       oid::oid,        oid::float4,       oid::float8,
                                 oid::date,       oid::timestamp,  oid::timestamptz,  oid::numeric,
                                 oid::uuid,       oid::bool_array, oid::int2_array,   oid::int4_array,
                                 oid::text_array, oid::int8_array, oid::float4_array, oid::float8_array};
  return std::ranges::find(others, type) == others.end();
}

int hex_value(char digit) noexcept {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  return -1;
}

/// Digits of four, the place of the first, a sign and the digits to show after the point (numeric_send).
std::optional<std::string> numeric_text(std::string_view bytes) {
  constexpr std::size_t header_bytes = 8;
  if (bytes.size() < header_bytes) return std::nullopt;
  const auto digits = from_network<std::uint16_t>(bytes);
  const auto weight = static_cast<std::int16_t>(from_network<std::uint16_t>(bytes.substr(2)));
  const auto sign = from_network<std::uint16_t>(bytes.substr(4));
  const auto scale = from_network<std::uint16_t>(bytes.substr(6));
  if (bytes.size() != header_bytes + std::size_t{2} * digits) return std::nullopt;
  if (sign == 0xC000) return "NaN";
  if (sign == 0xD000) return "Infinity";
  if (sign == 0xF000) return "-Infinity";
  const auto digit = [&](int place) -> unsigned {
    const int at = weight - place;
    if (at < 0 || at >= digits) return 0;
    return from_network<std::uint16_t>(bytes.substr(header_bytes + 2 * static_cast<std::size_t>(at)));
  };
  std::string text = sign == 0x4000 ? "-" : "";
  if (weight < 0) {
    text += '0';
  } else {
    text += std::to_string(digit(weight));
    for (int place = weight - 1; place >= 0; --place) text += fmt::format("{:04}", digit(place));
  }
  if (scale == 0) return text;
  std::string fraction;
  for (int place = -1; fraction.size() < scale; --place) fraction += fmt::format("{:04}", digit(place));
  return text + '.' + fraction.substr(0, scale);
}

std::string_view text_bytes(const Field& field, std::string_view wanted) {
  if (field.format == Format::text) return field.bytes;
  if (field.type == oid::jsonb && field.bytes.starts_with('\1')) return field.bytes.substr(1);  // its version
  if (!is_text_like(field.type) || field.type == oid::jsonb) throw_mismatch(field, wanted);
  return field.bytes;
}

}  // namespace

void throw_mismatch(const Field& field, std::string_view wanted) {
  const char* const name = field.result != nullptr ? PQfname(field.result, field.column) : nullptr;
  throw std::logic_error(fmt::format("column {} ({}) of type {} cannot be read as {}: a value of {} bytes",
                                     field.column, name != nullptr ? name : "unnamed", oid::name_of(field.type), wanted,
                                     field.bytes.size()));
}

std::int64_t decode_integer(const Field& field, std::int64_t least, std::int64_t most) {
  std::int64_t value = 0;
  bool read = true;
  if (field.format == Format::text) {
    read = parse_number(field.bytes, value);
  } else if (is_binary(field, oid::int4, 4)) {
    value = static_cast<std::int32_t>(from_network<std::uint32_t>(field.bytes));
  } else if (is_binary(field, oid::int8, 8)) {
    value = static_cast<std::int64_t>(from_network<std::uint64_t>(field.bytes));
  } else if (is_binary(field, oid::int2, 2)) {
    value = static_cast<std::int16_t>(from_network<std::uint16_t>(field.bytes));
  } else if (is_binary(field, oid::oid, 4)) {
    value = from_network<std::uint32_t>(field.bytes);
  } else {
    read = false;
  }
  if (!read || value < least || value > most) {
    throw_mismatch(field, fmt::format("integer from {} to {}", least, most));
  }
  return value;
}

void decode(const Field& field, bool& into) {
  if (is_binary(field, oid::boolean, 1)) {
    into = field.bytes.front() != '\0';
  } else if (field.format == Format::text && (field.bytes == "t" || field.bytes == "f")) {
    into = field.bytes == "t";
  } else {
    throw_mismatch(field, "bool");
  }
}

void decode(const Field& field, float& into) {
  if (is_binary(field, oid::float4, 4)) {
    into = std::bit_cast<float>(from_network<std::uint32_t>(field.bytes));
  } else if (field.format != Format::text || !parse_number(field.bytes, into)) {
    throw_mismatch(field, "float");
  }
}

void decode(const Field& field, double& into) {
  if (is_binary(field, oid::float8, 8)) {
    into = std::bit_cast<double>(from_network<std::uint64_t>(field.bytes));
  } else if (is_binary(field, oid::float4, 4)) {
    into = std::bit_cast<float>(from_network<std::uint32_t>(field.bytes));
  } else if (field.format != Format::text || !parse_number(field.bytes, into)) {  // reads NaN and Infinity too
    throw_mismatch(field, "double");
  }
}

void decode(const Field& field, std::string& into) {
  into = text_bytes(field, "text");
}
void decode(const Field& field, std::string_view& into) {
  into = text_bytes(field, "text");
}
void decode(const Field& field, Json& into) {
  into.text = text_bytes(field, "JSON text");
}

void decode(const Field& field, std::vector<std::byte>& into) {
  into.clear();
  if (field.format == Format::binary) {
    if (field.type != oid::bytea) throw_mismatch(field, "bytea");
    const auto* const first = reinterpret_cast<const std::byte*>(field.bytes.data());
    into.assign(first, first + field.bytes.size());
    return;
  }
  const std::string_view text = field.bytes;
  if (!text.starts_with("\\x") || text.size() % 2 != 0) throw_mismatch(field, "bytea");
  into.reserve(text.size() / 2 - 1);
  for (std::size_t at = 2; at < text.size(); at += 2) {
    const int high = hex_value(text[at]);
    const int low = hex_value(text[at + 1]);
    if (high < 0 || low < 0) throw_mismatch(field, "bytea");
    into.push_back(static_cast<std::byte>(high * 16 + low));
  }
}

void decode(const Field& field, Numeric& into) {
  if (field.format == Format::text) {
    into.text = field.bytes;
    return;
  }
  auto text = field.type == oid::numeric ? numeric_text(field.bytes) : std::nullopt;
  if (!text) throw_mismatch(field, "numeric");
  into.text = *std::move(text);
}

void decode(const Field& field, Uuid& into) {
  if (is_binary(field, oid::uuid, into.bytes.size())) {
    std::memcpy(into.bytes.data(), field.bytes.data(), into.bytes.size());
    return;
  }
  const auto uuid = field.format == Format::text ? Uuid::parse(field.bytes) : std::nullopt;
  if (!uuid) throw_mismatch(field, "uuid");
  into = *uuid;
}

}  // namespace opi::pg
