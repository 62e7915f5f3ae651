#pragma once
/// @file
/// How fast we may ask, as a token bucket without I/O: time comes in as an argument.

#include <chrono>
#include <cstdint>

#include "base/clock.hpp"

namespace opi::kube {

/// So many requests a second on average, so many at once. Not synchronised.
class RateLimit {
 public:
  /// `per_second` 0: no limit.
  RateLimit(double per_second, double burst) noexcept : per_second_(per_second), burst_(burst), tokens_(burst) {}

  /// Takes one token, ahead of time when there is none: when the request may be sent. Calls in order give times in
  /// order, so that who comes first goes first.
  SteadyTime reserve(SteadyTime now) noexcept {
    if (per_second_ <= 0) return now;
    const double elapsed = std::chrono::duration<double>(now - last_).count();
    if (elapsed > 0) {
      tokens_ = tokens_ + elapsed * per_second_ > burst_ ? burst_ : tokens_ + elapsed * per_second_;
      last_ = now;
    }
    tokens_ -= 1;
    if (tokens_ >= 0) return now;
    return now +
           std::chrono::duration_cast<SteadyTime::duration>(std::chrono::duration<double>(-tokens_ / per_second_));
  }

 private:
  double per_second_;
  double burst_;
  double tokens_;
  SteadyTime last_{};
};

}  // namespace opi::kube
