// Acquire, reuse, the queue and cancellation; the numbers are those of the pool's test catalogue.
#include "aio/task_scope.hpp"
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

TEST_F(PoolAcquireTest, TheMinimumIsOpenedInParallel) {
  DatabasePool& pool = make(config(10, 10));
  std::optional<bool> started;
  asio::co_spawn(io_, pool.start(in(60s)), [&](std::exception_ptr, Result<> result) { started = result.has_value(); });
  io_.restart();
  while (pool.stats().dials == 0) io_.run_one();
  EXPECT_EQ(pool.stats().dialing, 10U);
  ASSERT_TRUE(eventually([&] { return started.has_value(); }));
  EXPECT_EQ(pool.stats().idle, 10U);
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

Task<> use_repeatedly(DatabasePool* pool, int rounds, int* failures) {
  for (int round = 0; round < rounds; ++round) {
    auto lease = co_await pool->acquire();
    if (!lease || !co_await (*lease)->query("SELECT pg_sleep(0.001)")) ++*failures;
  }
}

/// What the server counts while the tasks run: each of them asks it.
Task<> count_backends(DatabasePool* pool, std::string application, int rounds, int* most, int* failures) {
  for (int round = 0; round < rounds; ++round) {
    auto lease = co_await pool->acquire({.deadline = in(60s), .task = "count"});
    if (!lease) {
      ++*failures;
      continue;
    }
    Params params = {application};
    const auto result = co_await (*lease)->query("SELECT count(*) FROM pg_stat_activity WHERE application_name = $1",
                                                 std::move(params));
    if (!result) ++*failures;
    if (result) *most = std::max(*most, (*result)[0].get<int>(0));
    if (round % 2 == 1) lease->discard();  // closing connections count too
  }
}

TEST_F(PoolAcquireTest, PoolScenario02_NeverMoreThanMaxBackendsUnderManyTasks) {
  DatabasePool& pool = open(config(1, 4));
  int failures = 0;
  int most = 0;
  int running = 100;
  for (int task = 0; task < 100; ++task) {
    asio::co_spawn(io_, count_backends(&pool, application_, 3, &most, &failures),
                   [&](std::exception_ptr) { --running; });
  }
  EXPECT_TRUE(eventually([&] {
    const PoolStats stats = pool.stats();
    EXPECT_LE(stats.idle + stats.used + stats.dialing + stats.closing, 4U);
    return running == 0;
  }));
  EXPECT_LE(most, 4);
  EXPECT_GE(most, 2);
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(pool.stats().acquired, 300U);
}

TEST_F(PoolAcquireTest, PoolScenario04_AnExhaustedPoolTimesOutAndNamesTheHolders) {
  DatabasePool& pool = open(config(1, 1));
  Lease held = take(pool, {.deadline = {}, .task = "reconcile shop"});
  const SteadyTime begun = std::chrono::steady_clock::now();
  auto refused = run(pool.acquire({.deadline = in(100ms), .task = "second"}));
  const auto took = std::chrono::steady_clock::now() - begun;
  ASSERT_FALSE(refused);
  EXPECT_GE(took, 95ms);
  EXPECT_LT(took, 2s);
  EXPECT_EQ(refused.error().kind, AcquireErrorKind::timed_out);
  ASSERT_EQ(refused.error().holders.size(), 1U);
  EXPECT_EQ(refused.error().holders[0].task, "reconcile shop");
  EXPECT_TRUE(refused.error().holders[0].place.starts_with("integration/pg/pool_fixture.hpp:"))
      << refused.error().holders[0].place;
  EXPECT_GE(refused.error().waited, 95ms);
  const Error error = refused.error().to_error();
  EXPECT_EQ(error.kind, ErrorKind::timed_out);
  EXPECT_NE(error.to_string().find("reconcile shop"), std::string::npos) << error.to_string();
  EXPECT_EQ(pool.stats().timed_out, 1U);
}

TEST_F(PoolAcquireTest, PoolScenario05_APastDeadlineFailsWithoutTouchingThePool) {
  DatabasePool& pool = open(config(1, 1));
  const PoolStats before = pool.stats();
  const auto refused = run(pool.acquire({.deadline = in(-1ms), .task = {}}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, AcquireErrorKind::timed_out);
  EXPECT_EQ(pool.stats().acquired, before.acquired);
  EXPECT_EQ(pool.stats().idle, 1U);
}

TEST_F(PoolAcquireTest, PoolScenario06_WaitersAreServedInArrivalOrder) {
  DatabasePool& pool = open(config(1, 1));
  Lease held = take(pool);
  std::vector<std::shared_ptr<PendingAcquire>> waiters;
  for (int waiter = 0; waiter < 5; ++waiter) waiters.push_back(begin_acquire(pool));
  held.release();
  for (std::size_t turn = 0; turn < waiters.size(); ++turn) {
    // A newcomer arrives while the connection is on its way: it does not get in front.
    waiters.push_back(turn < 5 && waiters.size() < 10 ? begin_acquire(pool)
                                                      : begin_acquire(pool, {.deadline = in(-1s), .task = {}}));
    ASSERT_TRUE(eventually([&] { return waiters[turn]->done(); }));
    if (!waiters[turn]->result->has_value()) break;
    for (std::size_t later = turn + 1; later < waiters.size(); ++later) {
      if (waiters[later]->done()) EXPECT_FALSE(waiters[later]->result->has_value()) << later << " before " << turn;
    }
    waiters[turn]->result->value().release();
    if (turn == 9) break;
  }
}

TEST_F(PoolAcquireTest, PoolScenario07_TheMostRecentlyUsedConnectionIsTakenFirst) {
  DatabasePool& pool = open(config(3, 3));
  Lease lease = take(pool);
  const int pid = lease->backend_pid();
  for (int round = 0; round < 10; ++round) {
    lease.release();
    lease = take(pool);
    EXPECT_EQ(lease->backend_pid(), pid);
  }
}

TEST_F(PoolAcquireTest, PoolScenario10_ReleaseNeverRunsTheWaiterOnItsOwnStack) {
  DatabasePool& pool = open(config(1, 1));
  Lease held = take(pool);
  const auto waiter = begin_acquire(pool);
  held.release();
  EXPECT_FALSE(waiter->done());
  EXPECT_TRUE(eventually([&] { return waiter->done(); }));
}

TEST_F(PoolAcquireTest, PoolScenario11_TheQueueIsBoundedAndRecovers) {
  PoolConfig small = config(1, 1);
  small.pool.max_waiting = 2;
  DatabasePool& pool = open(small);
  Lease held = take(pool);
  const auto first = begin_acquire(pool);
  const auto second = begin_acquire(pool);
  const auto third = begin_acquire(pool);
  ASSERT_TRUE(eventually([&] { return third->done(); }));
  EXPECT_EQ(third->result->error().kind, AcquireErrorKind::queue_full);
  EXPECT_EQ(third->result->error().to_error().kind, ErrorKind::exhausted);
  EXPECT_EQ(pool.stats().refused_full, 1U);
  cancel(first);
  EXPECT_EQ(pool.stats().waiting, 1U);
  const auto fourth = begin_acquire(pool);
  EXPECT_EQ(pool.stats().waiting, 2U);
  held.release();
  ASSERT_TRUE(eventually([&] { return second->done(); }));
  second->result->value().release();
  EXPECT_TRUE(eventually([&] { return fourth->done(); }));
}

TEST_F(PoolAcquireTest, PoolScenario12_AWaiterThatGaveUpIsSkipped) {
  DatabasePool& pool = open(config(1, 1));
  Lease held = take(pool);
  const auto impatient = begin_acquire(pool, {.deadline = in(20ms), .task = {}});
  const auto patient = begin_acquire(pool);
  ASSERT_TRUE(eventually([&] { return impatient->done(); }));
  EXPECT_EQ(impatient->result->error().kind, AcquireErrorKind::timed_out);
  held.release();
  ASSERT_TRUE(eventually([&] { return patient->done(); }));
  EXPECT_TRUE(patient->result->has_value());
}

TEST_F(PoolAcquireTest, PoolScenario14_CancelWhileQueuedRestoresTheGauges) {
  DatabasePool& pool = open(config(1, 1));
  Lease held = take(pool);
  const auto waiter = begin_acquire(pool);
  EXPECT_EQ(pool.stats().waiting, 1U);
  cancel(waiter);
  EXPECT_EQ(pool.stats().waiting, 0U);
  ASSERT_TRUE(eventually([&] { return waiter->done(); }));
  EXPECT_EQ(waiter->result->error().kind, AcquireErrorKind::cancelled);
  EXPECT_EQ(pool.stats().cancelled, 1U);
  held.release();
  EXPECT_EQ(pool.stats().idle, 1U);
}

TEST_F(PoolAcquireTest, PoolScenario15_CancelOnTheSameTickAsTheHandoverIsDeliveredAndTheConnectionGoesOn) {
  DatabasePool& pool = open(config(1, 1));
  Lease held = take(pool);
  const auto first = begin_acquire(pool);
  const auto second = begin_acquire(pool);
  on_loop([&] {
    held.release();                                       // hands the connection to the first …
    first->stop.emit(asio::cancellation_type::terminal);  // … who is cancelled before it runs
  });
  ASSERT_TRUE(eventually([&] { return first->done() && second->done(); }));
  ASSERT_FALSE(first->result->has_value());
  EXPECT_EQ(first->result->error().kind, AcquireErrorKind::cancelled);
  ASSERT_TRUE(second->result->has_value());
  EXPECT_EQ(scalar(second->result->value(), "SELECT 1"), "1");
  EXPECT_EQ(pool.stats().cancelled, 1U);
  EXPECT_EQ(pool.stats().acquired, 2U);
}

TEST_F(PoolAcquireTest, PoolScenario16_ACancelledWaiterPassesItsTurnOn) {
  DatabasePool& pool = open(config(1, 1));
  for (int round = 0; round < 50; ++round) {
    Lease held = take(pool);
    const auto first = begin_acquire(pool);
    const auto second = begin_acquire(pool);
    on_loop([&] {
      if (round % 2 == 0) first->stop.emit(asio::cancellation_type::terminal);
      held.release();
      if (round % 2 == 1) first->stop.emit(asio::cancellation_type::terminal);
    });
    ASSERT_TRUE(eventually([&] { return second->done(); }));
    ASSERT_TRUE(second->result->has_value());
  }
  EXPECT_TRUE(eventually([&] { return pool.stats().idle == 1; }));
}

TEST_F(PoolAcquireTest, PoolScenario17_ADialOutlivesTheAcquirerThatAskedForIt) {
  DatabasePool& pool = open(config(1, 2));
  Lease held = take(pool);
  const auto waiter = begin_acquire(pool);
  EXPECT_EQ(pool.stats().dialing, 1U);
  cancel(waiter);
  ASSERT_TRUE(eventually([&] { return pool.stats().idle == 1; }));
  EXPECT_EQ(waiter->result->error().kind, AcquireErrorKind::cancelled);
  Lease next = take(pool);
  EXPECT_EQ(pool.stats().dials, 2U);
}

TEST_F(PoolAcquireTest, AnAcquireBeginsWhenItIsAwaitedAndMayBeMovedUntilThen) {
  DatabasePool& pool = open(config(1, 1));
  {
    const Task<Acquired> never = pool.acquire();
    EXPECT_TRUE(never.valid());
  }
  EXPECT_EQ(pool.stats().acquired, 0U);
  EXPECT_FALSE(Task<Acquired>().valid());
  Task<Acquired> first = pool.acquire();
  Task<Acquired> second = std::move(first);
  first = pool.acquire();
  std::swap(first, second);
  EXPECT_EQ(pool.stats().used, 0U);
  auto held = run(std::move(first));
  ASSERT_TRUE(held);
  EXPECT_EQ(pool.stats().used, 1U);
  EXPECT_TRUE(pool.holders().at(0).place.starts_with("integration/pg/pool_acquire_test.cpp:")) << "who asked, not we";
  held->release();
  EXPECT_TRUE(run(std::move(second))) << "it takes what is there when it is awaited";
  EXPECT_EQ(pool.stats().acquired, 2U);
}

TEST_F(PoolAcquireTest, ACoroutineThatVanishesWithItsConnectionGivesItBack) {
  DatabasePool& pool = open(config(1, 1));
  Lease held = take(pool);
  {
    asio::io_context other;  // destroyed with the waiter in it
    std::optional<Acquired> never;
    asio::co_spawn(other, pool.acquire(),
                   [&](std::exception_ptr, Acquired result) { never.emplace(std::move(result)); });
    other.poll();
    EXPECT_EQ(pool.stats().waiting, 1U);
    held.release();  // posted to `other`, which never runs again
    EXPECT_EQ(pool.stats().used, 1U);
  }
  EXPECT_TRUE(eventually([&] { return pool.stats().idle == 1; }));
}

TEST_F(PoolAcquireTest, AcquireFromOtherThreadsResumesThere) {
  DatabasePool& pool = open(config(1, 3));
  // They outlive the threads: the pool's thread may still be leaving the post that woke the last coroutine of one.
  std::vector<asio::io_context> contexts(4);
  std::vector<std::thread> threads;
  std::atomic<int> served = 0;
  std::atomic<int> ended = 0;
  for (asio::io_context& io : contexts) {
    threads.emplace_back([&] {
      const auto work = [](DatabasePool* from, std::thread::id expected, std::atomic<int>* good) -> Task<> {
        for (int round = 0; round < 50; ++round) {
          auto lease = co_await from->acquire();
          if (!lease || std::this_thread::get_id() != expected) continue;
          const auto result = co_await (*lease)->query("SELECT 1");
          if (result && std::this_thread::get_id() == expected) ++*good;
        }
      };
      asio::co_spawn(io, work(&pool, std::this_thread::get_id(), &served), [](std::exception_ptr) {});
      io.run();
      ++ended;
    });
  }
  EXPECT_TRUE(eventually([&] { return ended == 4; }, 30s));
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(served, 200);
}

TEST_F(PoolAcquireTest, PoolScenario08_ASpikeDoesNotOpenAConnectionForEachRequest) {
  DatabasePool& pool = open(config(5, 50));
  int failures = 0;
  int running = 50;
  for (int task = 0; task < 50; ++task) {
    asio::co_spawn(io_, use_repeatedly(&pool, 1, &failures), [&](std::exception_ptr) { --running; });
  }
  ASSERT_TRUE(eventually([&] { return running == 0 && pool.stats().dialing == 0; }));
  EXPECT_EQ(failures, 0);
  EXPECT_LT(pool.stats().dials,
            25U);  // one for each waiter would be 50; the exact bound is tested with the virtual clock
}

// ---- deadlock ------------------------------------------------------------------------------------------------------

/// Holds one connection until `others` do too, then asks for another.
Task<> hold_and_ask(DatabasePool* pool, aio::TaskTag tag, int others, int* holding,
                    std::vector<std::optional<AcquireErrorKind>>* outcomes) {
  const AcquireOptions options{.deadline = in(60s), .task = tag.name, .owner = tag.id};
  const auto first = co_await pool->acquire(options);
  for (++*holding; *holding < others;) co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
  const auto second = co_await pool->acquire(options);
  outcomes->push_back(second ? std::nullopt : std::optional(second.error().kind));
}

TEST_F(PoolAcquireTest, PoolScenario09_TasksOfAScopeThatWaitForEachOtherAreTold) {
  DatabasePool& pool = open(config(2, 2));
  aio::TaskScope scope(io_.get_executor(), Logger(), "flows");
  int holding = 0;
  std::vector<std::optional<AcquireErrorKind>> outcomes;
  for (const char* name : {"one", "two"}) {
    scope.spawn(name, [&](aio::TaskTag tag) { return hold_and_ask(&pool, tag, 2, &holding, &outcomes); });
  }
  run(scope.join());
  const std::vector<std::optional<AcquireErrorKind>> wanted = {AcquireErrorKind::deadlocked, std::nullopt};
  EXPECT_EQ(outcomes, wanted) << "the last one to ask is told, and what it gives back serves the other";
  EXPECT_EQ(scope.failed(), 0U);
}

}  // namespace
}  // namespace opi::pg
