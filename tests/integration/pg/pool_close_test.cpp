// How pools end; the numbers are those of the pool's test catalogue.
#include "integration/pg/pool_fixture.hpp"
#include "pg/database_pools.hpp"

namespace opi::pg {
namespace {

class PoolCloseTest : public PoolTest {};

TEST_F(PoolCloseTest, PoolScenario72_CloseIsQuickWhenIdleAndIdempotent) {
  DatabasePool& pool = open(config(3, 3));
  EXPECT_TRUE(run(pool.close(in(5s))));
  EXPECT_TRUE(eventually([&] { return backends() == 0; }));
  EXPECT_TRUE(run(pool.close(in(5s))));
  const PoolStats stats = pool.stats();
  EXPECT_EQ(stats.idle + stats.used + stats.dialing + stats.closing, 0U);
  EXPECT_FALSE(stats.available);
}

TEST_F(PoolCloseTest, PoolScenario72_CloseWaitsForWhatIsInUse) {
  DatabasePool& pool = open(config(1, 1));
  Lease lease = take(pool);
  std::optional<bool> closed;
  std::optional<bool> closed_too;
  asio::co_spawn(io_, pool.close(in(10s)), [&](std::exception_ptr, Result<> result) { closed = result.has_value(); });
  asio::co_spawn(io_, pool.close(in(10s)),
                 [&](std::exception_ptr, Result<> result) { closed_too = result.has_value(); });
  EXPECT_FALSE(eventually([&] { return closed.has_value(); }, 50ms));
  EXPECT_EQ(scalar(lease, "SELECT 1"), "1");
  lease.release();
  ASSERT_TRUE(eventually([&] { return closed && closed_too; }));
  EXPECT_TRUE(*closed);
  EXPECT_TRUE(*closed_too);
  EXPECT_TRUE(eventually([&] { return backends() == 0; }));
}

TEST_F(PoolCloseTest, PoolScenario73_CloseHasADeadlineAndNamesWhoHeld) {
  DatabasePool& pool = open(config(1, 2));
  Lease lease = take(pool, {.deadline = {}, .task = "stubborn"});
  const SteadyTime begun = std::chrono::steady_clock::now();
  const auto closed = run(pool.close(in(50ms)));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 3s);
  ASSERT_FALSE(closed);
  EXPECT_EQ(closed.error().kind, ErrorKind::timed_out);
  EXPECT_NE(closed.error().to_string().find("stubborn"), std::string::npos);
  // The lease outlives the close, still works, and is closed when it comes back.
  EXPECT_EQ(scalar(lease, "SELECT 1"), "1");
  lease.release();
  EXPECT_EQ(pool.stats().used, 0U);
  EXPECT_TRUE(eventually([&] { return backends() == 0; }));
}

TEST_F(PoolCloseTest, PoolScenario74_WaitersFailAtOnceWhenThePoolCloses) {
  DatabasePool& pool = open(config(1, 1));
  Lease lease = take(pool);
  const auto waiter = begin_acquire(pool);
  std::optional<bool> closed;
  asio::co_spawn(io_, pool.close(in(10s)), [&](std::exception_ptr, Result<> result) { closed = result.has_value(); });
  ASSERT_TRUE(eventually([&] { return waiter->done(); }));
  EXPECT_EQ(waiter->result->error().kind, AcquireErrorKind::closed);
  EXPECT_FALSE(closed);
  lease.release();
  EXPECT_TRUE(eventually([&] { return closed.has_value(); }));
}

TEST_F(PoolCloseTest, PoolScenario75_AConnectionDialledDuringCloseIsNotPooled) {
  DatabasePool& pool = open(config(1, 2));
  Lease lease = take(pool);
  const auto waiter = begin_acquire(pool);
  EXPECT_EQ(pool.stats().dialing, 1U);
  std::optional<bool> closed;
  asio::co_spawn(io_, pool.close(in(10s)), [&](std::exception_ptr, Result<> result) { closed = result.has_value(); });
  ASSERT_TRUE(eventually([&] { return waiter->done(); }));
  EXPECT_EQ(waiter->result->error().kind, AcquireErrorKind::closed);
  EXPECT_TRUE(eventually([&] { return pool.stats().dialing == 0; }));
  EXPECT_EQ(pool.stats().idle, 0U);
  lease.release();
  EXPECT_TRUE(eventually([&] { return closed && backends() == 0; }));
}

TEST_F(PoolCloseTest, PoolScenario76_EverythingAfterCloseAnswersClosed) {
  DatabasePool& pool = open(config(1, 1));
  ASSERT_TRUE(run(pool.close(in(5s))));
  const auto refused = run(pool.acquire());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, AcquireErrorKind::closed);
  EXPECT_EQ(refused.error().to_error().kind, ErrorKind::closed);
  EXPECT_FALSE(run(pool.recover(in(1s))));
  EXPECT_EQ(pool.holders().size(), 0U);
  EXPECT_NE(pool.describe().find("closed"), std::string::npos);
}

TEST_F(PoolCloseTest, PoolScenario77_ALeaseMayOutliveItsPool) {
  auto pool = std::make_unique<DatabasePool>(io_.get_executor(), config(1, 1), blocking_, Logger());
  ASSERT_TRUE(run(pool->start(in(10s))));
  Lease lease = take(*pool);
  EXPECT_FALSE(run(pool->close(in(1ms))));
  pool.reset();
  EXPECT_EQ(scalar(lease, "SELECT 1"), "1");
  lease.release();
  EXPECT_TRUE(eventually([&] { return backends() == 0; }));
}

Task<> use_for_long(DatabasePool* pool) {
  auto lease = co_await pool->acquire();
  if (lease) co_await (*lease)->query("SELECT pg_sleep(0.3)");
}

TEST_F(PoolCloseTest, PoolScenario77_ALoopDestroyedWithAQueryInFlightLeavesNothingBehind) {
  {
    asio::io_context other;
    DatabasePool pool(other.get_executor(), config(1, 1), blocking_, Logger());
    ASSERT_TRUE(test::run_coroutine(other, pool.start(in(10s))));
    asio::co_spawn(other, use_for_long(&pool), [](std::exception_ptr) {});
    other.restart();
    other.poll();
    ASSERT_EQ(pool.stats().used, 1U);
    EXPECT_FALSE(test::run_coroutine(other, pool.close(in(1ms))));
  }
  EXPECT_TRUE(eventually([&] { return backends() == 0; })) << "the socket was never closed";
}

TEST_F(PoolCloseTest, PoolScenario78_CloseDuringStart) {
  DatabasePool& pool = make(config(5, 5));
  std::optional<bool> started;
  asio::co_spawn(io_, pool.start(in(10s)), [&](std::exception_ptr, Result<> result) { started = result.has_value(); });
  io_.poll();
  EXPECT_TRUE(run(pool.close(in(5s))));
  EXPECT_TRUE(eventually([&] { return started.has_value(); }));
  EXPECT_TRUE(eventually([&] { return backends() == 0; }));
}

TEST_F(PoolCloseTest, APoolThatWasNeverStartedCloses) {
  DatabasePool& pool = make(config(5, 5));
  EXPECT_TRUE(run(pool.close(in(5s))));
}

TEST_F(PoolCloseTest, PoolScenario79_NothingIsLeftOnTheLoopAfterClose) {
  DatabasePool& pool = open(config(3, 3));
  {
    Lease lease = take(pool);
  }
  ASSERT_TRUE(run(pool.close(in(5s))));
  io_.restart();
  io_.run_for(1s);  // returns at once when no timer, task or socket is left
  EXPECT_TRUE(io_.stopped());
}

// ---- the registry --------------------------------------------------------------------------------------------------

class DatabasePoolsTest : public PoolTest {
 protected:
  PoolConfig named(std::string name) const {
    PoolConfig pool = config(1, 2);
    pool.name = std::move(name);
    return pool;
  }
  DatabasePools registry_{io_.get_executor(), blocking_, Logger()};
  void TearDown() override {
    run(registry_.close(in(5s)));
    PoolTest::TearDown();
  }
};

TEST_F(DatabasePoolsTest, PoolsAreFoundByNameAndAnUnknownNameListsTheKnownOnes) {
  const auto starts = run(registry_.initialize({named("main"), named("analytics")}, in(10s)));
  ASSERT_TRUE(starts);
  ASSERT_EQ(starts->size(), 2U);
  EXPECT_TRUE((*starts)[0].available && (*starts)[1].available);
  EXPECT_EQ(registry_.list(), (std::vector<std::string>{"analytics", "main"}));
  EXPECT_EQ(registry_.stats().size(), 2U);
  Lease lease = take(registry_.get("analytics")->get());
  EXPECT_EQ(scalar(lease, "SELECT 1"), "1");
  lease.release();
  const auto unknown = registry_.get("analytisc");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().kind, ErrorKind::not_found);
  EXPECT_NE(unknown.error().to_string().find("analytics, main"), std::string::npos);
}

TEST_F(DatabasePoolsTest, AnUnreachablePoolIsDegradedAndTheOthersServe) {
  PoolConfig broken = named("broken");
  broken.server.hosts = {{.host = "127.0.0.1", .port = 1}};
  const auto starts = run(registry_.initialize({named("main"), broken}, in(10s)));
  ASSERT_TRUE(starts);
  EXPECT_TRUE((*starts)[0].available);
  EXPECT_FALSE((*starts)[1].available);
  EXPECT_NE((*starts)[1].error.find("connection refused by 127.0.0.1:1"), std::string::npos);
  const auto recovered = run(registry_.recover("broken", in(5s)));
  ASSERT_FALSE(recovered);
  EXPECT_EQ(recovered.error().kind, ErrorKind::unavailable);
  EXPECT_TRUE(run(registry_.recover("main", in(5s))));
  EXPECT_EQ(run(registry_.recover("nope", in(5s))).error().kind, ErrorKind::not_found);
}

TEST_F(DatabasePoolsTest, PoolScenario86_EachPoolCountsForItselfAndAClashOfNamesIsRefused) {
  EXPECT_EQ(run(registry_.initialize({named("main"), named("main")}, in(5s))).error().kind, ErrorKind::invalid);
  EXPECT_TRUE(registry_.stats().empty());
  ASSERT_TRUE(run(registry_.initialize({named("main"), named("analytics")}, in(10s))));
  take(registry_.get("analytics")->get()).release();
  const auto stats = registry_.stats();
  ASSERT_EQ(stats.size(), 2U);
  EXPECT_EQ(stats[0].name, "analytics");
  EXPECT_EQ(stats[0].acquired, 1U);
  EXPECT_EQ(stats[1].name, "main");
  EXPECT_EQ(stats[1].acquired, 0U);
}

TEST_F(DatabasePoolsTest, ImpossibleSetsAreRefused) {
  EXPECT_EQ(run(registry_.initialize({named("main"), named("main")}, in(5s))).error().kind, ErrorKind::invalid);
  EXPECT_EQ(run(registry_.initialize({named("other")}, in(5s))).error().kind, ErrorKind::invalid);
  PoolConfig impossible = named("main");
  impossible.pool.min = 5;
  impossible.pool.max = 2;
  EXPECT_EQ(run(registry_.initialize({impossible}, in(5s))).error().kind, ErrorKind::invalid);
  ASSERT_TRUE(run(registry_.initialize({named("main")}, in(5s))));
  EXPECT_FALSE(run(registry_.initialize({named("main")}, in(5s))));
  EXPECT_TRUE(run(registry_.close(in(5s))));
  EXPECT_TRUE(run(registry_.close(in(5s))));
  EXPECT_EQ(run(registry_.initialize({named("main")}, in(5s))).error().kind, ErrorKind::closed);
}

TEST_F(DatabasePoolsTest, AMissingDatabaseIsToldByItsSqlstateAndRecoversWhenItExists) {
  PoolConfig missing = named("main");
  missing.server.database = "appears_later";
  const auto starts = run(registry_.initialize({missing}, in(10s)));
  ASSERT_TRUE(starts);
  EXPECT_FALSE((*starts)[0].available);
  DatabasePool& pool = registry_.get("main")->get();
  EXPECT_EQ(pool.stats().last_sqlstate, "3D000");
  const auto refused = run(pool.acquire());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, AcquireErrorKind::unavailable);
  EXPECT_EQ(refused.error().sqlstate, "3D000");
  EXPECT_GT(refused.error().next_attempt_in, 10s) << "not retried as an outage";
  server_.execute_as_superuser("CREATE DATABASE appears_later TEMPLATE template0");
  EXPECT_TRUE(run(registry_.recover("main", in(10s))));
  EXPECT_TRUE(pool.stats().available);
  EXPECT_EQ(pool.stats().last_sqlstate, "");
  Lease lease = take(pool);
  EXPECT_EQ(scalar(lease, "SELECT current_database()"), "appears_later");
  lease.release();
  EXPECT_TRUE(run(registry_.close(in(5s))));
  server_.execute_as_superuser("DROP DATABASE appears_later");
}

}  // namespace
}  // namespace opi::pg
