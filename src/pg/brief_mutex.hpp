#pragma once
/// @file
/// A lock for critical sections of some nanoseconds.

#include <atomic>
#include <cstdint>

namespace opi::pg {

/// A third of the price of std::mutex where nobody else is inside: two atomic instructions, no call. Others wait in the
/// kernel. Used as std::mutex is (BasicLockable); not recursive; one lock, not several at once.
class BriefMutex {
 public:
  BriefMutex() noexcept = default;
  BriefMutex(const BriefMutex&) = delete;
  BriefMutex& operator=(const BriefMutex&) = delete;

  void lock() noexcept {
    Word found = free;
    if (!word_.compare_exchange_strong(found, taken, std::memory_order_acquire, std::memory_order_relaxed)) wait();
  }
  void unlock() noexcept {
    if (word_.exchange(free, std::memory_order_release) == awaited) word_.notify_one();
  }

 private:
  using Word = std::int32_t;  ///< what the kernel can wait for
  static constexpr Word free = 0;
  static constexpr Word taken = 1;
  static constexpr Word awaited = 2;  ///< taken, and somebody may wait

  /// Whoever has waited leaves it as awaited: others may still wait.
  void wait() noexcept {
    while (word_.exchange(awaited, std::memory_order_acquire) != free) word_.wait(awaited, std::memory_order_relaxed);
  }

  std::atomic<Word> word_ = free;
};

}  // namespace opi::pg
