#pragma once
/// @file
/// One run of `opi-bench pool`: what is asked for, what every way of running it shares, and what it found.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "bench/measurement.hpp"

namespace opi::bench {

inline constexpr std::string_view item_sql = "SELECT id, name, payload FROM item WHERE id = $1";
inline constexpr int item_count = 10'000;

struct PoolRun {
  enum class Mode { query, execute, bare, floor, floor_pipeline };
  Mode mode = Mode::query;
  int tasks = 1;
  int pool = 1;  ///< connections
  std::chrono::nanoseconds duration{0};
};

/// Counts operations and decides when to measure: after a warm-up of a quarter of the run, at most half a second.
class PoolLoad {
 public:
  using Time = std::chrono::steady_clock::time_point;
  explicit PoolLoad(const PoolRun& run);

  const PoolRun& run() const noexcept { return run_; }
  bool stopped() const noexcept { return stopped_; }
  /// Asked before each operation that is not timed by itself: one in 64 is, and those also look at the clock.
  bool is_sample() noexcept { return (++samples_ & 63U) == 0; }
  /// An operation ended.
  void count() noexcept { ++operations_; }
  /// A timed one: how long it waited. Starts and ends the measuring.
  void add_wait(Time asked, Time now);
  /// The next item's key, without an order that caches would like.
  std::int32_t next_id() noexcept;
  /// After reading one row: makes sure that somebody looked at it.
  void read(std::int32_t id, std::string_view name, std::string_view payload);

  /// Prints the line; `startup_ms` and `close_ms` are of the connections.
  void print(std::string_view mode, double startup_ms, double close_ms);

 private:
  void end(Time now);

  PoolRun run_;
  Time measured_from_;
  Time ends_;
  bool measuring_ = false;
  bool stopped_ = false;
  std::uint32_t samples_ = 0;
  std::uint32_t random_ = 1;
  std::uint64_t operations_ = 0;
  Stopwatch stopwatch_;
  double seconds_ = 0.0;
  double cpu_seconds_ = 0.0;
  double resident_mb_ = 0.0;
  Durations waits_;
};

/// Plain libpq on one epoll loop: no pool, no tasks. Prints its line. bench/pool_floor.cpp
void run_floor(const PoolRun& run);

}  // namespace opi::bench
