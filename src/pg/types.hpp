#pragma once
/// @file
/// PostgreSQL's types that our values know, and the C++ types for those that C++ has none for.

#include <array>
#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace opi::pg {

/// How a value travels (the protocol's format codes).
enum class Format : std::uint8_t { text = 0, binary = 1 };

/// Object identifiers of built-in types, the same on every server (pg_type.dat).
namespace oid {
inline constexpr std::uint32_t unknown = 0;  ///< in a parameter: the server infers it
inline constexpr std::uint32_t boolean = 16, bytea = 17, char_ = 18, name = 19, int8 = 20, int2 = 21, int4 = 23,
                               text = 25, oid = 26, json = 114, xml = 142, float4 = 700, float8 = 701, bpchar = 1042,
                               varchar = 1043, date = 1082, timestamp = 1114, timestamptz = 1184, numeric = 1700,
                               uuid = 2950, jsonb = 3802;
inline constexpr std::uint32_t bool_array = 1000, int2_array = 1005, int4_array = 1007, text_array = 1009,
                               int8_array = 1016, float4_array = 1021, float8_array = 1022;
/// "bigint", "timestamptz"; "type 16402" for one that is not listed here.
std::string name_of(std::uint32_t type);
}  // namespace oid

/// timestamptz, and timestamp where the session's time zone is UTC. `max()` is infinity, `min()` is -infinity.
using Timestamp = std::chrono::sys_time<std::chrono::microseconds>;
/// date. `max()` is infinity, `min()` is -infinity.
using Date = std::chrono::sys_days;

/// uuid, 16 bytes in the order they are written.
struct Uuid {
  std::array<std::byte, 16> bytes{};
  /// "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11".
  std::string to_string() const;
  /// With or without dashes and braces, as PostgreSQL reads it; none when it is anything else.
  static std::optional<Uuid> parse(std::string_view text);
  friend auto operator<=>(const Uuid&, const Uuid&) = default;
};

/// json or jsonb, as text that is not looked at here.
struct Json {
  std::string text;
  friend bool operator==(const Json&, const Json&) = default;
};

/// numeric, exact, as the text PostgreSQL writes: "-12.50", "NaN", "Infinity".
struct Numeric {
  std::string text;
  friend bool operator==(const Numeric&, const Numeric&) = default;
};

}  // namespace opi::pg
