// Everything at once, from many threads, for as long as it takes (scenario 99), its invariants sampled all the time
// (scenario 83). OPI_SEED repeats a run as far as threads can be repeated; OPI_SOAK makes it long.
#include <cstdio>
#include <random>

#include "faults/pg/fault_fixture.hpp"

namespace opi::pg {
namespace {

constexpr std::uint32_t max_ever = 8;
constexpr int detached_max = 2;
constexpr int threads = 4;
constexpr int tasks_each = 6;

/// What the tasks share.
struct Load {
  DatabasePool* pool = nullptr;
  std::atomic<bool> stop = false;
  std::atomic<int> running = 0, detached = 0;
  std::atomic<std::uint64_t> leases = 0, answers = 0, refusals = 0, losses = 0;
  std::atomic<std::uint64_t> wrong = 0;  ///< what must never be
  std::mutex mutex;
  std::string first_wrong;

  void blame(std::string what) {
    if (wrong++ > 0) return;
    const std::scoped_lock lock(mutex);
    first_wrong = std::move(what);
  }
};

using Random = std::minstd_rand;

/// A statement whose answer nobody else gets.
Task<> ask(Load* load, Connection* connection, int number) {
  auto answer = co_await connection->query_prepared("SELECT $1::int, current_setting('work_mem')", {number});
  if (!answer) {
    ++load->losses;
    const ErrorKind kind = answer.error().kind;
    if (kind != ErrorKind::unavailable && kind != ErrorKind::closed && kind != ErrorKind::cancelled) {
      load->blame("a statement failed: " + answer.error().to_string());
    }
    co_return;
  }
  ++load->answers;
  if ((*answer)[0].get<int>(0) != number) load->blame("the answer of another statement");
  if ((*answer)[0].text(1) == "9MB") load->blame("the settings of another user");
}

/// The same without a checkout, on a connection that many share.
Task<> ask_shared(Load* load, int number) {
  static const Statement echo("SELECT $1::int");
  auto answer = co_await load->pool->execute(echo, {number}, {.deadline = in(5s), .task = "shared"});
  if (!answer) {
    ++load->losses;
    if (answer.error().kind == ErrorKind::internal) load->blame("a statement failed: " + answer.error().to_string());
    co_return;
  }
  ++load->answers;
  if ((*answer)[0].get<int>(0) != number) load->blame("the answer of another statement");
}

Task<> leave_half_way(Connection* connection, unsigned how) {
  switch (how % 5) {
    case 0: (void)co_await connection->execute("BEGIN"); break;
    case 1: (void)co_await connection->execute("SET work_mem = '9MB'"); break;
    case 2: {
      auto rows = co_await connection->stream("SELECT generate_series(1, 5000)");
      if (rows) (void)co_await rows->next();
      break;
    }
    case 3: {
      auto copy = co_await connection->copy_in("COPY public.stress FROM STDIN");
      if (copy) (void)co_await copy->write("1\n2\n");
      break;
    }
    default: (void)co_await connection->query("SELECT 1/0"); break;
  }
}

Task<> detach_and_close(Load* load, Lease lease) {
  if (load->detached++ < detached_max) {
    Connection own = lease.detach();
    co_await ask(load, &own, 7);
    co_await own.close(in(5s));
  }
  --load->detached;
}

Task<> use(Load* load, Lease lease, Random* random) {
  const unsigned how = static_cast<unsigned>((*random)());
  switch (how % 12) {
    case 0: break;
    case 1: lease.discard(); break;
    case 2: co_await detach_and_close(load, std::move(lease)); break;
    case 3: {
      auto sleep = lease->query("SELECT pg_sleep(600)");
      (void)co_await aio::with_deadline(std::move(sleep), in(std::chrono::milliseconds(how / 12 % 5)), "sleeping");
      break;
    }
    case 4:
    case 5: co_await leave_half_way(&*lease, how / 12); break;
    case 6: {  // holds one and asks for another
      auto second = co_await load->pool->acquire({.deadline = in(5ms), .task = "second", .owner = random});
      if (second) co_await ask(load, &**second, 3);
      break;
    }
    default: co_await ask(load, &*lease, static_cast<int>(how % 100'000));
  }
}

Task<> task(Load* load, unsigned seed) {
  Random random(seed);
  while (!load->stop) {
    const unsigned what = static_cast<unsigned>(random());
    if (what % 16 == 0) {
      (void)load->pool->describe();
      (void)load->pool->holders();
    } else if (what % 16 == 1) {
      Lease lease = load->pool->try_acquire();
      if (lease) co_await ask(load, &*lease, 1);
    } else if (what % 16 == 3 || what % 16 == 4) {
      co_await ask_shared(load, static_cast<int>(what % 100'000));
    } else if (what % 64 == 2) {
      load->pool->forget_statements();
    } else {
      const auto patience = what % 3 == 0 ? std::chrono::microseconds(what / 3 % 3'000) : std::chrono::seconds(5);
      auto lease = co_await load->pool->acquire(
          {.deadline = std::chrono::steady_clock::now() + patience, .task = "stress", .owner = &random});
      if (lease) {
        ++load->leases;
        auto user = use(load, std::move(*lease), &random);
        co_await std::move(user);
      } else {
        ++load->refusals;
        co_await aio::sleep_for(2ms);  // as users do: otherwise refusals would be all that happens
      }
    }
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
  }
  --load->running;
}

class PoolStressTest : public FaultTest {
 protected:
  static std::chrono::seconds duration() {
    return std::getenv("OPI_SOAK") != nullptr ? std::chrono::seconds(600) : std::chrono::seconds(60);
  }
  static unsigned seed() {
    const char* const given = std::getenv("OPI_SEED");
    const unsigned chosen = given != nullptr ? static_cast<unsigned>(std::stoul(given)) : std::random_device()();
    std::printf("OPI_SEED=%u\n", chosen);
    return chosen;
  }
  static void check(const PoolStats& stats) {
    ASSERT_LE(stats.idle + stats.used + stats.dialing + stats.closing, max_ever);
    ASSERT_TRUE(stats.idle == 0 || stats.waiting == 0 || stats.paused) << "somebody waits beside an idle connection";
    ASSERT_LE(stats.acquired_waiting, stats.acquired);
    ASSERT_LE(stats.dials_failed, stats.dials);
  }
  /// What an operator does.
  void meddle(DatabasePool& pool, Random& random) {
    switch (random() % 16) {
      case 0: {
        PoolSettings settings = pool.config().pool;
        settings.max = static_cast<std::uint32_t>(1 + random() % max_ever);
        settings.min = std::min<std::uint32_t>(settings.max, static_cast<std::uint32_t>(random() % 4));
        pool.resize(settings);
        break;
      }
      case 1: pool.recycle(); break;
      case 2:
        pool.pause();
        (void)pool.stats();
        pool.resume();
        break;
      case 3:
        server_.execute_as_superuser(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '" + application_ +
            "' ORDER BY random() LIMIT 2");
        break;
      case 4: ASSERT_LE(backends(), static_cast<int>(max_ever) + detached_max); break;
      default: break;
    }
  }
};

TEST_F(PoolStressTest, PoolScenario99_AndScenario83_EverythingAtOnceOnAllThreads) {
  server_.execute_as_superuser("DROP TABLE IF EXISTS public.stress; CREATE TABLE public.stress (i int)");
  const unsigned first_seed = seed();
  const testing::ScopedTrace trace(__FILE__, __LINE__, "OPI_SEED=" + std::to_string(first_seed));
  PoolConfig config = this->config(2, max_ever);
  config.pool.max_waiting = 16;
  config.pool.idle_timeout = 200ms;
  config.pool.max_lifetime = 700ms;
  config.pool.ping_after_idle = 20ms;
  config.pool.leak_after = 100ms;
  config.pool.max_uses = 50;

  asio::io_context home;
  auto home_work = asio::make_work_guard(home);
  std::thread home_thread([&] { home.run(); });
  aio::BlockingPool blocking(4);  // ends before `home`, to whom a dial that was given up still tells its end
  auto pool = std::make_unique<DatabasePool>(home.get_executor(), config, blocking, Logger());
  ASSERT_TRUE(run(pool->start(in(10s))));

  Load load{.pool = pool.get()};
  std::vector<std::unique_ptr<asio::io_context>> contexts;
  std::vector<std::thread> workers;
  for (int thread = 0; thread < threads; ++thread) {
    asio::io_context& context = *contexts.emplace_back(std::make_unique<asio::io_context>());
    for (int number = 0; number < tasks_each; ++number) {
      ++load.running;
      asio::co_spawn(context, task(&load, first_seed + static_cast<unsigned>(thread * 100 + number)),
                     [&load](const std::exception_ptr& exception) {
                       if (exception) load.blame("a task threw"), --load.running;
                     });
    }
    workers.emplace_back([&context] { context.run(); });
  }

  Random random(first_seed);
  const SteadyTime end = std::chrono::steady_clock::now() + duration();
  while (std::chrono::steady_clock::now() < end && !HasFatalFailure() && load.wrong == 0) {
    for (int sample = 0; sample < 200 && !HasFatalFailure(); ++sample) check(pool->stats());
    meddle(*pool, random);
    io_.restart();
    io_.run_for(20ms);
  }
  load.stop = true;
  pool->resume();
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(load.running, 0);
  EXPECT_EQ(load.wrong, 0U) << load.first_wrong;
  EXPECT_GT(load.answers, 50U);
  EXPECT_TRUE(run(pool->close(in(10s))));
  const PoolStats last = pool->stats();
  EXPECT_EQ(last.idle + last.used + last.dialing + last.closing + last.waiting, 0U);
  EXPECT_TRUE(eventually([&] { return backends() == 0; }));
  const std::string summary = fmt::format(
      "{} leases, {} answers, {} lost; refused: {} full, {} late, {} down, {} deadlocked; {} dials, {} failed ({})",
      load.leases.load(), load.answers.load(), load.losses.load(), last.refused_full, last.timed_out,
      last.failed_unavailable, last.deadlocked, last.dials, last.dials_failed, last.last_error);
  std::puts(summary.c_str());
  pool.reset();
  home_work.reset();
  home_thread.join();
}

}  // namespace
}  // namespace opi::pg
