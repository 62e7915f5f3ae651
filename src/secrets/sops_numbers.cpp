#include "secrets/sops_numbers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace opi::secrets::sops {
namespace {

/// As strconv decides it for the shortest form of verb g.
constexpr int yaml_exponent_from = 6;

bool digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

/// A finite number as digits d1d2… and the exponent of d1.
struct Digits {
  bool negative = false;
  std::string digits;
  int exponent = 0;
};

Digits digits_of(double number) {
  std::array<char, 64> buffer{};
  const auto [end, problem] =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), number, std::chars_format::scientific);
  std::string_view text(buffer.data(), static_cast<std::size_t>(end - buffer.data()));
  Digits result;
  if (text.starts_with('-')) {
    result.negative = true;
    text.remove_prefix(1);
  }
  const std::size_t mark = text.find('e');
  for (const char c : text.substr(0, mark)) {
    if (digit(c)) result.digits.push_back(c);
  }
  std::string_view exponent = text.substr(mark + 1);
  if (exponent.starts_with('+')) exponent.remove_prefix(1);
  std::from_chars(exponent.data(), exponent.data() + exponent.size(), result.exponent);
  return result;
}

std::string plain(const Digits& number) {
  std::string text = number.negative ? "-" : "";
  const int whole = number.exponent + 1;  // digits before the point
  if (whole <= 0) return text + "0." + std::string(static_cast<std::size_t>(-whole), '0') + number.digits;
  const auto before = static_cast<std::size_t>(whole);
  if (number.digits.size() <= before) return text + number.digits + std::string(before - number.digits.size(), '0');
  return text + number.digits.substr(0, before) + "." + number.digits.substr(before);
}

std::string scientific(const Digits& number, int exponent_digits) {
  std::string text = number.negative ? "-" : "";
  text += number.digits[0];
  if (number.digits.size() > 1) text += "." + number.digits.substr(1);
  return text + fmt::format("e{}{:0{}}", number.exponent < 0 ? '-' : '+', std::abs(number.exponent), exponent_digits);
}

std::string special(double number, std::string_view infinity, std::string_view minus_infinity, std::string_view nan) {
  if (std::isnan(number)) return std::string(nan);
  return std::string(number > 0 ? infinity : minus_infinity);
}

bool lower_equal(std::string_view text, std::string_view lower) {
  return std::ranges::equal(text, lower,
                            [](char a, char b) { return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + 32) : a) == b; });
}

/// Takes `count` or, with `least`, up to `count` digits.
std::optional<int> take_number(std::string_view& text, std::size_t least, std::size_t count) {
  std::size_t length = 0;
  int value = 0;
  while (length < text.size() && length < count && digit(text[length])) value = value * 10 + (text[length++] - '0');
  if (length < least) return {};
  text.remove_prefix(length);
  return value;
}

bool take(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

struct Time {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  std::string fraction;  ///< nanoseconds without trailing zeros
  std::string zone = "Z";
};

bool real(const Time& time) {
  constexpr std::array<int, 12> days{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (time.month < 1 || time.month > 12 || time.day < 1) return false;
  const bool leap = (time.year % 4 == 0 && time.year % 100 != 0) || time.year % 400 == 0;
  const int last = days.at(static_cast<std::size_t>(time.month) - 1) + (time.month == 2 && leap ? 1 : 0);
  return time.day <= last && time.hour <= 23 && time.minute <= 59 && time.second <= 59;
}

bool take_date(std::string_view& text, std::size_t least, Time& time) {
  const auto year = take_number(text, 4, 4);
  if (!year || !take(text, '-')) return false;
  const auto month = take_number(text, least, 2);
  if (!month || !take(text, '-')) return false;
  const auto day = take_number(text, least, 2);
  if (!day) return false;
  time.year = *year;
  time.month = *month;
  time.day = *day;
  return true;
}

bool take_clock(std::string_view& text, std::size_t least, Time& time) {
  const auto hour = take_number(text, least, 2);
  if (!hour || !take(text, ':')) return false;
  const auto minute = take_number(text, least, 2);
  if (!minute || !take(text, ':')) return false;
  const auto second = take_number(text, least, 2);
  if (!second) return false;
  time.hour = *hour;
  time.minute = *minute;
  time.second = *second;
  if (text.size() > 1 && (text[0] == '.' || text[0] == ',') && digit(text[1])) {
    text.remove_prefix(1);
    while (!text.empty() && digit(text.front())) {
      if (time.fraction.size() < 9) time.fraction.push_back(text.front());
      text.remove_prefix(1);
    }
    while (time.fraction.ends_with('0')) time.fraction.pop_back();
  }
  return true;
}

bool take_zone(std::string_view& text, Time& time) {
  if (take(text, 'Z')) return true;
  if (text.empty() || (text[0] != '+' && text[0] != '-')) return false;
  const char sign = text[0];
  text.remove_prefix(1);
  const auto hours = take_number(text, 2, 2);
  if (!hours || !take(text, ':')) return false;
  const auto minutes = take_number(text, 2, 2);
  if (!minutes || *hours > 24 || *minutes > 60) return false;
  if (*hours != 0 || *minutes != 0) time.zone = fmt::format("{}{:02}:{:02}", sign, *hours, *minutes);
  return true;
}

std::string written(const Time& time, bool seconds_only) {
  std::string text = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", time.year, time.month, time.day, time.hour,
                                 time.minute, time.second);
  if (!seconds_only && !time.fraction.empty()) text += "." + time.fraction;
  return text + time.zone;
}

}  // namespace

std::string write_decimal(double number) {
  if (!std::isfinite(number)) return special(number, "+Inf", "-Inf", "NaN");
  return plain(digits_of(number));
}

std::string write_yaml_number(double number) {
  if (!std::isfinite(number)) return special(number, ".inf", "-.inf", ".nan");
  const Digits digits = digits_of(number);
  const bool exponent = digits.exponent < -4 || digits.exponent >= yaml_exponent_from;
  return exponent ? scientific(digits, 2) : plain(digits);
}

std::optional<std::string> write_json_number(double number) {
  if (!std::isfinite(number)) return {};
  const double size = std::abs(number);
  const Digits digits = digits_of(number);
  if (size != 0 && (size < 1e-6 || size >= 1e21)) return scientific(digits, size < 1 ? 1 : 2);
  return plain(digits);
}

std::optional<double> read_float(std::string_view text) {
  std::string_view rest = text;
  const bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  if (lower_equal(rest, "inf") || lower_equal(rest, "infinity")) return negative ? -INFINITY : INFINITY;
  if (lower_equal(text, "nan")) return NAN;
  if (rest.empty() || (!digit(rest[0]) && rest[0] != '.')) return {};
  double number = 0;
  const bool hexadecimal = rest.starts_with("0x") || rest.starts_with("0X");
  if (hexadecimal && rest.find_first_of("pP") == std::string_view::npos) return {};
  if (hexadecimal) rest.remove_prefix(2);
  const auto format = hexadecimal ? std::chars_format::hex : std::chars_format::general;
  const auto [end, problem] = std::from_chars(rest.data(), rest.data() + rest.size(), number, format);
  if (end != rest.data() + rest.size() || problem == std::errc::invalid_argument) return {};
  if (problem == std::errc::result_out_of_range) {
    // Too small is zero, too large is none.
    const std::size_t mark = rest.find_first_of("eEpP");
    if (mark == std::string_view::npos || rest.substr(mark + 1).starts_with('-')) return negative ? -0.0 : 0.0;
    return {};
  }
  return negative ? -number : number;
}

std::optional<std::int64_t> read_integer(std::string_view text) {
  if (text.starts_with('+') && text.size() > 1 && digit(text[1])) text.remove_prefix(1);
  std::int64_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc{} || end != text.data() + text.size()) return {};
  return number;
}

std::optional<bool> read_boolean(std::string_view text) {
  for (const std::string_view word : {"1", "t", "T", "TRUE", "true", "True"}) {
    if (text == word) return true;
  }
  for (const std::string_view word : {"0", "f", "F", "FALSE", "false", "False"}) {
    if (text == word) return false;
  }
  return {};
}

std::optional<YamlInteger> read_yaml_integer(std::string_view text) {
  std::string digits;
  for (const char c : text) {
    if (c != '_') digits.push_back(c);
  }
  std::string_view rest = digits;
  const bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  int base = 10;
  if (rest.size() > 1 && rest[0] == '0') {
    const char mark = rest[1];
    const bool octal_letter = mark == 'o' || mark == 'O';
    if (mark == 'x' || mark == 'X') base = 16;
    if (mark == 'b' || mark == 'B') base = 2;
    if (octal_letter || digit(mark)) base = 8;
    if (base != 10) rest.remove_prefix(digit(mark) ? 1 : 2);
  }
  if (rest.empty() || rest[0] == '-' || rest[0] == '+') return {};
  std::uint64_t size = 0;
  const auto [end, problem] = std::from_chars(rest.data(), rest.data() + rest.size(), size, base);
  if (problem != std::errc{} || end != rest.data() + rest.size()) return {};
  constexpr std::uint64_t most = std::uint64_t{1} << 63U;
  if (negative) {
    if (size > most) return {};
    return YamlInteger{.value = static_cast<std::int64_t>(~size + 1)};
  }
  if (size >= most) return YamlInteger{};
  return YamlInteger{.value = static_cast<std::int64_t>(size)};
}

std::optional<std::string> read_time(std::string_view text, bool seconds_only) {
  Time time;
  if (!take_date(text, 2, time) || !take(text, 'T') || !take_clock(text, 2, time) || !take_zone(text, time)) return {};
  if (!text.empty() || !real(time)) return {};
  return written(time, seconds_only);
}

std::optional<std::string> read_yaml_time(std::string_view text) {
  Time time;
  if (!take_date(text, 1, time)) return {};
  if (!text.empty()) {
    const char mark = text.front();
    text.remove_prefix(1);
    if (mark != 'T' && mark != 't' && mark != ' ') return {};
    if (!take_clock(text, 1, time)) return {};
    if (mark != ' ' && !take_zone(text, time)) return {};
  }
  if (!text.empty() || !real(time)) return {};
  return written(time, false);
}

}  // namespace opi::secrets::sops
