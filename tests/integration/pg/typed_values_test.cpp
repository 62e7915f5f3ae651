// Every type, there and back, in text and in binary.
#include <cmath>

#include "integration/pg/connection_fixture.hpp"

namespace opi::pg {
namespace {

using namespace std::chrono;

class TypedValuesTest : public ConnectionTest, public testing::WithParamInterface<Format> {
 protected:
  /// The value, sent as a parameter and read back as the type it had, is the same.
  template <class T>
  void round_trip(Connection& connection, const char* type, const T& there) {
    const auto result = run(connection.query(std::string("SELECT $1::") + type, {Param(there)}, GetParam()));
    ASSERT_TRUE(result) << type << ": " << result.error().to_string();
    EXPECT_EQ((*result)[0].template get<T>(0), there) << type;
    const auto none = run(connection.query(std::string("SELECT $1::") + type, {Param(std::optional<T>())}, GetParam()));
    ASSERT_TRUE(none) << type << ": " << none.error().to_string();
    EXPECT_EQ((*none)[0].template get<std::optional<T>>(0), std::nullopt) << type;
    EXPECT_THROW((*none)[0].template get<T>(0), std::logic_error) << type;
  }
};

TEST_P(TypedValuesTest, ComeBackAsTheyWent) {
  Connection connection = connect();
  round_trip(connection, "bool", true);
  round_trip(connection, "int2", std::numeric_limits<std::int16_t>::min());
  round_trip(connection, "int4", std::numeric_limits<std::int32_t>::max());
  round_trip(connection, "int8", std::numeric_limits<std::int64_t>::min());
  round_trip(connection, "oid", std::numeric_limits<std::uint32_t>::max());
  round_trip(connection, "float4", 0.1F);
  round_trip(connection, "float8", 0.1);
  round_trip(connection, "float8", -HUGE_VAL);
  round_trip(connection, "text", std::string("t'\n\\\"ü"));
  round_trip(connection, "bytea", std::vector<std::byte>{std::byte{0}, std::byte{0xFF}, std::byte{'\\'}});
  for (const char* number : {"0", "-12.50", "NaN", "Infinity", "123456789012345678901234567890.000000000001", "0.00010",
                             "10000", "-0.5", "99999999.99999999"}) {
    round_trip(connection, "numeric", Numeric{number});
  }
  round_trip(connection, "uuid", *Uuid::parse("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"));
  round_trip(connection, "json", Json{R"({"a": [1, null]})"});
  round_trip(connection, "jsonb", Json{R"({"a": [1, null]})"});
}

TEST_P(TypedValuesTest, TimesComeBackInEveryZone) {
  Connection connection = connect();
  for (const char* zone : {"UTC", "Asia/Kathmandu", "America/St_Johns", "Europe/Amsterdam"}) {
    query(connection, std::string("SET TimeZone = '") + zone + "'");
    for (const Timestamp when :
         {Timestamp(sys_days(2024y / 2 / 29)) + 123'456us, Timestamp(sys_days(1969y / 12 / 31)) - 1us,
          Timestamp(sys_days(1850y / 1 / 1)), Timestamp(sys_days(year(-44) / 3 / 15)),
          Timestamp(sys_days(30'000y / 1 / 1)), Timestamp::max(), Timestamp::min()}) {
      round_trip(connection, "timestamptz", when);
    }
    for (const Date day :
         {Date(2024y / 2 / 29), Date(year(-44) / 3 / 15), Date(2000y / 1 / 1), Date::max(), Date::min()}) {
      round_trip(connection, "date", day);
    }
  }
}

TEST_P(TypedValuesTest, ArraysComeBackWithTheirNulls) {
  Connection connection = connect();
  round_trip(connection, "text[]", std::vector<std::string>{"plain", "a,b", "", "NULL", "\"{\\}"});
  round_trip(connection, "text[]", std::vector<std::optional<std::string>>{"x", std::nullopt, "NULL"});
  round_trip(connection, "int2[]", std::vector<std::int16_t>{-1, 2});
  round_trip(connection, "int4[]", std::vector<std::optional<std::int32_t>>{1, std::nullopt, -3});
  round_trip(connection, "int8[]", std::vector<std::int64_t>{std::int64_t{1} << 40});
  round_trip(connection, "bool[]", std::vector<std::optional<bool>>{true, std::nullopt, false});
  round_trip(connection, "float8[]", std::vector<double>{0.1, -INFINITY, 1e300});
  round_trip(connection, "int4[]", std::vector<std::int32_t>{});
}

TEST_P(TypedValuesTest, TheServersTypeDecidesWhatFits) {
  Connection connection = connect();
  const auto result = run(connection.query(
      "SELECT 70000 AS number, 'x' AS word, ARRAY[[1],[2]] AS square, '1 day'::interval AS span", {}, GetParam()));
  ASSERT_TRUE(result);
  const Row row = (*result)[0];
  EXPECT_EQ(row.get<std::int64_t>("number"), 70'000);
  EXPECT_THROW(row.get<std::int16_t>("number"), std::logic_error);
  EXPECT_THROW(row.get<Uuid>("word"), std::logic_error);
  EXPECT_THROW(row.get<std::vector<int>>("square"), std::logic_error);
  EXPECT_EQ(row.get<std::string_view>("word"), "x");
  try {
    row.get<Timestamp>("number");
    FAIL();
  } catch (const std::logic_error& error) {
    EXPECT_EQ(std::string(error.what()).find("column 0 (number) of type integer cannot be read as timestamp"), 0U)
        << error.what();
  }
}

TEST_P(TypedValuesTest, APreparedStatementMayAnswerInBinary) {
  Connection connection = connect();
  const Statement statement("SELECT $1::int8, $2::text", GetParam());
  for (int round = 0; round < 2; ++round) {
    const auto result = run(connection.query_prepared(statement, {std::int64_t{5}, "x"}));
    ASSERT_TRUE(result);
    EXPECT_EQ((*result)[0].get<int>(0), 5);
    EXPECT_EQ((*result)[0].get<std::string>(1), "x");
    EXPECT_EQ((*result)[0].text(0).size(), GetParam() == Format::binary ? 8U : 1U);
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, TypedValuesTest, testing::Values(Format::text, Format::binary),
                         [](const auto& form) { return form.param == Format::text ? "Text" : "Binary"; });

}  // namespace
}  // namespace opi::pg
