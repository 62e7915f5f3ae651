// What comes back to the pool, and what ends it; the numbers are those of the pool's test catalogue.
#include "integration/pg/pool_fixture.hpp"
#include "pg/transaction.hpp"
#include "support/recorded_log.hpp"

namespace opi::pg {
namespace {

class PoolReturnTest : public PoolTest {};

TEST_F(PoolReturnTest, PoolScenario21_ACancelledQueryNeverDisturbsTheNextUser) {
  DatabasePool& pool = open(config(1, 1));
  for (int round = 0; round < 20; ++round) {
    Lease lease = take(pool);
    const auto stopped = run(aio::with_deadline(lease->query("SELECT pg_sleep(600)"), in(5ms), "sleeping"));
    ASSERT_FALSE(stopped);
    lease.release();
    Lease next = take(pool);
    ASSERT_EQ(scalar(next, "SELECT 42"), "42");
  }
  EXPECT_EQ(server_.query_as_superuser("SELECT count(*) FROM pg_stat_activity WHERE application_name = '" +
                                       application_ + "' AND query LIKE '%pg_sleep(600)%' AND state = 'active'"),
            "0");
}

TEST_F(PoolReturnTest, ACancelRequestThatOvertakesItsStatementIsSentAgain) {
  DatabasePool& pool = open(config(1, 1));
  for (int round = 0; round < 5; ++round) {
    Lease lease = take(pool);
    // The backend hears of the cancellation before it can look at the statement.
    ::kill(lease->backend_pid(), SIGSTOP);
    EXPECT_FALSE(run(aio::with_deadline(lease->query("SELECT pg_sleep(600)"), in(1ms), "sleeping")));
    const pid_t stopped = lease->backend_pid();
    lease.release();
    io_.restart();
    io_.run_for(10ms);
    ::kill(stopped, SIGCONT);
    Lease next = take(pool);
    ASSERT_EQ(
        server_.query_as_superuser("SELECT count(*) FROM pg_stat_activity WHERE pid = " + std::to_string(stopped)),
        "0");
  }
}

TEST_F(PoolReturnTest, PoolScenario36_TerminatedIdleBackendsAreReplacedBeforeTheNextAcquire) {
  DatabasePool& pool = open(config(3, 3));
  terminate_backends();
  while (backends() > 0) {
  }
  io_.restart();
  io_.poll();  // one turn of the loop
  Lease lease = take(pool);
  EXPECT_EQ(scalar(lease, "SELECT 1"), "1");
  lease.release();
  EXPECT_TRUE(eventually([&] { return pool.stats().idle == 3; }));
  EXPECT_EQ(backends(), 3);
}

TEST_F(PoolReturnTest, PoolScenario37_ATerminatedBackendInUseFreesItsSlot) {
  DatabasePool& pool = open(config(1, 1));
  Lease lease = take(pool);
  terminate_backends();
  EXPECT_FALSE(run(lease->query("SELECT 1")));
  EXPECT_TRUE(lease->broken());
  lease.release();
  Lease next = take(pool, {.deadline = in(5s), .task = {}});
  EXPECT_EQ(scalar(next, "SELECT 1"), "1");
  EXPECT_EQ(pool.stats().closed_broken, 1U);
}

TEST_F(PoolReturnTest, ABackendThatEndsWhileItsLeaseIsQuietIsNotHandedOn) {
  DatabasePool& pool = open(config(1, 1));
  Lease lease = take(pool);
  terminate_backends();
  while (backends() > 0) {
  }
  io_.restart();
  io_.poll();
  lease.release();
  Lease next = take(pool);
  EXPECT_EQ(scalar(next, "SELECT 1"), "1");
}

TEST_F(PoolReturnTest, PoolScenario48_ReturnedInATransactionItIsRolledBack) {
  DatabasePool& pool = open(config(1, 1));
  server_.execute_as_superuser("DROP TABLE IF EXISTS public.kept; CREATE TABLE public.kept (i int)");
  Lease lease = take(pool);
  const int pid = lease->backend_pid();
  ASSERT_TRUE(run(lease->execute("BEGIN; INSERT INTO public.kept VALUES (1)")));
  lease.release();
  lease = take(pool);
  EXPECT_EQ(lease->backend_pid(), pid);
  EXPECT_EQ(lease->transaction_status(), TransactionStatus::idle);
  ASSERT_TRUE(run(lease->execute("BEGIN")));
  ASSERT_FALSE(run(lease->execute("SELECT 1/0")));
  lease.release();
  lease = take(pool);
  EXPECT_EQ(lease->backend_pid(), pid);
  EXPECT_EQ(scalar(lease, "SELECT count(*) FROM public.kept"), "0");
}

TEST_F(PoolReturnTest, PoolScenario48_ReturnedMidQueryItIsClosed) {
  DatabasePool& pool = open(config(1, 1));
  Lease lease = take(pool);
  const int pid = lease->backend_pid();
  EXPECT_FALSE(
      run(aio::with_deadline(lease->query("SELECT generate_series(1, 100000000)"), in(20ms), "a long result")));
  lease.release();
  lease = take(pool);
  EXPECT_NE(lease->backend_pid(), pid);
  EXPECT_EQ(pool.stats().closed_broken, 1U);
}

TEST_F(PoolReturnTest, PoolScenario48_LeftInAnyStateTheNextUserFindsItClean) {
  server_.execute_as_superuser("DROP TABLE IF EXISTS public.left_in; CREATE TABLE public.left_in (i int)");
  DatabasePool& pool = open(config(1, 1));
  using Leave = Task<> (*)(Connection*);
  const std::vector<std::pair<std::string_view, Leave>> ways = {
      {"an open cursor",
       [](Connection* on) -> Task<> { (void)co_await on->execute("BEGIN; DECLARE c CURSOR FOR SELECT 1; FETCH c"); }},
      {"a cursor WITH HOLD",
       [](Connection* on) -> Task<> { (void)co_await on->execute("DECLARE h CURSOR WITH HOLD FOR SELECT 1"); }},
      {"unread rows",
       [](Connection* on) -> Task<> {
         auto rows = co_await on->stream("SELECT generate_series(1, 100000)");
         if (rows) (void)co_await rows->next();
       }},
      {"in the middle of COPY in",
       [](Connection* on) -> Task<> {
         auto copy = co_await on->copy_in("COPY public.left_in FROM STDIN");
         if (copy) (void)co_await copy->write("1\n2\n");
       }},
      {"in the middle of COPY out",
       [](Connection* on) -> Task<> {
         auto copy = co_await on->copy_out("COPY (SELECT generate_series(1, 100000)) TO STDOUT");
         if (copy) (void)co_await copy->next();
       }},
      {"in a failed batch",
       [](Connection* on) -> Task<> {
         Batch batch(BatchScope::together);
         batch.add("SELECT 1").add("SELECT 1/0").add("SELECT 2");
         (void)co_await on->run_batch(std::move(batch));
       }},
  };
  for (const auto& [way, leave] : ways) {
    Lease lease = take(pool);
    run(leave(&*lease));
    lease.release();
    Lease next = take(pool, {.deadline = in(10s), .task = {}});
    EXPECT_EQ(next->transaction_status(), TransactionStatus::idle) << way;
    EXPECT_EQ(scalar(next, "SELECT count(*) FROM pg_cursors WHERE name <> ''"), "0") << way;
    EXPECT_EQ(scalar(next, "SELECT count(*) FROM public.left_in"), "0") << way;
  }
  EXPECT_EQ(pool.stats().used, 0U);
}

TEST_F(PoolReturnTest, PoolScenario49_SessionStateIsNotVisibleToTheNextUser) {
  DatabasePool& pool = open(config(1, 1));
  Lease lease = take(pool);
  const int pid = lease->backend_pid();
  ASSERT_TRUE(
      run(lease->execute("SET work_mem = '9MB'; SET ROLE pg_monitor; CREATE TEMP TABLE mine (i int); LISTEN news; "
                         "PREPARE byhand AS SELECT 1; SELECT pg_advisory_lock(490049)")));
  lease.release();
  // Eagerly: the lock is free while the connection is idle.
  EXPECT_TRUE(eventually([&] {
    return server_.query_as_superuser("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 490049") ==
           "0";
  }));
  lease = take(pool);
  EXPECT_EQ(lease->backend_pid(), pid);
  EXPECT_EQ(scalar(lease, "SELECT current_user"), "postgres");
  EXPECT_NE(scalar(lease, "SHOW work_mem"), "9MB");
  EXPECT_EQ(scalar(lease, "SELECT to_regclass('pg_temp.mine') IS NULL"), "t");
  EXPECT_EQ(scalar(lease, "SELECT count(*) FROM pg_listening_channels()"), "0");
  EXPECT_EQ(scalar(lease, "SELECT count(*) FROM pg_prepared_statements"), "0");
  EXPECT_EQ(pool.stats().resets, 1U);
}

TEST_F(PoolReturnTest, HarmlessStatementsAreNotResetAndKeepTheirPreparedStatements) {
  DatabasePool& pool = open(config(1, 1));
  for (int round = 0; round < 3; ++round) {
    Lease lease = take(pool);
    ASSERT_TRUE(run(lease->query_prepared("SELECT $1::int", {round})));
    ASSERT_TRUE(run(lease->query("SELECT 1")));
  }
  Lease lease = take(pool);
  EXPECT_EQ(scalar(lease, "SELECT count(*) FROM pg_prepared_statements"), "1");
  EXPECT_EQ(pool.stats().resets, 0U);
}

TEST_F(PoolReturnTest, PoolScenario52_WithoutResetTheSessionKeepsItsState) {
  PoolConfig keeping = config(1, 1);
  keeping.pool.reset = ResetProfile::never;
  DatabasePool& pool = open(keeping);
  Lease lease = take(pool);
  ASSERT_TRUE(run(lease->execute("SET work_mem = '9MB'")));
  lease.release();
  lease = take(pool);
  EXPECT_EQ(scalar(lease, "SHOW work_mem"), "9MB");
}

TEST_F(PoolReturnTest, PoolScenario53_AndScenario55_DoubleReleaseAndMovesAreHarmless) {
  DatabasePool& pool = open(config(1, 2));
  Lease lease = take(pool);
  Lease moved = std::move(lease);
  EXPECT_FALSE(lease);  // NOLINT(bugprone-use-after-move): what is tested
  EXPECT_TRUE(moved);
  lease.release();
  EXPECT_EQ(pool.stats().used, 1U);
  Lease& itself = moved;
  moved = std::move(itself);
  EXPECT_TRUE(moved);
  moved.release();
  moved.release();
  moved.discard();
  EXPECT_FALSE(moved);
  EXPECT_EQ(pool.stats().used, 0U);
  EXPECT_EQ(pool.stats().idle, 1U);
}

TEST_F(PoolReturnTest, PoolScenario54_ADiscardedConnectionIsClosedAndReplaced) {
  DatabasePool& pool = open(config(1, 1));
  Lease lease = take(pool);
  const int pid = lease->backend_pid();
  ASSERT_TRUE(run(lease->query("SELECT pg_advisory_lock(540054)")));
  lease.discard();
  Lease next = take(pool);
  EXPECT_NE(next->backend_pid(), pid);
  EXPECT_EQ(scalar(next, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 540054"), "0");
}

TEST_F(PoolReturnTest, PoolScenario56_AnExceptionOfTheUserGivesTheConnectionBack) {
  DatabasePool& pool = open(config(1, 1));
  const auto misread = [](DatabasePool* from) -> Task<int> {
    auto lease = co_await from->acquire();
    auto result = co_await (*lease)->query("SELECT 'text'");
    co_return (*result)[0].get<int>(0);
  };
  EXPECT_THROW(run(misread(&pool)), std::logic_error);
  EXPECT_EQ(pool.stats().idle, 1U);
}

TEST_F(PoolReturnTest, PoolScenario57_AndScenario59_AConnectionPastItsLifetimeIsReplacedWithWaitersQueued) {
  PoolConfig brief = config(1, 1);
  brief.pool.max_lifetime = 50ms;
  DatabasePool& pool = open(brief);
  std::set<int> pids;
  EXPECT_TRUE(eventually([&] {
    Lease lease = take(pool);
    pids.insert(lease->backend_pid());
    const auto waiter = begin_acquire(pool);
    lease.release();
    const bool served = eventually([&] { return waiter->done(); });
    EXPECT_TRUE(served && waiter->result->has_value());
    return pids.size() >= 3;
  }));
  EXPECT_GE(pool.stats().closed_lifetime, 2U);
}

TEST_F(PoolReturnTest, PoolScenario64_OneUseEachMeansABackendEach) {
  PoolConfig once = config(1, 4);
  once.pool.max_uses = 1;
  DatabasePool& pool = open(once);
  std::set<int> pids;
  int served = 0;
  const auto use = [](DatabasePool* from, std::set<int>* into, int* count) -> Task<> {
    auto lease = co_await from->acquire();
    if (lease) into->insert((*lease)->backend_pid());
    ++*count;
  };
  constexpr int tasks = 100;
  for (int task = 0; task < tasks; ++task) {
    asio::co_spawn(io_, use(&pool, &pids, &served), [](const std::exception_ptr& thrown) { EXPECT_FALSE(thrown); });
  }
  ASSERT_TRUE(eventually([&] { return served == tasks; }));
  EXPECT_EQ(pids.size(), static_cast<std::size_t>(tasks));
  EXPECT_GE(pool.stats().closed_uses, static_cast<std::uint64_t>(tasks - 4));
}

TEST_F(PoolReturnTest, PoolScenario66_GrowingServesWhoWaits) {
  DatabasePool& pool = open(config(1, 1));
  Lease held = take(pool);
  const auto first = begin_acquire(pool);
  const auto second = begin_acquire(pool);
  PoolSettings larger = pool.config().pool;
  larger.max = 3;
  pool.resize(larger);
  ASSERT_TRUE(eventually([&] { return first->done() && second->done(); }));
  EXPECT_TRUE(first->result->has_value() && second->result->has_value());
  EXPECT_EQ(backends(), 3);
}

TEST_F(PoolReturnTest, PoolScenario71_RecycledWithConnectionsOut) {
  DatabasePool& pool = open(config(3, 3));
  Lease held = take(pool);
  const int old = held->backend_pid();
  pool.recycle();
  EXPECT_EQ(scalar(held, "SELECT 1"), "1") << "what is lent may be used";
  EXPECT_TRUE(eventually([&] { return pool.stats().idle == 2; }));
  held.release();
  EXPECT_TRUE(eventually([&] { return pool.stats().idle == 3; }));
  EXPECT_EQ(server_.query_as_superuser("SELECT count(*) FROM pg_stat_activity WHERE pid = " + std::to_string(old)),
            "0");
  EXPECT_EQ(backends(), 3);
}

TEST_F(PoolReturnTest, PoolScenario61_IdleConnectionsAboveTheMinimumAreClosed) {
  PoolConfig idle = config(1, 4);
  idle.pool.idle_timeout = 100ms;
  DatabasePool& pool = open(idle);
  {
    std::vector<Lease> leases;
    for (int lease = 0; lease < 4; ++lease) leases.push_back(take(pool));
  }
  EXPECT_TRUE(eventually([&] { return pool.stats().closed_idle == 3; }));
  EXPECT_EQ(pool.stats().idle, 1U);
  EXPECT_TRUE(eventually([&] { return backends() == 1; }));
}

TEST_F(PoolReturnTest, PoolScenario62_TheMinimumIsRefilledAfterAnEviction) {
  DatabasePool& pool = open(config(2, 2));
  take(pool).discard();
  EXPECT_TRUE(eventually([&] { return pool.stats().idle == 2; }));
  EXPECT_EQ(backends(), 2);
}

TEST_F(PoolReturnTest, PoolScenario89_ALeakIsReportedOnceWithItsPlaceAndItsReturnIsLogged) {
  test::RecordedLog sink;
  PoolConfig leaky = config(1, 1);
  leaky.pool.leak_after = 50ms;
  DatabasePool& pool = open(leaky, Logger(sink, "pool"));
  Lease lease = take(pool, {.deadline = {}, .task = "forgetful"});
  EXPECT_TRUE(eventually([&] { return pool.stats().leaks == 1; }));
  EXPECT_FALSE(eventually([&] { return pool.stats().leaks > 1; }, 150ms));
  EXPECT_EQ(sink.count("held since"), 1U);
  EXPECT_EQ(sink.count("forgetful"), 1U);
  EXPECT_EQ(sink.count("pool_fixture.hpp:"), 1U);
  lease.release();
  EXPECT_TRUE(eventually([&] { return sink.count("is back after") == 1; }));
  run(pool.close(in(5s)));
}

TEST_F(PoolReturnTest, APingProvesAConnectionThatWasIdleForLong) {
  PoolConfig careful = config(1, 1);
  careful.pool.ping_after_idle = 1ms;
  DatabasePool& pool = open(careful);
  const SteadyTime later = in(5ms);
  EXPECT_TRUE(eventually([&] { return std::chrono::steady_clock::now() > later; }));
  const auto before = pool.stats();
  Lease lease = take(pool);
  EXPECT_EQ(scalar(lease, "SELECT 1"), "1");
  EXPECT_EQ(pool.stats().dials, before.dials);
}

}  // namespace
}  // namespace opi::pg
