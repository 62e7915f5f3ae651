#include "base/clock.hpp"

namespace opi {

const Clock& system_clock() noexcept {
  static const SystemClock clock;
  return clock;
}

}  // namespace opi
