// What a parameter sends for a C++ value.
#include "pg/param.hpp"

#include <gtest/gtest.h>

#include "pg/bound_params.hpp"

namespace opi::pg {
namespace {

using namespace std::chrono;

std::string bytes_of(const Param& param) {
  return {param.data(), param.size()};
}

TEST(Param, NumbersAreBinaryWithTheTypeOfTheirCppType) {
  const Param four(-2);
  EXPECT_EQ(four.type(), oid::int4);
  EXPECT_EQ(four.format(), Format::binary);
  EXPECT_EQ(bytes_of(four), std::string("\xff\xff\xff\xfe", 4));
  EXPECT_EQ(bytes_of(Param(std::int64_t{1} << 32)), std::string("\0\0\0\1\0\0\0\0", 8));
  EXPECT_EQ(Param(std::int64_t{1}).type(), oid::int8);
  EXPECT_EQ(Param(std::uint32_t{1}).type(), oid::int8);
  EXPECT_EQ(Param(std::uint16_t{1}).type(), oid::int4);
  EXPECT_EQ(Param(std::int16_t{1}).type(), oid::int2);
  EXPECT_EQ(Param(std::uint8_t{255}).type(), oid::int2);
  EXPECT_EQ(bytes_of(Param(std::uint8_t{255})), std::string("\0\xff", 2));
  EXPECT_EQ(Param(1.5F).type(), oid::float4);
  EXPECT_EQ(bytes_of(Param(1.5)), std::string("\x3f\xf8\0\0\0\0\0\0", 8));
  EXPECT_EQ(bytes_of(Param(true)), std::string("\1"));
  const Param large(std::uint64_t{18'446'744'073'709'551'615U});
  EXPECT_STREQ(large.data(), "18446744073709551615");
  EXPECT_EQ(large.type(), oid::numeric);
}

TEST(Param, TextsHaveNoTypeUnlessOneIsNamed) {
  EXPECT_EQ(Param("x").type(), oid::unknown);
  EXPECT_EQ(Param("x").format(), Format::text);
  EXPECT_EQ(Param(Json{"{}"}).type(), oid::unknown);
  EXPECT_EQ(Param(Numeric{"1.50"}).type(), oid::numeric);
  EXPECT_EQ(Param(std::string("(1,2)"), 600).type(), 600U);
}

TEST(Param, NullHasTheTypeOfWhatIsMissing) {
  EXPECT_EQ(Param(std::nullopt).data(), nullptr);
  EXPECT_EQ(Param(std::nullopt).type(), oid::unknown);
  const Param none(std::optional<std::int64_t>{});
  EXPECT_TRUE(none.is_null());
  EXPECT_EQ(none.data(), nullptr);
  EXPECT_EQ(none.type(), oid::int8);
  EXPECT_FALSE(Param(std::optional<int>(0)).is_null());
}

TEST(Param, ArraysAreLiterals) {
  EXPECT_STREQ(Param(std::vector<std::string>{}).data(), "{}");
  EXPECT_STREQ(Param(std::vector<std::string>{"a\"b\\c", ""}).data(), R"({"a\"b\\c",""})");
  EXPECT_STREQ(Param(std::vector<std::optional<std::string>>{"NULL", std::nullopt}).data(), R"({"NULL",NULL})");
  EXPECT_STREQ(Param(std::vector<std::int32_t>{1, -2}).data(), "{1,-2}");
  EXPECT_EQ(Param(std::vector<std::int64_t>{}).type(), oid::int8_array);
  EXPECT_STREQ(Param(std::vector<bool>{true, false}).data(), "{t,f}");
  EXPECT_STREQ(Param(std::vector<std::optional<double>>{0.5, std::nullopt, -INFINITY, NAN}).data(),
               "{0.5,NULL,-Infinity,NaN}");
}

TEST(Param, TimesCountFromTheYear2000AndHaveTwoInfinities) {
  EXPECT_EQ(bytes_of(Param(Timestamp(sys_days(2000y / 1 / 1)) + microseconds(1))), std::string("\0\0\0\0\0\0\0\1", 8));
  EXPECT_EQ(Param(Timestamp::max()).type(), oid::timestamptz);
  EXPECT_EQ(bytes_of(Param(Timestamp::max())), std::string("\x7f\xff\xff\xff\xff\xff\xff\xff", 8));
  EXPECT_EQ(bytes_of(Param(Timestamp::min())), std::string("\x80\0\0\0\0\0\0\0", 8));
  EXPECT_EQ(bytes_of(Param(Date(1999y / 12 / 31))), std::string("\xff\xff\xff\xff", 4));
  EXPECT_EQ(bytes_of(Param(Date::max())), std::string("\x7f\xff\xff\xff", 4));
  EXPECT_EQ(bytes_of(Param(Date::min())), std::string("\x80\0\0\0", 4));
}

TEST(Param, AUuidIsItsBytesAndReadsAsPostgresqlReadsIt) {
  const auto uuid = Uuid::parse("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
  ASSERT_TRUE(uuid);
  EXPECT_EQ(uuid->to_string(), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
  EXPECT_EQ(Uuid::parse("{A0EEBC999C0B4EF8BB6D6BB9BD380A11}"), uuid);
  EXPECT_FALSE(Uuid::parse("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1"));
  EXPECT_FALSE(Uuid::parse("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a111"));
  EXPECT_FALSE(Uuid::parse("g0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"));
  EXPECT_FALSE(Uuid::parse(""));
  EXPECT_EQ(Param(*uuid).type(), oid::uuid);
  EXPECT_EQ(Param(*uuid).size(), 16U);
}

TEST(Param, OnlyATextMayNotHoldANulByte) {
  EXPECT_TRUE(Param(std::string("a\0b", 3)).contains_nul());
  EXPECT_FALSE(Param(0).contains_nul());
  EXPECT_FALSE(Param(std::vector<std::byte>{std::byte{0}}).contains_nul());
}

TEST(Param, BoundParametersKeepTheirOrderBeyondTheSmallCount) {
  Params params;
  for (int number = 0; number < 20; ++number) params.emplace_back(number);
  params.emplace_back(std::nullopt);
  const BoundParams bound(params);
  ASSERT_EQ(bound.size(), 21);
  EXPECT_EQ(bound.values()[19][3], 19);
  EXPECT_EQ(bound.lengths()[19], 4);
  EXPECT_EQ(bound.formats()[19], 1);
  EXPECT_EQ(bound.types()[19], oid::int4);
  EXPECT_EQ(bound.values()[20], nullptr);
}

}  // namespace
}  // namespace opi::pg
