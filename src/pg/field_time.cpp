// Dates and times: days and microseconds since 2000-01-01 in binary, ISO text otherwise.
#include <charconv>

#include "pg/field.hpp"
#include "pg/network_order.hpp"

namespace opi::pg {
namespace {

using std::chrono::days;
using std::chrono::microseconds;

constexpr Date epoch = std::chrono::sys_days(std::chrono::year(2000) / 1 / 1);
constexpr std::int64_t microseconds_a_day = std::int64_t{24} * 60 * 60 * 1'000'000;

/// Takes numbers and signs from the front of a text.
class Reader {
 public:
  explicit Reader(std::string_view text) noexcept : rest_(text) {}

  bool sign(char expected) noexcept {
    if (!rest_.starts_with(expected)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool text(std::string_view expected) noexcept {
    if (!rest_.starts_with(expected)) return false;
    rest_.remove_prefix(expected.size());
    return true;
  }
  /// Digits only.
  bool number(int& into) noexcept {
    if (rest_.empty() || rest_.front() < '0' || rest_.front() > '9') return false;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), into);
    if (error != std::errc{}) return false;
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return true;
  }
  /// After the point: millionths.
  bool fraction(int& into) noexcept {
    int digits = 0;
    into = 0;
    while (!rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9' && digits < 6) {
      into = into * 10 + (rest_.front() - '0');
      rest_.remove_prefix(1);
      ++digits;
    }
    for (int missing = digits; missing < 6; ++missing) into *= 10;
    return digits > 0;
  }
  bool at_end() const noexcept { return rest_.empty(); }

 private:
  std::string_view rest_;
};

/// Days since 1970-01-01 in the Gregorian calendar; std::chrono::year ends at 32767, PostgreSQL's at 5874897.
std::int64_t days_from_civil(std::int64_t year, int month, int day) noexcept {
  year -= month <= 2 ? 1 : 0;
  const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
  const std::int64_t year_of_era = year - era * 400;
  const std::int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  const std::int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146'097 + day_of_era - 719'468;
}

struct Calendar {
  int year = 0, month = 0, day = 0;
  bool read(Reader& reader) noexcept {
    return reader.number(year) && reader.sign('-') && reader.number(month) && reader.sign('-') && reader.number(day) &&
           month >= 1 && month <= 12 && day >= 1 && day <= 31;
  }
  /// " BC" may follow; the year before 1 is 1 BC.
  std::int64_t days(Reader& reader) const noexcept {
    return days_from_civil(reader.text(" BC") ? 1 - std::int64_t{year} : year, month, day);
  }
};

/// "+02", "-03:30", "+05:45:12", or nothing.
bool read_zone(Reader& reader, std::int64_t& seconds) noexcept {
  const bool east = reader.sign('+');
  if (!east && !reader.sign('-')) return true;
  int hours = 0;
  int minutes = 0;
  int rest = 0;
  if (!reader.number(hours)) return false;
  if (reader.sign(':') && !reader.number(minutes)) return false;
  if (reader.sign(':') && !reader.number(rest)) return false;
  seconds = (std::int64_t{hours} * 60 + minutes) * 60 + rest;
  if (!east) seconds = -seconds;
  return true;
}

std::optional<Timestamp> parse_timestamp(std::string_view text) {
  Reader reader(text);
  Calendar calendar;
  int hour = 0;
  int minute = 0;
  int second = 0;
  int fraction = 0;
  if (!calendar.read(reader) || !reader.sign(' ') || !reader.number(hour) || !reader.sign(':') ||
      !reader.number(minute) || !reader.sign(':') || !reader.number(second)) {
    return std::nullopt;
  }
  if (reader.sign('.') && !reader.fraction(fraction)) return std::nullopt;
  std::int64_t zone = 0;
  if (!read_zone(reader, zone)) return std::nullopt;
  const std::int64_t day = calendar.days(reader);
  if (!reader.at_end()) return std::nullopt;
  const std::int64_t of_day = ((std::int64_t{hour} * 60 + minute) * 60 + second - zone) * 1'000'000 + fraction;
  std::int64_t since = 0;
  if (__builtin_mul_overflow(day, microseconds_a_day, &since) || __builtin_add_overflow(since, of_day, &since)) {
    return std::nullopt;
  }
  return Timestamp(microseconds(since));
}

std::optional<Date> parse_date(std::string_view text) {
  Reader reader(text);
  Calendar calendar;
  if (!calendar.read(reader)) return std::nullopt;
  const std::int64_t day = calendar.days(reader);
  if (!reader.at_end() || day >= std::numeric_limits<std::int32_t>::max()) return std::nullopt;
  return Date(days(static_cast<std::int32_t>(day)));
}

/// The text or binary form of one of the two infinities.
template <class Time>
std::optional<Time> infinity_of(std::string_view text) {
  if (text == "infinity") return Time::max();
  if (text == "-infinity") return Time::min();
  return std::nullopt;
}

std::optional<Timestamp> read_timestamp(const Field& field) {
  if (field.format == Format::text) {
    if (const auto infinity = infinity_of<Timestamp>(field.bytes)) return infinity;
    return parse_timestamp(field.bytes);
  }
  if ((field.type != oid::timestamptz && field.type != oid::timestamp) || field.bytes.size() != 8) return std::nullopt;
  auto since = static_cast<std::int64_t>(from_network<std::uint64_t>(field.bytes));
  if (since == std::numeric_limits<std::int64_t>::max()) return Timestamp::max();
  if (since == std::numeric_limits<std::int64_t>::min()) return Timestamp::min();
  // The last thirty years that PostgreSQL has are beyond what C++ counts from 1970.
  if (__builtin_add_overflow(since, Timestamp(epoch).time_since_epoch().count(), &since)) return std::nullopt;
  return Timestamp(microseconds(since));
}

std::optional<Date> read_date(const Field& field) {
  if (field.format == Format::text) {
    if (const auto infinity = infinity_of<Date>(field.bytes)) return infinity;
    return parse_date(field.bytes);
  }
  if (field.type != oid::date || field.bytes.size() != 4) return std::nullopt;
  const auto since = static_cast<std::int32_t>(from_network<std::uint32_t>(field.bytes));
  if (since == std::numeric_limits<std::int32_t>::max()) return Date::max();
  if (since == std::numeric_limits<std::int32_t>::min()) return Date::min();
  return epoch + days(since);
}

}  // namespace

void decode(const Field& field, Timestamp& into) {
  const auto read = read_timestamp(field);
  if (!read) throw_mismatch(field, "timestamp");
  into = *read;
}

void decode(const Field& field, Date& into) {
  const auto read = read_date(field);
  if (!read) throw_mismatch(field, "date");
  into = *read;
}

}  // namespace opi::pg
