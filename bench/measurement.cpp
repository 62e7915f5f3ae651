#include "bench/measurement.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <numeric>

namespace opi::bench {
namespace {

double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

double cpu_seconds_now() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
}

}  // namespace

Stopwatch::Stopwatch() : begun_(std::chrono::steady_clock::now()), cpu_begun_(cpu_seconds_now()) {}

double Stopwatch::wall_seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun_).count();
}

double Stopwatch::cpu_seconds() const {
  return cpu_seconds_now() - cpu_begun_;
}

double resident_mb() {
  std::ifstream file("/proc/self/statm");
  std::int64_t total = 0;
  std::int64_t resident = 0;
  file >> total >> resident;
  return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE)) / 1e6;
}

double Durations::mean_us() const {
  if (nanoseconds_.empty()) return 0.0;
  const auto sum = std::accumulate(nanoseconds_.begin(), nanoseconds_.end(), std::int64_t{0});
  return static_cast<double>(sum) / static_cast<double>(nanoseconds_.size()) / 1e3;
}

double Durations::quantile_us(double share) {
  if (nanoseconds_.empty()) return 0.0;
  const double rank = std::ceil(share * static_cast<double>(nanoseconds_.size()));
  const auto at = static_cast<std::ptrdiff_t>(std::max(rank, 1.0)) - 1;
  std::ranges::nth_element(nanoseconds_, nanoseconds_.begin() + at);
  return static_cast<double>(nanoseconds_[static_cast<std::size_t>(at)]) / 1e3;
}

void JsonLine::add_raw(std::string_view name, std::string value) {
  if (!fields_.empty()) fields_ += ", ";
  fields_ += fmt::format("\"{}\": {}", name, value);
}

JsonLine& JsonLine::add(std::string_view name, std::string_view text) {
  add_raw(name, fmt::format("\"{}\"", text));
  return *this;
}
JsonLine& JsonLine::add(std::string_view name, std::int64_t number) {
  add_raw(name, fmt::format("{}", number));
  return *this;
}
JsonLine& JsonLine::add(std::string_view name, double number) {
  add_raw(name, fmt::format("{:.4f}", number));
  return *this;
}

void JsonLine::print() const {
  std::puts(text().c_str());
  std::fflush(stdout);
}

}  // namespace opi::bench
