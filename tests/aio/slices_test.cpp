#include "aio/slices.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <stdexcept>

#include "support/run_coroutine.hpp"

namespace opi::aio {
namespace {

using test::run_coroutine;

/// Counts how often each place was visited.
struct Visit {
  std::vector<std::atomic<int>>* visits;
  void operator()(std::size_t from, std::size_t to) const {
    for (std::size_t i = from; i < to; ++i) ++(*visits)[i];
  }
};

TEST(Slices, EveryPlaceIsVisitedOnceHoweverManyPiecesThereAre) {
  BlockingPool pool(3);
  for (const std::size_t count : {0U, 1U, 2U, 7U, 100U}) {
    for (const std::size_t slices : {0U, 1U, 2U, 3U, 8U}) {
      std::vector<std::atomic<int>> visits(count);
      const Visit visit{&visits};
      EXPECT_EQ(run_coroutine(run_in_slices(&pool, count, slices, &visit)), true);
      for (const auto& visited : visits) EXPECT_EQ(visited, 1) << slices << " slices of " << count;
    }
  }
}

TEST(Slices, PiecesRunAtTheSameTime) {
  BlockingPool pool(2);
  std::latch both(2);
  const auto wait_for_the_other = [&both](std::size_t, std::size_t) { both.arrive_and_wait(); };
  EXPECT_EQ(run_coroutine(run_in_slices(&pool, 2, 2, &wait_for_the_other)), true) << "it would hang one by one";
}

TEST(Slices, AnExceptionReachesTheCallerAfterAllHaveEnded) {
  BlockingPool pool(2);
  std::atomic<int> ended = 0;
  const auto throw_in_the_first = [&ended](std::size_t from, std::size_t) {
    ++ended;
    if (from == 0) throw std::invalid_argument("no");
  };
  EXPECT_THROW(run_coroutine(run_in_slices(&pool, 4, 4, &throw_in_the_first)), std::invalid_argument);
  EXPECT_EQ(ended, 4);
}

}  // namespace
}  // namespace opi::aio
