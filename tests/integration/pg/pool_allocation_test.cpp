// What a pool allocates: nothing for an uncontended acquire and release, little for an idle connection. This program
// counts what its threads allocate.
#include <libpq-fe.h>
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "integration/pg/pool_fixture.hpp"

#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#include <sanitizer/allocator_interface.h>
#define OPI_SANITIZED 1
#endif

namespace {

thread_local std::uint64_t allocations = 0;
std::atomic<std::int64_t> live_bytes = 0;

#ifdef OPI_SANITIZED
// A sanitizer has operators of its own, and tells of what they do.
void count_allocation(const volatile void* /*memory*/, std::size_t size) {
  ++allocations;
  live_bytes += static_cast<std::int64_t>(size);
}
void count_release(const volatile void* memory) {
  if (memory != nullptr) live_bytes -= static_cast<std::int64_t>(__sanitizer_get_allocated_size(memory));
}
const int hooked = __sanitizer_install_malloc_and_free_hooks(count_allocation, count_release);
#else

void* counted_in(void* memory) {
  live_bytes += static_cast<std::int64_t>(::malloc_usable_size(memory));
  return memory;
}
void released(void* memory) noexcept {
  live_bytes -= static_cast<std::int64_t>(::malloc_usable_size(memory));
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
  const std::int64_t before = live_bytes;
  const std::unique_ptr<PGconn, decltype(&PQfinish)> plain(PQconnectdb(info.c_str()), &PQfinish);
  if (PQstatus(plain.get()) != CONNECTION_OK) throw std::runtime_error(PQerrorMessage(plain.get()));
  return live_bytes - before;
}

TEST_F(PoolAllocationTest, AnIdleConnectionTakesLittleBesidesLibpqsBuffers) {
  const auto bytes_of = [&](std::uint32_t connections) {
    const std::int64_t before = live_bytes;
    open(config(connections, connections));
    return live_bytes - before;
  };
  bytes_of(2);  // what is kept for the next coroutine, and the like
  constexpr int more = 16;
  const std::int64_t with_few = bytes_of(2);
  const std::int64_t each = (bytes_of(2 + more) - with_few) / more - bytes_of_libpq(config(1, 1).server);
  RecordProperty("bytes_per_connection", std::to_string(each));
  EXPECT_GT(each, 0);
  EXPECT_LT(each, 6 * 1'024);
}

}  // namespace
}  // namespace opi::pg
