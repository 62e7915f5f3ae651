#include "base/backoff.hpp"

#include <gtest/gtest.h>

namespace opi {
namespace {

using std::chrono::milliseconds;

TEST(Backoff, GrowsByTheFactorUpToTheMostAndStartsAgainAfterASuccess) {
  Backoff backoff{{.first = milliseconds{100}, .most = milliseconds{1'000}, .factor = 2, .jitter = 0}, 1};
  EXPECT_EQ(backoff.next(), milliseconds{100});
  EXPECT_EQ(backoff.next(), milliseconds{200});
  EXPECT_EQ(backoff.next(), milliseconds{400});
  EXPECT_EQ(backoff.next(), milliseconds{800});
  EXPECT_EQ(backoff.next(), milliseconds{1'000});
  EXPECT_EQ(backoff.attempts(), 5U);
  backoff.reset();
  EXPECT_EQ(backoff.next(), milliseconds{100});
}

TEST(Backoff, JitterOnlyShortensAndStaysInItsShare) {
  Backoff backoff{{.first = milliseconds{1'000}, .most = milliseconds{1'000}, .factor = 2, .jitter = 0.25}, 42};
  bool varied = false;
  for (int i = 0; i < 1'000; ++i) {
    const auto wait = backoff.next();
    ASSERT_GE(wait, milliseconds{750});
    ASSERT_LE(wait, milliseconds{1'000});
    varied = varied || wait < milliseconds{900};
  }
  EXPECT_TRUE(varied);
}

TEST(Backoff, NeverOverflowsHoweverLongTheOutage) {
  Backoff backoff{{}, 7};
  for (int i = 0; i < 10'000; ++i) ASSERT_LE(backoff.next(), milliseconds{30'000});
}

}  // namespace
}  // namespace opi
