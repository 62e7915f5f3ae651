// The uncontended acquire and release allocate nothing: this program counts what its threads allocate.
#include <cstdlib>
#include <new>

#include "integration/pg/pool_fixture.hpp"

#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#include <sanitizer/allocator_interface.h>
#define OPI_SANITIZED 1
#endif

namespace {

thread_local std::uint64_t allocations = 0;

#ifdef OPI_SANITIZED
// A sanitizer has operators of its own, and tells of what they do.
void count_allocation(const volatile void* /*memory*/, std::size_t /*size*/) {
  ++allocations;
}
void ignore_release(const volatile void* /*memory*/) {}
const int hooked = __sanitizer_install_malloc_and_free_hooks(count_allocation, ignore_release);
#else

void* counted(std::size_t size) {
  ++allocations;
  if (void* const memory = std::malloc(size > 0 ? size : 1)) return memory;
  throw std::bad_alloc();
}
void* counted(std::size_t size, std::align_val_t alignment) {
  ++allocations;
  const auto step = static_cast<std::size_t>(alignment);
  if (void* const memory = std::aligned_alloc(step, (size + step - 1) / step * step)) return memory;
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
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
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

}  // namespace
}  // namespace opi::pg
