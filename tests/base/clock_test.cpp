#include "base/clock.hpp"

#include <gtest/gtest.h>

namespace opi {
namespace {

using namespace std::chrono_literals;

TEST(ManualClock, MovesBothTimesOnlyWhenTold) {
  ManualClock clock;
  const auto steady = clock.steady();
  const auto wall = clock.wall();
  EXPECT_EQ(clock.steady(), steady);
  clock.advance(1'500ms);
  EXPECT_EQ(clock.steady() - steady, 1'500ms);
  EXPECT_EQ(clock.wall() - wall, 1'500ms);
}

TEST(ManualClock, CalendarTimeMayJumpWithoutTheSteadyOne) {
  ManualClock clock;
  const auto steady = clock.steady();
  clock.set_wall(WallTime{42s});
  EXPECT_EQ(clock.wall(), WallTime{42s});
  EXPECT_EQ(clock.steady(), steady);
}

TEST(SystemClock, IsTheMachinesTime) {
  const Clock& clock = system_clock();
  const auto before = std::chrono::steady_clock::now();
  const auto seen = clock.steady();
  EXPECT_GE(seen, before);
  EXPECT_LE(seen, std::chrono::steady_clock::now());
  EXPECT_LT(std::chrono::abs(clock.wall() - std::chrono::system_clock::now()), 1h);
}

}  // namespace
}  // namespace opi
