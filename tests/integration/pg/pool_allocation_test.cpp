// What a pool allocates: nothing for an uncontended acquire and release, little for an idle connection. This program
// counts what its threads allocate, and can write down what they keep.
#include <libpq-fe.h>
#include <malloc.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <new>
#include <utility>

#include "integration/pg/pool_fixture.hpp"

#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#include <sanitizer/allocator_interface.h>
#define OPI_SANITIZED 1
#endif

namespace {

thread_local std::uint64_t allocations = 0;

/// What was allocated since `begin` and is still there. What is older may go meanwhile: it is not known here. Allocates
/// nothing itself; any thread.
class Ledger {
 public:
  void begin() {
    const Turn turn(&busy_);
    places_.fill({});
    bytes_ = 0;
    used_ = 0;
    open_ = true;
  }
  std::int64_t end() {
    const Turn turn(&busy_);
    open_ = false;
    if (used_ == places_.size() / 2) throw std::runtime_error("more was allocated than can be written down");
    return bytes_;
  }
  void add(const volatile void* memory, std::size_t size) noexcept {
    if (!open_) return;
    const Turn turn(&busy_);
    if (!open_ || memory == nullptr || used_ == places_.size() / 2) return;
    Place& place = places_[find(memory)];
    if (place.memory == nullptr) ++used_;
    place = {.memory = memory, .size = static_cast<std::int64_t>(size)};
    bytes_ += place.size;
  }
  void remove(const volatile void* memory) noexcept {
    if (!open_ || memory == nullptr) return;
    const Turn turn(&busy_);
    std::size_t hole = find(memory);
    if (!open_ || places_[hole].memory == nullptr) return;
    --used_;
    bytes_ -= places_[hole].size;
    // What stands behind it moves up, so that `find` still comes by it.
    for (std::size_t at = next(hole); places_[at].memory != nullptr; at = next(at)) {
      const std::size_t from_home = (at - home(places_[at].memory)) % places_.size();
      if (from_home < (at - hole) % places_.size()) continue;
      places_[hole] = places_[at];
      hole = at;
    }
    places_[hole] = {};
  }

 private:
  struct Place {
    const volatile void* memory = nullptr;
    std::int64_t size = 0;
  };
  class Turn {
   public:
    explicit Turn(std::atomic_flag* busy) noexcept : busy_(busy) {
      while (busy_->test_and_set(std::memory_order_acquire)) {
      }
    }
    ~Turn() { busy_->clear(std::memory_order_release); }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    std::atomic_flag* busy_;
  };
  std::size_t home(const volatile void* memory) const noexcept {
    return (reinterpret_cast<std::uintptr_t>(memory) * 0x9e37'79b9'7f4a'7c15U >> 40U) % places_.size();
  }
  std::size_t next(std::size_t at) const noexcept { return (at + 1) % places_.size(); }
  /// Where it is, or would be; at most half of the places are taken.
  std::size_t find(const volatile void* memory) const noexcept {
    std::size_t at = home(memory);
    while (places_[at].memory != nullptr && places_[at].memory != memory) at = next(at);
    return at;
  }

  std::atomic_flag busy_;
  std::atomic<bool> open_ = false;
  std::int64_t bytes_ = 0;
  std::size_t used_ = 0;
  std::array<Place, (1U << 17U)> places_{};
};
constinit Ledger ledger;

#ifdef OPI_SANITIZED
// A sanitizer has operators of its own, and tells of what they do.
void count_allocation(const volatile void* memory, std::size_t size) {
  ++allocations;
  ledger.add(memory, size);
}
void count_release(const volatile void* memory) {
  ledger.remove(memory);
}
const int hooked = __sanitizer_install_malloc_and_free_hooks(count_allocation, count_release);
#else

void* counted_in(void* memory) {
  ledger.add(memory, ::malloc_usable_size(memory));
  return memory;
}
void released(void* memory) noexcept {
  ledger.remove(memory);
  std::free(memory);
}
void* counted(std::size_t size) {
  ++allocations;
  if (void* const memory = std::malloc(size > 0 ? size : 1)) return counted_in(memory);
  throw std::bad_alloc();
}
void* counted(std::size_t size, std::align_val_t alignment) {
  ++allocations;
  const auto step = static_cast<std::size_t>(alignment);
  if (void* const memory = std::aligned_alloc(step, (size + step - 1) / step * step)) return counted_in(memory);
  throw std::bad_alloc();
}
#endif

}  // namespace

#ifndef OPI_SANITIZED
void* operator new(std::size_t size) {
  return counted(size);
}
void* operator new[](std::size_t size) {
  return counted(size);
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  return counted(size, alignment);
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return counted(size, alignment);
}
void operator delete(void* memory) noexcept {
  released(memory);
}
void operator delete[](void* memory) noexcept {
  released(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  released(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  released(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  released(memory);
}
void operator delete[](void* memory, std::align_val_t) noexcept {
  released(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  released(memory);
}
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept {
  released(memory);
}
#endif

namespace opi::pg {
namespace {

class PoolAllocationTest : public PoolTest {};

Task<std::uint64_t> allocations_of(DatabasePool* pool, int rounds) {
  const std::uint64_t before = allocations;
  for (int round = 0; round < rounds; ++round) {
    const auto lease =
        co_await pool->acquire({.deadline = {}, .task = "a task with a name that is longer than any small string"});
    if (!lease) throw std::runtime_error("no connection");
  }
  co_return allocations - before;
}

TEST_F(PoolAllocationTest, TheUncontendedAcquireAndReleaseAllocateNothing) {
#if __has_feature(address_sanitizer)
  GTEST_SKIP() << "with red zones a coroutine's frame is larger than what Asio keeps for the next one; the build with "
                  "the thread sanitizer counts";
#endif
  DatabasePool& pool = open(config(2, 2));
  const std::uint64_t counted_before = allocations;
  ::operator delete(::operator new(1));
  EXPECT_EQ(allocations, counted_before + 1) << "nothing is being counted";
#ifdef OPI_SANITIZED
  EXPECT_GT(hooked, 0);
#endif
  const std::uint64_t per_thousand = run([](DatabasePool* from) -> Task<std::uint64_t> {
    co_await allocations_of(from, 10);
    co_return co_await allocations_of(from, 1'000);
  }(&pool));
  EXPECT_EQ(per_thousand, 0U);
}

/// What one plain session of libpq has; none where only operator new is counted.
std::int64_t bytes_of_libpq(const ServerSettings& server) {
  const std::string password(server.password()->reveal());
  const std::string info =
      fmt::format("host={} port={} user={} dbname={} password={} sslmode=disable", server.hosts[0].host,
                  server.hosts[0].port, server.user, server.database, password);
  const std::unique_ptr<PGconn, decltype(&PQfinish)> warm(PQconnectdb(info.c_str()), &PQfinish);
  ledger.begin();
  const std::unique_ptr<PGconn, decltype(&PQfinish)> plain(PQconnectdb(info.c_str()), &PQfinish);
  const std::int64_t bytes = ledger.end();
  if (PQstatus(plain.get()) != CONNECTION_OK) throw std::runtime_error(PQerrorMessage(plain.get()));
  return bytes;
}

TEST_F(PoolAllocationTest, AnIdleConnectionTakesLittleBesidesLibpqsBuffers) {
  constexpr int more = 16;
  const auto bytes_of_more = [&] {
    PoolConfig few = config(2, 2);
    DatabasePool& pool = open(few);
    few.pool.min = few.pool.max = 2 + more;
    ledger.begin();
    pool.resize(few.pool);
    const bool open = eventually([&] { return pool.stats().idle == 2 + more; });
    const std::int64_t bytes = ledger.end();
    EXPECT_TRUE(open);
    run(pool.close(in(5s)));
    return bytes;
  };
  // What libraries and threads keep of what they meet first falls into one of the rounds.
  const std::int64_t least = std::min({bytes_of_more(), bytes_of_more(), bytes_of_more()});
  const std::int64_t each = least / more - bytes_of_libpq(config(1, 1).server);
  RecordProperty("bytes_per_connection", std::to_string(each));
  EXPECT_GT(each, 0);
  EXPECT_LT(each, 6 * 1'024);
}

}  // namespace
}  // namespace opi::pg
