#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "yaml/node.hpp"
#include "yaml/parse.hpp"

namespace opi::yaml {
namespace {

Node scalar(std::string_view text) {
  auto document = parse(text, "f.yaml");
  EXPECT_TRUE(document.has_value()) << text;
  return document ? std::move(document->root) : Node{};
}

struct Row {
  const char* text;
  const char* type;
};

class ScalarTypes : public testing::TestWithParam<Row> {};

TEST_P(ScalarTypes, FollowTheCoreSchema) {
  EXPECT_EQ(scalar(GetParam().text).type_name(), GetParam().type);
}

INSTANTIATE_TEST_SUITE_P(
    Table, ScalarTypes,
    testing::Values(Row{"~", "null"}, Row{"null", "null"}, Row{"NULL", "null"}, Row{"nUll", "string"},
                    Row{"'null'", "string"}, Row{"true", "boolean"}, Row{"False", "boolean"}, Row{"tRue", "string"},
                    Row{"no", "string"}, Row{"NO", "string"}, Row{"yes", "string"}, Row{"on", "string"},
                    Row{"off", "string"}, Row{"y", "string"}, Row{"12", "integer"}, Row{"-12", "integer"},
                    Row{"+12", "integer"}, Row{"0o17", "integer"}, Row{"0x1F", "integer"}, Row{"0777", "integer"},
                    Row{"1_000", "string"}, Row{"0b101", "string"}, Row{"12:30:45", "string"}, Row{"0o8", "string"},
                    Row{"-0x1", "string"}, Row{"1.5", "number"}, Row{"-.5", "number"}, Row{"1.", "number"},
                    Row{"1e3", "number"}, Row{"1e", "string"}, Row{".", "string"}, Row{"+", "string"},
                    Row{".inf", "number"}, Row{"-.INF", "number"}, Row{".NaN", "number"}, Row{"-.nan", "string"},
                    Row{"2026-01-01", "string"}, Row{"1.2.3", "string"}, Row{"\"12\"", "string"},
                    Row{"|\n  12", "string"}, Row{"!!str 12", "string"}, Row{"! 12", "string"},
                    Row{"!!int \"12\"", "integer"}, Row{"!!float 12", "number"}, Row{"!!int x", "string"},
                    Row{"!mine 12", "string"}, Row{"[]", "list"}, Row{"{}", "mapping"}));

TEST(YamlScalar, IntegersOfEveryBaseAndTheirRange) {
  EXPECT_EQ(scalar("0o17").as_integer(), 15);
  EXPECT_EQ(scalar("0xff").as_integer(), 255);
  EXPECT_EQ(scalar("+7").as_integer(), 7);
  EXPECT_EQ(scalar("-9223372036854775808").as_integer(), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(scalar("9223372036854775808").as_integer(), std::nullopt);
  EXPECT_EQ(scalar("9223372036854775808").type_name(), "integer");
  EXPECT_EQ(scalar("\"7\"").as_integer(), std::nullopt);
}

TEST(YamlScalar, NumbersIncludeIntegersInfinityAndTheVeryLargeAndSmall) {
  EXPECT_EQ(scalar("2").as_number(), 2.0);
  EXPECT_EQ(scalar("-2.5e1").as_number(), -25.0);
  EXPECT_EQ(scalar("-.inf").as_number(), -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(*scalar(".nan").as_number()));
  EXPECT_EQ(scalar("1e999").as_number(), std::numeric_limits<double>::infinity());
  EXPECT_EQ(scalar("1e-999").as_number(), 0.0);
  EXPECT_EQ(scalar("9223372036854775808").as_number(), 9223372036854775808.0);
  EXPECT_EQ(scalar("x").as_number(), std::nullopt);
}

TEST(YamlScalar, BooleansAndStringsAreNeverMixed) {
  EXPECT_EQ(scalar("true").as_boolean(), true);
  EXPECT_EQ(scalar("FALSE").as_boolean(), false);
  EXPECT_EQ(scalar("'true'").as_boolean(), std::nullopt);
  EXPECT_EQ(scalar("no").as_string(), "no");
  EXPECT_EQ(scalar("true").as_string(), std::nullopt);
  EXPECT_EQ(scalar("''").as_string(), "");
}

}  // namespace
}  // namespace opi::yaml
