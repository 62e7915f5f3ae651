// How statements without a checkout are packed on connections.
#include "pg/carrier_choice.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace opi::pg {
namespace {

using namespace std::chrono_literals;

const SteadyTime beginning{1h};
constexpr auto no_carrier = CarrierChoice::none;

/// Answers every 100 µs for so long, each of which was asked for 200 µs before.
SteadyTime answer_quickly(CarrierPacking& packing, SteadyTime from, std::chrono::milliseconds during) {
  const SteadyTime until = from + during;
  for (; from < until; from += 100us) packing.answered(100us, 200us, from);
  return from;
}

CarrierPacking settled() {
  CarrierPacking packing;
  answer_quickly(packing, beginning, 2s);
  return packing;
}

TEST(CarrierChoice, WithoutACarrierOneIsWanted) {
  const CarrierChoice choice = choose_carrier(std::vector<CarrierLoad>{}, CarrierPacking(), beginning);
  EXPECT_EQ(choice.carrier, no_carrier);
  EXPECT_TRUE(choice.another);
}

TEST(CarrierChoice, TheFirstWithRoomIsFilledBeforeTheNext) {
  const CarrierPacking packing = settled();
  std::vector<CarrierLoad> loads(2, {.progress = beginning});
  for (std::uint32_t sent = 0; sent < 2 * packing.limit(); ++sent) {
    const CarrierChoice choice = choose_carrier(loads, packing, beginning);
    ASSERT_EQ(choice.carrier, sent / packing.limit());
    EXPECT_FALSE(choice.another);
    ++loads[choice.carrier].under_way;
  }
  const CarrierChoice full = choose_carrier(loads, packing, beginning);
  EXPECT_TRUE(full.another) << "one more connection would serve better";
  EXPECT_EQ(full.carrier, 0U) << "and without it the least loaded has to do";
}

TEST(CarrierChoice, WhatStallsOrIsOnItsWayBackTakesNothing) {
  const CarrierPacking packing = settled();
  const SteadyTime now = beginning + packing.stalled_after();
  const std::vector<CarrierLoad> loads = {{.under_way = 1, .progress = beginning}, {.progress = now, .takes = false}};
  EXPECT_EQ(choose_carrier(loads, packing, now).carrier, no_carrier);
  EXPECT_EQ(choose_carrier(loads, packing, now - 1us).carrier, 0U) << "it does not stall yet";
  const std::vector<CarrierLoad> idle = {{.under_way = 0, .progress = beginning}};
  EXPECT_EQ(choose_carrier(idle, packing, now + 1h).carrier, 0U) << "one that carries nothing cannot stall";
}

TEST(CarrierChoice, NoConnectionCarriesMoreThanItsMost) {
  const std::vector<CarrierLoad> loads = {{.under_way = carrier_full, .progress = beginning}};
  EXPECT_EQ(choose_carrier(loads, settled(), beginning).carrier, no_carrier);
}

TEST(CarrierPacking, PacksWhileAnswersComeQuicklyAndSpreadsWhenTheyDoNot) {
  CarrierPacking packing = settled();
  EXPECT_EQ(packing.limit(), CarrierPacking::most);
  SteadyTime now = beginning + 3s;
  packing.answered(20ms, 20ms, now);
  EXPECT_EQ(packing.limit(), CarrierPacking::most * 3 / 4);
  packing.answered(20ms, 20ms, now + 1ms);
  EXPECT_EQ(packing.limit(), CarrierPacking::most * 3 / 4) << "what stalls together counts once";
  for (int stall = 0; stall < 10; ++stall) packing.answered(20ms, 20ms, now += 10ms);
  EXPECT_EQ(packing.limit(), CarrierPacking::least);
  answer_quickly(packing, now, 5s);
  EXPECT_EQ(packing.limit(), CarrierPacking::most);
}

TEST(CarrierPacking, BeforeAnythingIsKnownAStallIsNoticedToo) {
  EXPECT_LT(CarrierPacking().stalled_after(), 200ms);
}

TEST(CarrierPacking, AServerFarAwayDoesNotStall) {
  CarrierPacking packing;
  SteadyTime now = beginning;
  for (int answer = 0; answer < 100; ++answer) packing.answered(50ms, 50ms, now += 50ms);
  EXPECT_EQ(packing.limit(), CarrierPacking::most);
  EXPECT_GT(packing.stalled_after(), 100ms);
  // What was once is forgotten: the server came nearer.
  answer_quickly(packing, now, 30s);
  EXPECT_LT(packing.stalled_after(), 5ms);
}

}  // namespace
}  // namespace opi::pg
