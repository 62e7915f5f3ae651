#include "app/settings_values.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace opi::app {
namespace {

using std::chrono::milliseconds;

TEST(SettingsValues, DurationsAreANumberAndAUnit) {
  const std::pair<const char*, milliseconds> good[] = {{"0", milliseconds{0}},           {"0s", milliseconds{0}},
                                                       {"1ms", milliseconds{1}},         {"500ms", milliseconds{500}},
                                                       {"30s", milliseconds{30'000}},    {"2m", milliseconds{120'000}},
                                                       {"24h", milliseconds{86'400'000}}};
  for (const auto& [text, expected] : good) {
    const auto got = duration_from(text);
    ASSERT_TRUE(got.has_value()) << text << ": " << got.error();
    EXPECT_EQ(*got, expected) << text;
  }
}

TEST(SettingsValues, WrongDurationsSayWhatToWriteInstead) {
  for (const char* text : {"", "30", "s", "-1s", "+1s", "1.5s", "1 s", " 1s", "1s ", "1d", "1S", "1sec", "0x1s",
                           "99999999999999999999s"}) {
    const auto got = duration_from(text);
    ASSERT_FALSE(got.has_value()) << text;
    EXPECT_EQ(got.error(),
              in_quotes(text) + " is not a duration; write a number and a unit, like 500ms, 30s, 2m or 24h");
  }
  EXPECT_EQ(duration_from("9999999h").error(), "\"9999999h\" is longer than ten years; write a shorter one");
  EXPECT_EQ(duration_from("18446744073709551615h").error(),
            "\"18446744073709551615h\" is longer than ten years; write a shorter one");
}

TEST(SettingsValues, DurationTextIsTheShortestExactFormAndReadsBack) {
  const std::pair<milliseconds, const char*> cases[] = {{milliseconds{0}, "0s"},        {milliseconds{1}, "1ms"},
                                                        {milliseconds{1'000}, "1s"},    {milliseconds{1'500}, "1500ms"},
                                                        {milliseconds{90'000}, "90s"},  {milliseconds{120'000}, "2m"},
                                                        {milliseconds{3'600'000}, "1h"}};
  for (const auto& [duration, text] : cases) {
    EXPECT_EQ(duration_text(duration), text);
    EXPECT_EQ(duration_from(text), duration);
  }
}

TEST(SettingsValues, WholeNumbersAreDecimalAndInRange) {
  EXPECT_EQ(whole_number_from("0", 0, 5), 0U);
  EXPECT_EQ(whole_number_from("5", 0, 5), 5U);
  EXPECT_EQ(whole_number_from("6", 0, 5).error(), "6 is out of range; write a whole number from 0 to 5");
  EXPECT_EQ(whole_number_from("0", 1, 5).error(), "0 is out of range; write a whole number from 1 to 5");
  for (const char* text : {"", "-1", "+1", " 1", "1 ", "1.0", "0x1", "1e3", "ten", "18446744073709551616"}) {
    EXPECT_EQ(whole_number_from(text, 0, 5).error(), in_quotes(text) + " is not a whole number; write one from 0 to 5");
  }
}

TEST(SettingsValues, SharesLieBetweenZeroAndOne) {
  EXPECT_EQ(share_from("0"), 0.0);
  EXPECT_EQ(share_from("0.25"), 0.25);
  EXPECT_EQ(share_from("1"), 1.0);
  for (const char* text : {"", "1.01", "-0.1", "nan", "inf", "0.2x", "a"}) {
    EXPECT_EQ(share_from(text).error(), in_quotes(text) + " is not a share; write a number from 0 to 1, like 0.2");
  }
}

TEST(SettingsValues, SizesTakeBinaryUnitsAndStayInRange) {
  EXPECT_EQ(size_from("1024", 1'024, 1U << 20U), 1'024U);
  EXPECT_EQ(size_from("16KiB", 1'024, 1U << 20U), 16'384U);
  EXPECT_EQ(size_from("1MiB", 1'024, 1U << 20U), 1U << 20U);
  EXPECT_EQ(size_text(16'384), "16KiB");
  EXPECT_EQ(size_text(1U << 20U), "1MiB");
  EXPECT_EQ(size_text(1'000), "1000");
  EXPECT_EQ(size_text(0), "0");
  for (const char* text : {"", "1023", "2MiB", "1GiB", "1kb", "-1", "18446744073709551615MiB"}) {
    EXPECT_EQ(size_from(text, 1'024, 1U << 20U).error(),
              in_quotes(text) + " is not a size in bytes; write one from 1KiB to 1MiB, like 16384, 16KiB or 1MiB");
  }
}

TEST(SettingsValues, HostsMayCarryAPort) {
  const auto is = [](const char* text, const char* host, std::optional<std::uint16_t> port) {
    const auto got = host_from(text);
    ASSERT_TRUE(got.has_value()) << got.error();
    EXPECT_EQ(got->host, host);
    EXPECT_EQ(got->port, port);
  };
  is("db1", "db1", std::nullopt);
  is("db1:5433", "db1", 5433);
  is("10.0.0.1", "10.0.0.1", std::nullopt);
  is("::1", "::1", std::nullopt);
  is("[::1]", "::1", std::nullopt);
  is("[::1]:5433", "::1", 5433);
  is("/run/postgresql", "/run/postgresql", std::nullopt);
  for (const char* text :
       {"", ":5432", "db:", "db:0", "db:65536", "db:x", "[::1", "[::1]5", "a b", "a,b", "a/b", "/a,b"}) {
    EXPECT_FALSE(host_from(text).has_value()) << text;
  }
}

TEST(SettingsValues, QuotingEscapesControlCharactersAndCuts) {
  EXPECT_EQ(in_quotes("a\"b\\c\n\x1b[0m"), R"("a\"b\\c\x0a\x1b[0m")");
  EXPECT_EQ(in_quotes(std::string(100, 'x')), "\"" + std::string(60, 'x') + "…\"");
}

}  // namespace
}  // namespace opi::app
