#include "base/clock.hpp"

#include <ctime>

namespace opi {

SteadyTime SystemClock::coarse() const noexcept {
  // The clock behind std::chrono::steady_clock, as of the kernel's last tick.
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
  return SteadyTime(std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec));
}

const Clock& system_clock() noexcept {
  static const SystemClock clock;
  return clock;
}

}  // namespace opi
