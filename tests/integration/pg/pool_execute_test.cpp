// Statements without a checkout: DatabasePool::execute against a real server.
#include <algorithm>
#include <set>
#include <thread>

#include "integration/pg/pool_fixture.hpp"

namespace opi::pg {
namespace {

struct PendingExecute {
  asio::cancellation_signal stop;
  std::optional<Result<ResultSet>> result;
  bool done() const noexcept { return result.has_value(); }
  bool says(std::string_view text) const { return result->error().to_string().find(text) != std::string::npos; }
};
using Pending = std::shared_ptr<PendingExecute>;

/// Tasks that run one statement after the other.
struct Endless {
  bool stopped = false;
  std::uint64_t rounds = 0;
  int running = 0;
};
Task<> execute_until_stopped(DatabasePool* pool, Endless* endless) {
  const Statement statement("SELECT 1");
  while (!endless->stopped) {
    const auto answer = co_await pool->execute(statement);
    if (!answer) throw std::runtime_error(answer.error().to_string());
    ++endless->rounds;
  }
}

class PoolExecuteTest : public PoolTest {
 protected:
  void start(Endless& endless, DatabasePool& pool, int tasks) {
    endless.running = tasks;
    for (int task = 0; task < tasks; ++task) {
      asio::co_spawn(io_, execute_until_stopped(&pool, &endless), [&endless](std::exception_ptr exception) {
        --endless.running;
        if (exception) std::rethrow_exception(exception);
      });
    }
  }
  Pending begin(DatabasePool& pool, const char* sql, Params params = {}, AcquireOptions options = {}) {
    auto pending = std::make_shared<PendingExecute>();
    asio::co_spawn(io_, pool.execute(Statement(sql), std::move(params), options),
                   asio::bind_cancellation_slot(pending->stop.slot(),
                                                [pending](std::exception_ptr exception, Result<ResultSet> result) {
                                                  if (exception) std::rethrow_exception(exception);
                                                  pending->result.emplace(std::move(result));
                                                }));
    io_.restart();
    io_.poll();
    return pending;
  }
  bool done(const Pending& pending, std::chrono::milliseconds within = 60s) {
    return eventually([&] { return pending->done(); }, within);
  }
  void stop(const Pending& pending, asio::cancellation_type type = asio::cancellation_type::terminal) {
    on_loop([&] { pending->stop.emit(type); });
  }
  /// A statement that waits until `unblock`.
  void block(DatabasePool& by) {
    blocker_ = take(by);
    (void)scalar(blocker_, "SELECT pg_advisory_lock(4711)::text");
  }
  void unblock() { blocker_.discard(); }
  /// Takes the lock inside of a function, which no text shows: what waits for it is multiplexable.
  static void make_gate() {
    test::PostgresServer::shared().execute_as_superuser(
        "CREATE OR REPLACE FUNCTION public.gate(n int) RETURNS int LANGUAGE plpgsql AS "
        "'BEGIN PERFORM pg_advisory_xact_lock_shared(4711); RETURN n; END'");
  }
  static constexpr const char* gate = "SELECT public.gate($1)";
  bool waits_at_gate(int count = 1) {
    return eventually([&] {
      return server_.query_as_superuser(
                 "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND "
                 "application_name = '" +
                 application_ + "'") == std::to_string(count);
    });
  }

  Lease blocker_;
};

TEST_F(PoolExecuteTest, AnswersComeWithoutACheckout) {
  DatabasePool& pool = open(config(1, 4));
  const auto answer = run(pool.execute(Statement("SELECT $1::int + 1"), {41}));
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ((*answer)[0].get<int>(0), 42);
  ASSERT_TRUE(eventually([&] { return pool.stats().idle == 1; })) << "given back once nothing is under way";
  const PoolStats stats = pool.stats();
  EXPECT_EQ(stats.executed, 1U);
  EXPECT_EQ(stats.acquired, 0U);
  EXPECT_EQ(stats.carrying + stats.execute_pending + stats.execute_under_way, 0U);
}

TEST_F(PoolExecuteTest, ManyCallersShareFewConnectionsAndEachGetsItsOwnAnswer) {
  make_gate();
  DatabasePool& other = open(config(1, 1));
  block(other);
  DatabasePool& pool = open(config(10, 10));
  std::vector<Pending> all;
  for (int number = 0; number < 64; ++number) {
    all.push_back(begin(pool, "SELECT public.gate($1), pg_backend_pid()", {number}));
    const PoolStats stats = pool.stats();
    EXPECT_EQ(stats.idle + stats.used + stats.dialing + stats.closing, 10U);
    EXPECT_GE(stats.carrying, 1U) << "none is answered before the gate opens";
    EXPECT_LE(stats.carrying, 10U);
  }
  unblock();
  std::set<int> backends;
  for (int number = 0; number < 64; ++number) {
    const Pending& one = all[static_cast<std::size_t>(number)];
    ASSERT_TRUE(done(one));
    ASSERT_TRUE(*one->result) << one->result->error().to_string();
    EXPECT_EQ((**one->result)[0].get<int>(0), number);
    backends.insert((**one->result)[0].get<int>(1));
  }
  EXPECT_LE(backends.size(), 10U);
  EXPECT_TRUE(eventually([&] { return pool.stats().idle == 10; }));
  EXPECT_EQ(pool.stats().executed, 64U);
}

TEST_F(PoolExecuteTest, AServersErrorIsItsCallersAlone) {
  DatabasePool& pool = open(config(1, 1));
  const Pending before = begin(pool, "SELECT 1");
  const Pending fails = begin(pool, "SELECT 1/$1::int", {0});
  const Pending after = begin(pool, "SELECT 3");
  ASSERT_TRUE(done(after));
  EXPECT_TRUE(*before->result);
  EXPECT_EQ(fails->result->error().code, "22012");
  EXPECT_FALSE(fails->says("may have run")) << "the server said what became of it";
  EXPECT_TRUE(*after->result);
}

TEST_F(PoolExecuteTest, WhatTouchesTheSessionTakesALeaseAndIsCleanedUp) {
  DatabasePool& pool = open(config(1, 1));
  for (const char* const sql : {"SET application_name = 'x'", "SELECT pg_advisory_lock(1)", "BEGIN",
                                "CREATE TEMP TABLE t (i int)", "LISTEN there"}) {
    const auto answer = run(pool.execute(Statement(sql)));
    EXPECT_TRUE(answer) << sql << ": " << answer.error().to_string();
  }
  EXPECT_EQ(pool.stats().acquired, 5U);
  EXPECT_EQ(pool.stats().executed, 0U);
  const auto clean = run(pool.execute(
      std::string("SELECT current_setting('application_name') || (SELECT count(*) FROM pg_locks WHERE locktype = "
                  "'advisory' AND pid = pg_backend_pid())")));
  ASSERT_TRUE(clean);
  EXPECT_EQ((*clean)[0].text(0), application_ + "0");
  EXPECT_EQ(run(pool.execute(Statement("COPY (SELECT 1) TO STDOUT"))).error().kind, ErrorKind::unsupported);
}

TEST_F(PoolExecuteTest, LeasesAreNotStarvedByStatementsNorTheOtherWayRound) {
  DatabasePool& pool = open(config(1, 1));
  Endless endless;
  start(endless, pool, 8);
  for (int lease = 0; lease < 20; ++lease) {
    const std::uint64_t before = endless.rounds;
    ASSERT_TRUE(eventually([&] { return endless.rounds >= before + 20; })) << "statements go on between the leases";
    Lease held = take(pool);
    EXPECT_EQ(scalar(held, "SELECT 7"), "7");
    EXPECT_EQ(pool.stats().used, 1U);
    EXPECT_EQ(pool.stats().carrying, 0U);
  }
  endless.stopped = true;
  EXPECT_TRUE(eventually([&] { return endless.running == 0; }));
  EXPECT_EQ(pool.stats().acquired, 20U);
}

TEST_F(PoolExecuteTest, TheDeadlineEndsTheCallAndAConnectionThatNobodyWaitsForIsReplaced) {
  make_gate();
  DatabasePool& other = open(config(1, 1));
  DatabasePool& pool = open(config(1, 1));
  block(other);
  const Pending late = begin(pool, gate, {1}, {.deadline = in(300ms)});
  ASSERT_TRUE(done(late));
  EXPECT_EQ(late->result->error().kind, ErrorKind::timed_out);
  EXPECT_TRUE(late->says("may have run"));
  const auto next =
      run(pool.execute(Statement("SELECT 5")));  // on a new connection: the server was asked to stop the old
  ASSERT_TRUE(next) << next.error().to_string();
  EXPECT_EQ((*next)[0].get<int>(0), 5);
  EXPECT_EQ(pool.stats().execute_given_up, 1U);
  EXPECT_TRUE(waits_at_gate(0));
  EXPECT_EQ(run(pool.execute(Statement("SELECT 5"), {}, {.deadline = in(-1ms)})).error().kind, ErrorKind::timed_out);
  unblock();
}

TEST_F(PoolExecuteTest, TheDeadlineHoldsWhileWaitingForAConnectionAndSaysWhoHasThem) {
  DatabasePool& pool = open(config(1, 1));
  const Lease held = take(pool, {.task = "a holder"});
  const Pending late = begin(pool, "SELECT 1", {}, {.deadline = in(50ms)});
  ASSERT_TRUE(done(late));
  EXPECT_EQ(late->result->error().kind, ErrorKind::timed_out);
  EXPECT_TRUE(late->says("a holder"));
  EXPECT_FALSE(late->says("may have run"));
  EXPECT_EQ(pool.stats().execute_refused, 1U);
}

TEST_F(PoolExecuteTest, CancellingOneCallerHarmsNoOther) {
  make_gate();
  DatabasePool& other = open(config(1, 1));
  DatabasePool& pool = open(config(1, 1));
  block(other);
  const Pending first = begin(pool, gate, {1});
  ASSERT_TRUE(waits_at_gate());
  const Pending second = begin(pool, "SELECT 2");
  const Pending third = begin(pool, "SELECT 3");
  stop(second, asio::cancellation_type::terminal);
  ASSERT_TRUE(done(second));
  EXPECT_EQ(second->result->error().kind, ErrorKind::cancelled);
  stop(first, asio::cancellation_type::terminal);
  ASSERT_TRUE(done(first));
  EXPECT_TRUE(first->says("may have run"));
  EXPECT_FALSE(third->done());
  unblock();
  ASSERT_TRUE(done(third));
  ASSERT_TRUE(*third->result) << third->result->error().to_string();
  EXPECT_EQ((**third->result)[0].get<int>(0), 3);
  EXPECT_EQ(pool.stats().closed_broken, 0U) << "the connection goes on";
}

TEST_F(PoolExecuteTest, CancelledBeforeItWasSentItNeverRuns) {
  DatabasePool& pool = open(config(1, 1));
  pool.pause();
  const Pending waits = begin(pool, "SELECT 1");
  const Pending stays = begin(pool, "SELECT 2");
  EXPECT_EQ(pool.stats().execute_pending, 2U);
  stop(waits);
  ASSERT_TRUE(done(waits));
  EXPECT_EQ(waits->result->error().kind, ErrorKind::cancelled);
  EXPECT_FALSE(waits->says("may have run"));
  pool.resume();
  ASSERT_TRUE(done(stays));
  EXPECT_TRUE(*stays->result);
  EXPECT_EQ(pool.stats().executed, 1U);
}

TEST_F(PoolExecuteTest, TheLossOfTheConnectionIsAnsweredHonestly) {
  make_gate();
  DatabasePool& other = open(config(1, 1));
  DatabasePool& pool = open(config(1, 1));
  block(other);
  const Pending running = begin(pool, gate, {1});
  const Pending behind = begin(pool, "SELECT 2");  // now: later it would not be sent to where one stands still
  ASSERT_TRUE(waits_at_gate());
  server_.query_as_superuser(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'advisory' AND "
      "application_name = '" +
      application_ + "'");
  ASSERT_TRUE(done(running));
  ASSERT_TRUE(done(behind));
  for (const Pending& lost : {running, behind}) {
    EXPECT_EQ(lost->result->error().kind, ErrorKind::unavailable);
    EXPECT_TRUE(lost->says("may have run"));
  }
  EXPECT_EQ(running->result->error().code, "57P01");
  EXPECT_EQ(pool.stats().execute_lost, 2U);
  const auto next = run(pool.execute(Statement("SELECT 3")));
  EXPECT_TRUE(next) << next.error().to_string();
  EXPECT_EQ(pool.stats().closed_broken, 1U);
  unblock();
}

TEST_F(PoolExecuteTest, ASlowStatementKeepsNoOtherFromAnIdleConnection) {
  make_gate();
  DatabasePool& other = open(config(1, 1));
  DatabasePool& pool = open(config(2, 2));
  ASSERT_TRUE(run(pool.execute(Statement("SELECT 1")))) << "so that it knows how far away the server is";
  block(other);
  const Pending slow = begin(pool, gate, {1});
  ASSERT_TRUE(waits_at_gate());
  // One that comes before the delay shows may still stand behind it.
  bool answered = false;
  for (int round = 0; round < 20 && !answered; ++round) {
    answered = run(pool.execute(Statement("SELECT 2"), {}, {.deadline = in(500ms)})).has_value();
  }
  EXPECT_TRUE(answered);
  EXPECT_FALSE(slow->done());
  unblock();
  EXPECT_TRUE(done(slow));
}

TEST_F(PoolExecuteTest, PausedItWaitsAndResumedItGoesOn) {
  DatabasePool& pool = open(config(2, 2));
  pool.pause();
  const Pending first = begin(pool, "SELECT 1");
  EXPECT_FALSE(eventually([&] { return first->done(); }, 30ms));
  pool.resume();
  ASSERT_TRUE(done(first));
  EXPECT_TRUE(*first->result);
}

TEST_F(PoolExecuteTest, TheQueueIsBounded) {
  PoolConfig small = config(1, 1);
  small.pool.max_waiting = 2;
  DatabasePool& pool = open(small);
  pool.pause();
  std::vector<Pending> all;
  for (int number = 0; number < 3; ++number) all.push_back(begin(pool, "SELECT 1"));
  ASSERT_TRUE(done(all[2]));
  EXPECT_EQ(all[2]->result->error().kind, ErrorKind::exhausted);
  pool.resume();
  EXPECT_TRUE(done(all[0]) && done(all[1]));
}

TEST_F(PoolExecuteTest, RecycledAndResizedUnderStatementsNoCallerNotices) {
  DatabasePool& pool = open(config(4, 4));
  Endless endless;
  start(endless, pool, 16);
  for (int change = 0; change < 12; ++change) {
    const std::uint64_t before = endless.rounds;
    if (change % 3 == 0) pool.recycle();
    if (change % 3 == 1) pool.forget_statements();
    PoolSettings settings = pool.config().pool;
    settings.max = change % 2 == 0 ? 1 : 4;
    settings.min = 1;
    if (change % 3 == 2) pool.resize(settings);
    ASSERT_TRUE(eventually([&] { return endless.rounds >= before + 50; }));
  }
  endless.stopped = true;
  ASSERT_TRUE(eventually([&] { return endless.running == 0; }));
  EXPECT_GE(pool.stats().closed_recycled, 4U);
  EXPECT_EQ(pool.stats().execute_refused + pool.stats().execute_lost, 0U);
}

TEST_F(PoolExecuteTest, ClosingAnswersWhatIsUnderWayAndRefusesTheRest) {
  make_gate();
  DatabasePool& other = open(config(1, 1));
  DatabasePool& pool = open(config(1, 1));
  block(other);
  const Pending under_way = begin(pool, gate, {1});
  ASSERT_TRUE(waits_at_gate());
  std::optional<bool> closed;
  asio::co_spawn(io_, pool.close(in(30s)), [&](std::exception_ptr, Result<> result) { closed = result.has_value(); });
  const Pending refused = begin(pool, "SELECT 1");
  ASSERT_TRUE(done(refused));
  EXPECT_EQ(refused->result->error().kind, ErrorKind::closed);
  EXPECT_FALSE(closed);
  unblock();
  ASSERT_TRUE(done(under_way));
  EXPECT_TRUE(*under_way->result);
  ASSERT_TRUE(eventually([&] { return closed.has_value(); }));
  EXPECT_TRUE(*closed);
  EXPECT_EQ(run(pool.execute(Statement("SELECT 1"))).error().kind, ErrorKind::closed);
}

TEST_F(PoolExecuteTest, PoolScenario73_CloseAtItsDeadlineStopsWhatIsUnderWay) {
  make_gate();
  DatabasePool& other = open(config(1, 1));
  DatabasePool& pool = open(config(1, 1));
  block(other);
  const Pending under_way = begin(pool, gate, {1});
  ASSERT_TRUE(waits_at_gate());
  EXPECT_TRUE(run(pool.close(in(600ms))));
  ASSERT_TRUE(done(under_way));
  EXPECT_EQ(under_way->result->error().kind, ErrorKind::closed);
  EXPECT_TRUE(under_way->says("may have run"));
  EXPECT_TRUE(waits_at_gate(0)) << "the server was told";
  unblock();
}

TEST_F(PoolExecuteTest, EachTurnIsResetOnceWithTheProfileAlways) {
  PoolConfig careful = config(1, 1);
  careful.pool.reset = ResetProfile::always;
  DatabasePool& pool = open(careful);
  std::vector<Pending> all;
  for (int number = 0; number < 10; ++number) all.push_back(begin(pool, "SELECT 1"));
  ASSERT_TRUE(done(all.back()));
  ASSERT_TRUE(eventually([&] { return pool.stats().idle == 1; }));
  EXPECT_EQ(pool.stats().executed, 10U);
  EXPECT_GE(pool.stats().resets, 1U);
  EXPECT_LE(pool.stats().resets, 10U);
}

Task<Result<>> count_call(int* calls) {
  ++*calls;
  co_return Result<>{};
}

TEST_F(PoolExecuteTest, HooksRunForTheConnectionThatIsShared) {
  int before = 0;
  int after = 0;
  PoolAttachments attachments;
  attachments.hooks.before_acquire = [&](Connection*) { return count_call(&before); };
  attachments.hooks.after_release = [&](Connection*) { return count_call(&after); };
  pools_.push_back(std::make_unique<DatabasePool>(io_.get_executor(), config(1, 1), blocking_, Logger(), system_clock(),
                                                  std::move(attachments)));
  DatabasePool& pool = *pools_.back();
  ASSERT_TRUE(run(pool.start(in(10s))));
  std::vector<Pending> all;
  for (int number = 0; number < 5; ++number) all.push_back(begin(pool, "SELECT 1"));
  ASSERT_TRUE(done(all.back()));
  ASSERT_TRUE(eventually([&] { return pool.stats().idle == 1; }));
  EXPECT_GE(before, 1);
  EXPECT_LE(before, 5);
  EXPECT_EQ(before, after);
}

TEST_F(PoolExecuteTest, AServerThatIsDownIsSaidAtOnce) {
  PoolConfig nowhere = config(0, 1);
  nowhere.server.hosts = {{.host = "127.0.0.1", .port = 1}};
  DatabasePool& pool = make(nowhere);
  EXPECT_FALSE(run(pool.start(in(10s))));
  const auto answer = run(pool.execute(Statement("SELECT 1")));
  EXPECT_EQ(answer.error().kind, ErrorKind::unavailable);
  EXPECT_EQ(answer.error().to_string().find("may have run"), std::string::npos);
}

Task<> count_answers(DatabasePool* pool, int thread, std::atomic<int>* right) {
  const Statement statement("SELECT $1::int");
  for (int round = 0; round < 100; ++round) {
    const auto answer = co_await pool->execute(statement, {thread * 1'000 + round});
    if (answer && (*answer)[0].get<int>(0) == thread * 1'000 + round) ++*right;
  }
}

TEST_F(PoolExecuteTest, AnyThreadMayAsk) {
  DatabasePool& pool = open(config(2, 2));
  std::atomic<int> right = 0;
  std::atomic<int> running = 3;
  // They outlive the threads: the pool's thread may still be leaving the post that woke the last coroutine of one.
  std::vector<asio::io_context> contexts(3);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 3; ++thread) {
    threads.emplace_back([&, thread] {
      asio::io_context& own = contexts[static_cast<std::size_t>(thread)];
      for (int task = 0; task < 4; ++task) {
        asio::co_spawn(own, count_answers(&pool, thread, &right), [](std::exception_ptr) {});
      }
      own.run();
      --running;
    });
  }
  EXPECT_TRUE(eventually([&] { return running == 0; }));
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 3 * 4 * 100);
  EXPECT_TRUE(eventually([&] { return pool.stats().idle == 2; }));
}

TEST_F(PoolExecuteTest, ACallFromAnotherThreadIsCancelledThere) {
  make_gate();
  DatabasePool& other = open(config(1, 1));
  DatabasePool& pool = open(config(1, 1));
  block(other);
  asio::io_context own;
  asio::cancellation_signal stop;
  std::atomic<bool> ended = false;
  ErrorKind kind = ErrorKind::internal;
  asio::co_spawn(own, pool.execute(Statement(gate), {1}),
                 asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr, Result<ResultSet> result) {
                   kind = result ? ErrorKind::internal : result.error().kind;
                   ended = true;
                 }));
  std::thread thread([&] { own.run(); });
  EXPECT_TRUE(waits_at_gate());
  asio::post(own, [&] { stop.emit(asio::cancellation_type::terminal); });
  EXPECT_TRUE(eventually([&] { return ended.load(); }));
  thread.join();
  EXPECT_EQ(kind, ErrorKind::cancelled);
  unblock();
}

}  // namespace
}  // namespace opi::pg
