#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

#include "app/log_sink.hpp"

namespace opi::app {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

LogRecord record(const LogFields* fields = nullptr) {
  return {.time = WallTime{std::chrono::milliseconds{1'795'483'323'118}},
          .level = LogLevel::warn,
          .room = "pool",
          .subject = "analytics",
          .message = "refused by db2:5432",
          .fields = fields};
}

TEST(LogText, HasColumnsForTimeLevelRoomAndSubject) {
  EXPECT_THAT(format_text(record(), false), EndsWith(".118 warn  pool       analytics   refused by db2:5432"));
}

TEST(LogText, LeavesOutTheFieldsThatAreForMachines) {
  const LogFields fields{{"attempt", "4"}};
  EXPECT_THAT(format_text(record(&fields), false), EndsWith("refused by db2:5432"));
}

TEST(LogText, ColoursTheLevelOnlyWhenAsked) {
  EXPECT_THAT(format_text(record(), true), HasSubstr("\x1b[33mwarn \x1b[0m"));
  EXPECT_EQ(format_text(record(), false).find('\x1b'), std::string::npos);
}

TEST(LogText, HostileInputCannotForgeALineOrMoveTheCursor) {
  LogRecord hostile = record();
  hostile.message = "branch \n12:00:00.000 info  pool  main  all is well \x1b[2J\r";
  const std::string line = format_text(hostile, false);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_EQ(line.find('\x1b'), std::string::npos);
  EXPECT_EQ(line.find('\r'), std::string::npos);
}

TEST(LogJson, IsOneObjectWithUtcTimeAndFields) {
  const LogFields fields{{"attempt", "4"}};
  const auto json = boost::json::parse(format_json(record(&fields))).as_object();
  EXPECT_EQ(json.at("time").as_string(), "2026-11-24T01:22:03.118Z");
  EXPECT_EQ(json.at("level").as_string(), "warn");
  EXPECT_EQ(json.at("room").as_string(), "pool");
  EXPECT_EQ(json.at("subject").as_string(), "analytics");
  EXPECT_EQ(json.at("message").as_string(), "refused by db2:5432");
  EXPECT_EQ(json.at("fields").as_object().at("attempt").as_string(), "4");
}

}  // namespace
}  // namespace opi::app
