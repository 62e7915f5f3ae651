// What a program adds to a pool, and a cancellation at every turn; the numbers are those of the pool's test catalogue.
#include <random>

#include "aio/with_deadline.hpp"
#include "integration/pg/pool_fixture.hpp"

namespace opi::pg {
namespace {

class PoolHooksTest : public PoolTest {
 protected:
  DatabasePool& make_with(PoolConfig config, PoolAttachments attachments, Logger log = {}) {
    pools_.push_back(std::make_unique<DatabasePool>(io_.get_executor(), std::move(config), blocking_, std::move(log),
                                                    system_clock(), std::move(attachments)));
    return *pools_.back();
  }
  DatabasePool& open_with(PoolConfig config, PoolHooks hooks) {
    DatabasePool& pool = make_with(std::move(config), {.hooks = std::move(hooks)});
    const auto started = run(pool.start(in(10s)));
    if (!started) throw std::runtime_error(started.error().to_string());
    return pool;
  }
  /// The pool is as before: everything idle, nobody waiting, nothing lost.
  void expect_whole(DatabasePool& pool, std::uint32_t size) {
    EXPECT_TRUE(eventually([&] {
      const PoolStats stats = pool.stats();
      return stats.idle == size && stats.used + stats.dialing + stats.closing + stats.waiting == 0;
    })) << pool.describe();
  }
};

Task<Result<>> hook_note(std::vector<std::string>* diary, std::string what) {
  diary->push_back(std::move(what));
  co_return Result<>{};
}
Task<Result<>> hook_fail() {
  co_return failure(ErrorKind::conflict, "the hook will not");
}
Task<Result<>> hook_throw() {
  throw std::logic_error("the hook is broken");
  co_return Result<>{};
}
Task<Result<>> hook_hang() {
  asio::steady_timer never(co_await asio::this_coro::executor, SteadyTime::max());
  co_await never.async_wait(asio::use_awaitable);
  co_return Result<>{};
}
Task<Result<>> hook_slow() {
  asio::steady_timer moment(co_await asio::this_coro::executor, 2ms);
  co_await moment.async_wait(asio::use_awaitable);
  co_return Result<>{};
}
Task<Result<>> hook_query(Connection* connection, std::string sql) {
  auto done = co_await connection->query(std::move(sql));
  if (!done) co_return failure(std::move(done.error()));
  co_return Result<>{};
}

PoolHooks::Step step(Task<Result<>> (*hook)()) {
  return [hook](Connection*) { return hook(); };
}

TEST_F(PoolHooksTest, PoolScenario87_HooksRunInTheirOrderOncePerEvent) {
  std::vector<std::string> diary;
  PoolHooks hooks;
  hooks.after_connect = [&](Connection*) { return hook_note(&diary, "connect"); };
  hooks.before_acquire = [&](Connection*) { return hook_note(&diary, "acquire"); };
  hooks.after_release = [&](Connection*) { return hook_note(&diary, "release"); };
  hooks.before_close = [&](Connection& connection) { diary.push_back(connection.broken() ? "late" : "close"); };
  DatabasePool& pool = open_with(config(1, 1), hooks);
  for (int round = 0; round < 2; ++round) {
    take(pool).release();
    ASSERT_TRUE(eventually([&] { return pool.stats().idle == 1; }));
  }
  run(pool.close(in(5s)));
  EXPECT_EQ(diary, (std::vector<std::string>{"connect", "acquire", "release", "acquire", "release", "close"}));
}

TEST_F(PoolHooksTest, PoolScenario35_AConnectionWhoseFirstHookFailsIsClosedAndItsErrorIsTold) {
  for (const auto hook : {&hook_fail, &hook_throw, &hook_hang}) {
    std::atomic<bool> heal = false;
    PoolHooks hooks;
    hooks.deadline = 50ms;
    hooks.after_connect = [&](Connection* connection) { return heal ? hook_query(connection, "SELECT 1") : hook(); };
    DatabasePool& pool = make_with(config(1, 1), {.hooks = hooks});
    const auto started = run(pool.start(in(10s)));
    ASSERT_FALSE(started);
    EXPECT_TRUE(started.error().to_string().contains("hook")) << started.error().to_string();
    EXPECT_EQ(pool.stats().idle + pool.stats().used, 0U);
    EXPECT_TRUE(eventually([&] { return backends() == 0; })) << "the connection is closed";
    heal = true;
    EXPECT_TRUE(run(pool.recover(in(10s)))) << "the place is free";
    Lease lease = take(pool);
    EXPECT_EQ(scalar(lease, "SELECT 1"), "1");
    lease.release();
    run(pool.close(in(5s)));
  }
}

TEST_F(PoolHooksTest, PoolScenario87_AFailingHookBeforeAnAcquireMovesOnToTheNextConnection) {
  for (const auto hook : {&hook_fail, &hook_throw, &hook_hang}) {
    int calls = 0;
    PoolHooks hooks;
    hooks.deadline = 50ms;
    hooks.before_acquire = [&](Connection*) { return ++calls <= 2 ? hook() : hook_slow(); };
    DatabasePool& pool = open_with(config(2, 2), hooks);
    Lease lease = take(pool, {.deadline = in(10s), .task = {}});
    EXPECT_EQ(scalar(lease, "SELECT 1"), "1");
    EXPECT_EQ(calls, 3);
    EXPECT_EQ(pool.stats().closed_broken, 2U);
    EXPECT_EQ(pool.stats().acquired, 1U) << "what was not lent is not counted";
    lease.release();
    expect_whole(pool, 2);
    run(pool.close(in(5s)));
  }
}

TEST_F(PoolHooksTest, PoolScenario87_AHookThatAlwaysFailsEndsAtTheAcquirersDeadline) {
  PoolHooks hooks;
  hooks.before_acquire = step(&hook_fail);
  DatabasePool& pool = open_with(config(1, 1), hooks);
  const auto lease = run(pool.acquire({.deadline = in(300ms), .task = {}}));
  ASSERT_FALSE(lease);
  EXPECT_EQ(lease.error().kind, AcquireErrorKind::timed_out);
}

TEST_F(PoolHooksTest, PoolScenario51_TheHookAfterAReturnRunsOnceAndNotForNeverUsedConnections) {
  int calls = 0;
  PoolHooks hooks;
  hooks.after_release = [&](Connection* connection) {
    ++calls;
    return hook_query(connection, "SELECT 1");
  };
  DatabasePool& pool = open_with(config(3, 3), hooks);
  EXPECT_EQ(calls, 0);
  for (int round = 1; round <= 3; ++round) {
    take(pool).release();
    expect_whole(pool, 3);
    EXPECT_EQ(calls, round);
  }
}

TEST_F(PoolHooksTest, PoolScenario51_AFailingHookAfterAReturnCostsTheConnectionNotThePlace) {
  for (const auto hook : {&hook_fail, &hook_throw, &hook_hang}) {
    PoolHooks hooks;
    hooks.deadline = 50ms;
    hooks.after_release = step(hook);
    DatabasePool& pool = open_with(config(1, 1), hooks);
    Lease lease = take(pool);
    const int pid = lease->backend_pid();
    lease.release();
    Lease next = take(pool, {.deadline = in(10s), .task = {}});
    EXPECT_NE(next->backend_pid(), pid);
    next.discard();
    run(pool.close(in(5s)));
  }
}

// ---- tracing -------------------------------------------------------------------------------------------------------

/// Counts what begins and what ends.
class Ledger final : public PoolTracer {
 public:
  std::uint64_t acquire_begun(std::string_view /*pool*/, const std::source_location& /*where*/) noexcept override {
    return open(acquires_);
  }
  void acquire_ended(std::uint64_t span, const AcquireError* error) noexcept override {
    end(acquires_, span);
    failed += error != nullptr ? 1 : 0;
  }
  std::uint64_t dial_begun(std::string_view /*pool*/) noexcept override { return open(dials_); }
  void dial_ended(std::uint64_t span, const Error* /*error*/) noexcept override { end(dials_, span); }
  void released(std::string_view /*pool*/, std::chrono::nanoseconds /*held*/) noexcept override { ++releases; }
  bool balanced() const { return acquires_.empty() && dials_.empty() && wrong == 0; }
  std::uint64_t begun = 0;
  int failed = 0, releases = 0, wrong = 0;

 private:
  std::uint64_t open(std::set<std::uint64_t>& spans) {
    spans.insert(++begun);
    return begun;
  }
  void end(std::set<std::uint64_t>& spans, std::uint64_t span) { wrong += spans.erase(span) == 1 ? 0 : 1; }
  std::set<std::uint64_t> acquires_, dials_;
};

TEST_F(PoolHooksTest, PoolScenario88_EverySpanThatBeginsEndsOnce) {
  Ledger ledger;
  DatabasePool& pool = make_with(config(1, 1), {.hooks = {}, .tracer = &ledger});
  ASSERT_TRUE(run(pool.start(in(10s))));
  Lease lease = take(pool);
  const auto late = run(pool.acquire({.deadline = in(20ms), .task = {}}));
  EXPECT_FALSE(late);
  EXPECT_FALSE(run(pool.acquire({.deadline = in(-1s), .task = {}}))) << "not even begun";
  const auto cancelled = begin_acquire(pool);
  cancel(cancelled);
  ASSERT_TRUE(eventually([&] { return cancelled->done(); }));
  const auto served = begin_acquire(pool);
  lease.release();
  ASSERT_TRUE(eventually([&] { return served->done(); }));
  served->result->value().discard();
  served->result.reset();
  const auto at_close = begin_acquire(pool);
  run(pool.close(in(5s)));
  ASSERT_TRUE(eventually([&] { return at_close->done(); }));
  EXPECT_TRUE(ledger.balanced());
  EXPECT_EQ(ledger.releases, 2);
  EXPECT_GE(ledger.failed, 2);
}

// ---- cancellation at every turn ------------------------------------------------------------------------------------

Task<Result<>> use_once(DatabasePool* pool) {
  auto lease = co_await pool->acquire({.deadline = in(10s), .task = {}});
  if (!lease) co_return failure(lease.error().to_error());
  auto begun = co_await (*lease)->execute("BEGIN; SET LOCAL work_mem = '8MB'");
  if (!begun) co_return failure(std::move(begun.error()));
  (*lease).release();  // a rollback and a reset follow
  co_return Result<>{};
}

TEST_F(PoolHooksTest, PoolScenario18_AndScenario19_CancelledAtEveryTurnOfTheLoopNothingIsLost) {
  PoolConfig careful = config(1, 1);
  careful.pool.ping_after_idle = 1ms;  // so that there is a ping to be cancelled in
  PoolHooks hooks;
  hooks.before_acquire = [](Connection* connection) { return hook_query(connection, "SELECT 1"); };
  hooks.after_release = [](Connection* connection) { return hook_query(connection, "SELECT 2"); };
  DatabasePool& pool = open_with(careful, hooks);
  bool finished_first = false;
  int cancelled = 0;
  for (int turns = 0; !finished_first && turns < 200; ++turns) {
    expect_whole(pool, 1);
    const SteadyTime rested = in(2ms);
    ASSERT_TRUE(eventually([&] { return std::chrono::steady_clock::now() > rested; }));
    asio::cancellation_signal stop;
    bool done = false;
    asio::co_spawn(io_, use_once(&pool),
                   asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr, const Result<>& result) {
                     done = true;
                     cancelled += result ? 0 : 1;
                   }));
    io_.restart();
    for (int turn = 0; turn < turns && !done; ++turn) io_.run_one_for(1s);
    finished_first = done;
    on_loop([&] { stop.emit(asio::cancellation_type::terminal); });
    ASSERT_TRUE(eventually([&] { return done; })) << turns;
    if (HasFailure()) return;
  }
  EXPECT_TRUE(finished_first) << "every turn was tried";
  EXPECT_GT(cancelled, 0);
  expect_whole(pool, 1);
  EXPECT_EQ(backends(), 1);
  Lease lease = take(pool);
  EXPECT_EQ(scalar(lease, "SELECT 42"), "42");
}

Task<> storm(DatabasePool* pool, std::minstd_rand* random, int* served, int* ended) {
  for (int round = 0; round < 40; ++round) {
    const auto patience = std::chrono::nanoseconds((*random)() % 9);
    const SteadyTime now = std::chrono::steady_clock::now();
    if ((*random)() % 2 == 0) {
      auto lease = co_await pool->acquire({.deadline = now + 200ms, .task = {}});
      *served += lease ? 1 : 0;
      if (lease) (void)co_await aio::with_deadline((*lease)->query("SELECT 1"), now + patience, "a storm");
    } else {
      auto acquire = pool->acquire({.deadline = now + patience + 1ms, .task = {}});
      auto lease = co_await std::move(acquire);
      *served += lease ? 1 : 0;
    }
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
  }
  ++*ended;
}

TEST_F(PoolHooksTest, PoolScenario20_AStormOfTimeoutsAgainstEveryOutcomeOfAHookKeepsTheSize) {
  std::minstd_rand random(20);
  PoolHooks hooks;
  hooks.deadline = 5ms;
  hooks.before_acquire = [&](Connection* connection) {
    switch (random() % 16) {
      case 0: return hook_fail();
      case 1: return hook_throw();
      case 2: return hook_hang();
      case 3: return hook_slow();
      default: return hook_query(connection, "SELECT 1");
    }
  };
  hooks.after_release = hooks.before_acquire;
  PoolConfig stormy = config(1, 4);
  DatabasePool& pool = open_with(stormy, hooks);
  constexpr int tasks = 16;
  int served = 0;
  int ended = 0;
  for (int task = 0; task < tasks; ++task) {
    asio::co_spawn(io_, storm(&pool, &random, &served, &ended),
                   [](const std::exception_ptr& exception) { EXPECT_FALSE(exception); });
  }
  io_.restart();
  const SteadyTime last = in(60s);
  while (ended < tasks && std::chrono::steady_clock::now() < last) {
    io_.run_one_for(10ms);
    const PoolStats stats = pool.stats();
    ASSERT_LE(stats.idle + stats.used + stats.dialing + stats.closing, 4U);
    ASSERT_TRUE(stats.idle == 0 || stats.waiting == 0);
  }
  EXPECT_EQ(ended, tasks);
  EXPECT_GT(served, 0) << "how many depends on the machine";
  EXPECT_TRUE(eventually([&] {
    const PoolStats stats = pool.stats();
    return stats.used + stats.dialing + stats.closing + stats.waiting == 0;
  })) << pool.describe();
  EXPECT_EQ(backends(), static_cast<int>(pool.stats().idle));
}

}  // namespace
}  // namespace opi::pg
