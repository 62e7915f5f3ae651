#pragma once
/// @file
/// Jittered exponential backoff: how long to wait before the next try.

#include <chrono>
#include <cstdint>

namespace opi {

/// Bounds of a backoff. `jitter` is the share of each wait that is random, 0 to 1.
struct BackoffLimits {
  std::chrono::milliseconds first{100};
  std::chrono::milliseconds most{30'000};
  double factor = 2.0;
  double jitter = 0.2;
};

/// One series of waits; seeded, so that a test can repeat it. Not synchronised.
class Backoff {
 public:
  explicit Backoff(BackoffLimits limits, std::uint64_t seed) noexcept : limits_(limits), state_(seed | 1U) {}

  /// The next wait: grows by the factor up to `most`, then each one is shortened by up to `jitter`.
  std::chrono::milliseconds next() noexcept;
  /// After a success.
  void reset() noexcept { attempt_ = 0; }
  /// How many waits were handed out since the last reset.
  std::uint32_t attempts() const noexcept { return attempt_; }

 private:
  BackoffLimits limits_;
  std::uint64_t state_;
  std::uint32_t attempt_ = 0;
};

}  // namespace opi
