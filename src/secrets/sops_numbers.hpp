#pragma once
/// @file
/// Numbers and times as SOPS writes and reads them: the texts of Go's strconv and time packages, which its files hold.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace opi::secrets::sops {

/// Shortest decimal that reads back the same, never with an exponent: 1e21 is "1000000000000000000000", -0.0 is "-0".
std::string write_decimal(double number);
/// The same with an exponent below 1e-4 and from 1e6: as YAML shows it ("1e+06", "1e-07"; ".inf", "-.inf", ".nan").
std::string write_yaml_number(double number);
/// With an exponent below 1e-6 and from 1e21 ("1e-7"); none for what JSON has no number for.
std::optional<std::string> write_json_number(double number);

/// A decimal or hexadecimal floating-point text, "inf", "infinity" or "nan" in any case. None when it is none or is out
/// of range.
std::optional<double> read_float(std::string_view text);
/// A whole decimal number of 64 bits with an optional sign.
std::optional<std::int64_t> read_integer(std::string_view text);
/// 1 t T TRUE true True 0 f F FALSE false False.
std::optional<bool> read_boolean(std::string_view text);

/// A whole number as YAML writes one: decimal, 0x, 0o, 0b, a leading 0 for octal, `_` between digits.
struct YamlInteger {
  std::optional<std::int64_t> value = {};  ///< none: it needs more than 64 bits with a sign
};
/// None when the text is no whole number of at most 64 bits.
std::optional<YamlInteger> read_yaml_integer(std::string_view text);

/// RFC 3339 with nanoseconds as needed: strict, upper case, real dates. `seconds_only` leaves the fraction out.
/// None when it is none.
std::optional<std::string> read_time(std::string_view text, bool seconds_only = false);
/// A timestamp as YAML may write it (a date alone, one digit for month and day, a space for the "T"), as RFC 3339.
std::optional<std::string> read_yaml_time(std::string_view text);

}  // namespace opi::secrets::sops
