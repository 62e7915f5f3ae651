#pragma once
/// @file
/// Counts durations by their order of magnitude.

#include <array>
#include <bit>
#include <chrono>
#include <cstdint>
#include <span>

namespace opi::pg {

/// Buckets whose upper bounds double: 1 µs, 2 µs, 4 µs … 67 s, and one for everything longer. Plain data: copy it, add
/// it up, hand it to a metrics library. Not synchronised.
class DurationHistogram {
 public:
  static constexpr std::size_t size = 28;

  void add(std::chrono::nanoseconds duration) noexcept {
    const std::int64_t nanoseconds = duration.count() > 0 ? duration.count() : 0;
    ++counts_[bucket(nanoseconds)];
    ++count_;
    sum_ += std::chrono::nanoseconds(nanoseconds);
  }

  std::uint64_t count() const noexcept { return count_; }
  std::chrono::nanoseconds sum() const noexcept { return sum_; }
  std::chrono::nanoseconds mean() const noexcept {
    return count_ == 0 ? std::chrono::nanoseconds{0} : sum_ / static_cast<std::int64_t>(count_);
  }
  /// How many fell into each bucket (not cumulated).
  std::span<const std::uint64_t, size> counts() const noexcept { return counts_; }
  /// The longest duration of a bucket; the last one has none: nanoseconds::max().
  static constexpr std::chrono::nanoseconds upper_bound(std::size_t index) noexcept {
    return index + 1 >= size ? std::chrono::nanoseconds::max() : std::chrono::microseconds{std::int64_t{1} << index};
  }
  /// The upper bound of the bucket that holds the given share (0 to 1) of all; 0 when nothing was added.
  std::chrono::nanoseconds quantile(double share) const noexcept {
    const double wanted = share * static_cast<double>(count_);
    double seen = 0.0;
    for (std::size_t index = 0; index < size && count_ > 0; ++index) {
      seen += static_cast<double>(counts_[index]);
      if (seen >= wanted && counts_[index] > 0) return upper_bound(index);
    }
    return std::chrono::nanoseconds{0};
  }

 private:
  static constexpr std::size_t bucket(std::int64_t nanoseconds) noexcept {
    if (nanoseconds <= 1'000) return 0;
    const auto microseconds = static_cast<std::uint64_t>((nanoseconds - 1) / 1'000);
    const auto index = static_cast<std::size_t>(std::bit_width(microseconds));
    return index < size ? index : size - 1;
  }

  std::array<std::uint64_t, size> counts_{};
  std::uint64_t count_ = 0;
  std::chrono::nanoseconds sum_{0};
};

}  // namespace opi::pg
