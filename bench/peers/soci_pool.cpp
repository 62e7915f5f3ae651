// SOCI's connection_pool with its PostgreSQL backend, a thread for each task: MODE TASKS POOL SECONDS.
#include <soci/postgresql/soci-postgresql.h>
#include <soci/soci.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <future>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
std::atomic<bool> measuring{false};
std::atomic<bool> stopped{false};

struct alignas(64) Task {
  std::atomic<std::uint64_t> count{0};
  std::vector<std::int64_t> waits;
};

void run(soci::connection_pool& pool, Task& own, bool queries, bool yields, std::uint32_t random) {
  for (std::uint32_t round = 0; !stopped.load(std::memory_order_relaxed); ++round) {
    const bool timed = (queries || round % 64 == 0) && measuring.load(std::memory_order_relaxed);
    const auto asked = timed ? Clock::now() : Clock::time_point();
    {
      soci::session session(pool);
      if (timed) own.waits.push_back((Clock::now() - asked).count());
      if (queries) {
        random = random * 1664525U + 1013904223U;
        const int wanted = static_cast<int>((random >> 8U) % 10000U) + 1;
        int id = 0;
        std::string name;
        std::string payload;
        session << "SELECT id, name, payload FROM item WHERE id = :id", soci::use(wanted), soci::into(id),
            soci::into(name), soci::into(payload);
        if (id != wanted || name.empty() || payload.size() != 100) std::abort();
      } else if (yields) {
        std::this_thread::yield();
      }
    }
    own.count.store(own.count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
}

/// Measures for so long.
void pass(double seconds) {
  std::promise<void> never;
  never.get_future().wait_for(std::chrono::duration<double>(seconds));
}

double cpu() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) { return double(time.tv_sec) + double(time.tv_usec) * 1e-6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace

int main(int, char** arguments) {
  const std::string mode = arguments[1];
  const auto tasks = std::stoul(arguments[2]);
  const auto size = std::stoul(arguments[3]);
  const double seconds = std::stod(arguments[4]);
  const auto ms_since = [](Clock::time_point from) {
    return std::chrono::duration<double, std::milli>(Clock::now() - from).count();
  };

  const auto begun = Clock::now();
  auto pool = std::make_unique<soci::connection_pool>(size);
  for (std::size_t at = 0; at < size; ++at) pool->at(at).open(soci::postgresql, "");
  const double startup = ms_since(begun);
  std::vector<Task> all(tasks);
  std::vector<std::thread> threads;
  for (std::size_t task = 0; task < tasks; ++task) {
    threads.emplace_back(
        [&, task] { run(*pool, all[task], mode == "query", tasks > 1, static_cast<std::uint32_t>(task + 1)); });
  }
  const auto total = [&] {
    std::uint64_t sum = 0;
    for (const Task& task : all) sum += task.count.load(std::memory_order_relaxed);
    return static_cast<double>(sum);
  };
  pass(std::min(seconds / 4, 0.5));
  const double before = total();
  const double used = cpu();
  const auto start = Clock::now();
  measuring = true;
  pass(seconds);
  const double ops = total() - before;
  const double spent = cpu() - used;
  const double wall = ms_since(start) / 1e3;
  measuring = false;
  stopped = true;
  std::ifstream statm("/proc/self/statm");
  double pages = 0;
  double resident = 0;
  statm >> pages >> resident;
  for (std::thread& thread : threads) thread.join();
  const auto closing = Clock::now();
  pool.reset();
  const double closed = ms_since(closing);

  std::vector<std::int64_t> waits;
  for (const Task& task : all) waits.insert(waits.end(), task.waits.begin(), task.waits.end());
  std::sort(waits.begin(), waits.end());
  double sum = 0;
  for (const std::int64_t wait : waits) sum += double(wait);
  const auto at = [&](double share) {
    return waits.empty() ? 0.0 : double(waits[std::size_t(share * double(waits.size() - 1))]) / 1e3;
  };
  std::printf(
      "{\"peer\": \"SOCI\", \"mode\": \"%s\", \"tasks\": %lu, \"pool\": %lu, \"ops_s\": %f, \"us_op\": %f, "
      "\"cpu_us_op\": %f, "
      "\"wait_mean_us\": %f, \"wait_p50_us\": %f, \"wait_p99_us\": %f, \"wait_p999_us\": %f, \"startup_ms\": %f, "
      "\"close_ms\": %f, \"rss_mb\": %f}\n",
      mode.c_str(), tasks, size, ops / wall, wall / ops * 1e6, spent / ops * 1e6,
      waits.empty() ? 0.0 : sum / double(waits.size()) / 1e3, at(0.5), at(0.99), at(0.999), startup, closed,
      resident * double(sysconf(_SC_PAGESIZE)) / 1e6);
}
