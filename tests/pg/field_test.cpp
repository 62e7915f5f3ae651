// Values in both forms, those that do not fit, and those that are broken.
#include "pg/field.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace opi::pg {
namespace {

using namespace std::chrono;

template <class T>
T read(std::string_view bytes, std::uint32_t type, Format format) {
  T value{};
  decode(Field{.bytes = bytes, .type = type, .format = format}, value);
  return value;
}
template <class T>
T from_text(std::string_view text) {
  return read<T>(text, oid::text, Format::text);
}
template <class T>
T from_binary(std::string_view bytes, std::uint32_t type) {
  return read<T>(bytes, type, Format::binary);
}

/// Bytes that may hold NUL.
template <std::size_t Size>
std::string_view raw(const char (&bytes)[Size]) {
  return {bytes, Size - 1};
}

TEST(Field, IntegersHaveTheBoundsOfTheirCppType) {
  EXPECT_EQ(from_text<int>("-5"), -5);
  EXPECT_EQ(from_text<std::uint64_t>("7"), 7U);
  EXPECT_EQ(from_binary<int>(raw("\0\5"), oid::int2), 5);
  EXPECT_EQ(from_binary<std::int64_t>(raw("\xff\xff\xff\xff"), oid::int4), -1);
  EXPECT_EQ(from_binary<std::uint32_t>(raw("\xff\xff\xff\xff"), oid::oid), 4'294'967'295U);
  EXPECT_EQ(from_binary<std::int16_t>(raw("\0\0\0\0\0\0\x7f\xff"), oid::int8), 32'767);
  EXPECT_THROW(from_binary<std::int16_t>(raw("\0\0\0\0\0\0\x80\0"), oid::int8), std::logic_error);
  EXPECT_THROW(from_binary<std::uint32_t>(raw("\xff\xff\xff\xff"), oid::int4), std::logic_error);
  EXPECT_THROW(from_text<std::uint8_t>("256"), std::logic_error);
  EXPECT_THROW(from_text<int>("5 "), std::logic_error);
  EXPECT_THROW(from_text<int>(""), std::logic_error);
  EXPECT_THROW(from_binary<int>("1234", oid::text), std::logic_error);
  EXPECT_THROW(from_binary<int>("12", oid::int4), std::logic_error);
}

TEST(Field, AMismatchNamesColumnAndType) {
  try {
    decode_integer({.bytes = "x", .type = oid::text, .column = 3}, 0, 9);
    FAIL();
  } catch (const std::logic_error& error) {
    EXPECT_STREQ(error.what(),
                 "column 3 (unnamed) of type text cannot be read as integer from 0 to 9: a value of 1 bytes");
  }
}

TEST(Field, NumericIsExactInBothForms) {
  EXPECT_EQ(from_text<Numeric>("-12.50").text, "-12.50");
  EXPECT_EQ(from_binary<Numeric>(raw("\0\2\0\0\x40\0\0\2\0\x0c\x13\x88"), oid::numeric).text, "-12.50");
  EXPECT_EQ(from_binary<Numeric>(raw("\0\0\0\0\0\0\0\0"), oid::numeric).text, "0");
  EXPECT_EQ(from_binary<Numeric>(raw("\0\1\0\2\0\0\0\0\0\1"), oid::numeric).text, "100000000");
  EXPECT_EQ(from_binary<Numeric>(raw("\0\1\xff\xfe\0\0\0\6\0\x64"), oid::numeric).text, "0.000001");
  EXPECT_EQ(from_binary<Numeric>(raw("\0\0\0\0\xc0\0\0\0"), oid::numeric).text, "NaN");
  EXPECT_EQ(from_binary<Numeric>(raw("\0\0\0\0\xf0\0\0\0"), oid::numeric).text, "-Infinity");
  EXPECT_THROW(from_binary<Numeric>(raw("\0\2\0\0\0\0\0\0\0\1"), oid::numeric), std::logic_error);
}

TEST(Field, TimesAreReadWithZonesFractionsErasAndInfinities) {
  const Timestamp noon = sys_days(2024y / 2 / 29) + 12h;
  EXPECT_EQ(from_text<Timestamp>("2024-02-29 12:00:00+00"), noon);
  EXPECT_EQ(from_text<Timestamp>("2024-02-29 14:30:00.5+02:30"), noon + 500ms);
  EXPECT_EQ(from_text<Timestamp>("2024-02-29 11:00:00.000001-01"), noon + 1us);
  EXPECT_EQ(from_text<Timestamp>("2024-02-29 12:00:00"), noon);
  EXPECT_EQ(from_text<Timestamp>("0001-01-01 00:00:00+00 BC"), Timestamp(sys_days(year(0) / 1 / 1)));
  EXPECT_EQ(from_text<Timestamp>("infinity"), Timestamp::max());
  EXPECT_EQ(from_text<Timestamp>("-infinity"), Timestamp::min());
  EXPECT_EQ(from_binary<Timestamp>(raw("\0\0\0\0\0\0\0\1"), oid::timestamptz),
            Timestamp(sys_days(2000y / 1 / 1)) + 1us);
  for (const char* text : {"", "2024", "2024-13-01 00:00:00", "2024-02-29 12:00:00x", "294276-12-31 23:59:59+00"}) {
    EXPECT_THROW(from_text<Timestamp>(text), std::logic_error) << text;
  }
  EXPECT_EQ(from_text<Date>("1999-12-31"), Date(1999y / 12 / 31));
  EXPECT_EQ(from_text<Date>("4714-11-24 BC"), Date(year(-4713) / 11 / 24));
  EXPECT_EQ(from_text<Date>("5874897-12-31").time_since_epoch().count(), 2'145'042'905);
  EXPECT_EQ(from_binary<Date>(raw("\xff\xff\xff\xff"), oid::date), Date(1999y / 12 / 31));
  EXPECT_EQ(from_binary<Date>(raw("\x7f\xff\xff\xff"), oid::date), Date::max());
  EXPECT_THROW(from_text<Date>("1999-12-31 00:00"), std::logic_error);
}

TEST(Field, ArraysHaveNullsAndOneDimension) {
  using Optionals = std::vector<std::optional<std::string>>;
  EXPECT_EQ(from_text<Optionals>(R"({a,NULL,"NULL","q\"\\",""})"), (Optionals{"a", std::nullopt, "NULL", "q\"\\", ""}));
  EXPECT_EQ(from_text<std::vector<int>>("[0:1]={1,2}"), (std::vector{1, 2}));
  EXPECT_EQ(from_text<std::vector<bool>>("{t,f}"), (std::vector{true, false}));
  EXPECT_TRUE(from_text<std::vector<int>>("{}").empty());
  EXPECT_EQ(from_binary<std::vector<int>>(
                raw("\0\0\0\1\0\0\0\0\0\0\0\x17\0\0\0\2\0\0\0\1\0\0\0\4\0\0\0\7\0\0\0\4\0\0\0\x08"), oid::int4_array),
            (std::vector{7, 8}));
  EXPECT_THROW(from_text<std::vector<int>>("{1,NULL}"), std::logic_error);
  for (const char* text : {"{{1},{2}}", "{1", "1", "{1,}", "{\"1}", "[0:1]", "{\"a\"b}"}) {
    EXPECT_THROW(from_text<std::vector<std::string>>(text), std::logic_error) << text;
  }
  const std::string_view whole = raw("\0\0\0\1\0\0\0\0\0\0\0\x17\0\0\0\1\0\0\0\1\0\0\0\4\0\0\0\7");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THROW(from_binary<std::vector<int>>(whole.substr(0, size), oid::int4_array), std::logic_error) << size;
  }
}

TEST(Field, TextsJsonAndBytes) {
  EXPECT_EQ(from_binary<Json>(raw("\1{}"), oid::jsonb).text, "{}");
  EXPECT_EQ(from_binary<std::string>("enum label", 99'999), "enum label");
  EXPECT_THROW(from_binary<std::string>(raw("\0\0\0\1"), oid::int4), std::logic_error);
  EXPECT_EQ(from_text<std::vector<std::byte>>("\\x00ff"), (std::vector{std::byte{0}, std::byte{255}}));
  EXPECT_THROW(from_text<std::vector<std::byte>>("\\x0"), std::logic_error);
  EXPECT_THROW(from_text<std::vector<std::byte>>("\\xzz"), std::logic_error);
  EXPECT_TRUE(std::isnan(from_text<double>("NaN")));
  EXPECT_EQ(from_text<double>("-Infinity"), -INFINITY);
  EXPECT_THROW(from_text<bool>("true"), std::logic_error);
}

}  // namespace
}  // namespace opi::pg
