#pragma once
/// @file
/// Values that go to the server as a statement's parameters.

#include <boost/container/small_vector.hpp>
#include <concepts>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "pg/types.hpp"

namespace opi::pg {

/// Integers that have a PostgreSQL type; characters and bool are not numbers.
template <class T>
concept Integer = std::integral<T> && !std::same_as<T, bool> && !std::same_as<T, char> && !std::same_as<T, wchar_t> &&
                  !std::same_as<T, char8_t> && !std::same_as<T, char16_t> && !std::same_as<T, char32_t>;

/// One parameter of a statement. Owns its bytes; a number needs no allocation.
///
/// Its type: numbers, bool, bytea, timestamps, dates and uuids are sent in binary with the type of their C++ value
/// (std::int32_t is integer, std::int64_t and std::uint32_t are bigint …), and the server casts as it would cast a
/// column of that type. Texts, JSON, text arrays and nullopt have none: the server infers it from the place, as it does
/// for a quoted literal. Two calls with other types are two prepared statements.
///
/// Never put a secret in: a failing statement may be logged by the server.
class Param {
 public:
  Param(std::nullopt_t) noexcept {}
  Param(std::string text) noexcept : bytes_(std::move(text)), null_(false) {}
  Param(std::string_view text) : bytes_(text), null_(false) {}
  Param(const char* text) : bytes_(text), null_(false) {}
  /// Any type's text form, as in a quoted literal that is cast to `type`.
  Param(std::string text, std::uint32_t type) noexcept : bytes_(std::move(text)), type_(type), null_(false) {}
  Param(bool value);
  template <Integer T>
  Param(T value) {
    if constexpr (sizeof(T) < 2 || std::same_as<T, std::int16_t>) {
      put_integer(static_cast<std::int16_t>(value));
    } else if constexpr (sizeof(T) < 4 || (sizeof(T) == 4 && std::is_signed_v<T>)) {
      put_integer(static_cast<std::int32_t>(value));
    } else if constexpr (sizeof(T) < 8 || std::is_signed_v<T>) {
      put_integer(static_cast<std::int64_t>(value));
    } else {  // more than a bigint holds
      put_text(std::to_string(value), oid::numeric);
    }
  }
  Param(float value);
  Param(double value);
  Param(std::span<const std::byte> bytes);
  Param(const std::vector<std::byte>& bytes) : Param(std::span<const std::byte>(bytes)) {}
  /// One outside of PostgreSQL's range is infinity or -infinity.
  Param(Timestamp when);
  Param(Date day);
  Param(const Uuid& uuid);
  Param(Json json) noexcept : Param(std::move(json.text)) {}
  Param(Numeric number) noexcept : Param(std::move(number.text), oid::numeric) {}
  /// One dimension; an element that is nullopt is NULL.
  Param(const std::vector<std::string>& array);
  Param(const std::vector<std::optional<std::string>>& array);
  Param(const std::vector<bool>& array);
  Param(const std::vector<std::int16_t>& array);
  Param(const std::vector<std::int32_t>& array);
  Param(const std::vector<std::int64_t>& array);
  Param(const std::vector<double>& array);
  Param(const std::vector<std::optional<bool>>& array);
  Param(const std::vector<std::optional<std::int16_t>>& array);
  Param(const std::vector<std::optional<std::int32_t>>& array);
  Param(const std::vector<std::optional<std::int64_t>>& array);
  Param(const std::vector<std::optional<double>>& array);
  /// NULL of the same type when there is none.
  template <class T>
  Param(const std::optional<T>& value) : Param(value ? Param(*value) : null_of(Param(T{}))) {}

  bool is_null() const noexcept { return null_; }
  /// Null for SQL NULL; terminated.
  const char* data() const noexcept { return null_ ? nullptr : bytes_.c_str(); }
  std::size_t size() const noexcept { return bytes_.size(); }
  /// oid::unknown: the server infers it.
  std::uint32_t type() const noexcept { return type_; }
  Format format() const noexcept { return format_; }
  /// A NUL byte would end a text early; the server has no such texts.
  bool contains_nul() const noexcept { return format_ == Format::text && bytes_.contains('\0'); }

 private:
  static Param null_of(const Param& like) noexcept;
  void put_text(std::string text, std::uint32_t type) noexcept;
  void put_integer(std::int16_t value);
  void put_integer(std::int32_t value);
  void put_integer(std::int64_t value);
  template <class Unsigned>
  void put_binary(Unsigned bits, std::uint32_t type);

  std::string bytes_;
  std::uint32_t type_ = oid::unknown;
  Format format_ = Format::text;
  bool null_ = true;
};

/// A statement's parameters, $1 first. Up to four need no allocation of their own.
using Params = boost::container::small_vector<Param, 4>;

}  // namespace opi::pg
