// Acquire, reuse and the queue; the numbers are those of the pool's test catalogue.
#include "integration/pg/pool_fixture.hpp"

namespace opi::pg {
namespace {

class PoolAcquireTest : public PoolTest {};

TEST_F(PoolAcquireTest, StartOpensTheMinimumAndReportsTheServer) {
  DatabasePool& pool = open(config(3, 5));
  const PoolStats stats = pool.stats();
  EXPECT_EQ(stats.idle, 3U);
  EXPECT_TRUE(stats.available);
  EXPECT_FALSE(stats.server_version.empty());
  EXPECT_EQ(backends(), 3);
}

TEST_F(PoolAcquireTest, PoolScenario01_TheFirstAcquireDialsTheSecondReuses) {
  DatabasePool& pool = open(config(0, 3));
  Lease first = take(pool);
  const int pid = first->backend_pid();
  first.release();
  Lease second = take(pool);
  EXPECT_EQ(second->backend_pid(), pid);
  EXPECT_EQ(pool.stats().dials, 1U);
}

}  // namespace
}  // namespace opi::pg
