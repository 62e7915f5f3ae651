// The core under several threads at once; the thread sanitizer looks at the same.
#include <gtest/gtest.h>

#include <mutex>
#include <set>
#include <thread>

#include "base/clock.hpp"
#include "pg/pool_core.hpp"

namespace opi::pg {
namespace {

using namespace std::chrono_literals;

/// Does what the core decides, at once, and catches whoever gets what another one has.
class Driver {
 public:
  explicit Driver(PoolSettings settings) : core_(PoolConfig{.name = "main", .server = {}, .pool = settings}, 7) {
    PoolActions actions;
    core_.open(now(), actions);
    perform(actions);
  }
  static SteadyTime now() { return std::chrono::steady_clock::now(); }

  /// Takes one, looks at it, gives it back.
  bool use_one(bool breaks) {
    PoolCore::Taken taken;
    for (;;) {
      taken = core_.try_take(Borrower(std::source_location::current()), system_clock());
      if (!taken.stale) break;
      PoolActions actions;
      core_.evict_stale(now(), actions);
      perform(actions);
    }
    PoolActions actions;
    if (taken.slot == nullptr) {
      core_.dial_for_taker(now(), actions);
      perform(actions);
      return false;
    }
    claim(taken.slot);
    unclaim(taken.slot);
    if (breaks) {
      core_.release(taken.slot, Returned::broken, now(), actions);
      perform(actions);
    } else if (!core_.hand_back(taken.slot, now(), system_clock()).done) {
      core_.release(taken.slot, Returned::clean, now(), actions);
      perform(actions);
    }
    return true;
  }
  void tick() {
    PoolActions actions;
    core_.tick(now(), actions);
    perform(actions);
  }
  int wrong() const {
    const std::scoped_lock lock(mutex_);
    return wrong_;
  }
  PoolStats stats() const { return core_.stats(); }

 private:
  void claim(PoolSlot* slot) {
    const std::scoped_lock lock(mutex_);
    if (!taken_.insert(slot).second) ++wrong_;
  }
  void unclaim(PoolSlot* slot) {
    const std::scoped_lock lock(mutex_);
    taken_.erase(slot);
  }
  void perform(PoolActions& actions) {
    for (PoolSlot* const slot : actions.dial) {
      PoolActions next;
      core_.dialed(slot, "15.20", now(), next);
      perform(next);
    }
    for (PoolSlot* const slot : actions.close) {
      claim(slot);
      std::this_thread::yield();
      unclaim(slot);
      PoolActions next;
      core_.closed(slot, now(), next);
      perform(next);
    }
  }

  PoolCore core_;
  mutable std::mutex mutex_;
  std::set<PoolSlot*> taken_;
  int wrong_ = 0;
};

TEST(PoolCoreThreads, PoolScenario60_NothingThatIsBeingClosedIsHandedOut) {
  PoolSettings hasty{.min = 1, .max = 4, .max_lifetime = 3ms, .lifetime_jitter = 0.5, .idle_timeout = 1ms};
  Driver driver(hasty);
  std::vector<std::thread> takers;
  std::atomic<int> served = 0;
  std::atomic<bool> stop = false;
  for (int thread = 0; thread < 3; ++thread) {
    takers.emplace_back([&] {
      for (int use = 0; use < 20'000; ++use) served += driver.use_one(use % 50 == 0) ? 1 : 0;
    });
  }
  std::thread reaper([&] {
    while (!stop) driver.tick();
  });
  for (std::thread& taker : takers) taker.join();
  stop = true;
  reaper.join();
  EXPECT_EQ(driver.wrong(), 0);
  EXPECT_GT(served, 1'000);
  const PoolStats stats = driver.stats();
  EXPECT_EQ(stats.used + stats.closing + stats.dialing, 0U);
  EXPECT_GT(stats.closed_lifetime + stats.closed_idle, 0U);
}

}  // namespace
}  // namespace opi::pg
