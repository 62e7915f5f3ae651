#pragma once
/// @file
/// Reads a row's columns one after another, and the names that enumerations have in the database.

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "pg/value.hpp"

namespace opi::store {

/// SQL that reads a timestamptz column as microseconds since 1970, which `RowReader` understands as WallTime. date_part
/// is a double: exact to the microsecond for another two centuries, and three times as fast as extract, which is
/// numeric.
inline std::string microseconds(std::string_view column) {
  return "(date_part('epoch', " + std::string(column) + ") * 1000000)::bigint";
}

/// Walks the columns of one row from the left. Throws std::logic_error when statement and reader disagree (see
/// pg::Row).
class RowReader {
 public:
  explicit RowReader(pg::Row row, int first = 0) noexcept : row_(row), column_(first) {}

  template <class T>
  T next() {
    return row_.get<T>(column_++);
  }
  std::string text() { return next<std::string>(); }
  std::string bytes() {
    const auto raw = next<std::vector<std::byte>>();
    return {reinterpret_cast<const char*>(raw.data()), raw.size()};
  }
  WallTime time() { return to_time(next<std::int64_t>()); }
  std::optional<WallTime> time_or_null() {
    const auto microseconds = next<std::optional<std::int64_t>>();
    if (!microseconds) return {};
    return to_time(*microseconds);
  }
  /// True when the next column is NULL.
  bool at_null() const noexcept { return row_.is_null(column_); }

 private:
  static WallTime to_time(std::int64_t microseconds) {
    return WallTime(std::chrono::duration_cast<WallTime::duration>(std::chrono::microseconds(microseconds)));
  }
  pg::Row row_;
  int column_;
};

inline std::int64_t to_microseconds(WallTime time) {
  return std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
}

/// The enumerator whose name in the database is `name`; `names` are in the enumeration's order.
template <class Enum, std::size_t Count>
Enum enum_named(const std::array<std::string_view, Count>& names, std::string_view name) {
  for (std::size_t i = 0; i < Count; ++i) {
    if (names[i] == name) return static_cast<Enum>(i);
  }
  throw std::logic_error("a name in the control database that this program does not know: " + std::string(name));
}

/// Bytes as a bytea parameter.
inline pg::Param bytes_param(std::string_view bytes) {
  return std::span(reinterpret_cast<const std::byte*>(bytes.data()), bytes.size());
}

/// bigint values as a text[] parameter, to be cast with ::text[]::bigint[].
inline pg::Param ids_param(const std::vector<std::int64_t>& ids) {
  std::vector<std::string> texts;
  texts.reserve(ids.size());
  for (const std::int64_t id : ids) texts.push_back(std::to_string(id));
  return texts;
}

}  // namespace opi::store
