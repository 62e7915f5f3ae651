#include "base/backoff.hpp"

#include <algorithm>
#include <cmath>

namespace opi {

std::chrono::milliseconds Backoff::next() noexcept {
  // 60 doublings pass every limit that a 64-bit millisecond count can hold.
  const auto exponent = static_cast<double>(std::min<std::uint32_t>(attempt_, 60));
  ++attempt_;
  const double grown = static_cast<double>(limits_.first.count()) * std::pow(limits_.factor, exponent);
  const double bounded = std::min(grown, static_cast<double>(limits_.most.count()));
  // xorshift64*: good enough to spread a herd, cheap, and repeatable from a seed.
  state_ ^= state_ >> 12U;
  state_ ^= state_ << 25U;
  state_ ^= state_ >> 27U;
  const double unit = static_cast<double>((state_ * 0x2545F4914F6CDD1DULL) >> 11U) * 0x1.0p-53;
  return std::chrono::milliseconds{static_cast<std::int64_t>(bounded * (1.0 - limits_.jitter * unit))};
}

}  // namespace opi
