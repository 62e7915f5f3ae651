#include "bench/pool_run.hpp"

#include <algorithm>
#include <stdexcept>

namespace opi::bench {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t payload_size = 100;
constexpr std::size_t samples_expected = 1 << 20;

}  // namespace

PoolLoad::PoolLoad(const PoolRun& run)
    : run_(run),
      measured_from_(std::chrono::steady_clock::now() + std::min<std::chrono::nanoseconds>(run.duration / 4, 500ms)),
      ends_(measured_from_ + run.duration),
      waits_(samples_expected) {}

void PoolLoad::add_wait(Time asked, Time now) {
  if (stopped_) return;
  if (measuring_) {
    waits_.add(now - asked);
    if (now >= ends_) end(now);
  } else if (now >= measured_from_) {
    measuring_ = true;
    ends_ = now + run_.duration;
    operations_ = 0;
    waits_.clear();
    stopwatch_ = Stopwatch();
  }
}

void PoolLoad::end(Time /*now*/) {
  stopped_ = true;
  seconds_ = stopwatch_.wall_seconds();
  cpu_seconds_ = stopwatch_.cpu_seconds();
  resident_mb_ = bench::resident_mb();
}

std::int32_t PoolLoad::next_id() noexcept {
  random_ = random_ * 1'664'525U + 1'013'904'223U;
  return static_cast<std::int32_t>((random_ >> 8U) % static_cast<std::uint32_t>(item_count)) + 1;
}

void PoolLoad::read(std::int32_t id, std::string_view name, std::string_view payload) {
  if (id < 1 || id > item_count || name.empty() || payload.size() != payload_size) {
    throw std::runtime_error("the server answered with another row");
  }
}

void PoolLoad::print(std::string_view mode, double startup_ms, double close_ms) {
  const auto operations = static_cast<double>(operations_);
  JsonLine()
      .add("peer", "opi")
      .add("mode", mode)
      .add("tasks", std::int64_t{run_.tasks})
      .add("pool", std::int64_t{run_.pool})
      .add("ops_s", operations / seconds_)
      .add("us_op", seconds_ / operations * 1e6)
      .add("cpu_us_op", cpu_seconds_ / operations * 1e6)
      .add("wait_mean_us", waits_.mean_us())
      .add("wait_p50_us", waits_.quantile_us(0.5))
      .add("wait_p99_us", waits_.quantile_us(0.99))
      .add("wait_p999_us", waits_.quantile_us(0.999))
      .add("startup_ms", startup_ms)
      .add("close_ms", close_ms)
      .add("rss_mb", resident_mb_)
      .print();
}

}  // namespace opi::bench
