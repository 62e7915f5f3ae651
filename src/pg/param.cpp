#include "pg/param.hpp"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <limits>

#include "pg/network_order.hpp"

namespace opi::pg {
namespace {

using std::chrono::days;

/// PostgreSQL counts from 2000-01-01 (timestamp.h).
constexpr Date epoch = std::chrono::sys_days(std::chrono::year(2000) / 1 / 1);
/// Its first day, and the first that is too late for a date (datatype.h, date.h); a C++ timestamp cannot be too late.
constexpr Date first_day = std::chrono::sys_days(std::chrono::year(-4713) / 11 / 24);
constexpr Date end_of_days = epoch + days(2'145'031'949);

/// An array literal; every element that needs it is quoted (array_in, section 8.15 of the PostgreSQL manual).
void append_element(std::string& text, std::string_view element) {
  text += '"';
  for (const char character : element) {
    if (character == '"' || character == '\\') text += '\\';
    text += character;
  }
  text += '"';
}

void append_element(std::string& text, bool element) {
  text += element ? 't' : 'f';
}

template <Integer T>
void append_element(std::string& text, T element) {
  text += std::to_string(element);
}

std::string text_of(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return fmt::format("{}", value);  // the shortest text that reads back as the same number
}

void append_element(std::string& text, double element) {
  text += text_of(element);
}

template <class T>
void append_element(std::string& text, const std::optional<T>& element) {
  if (element) {
    append_element(text, *element);
  } else {
    text += "NULL";
  }
}

template <class Array>
std::string literal_of(const Array& array) {
  std::string text = "{";
  for (const typename Array::value_type element : array) {
    if (text.size() > 1) text += ',';
    append_element(text, element);
  }
  text += '}';
  return text;
}

}  // namespace

template <class Unsigned>
void Param::put_binary(Unsigned bits, std::uint32_t type) {
  const auto raw = to_network(bits);
  bytes_.assign(raw.data(), raw.size());  // fits into the string itself
  type_ = type;
  format_ = Format::binary;
  null_ = false;
}

void Param::put_text(std::string text, std::uint32_t type) noexcept {
  bytes_ = std::move(text);
  type_ = type;
  null_ = false;
}

void Param::put_integer(std::int16_t value) {
  put_binary(static_cast<std::uint16_t>(value), oid::int2);
}
void Param::put_integer(std::int32_t value) {
  put_binary(static_cast<std::uint32_t>(value), oid::int4);
}
void Param::put_integer(std::int64_t value) {
  put_binary(static_cast<std::uint64_t>(value), oid::int8);
}

Param Param::null_of(const Param& like) noexcept {
  Param null(std::nullopt);
  null.type_ = like.type_;
  return null;
}

Param::Param(bool value) {
  put_binary(static_cast<std::uint8_t>(value ? 1 : 0), oid::boolean);
}
Param::Param(float value) {
  put_binary(std::bit_cast<std::uint32_t>(value), oid::float4);
}
Param::Param(double value) {
  put_binary(std::bit_cast<std::uint64_t>(value), oid::float8);
}

Param::Param(std::span<const std::byte> bytes)
    : bytes_(reinterpret_cast<const char*>(bytes.data()), bytes.size()),
      type_(oid::bytea),
      format_(Format::binary),
      null_(false) {}

Param::Param(Timestamp when) {
  std::int64_t since = std::numeric_limits<std::int64_t>::max();
  if (when < Timestamp(first_day)) {
    since = std::numeric_limits<std::int64_t>::min();
  } else if (when != Timestamp::max()) {
    since = (when - Timestamp(epoch)).count();
  }
  put_binary(static_cast<std::uint64_t>(since), oid::timestamptz);
}

Param::Param(Date day) {
  std::int32_t since = std::numeric_limits<std::int32_t>::max();
  if (day < first_day) {
    since = std::numeric_limits<std::int32_t>::min();
  } else if (day < end_of_days) {
    since = static_cast<std::int32_t>((day - epoch).count());
  }
  put_binary(static_cast<std::uint32_t>(since), oid::date);
}

Param::Param(const Uuid& uuid) : Param(std::span<const std::byte>(uuid.bytes)) {
  type_ = oid::uuid;
}

Param::Param(const std::vector<std::string>& array) : Param(literal_of(array)) {}
Param::Param(const std::vector<std::optional<std::string>>& array) : Param(literal_of(array)) {}
Param::Param(const std::vector<bool>& array) : Param(literal_of(array), oid::bool_array) {}
Param::Param(const std::vector<std::int16_t>& array) : Param(literal_of(array), oid::int2_array) {}
Param::Param(const std::vector<std::int32_t>& array) : Param(literal_of(array), oid::int4_array) {}
Param::Param(const std::vector<std::int64_t>& array) : Param(literal_of(array), oid::int8_array) {}
Param::Param(const std::vector<double>& array) : Param(literal_of(array), oid::float8_array) {}
Param::Param(const std::vector<std::optional<bool>>& array) : Param(literal_of(array), oid::bool_array) {}
Param::Param(const std::vector<std::optional<std::int16_t>>& array) : Param(literal_of(array), oid::int2_array) {}
Param::Param(const std::vector<std::optional<std::int32_t>>& array) : Param(literal_of(array), oid::int4_array) {}
Param::Param(const std::vector<std::optional<std::int64_t>>& array) : Param(literal_of(array), oid::int8_array) {}
Param::Param(const std::vector<std::optional<double>>& array) : Param(literal_of(array), oid::float8_array) {}

}  // namespace opi::pg
