#pragma once
/// @file
/// What the benchmarks measure with: wall and processor time, memory, a sample of durations, and the line they print.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace opi::bench {

/// Wall time, and processor time (user and system) of this whole process, since it was made.
class Stopwatch {
 public:
  Stopwatch();
  double wall_seconds() const;
  double cpu_seconds() const;
  double wall_ms() const { return wall_seconds() * 1e3; }

 private:
  std::chrono::steady_clock::time_point begun_;
  double cpu_begun_;
};

/// Resident memory of this process in units of 1 000 000 bytes.
double resident_mb();

/// Durations of which mean and quantiles are asked for once, at the end. Not synchronised.
class Durations {
 public:
  explicit Durations(std::size_t expected) { nanoseconds_.reserve(expected); }
  void add(std::chrono::nanoseconds duration) { nanoseconds_.push_back(duration.count()); }
  void clear() noexcept { nanoseconds_.clear(); }
  std::size_t size() const noexcept { return nanoseconds_.size(); }
  double mean_us() const;
  /// The smallest duration that `share` (0 to 1) of all do not pass; 0 when there are none.
  double quantile_us(double share);

 private:
  std::vector<std::int64_t> nanoseconds_;
};

/// One JSON object on one line: `JsonLine().add("peer", "opi").add("ops_s", 41'000.0)`. Texts are our own: they are not
/// escaped.
class JsonLine {
 public:
  JsonLine& add(std::string_view name, std::string_view text);
  JsonLine& add(std::string_view name, std::int64_t number);
  JsonLine& add(std::string_view name, double number);
  std::string text() const { return "{" + fields_ + "}"; }
  /// To stdout, with a line end.
  void print() const;

 private:
  void add_raw(std::string_view name, std::string value);
  std::string fields_;
};

}  // namespace opi::bench
