#pragma once
/// @file
/// Which of the shared connections carries the next statement, and when one more is worth its place.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <ranges>
#include <utility>

#include "base/clock.hpp"

namespace opi::pg {

/// What is known of one carrier.
struct CarrierLoad {
  std::uint32_t under_way = 0;  ///< statements without an answer
  SteadyTime progress{};        ///< its last answer, or when it was idle last
  bool takes = true;            ///< false: it is on its way back
};

struct CarrierChoice {
  static constexpr std::size_t none = std::numeric_limits<std::size_t>::max();
  std::size_t carrier = none;  ///< `none`: the statement waits
  bool another = false;        ///< one more carrier would serve it better, where the pool has an idle connection
};

/// What one connection carries at most: the rest waits where it can still go elsewhere.
inline constexpr std::uint32_t carrier_full = 1'024;

/// How many statements one connection carries before another one serves better. Packed, they share wake-ups and reads
/// on both sides, which costs least; but where a statement is slow, or the server's process does not get the processor,
/// all that is behind it stands. So it is learned: a carrier that stalls takes a quarter off the number, and time
/// without one lets it grow. Quickly, for what stalls is passed by anyway, and few statements on each of many
/// connections cost more than a stall now and then. Pure; time comes in as an argument.
class CarrierPacking {
 public:
  static constexpr std::uint32_t least = 8;
  static constexpr std::uint32_t most = 32;

  std::uint32_t limit() const noexcept { return limit_; }
  /// No answer for so long: it stalls. A little more than the way to the server and back takes.
  std::chrono::nanoseconds stalled_after() const noexcept {
    const auto way = std::min(quickest_, quickest_before_);
    return grace + 2 * (way == unknown ? way_supposed : way);
  }

  /// A carrier answered, so long after its last answer or after it was idle, and `took` after the statement was asked
  /// for.
  void answered(std::chrono::nanoseconds after, std::chrono::nanoseconds took, SteadyTime now) noexcept {
    const bool stalled = after >= stalled_after();
    quickest_ = std::min(quickest_, took);
    if (now - quickest_since_ >= memory) {
      quickest_before_ = std::exchange(quickest_, unknown);
      quickest_since_ = now;
    }
    if (stalled && now - changed_ >= spread_pause) {
      limit_ = std::max(limit_ * 3 / 4, least);
      changed_ = now;
    } else if (!stalled && limit_ < most && now - changed_ >= pack_pause) {
      limit_ = std::min(limit_ + limit_ / 4, most);
      changed_ = now;
    }
  }

 private:
  static constexpr std::chrono::milliseconds grace{2};
  static constexpr std::chrono::milliseconds spread_pause{5};
  static constexpr std::chrono::milliseconds pack_pause{20};
  static constexpr std::chrono::seconds memory{10};
  static constexpr std::chrono::nanoseconds way_supposed{50'000'000};  ///< before anything is known
  static constexpr std::chrono::nanoseconds unknown = std::chrono::nanoseconds::max();

  std::uint32_t limit_ = 16;
  SteadyTime changed_{};
  SteadyTime quickest_since_{};
  std::chrono::nanoseconds quickest_ = unknown;
  std::chrono::nanoseconds quickest_before_ = unknown;
};

/// The first that has room and moves; else the least loaded that moves, and one more is wanted. Pure.
template <std::ranges::input_range Loads>
CarrierChoice choose_carrier(const Loads& loads, const CarrierPacking& packing, SteadyTime now) {
  CarrierChoice choice{.another = true};
  std::uint32_t least = carrier_full;
  std::size_t at = 0;
  for (const CarrierLoad& load : loads) {
    const bool stalled = load.under_way > 0 && now - load.progress >= packing.stalled_after();
    if (load.takes && !stalled) {
      if (load.under_way < packing.limit()) return {.carrier = at};
      if (load.under_way < least) {
        least = load.under_way;
        choice.carrier = at;
      }
    }
    ++at;
  }
  return choice;
}

}  // namespace opi::pg
