#pragma once
/// @file
/// Time as an argument, so that tests can move it by hand.

#include <chrono>

namespace opi {

using SteadyTime = std::chrono::steady_clock::time_point;
using WallTime = std::chrono::system_clock::time_point;

/// Where the time comes from. Implementations are safe from any thread.
/// Ownership: whoever is given a Clock borrows it; it outlives the borrower.
class Clock {
 public:
  virtual ~Clock() = default;
  /// Monotonic time: deadlines, ages, backoff.
  virtual SteadyTime steady() const noexcept = 0;
  /// Monotonic time that may lag behind `steady()` by some milliseconds, for a fifth of its price: stamps that are
  /// taken very often.
  virtual SteadyTime coarse() const noexcept { return steady(); }
  /// Calendar time: stamps, logs, records. May jump.
  virtual WallTime wall() const noexcept = 0;
};

/// The machine's clocks.
class SystemClock final : public Clock {
 public:
  SteadyTime steady() const noexcept override { return std::chrono::steady_clock::now(); }
  SteadyTime coarse() const noexcept override;
  WallTime wall() const noexcept override { return std::chrono::system_clock::now(); }
};

/// A clock that only moves when told to. Not synchronised: one thread, or external locking.
class ManualClock final : public Clock {
 public:
  SteadyTime steady() const noexcept override { return steady_; }
  WallTime wall() const noexcept override { return wall_; }
  void advance(std::chrono::nanoseconds by) noexcept {
    steady_ += std::chrono::duration_cast<SteadyTime::duration>(by);
    wall_ += std::chrono::duration_cast<WallTime::duration>(by);
  }
  void set_wall(WallTime to) noexcept { wall_ = to; }

 private:
  SteadyTime steady_{std::chrono::hours{1}};
  WallTime wall_{std::chrono::seconds{1'700'000'000}};
};

/// The default clock, stateless.
const Clock& system_clock() noexcept;

/// Its monotonic time: what deadlines are counted from where no Clock is given.
inline SteadyTime steady_now() noexcept {
  return std::chrono::steady_clock::now();
}

}  // namespace opi
