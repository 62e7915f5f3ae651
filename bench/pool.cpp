// opi-bench pool: what the pool costs, beside what the server costs anyway (floor).
#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <charconv>
#include <cstdlib>
#include <iostream>
#include <memory>

#include "bench/pool_run.hpp"
#include "bench/server.hpp"
#include "bench/subcommands.hpp"
#include "pg/database_pool.hpp"

namespace opi::bench {
namespace {

using namespace std::chrono_literals;
using Mode = PoolRun::Mode;

struct ModeName {
  Mode mode;
  std::string_view name;
};
constexpr std::array mode_names = {
    ModeName{.mode = Mode::query, .name = "query"},
    ModeName{.mode = Mode::execute, .name = "execute"},
    ModeName{.mode = Mode::bare, .name = "bare"},
    ModeName{.mode = Mode::floor, .name = "floor"},
    ModeName{.mode = Mode::floor_pipeline, .name = "floor-pipeline"},
};

std::optional<double> number_of(std::string_view text) {
  double number = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || !(number > 0.0) || number > 1e6) return {};
  return number;
}

std::optional<PoolRun> parse(Arguments arguments) {
  if (arguments.size() != 4) return {};
  const auto* const mode = std::ranges::find(mode_names, arguments[0], &ModeName::name);
  const auto tasks = number_of(arguments[1]);
  const auto connections = number_of(arguments[2]);
  const auto seconds = number_of(arguments[3]);
  if (mode == mode_names.end() || !tasks || !connections || !seconds || *tasks < 1 || *connections < 1) return {};
  return PoolRun{.mode = mode->mode,
                 .tasks = static_cast<int>(*tasks),
                 .pool = static_cast<int>(*connections),
                 .duration = std::chrono::nanoseconds(static_cast<std::int64_t>(*seconds * 1e9))};
}

Task<Result<>> make_items_on(asio::any_io_executor executor, pg::ServerSettings server, aio::BlockingPool* blocking) {
  auto connection =
      co_await pg::Connection::connect(executor, server, *blocking, std::chrono::steady_clock::now() + 10s);
  if (!connection) co_return failure(std::move(connection.error()));
  auto found = co_await connection->execute("SELECT to_regclass('public.item') IS NOT NULL");
  if (found && (*found)[0].get<bool>(0)) co_return Result<>{};
  auto made = co_await connection->execute(
      "CREATE TABLE public.item(id int PRIMARY KEY, name text, payload text);"
      "INSERT INTO public.item SELECT n, 'item ' || n, repeat(md5(n::text), 3) || left(md5(n::text), 4)"
      " FROM generate_series(1, 10000) n");
  if (made) made = co_await connection->execute("VACUUM ANALYZE public.item");
  if (!made) co_return failure(std::move(made.error()));
  co_return Result<>{};
}

/// Runs it to its end; throws what it threw, or its error.
void run_to_end(asio::io_context& context, Task<Result<>> task) {
  std::exception_ptr thrown;
  Result<> result;
  asio::co_spawn(context, std::move(task), [&](std::exception_ptr exception, Result<> ended) {
    thrown = std::move(exception);
    result = std::move(ended);
  });
  context.restart();
  context.run();
  if (thrown) std::rethrow_exception(thrown);
  if (!result) throw std::runtime_error(result.error().to_string());
}

struct Shared {
  pg::DatabasePool* pool;
  PoolLoad* load;
  pg::Statement statement;
};

PoolLoad::Time now() {
  return std::chrono::steady_clock::now();
}

void read(PoolLoad& load, const Result<pg::ResultSet>& rows) {
  if (!rows) throw std::runtime_error(rows.error().to_string());
  const pg::Row row = (*rows)[0];
  load.read(row.get<std::int32_t>(0), row.text(1), row.text(2));
}

Task<> query(Shared* shared) {
  PoolLoad& load = *shared->load;
  while (!load.stopped()) {
    const PoolLoad::Time asked = now();
    auto lease = co_await shared->pool->acquire();
    if (!lease) throw std::runtime_error(lease.error().to_error().to_string());
    load.add_wait(asked, now());
    const auto rows = co_await (*lease)->query_prepared(shared->statement, {load.next_id()});
    lease->release();
    read(load, rows);
    load.count();
  }
}

Task<> execute(Shared* shared) {
  PoolLoad& load = *shared->load;
  while (!load.stopped()) {
    const PoolLoad::Time asked = now();
    const auto rows = co_await shared->pool->execute(shared->statement, {load.next_id()});
    load.add_wait(asked, now());
    read(load, rows);
    load.count();
  }
}

/// With more than one task the holder yields once while it holds.
Task<> bare(Shared* shared) {
  PoolLoad& load = *shared->load;
  const bool yields = load.run().tasks > 1;
  while (!load.stopped()) {
    const bool sample = load.is_sample();
    const PoolLoad::Time asked = sample ? now() : PoolLoad::Time();
    auto lease = co_await shared->pool->acquire();
    if (!lease) throw std::runtime_error(lease.error().to_error().to_string());
    if (sample) load.add_wait(asked, now());
    if (yields) co_await asio::post(asio::deferred);
    load.count();
  }
}

Task<> one_task(Shared* shared) {
  switch (shared->load->run().mode) {
    case Mode::execute: return execute(shared);
    case Mode::bare: return bare(shared);
    default: return query(shared);
  }
}

Task<Result<>> measure(Shared* shared, double* startup_ms, double* close_ms) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  const Stopwatch starting;
  auto started = co_await shared->pool->start(now() + 10s);
  *startup_ms = starting.wall_ms();
  if (started) {
    *shared->load = PoolLoad(shared->load->run());  // its time begins now
    std::vector<std::exception_ptr> thrown;
    asio::steady_timer all_ended(executor, PoolLoad::Time::max());
    int running = shared->load->run().tasks;
    for (int task = 0; task < shared->load->run().tasks; ++task) {
      asio::co_spawn(executor, one_task(shared), [&](std::exception_ptr exception) {
        if (exception) thrown.push_back(std::move(exception));
        if (--running == 0) all_ended.cancel();
      });
    }
    while (running > 0) co_await all_ended.async_wait(as_result);
    if (!thrown.empty()) std::rethrow_exception(thrown.front());
  }
  const Stopwatch closing;
  const auto closed = co_await shared->pool->close(now() + 10s);
  *close_ms = closing.wall_ms();
  co_return started ? closed : std::move(started);
}

}  // namespace

int pool(Arguments arguments) {
  const auto run = parse(arguments);
  if (!run) return exit_usage;
  asio::io_context context{1};
  aio::BlockingPool blocking(static_cast<std::size_t>(4));
  pg::ServerSettings server = server_from_environment();
  server.pin_role_and_path = false;  // the statement finds its table as the peers' does
  run_to_end(context, make_items_on(context.get_executor(), server, &blocking));
  if (run->mode == Mode::floor || run->mode == Mode::floor_pipeline) {
    run_floor(*run);
    return 0;
  }
  pg::PoolConfig config{.name = "bench", .server = server, .pool = {}};
  config.pool.min = config.pool.max = static_cast<std::uint32_t>(run->pool);
  config.pool.max_waiting = static_cast<std::uint32_t>(run->tasks);
  pg::DatabasePool pool(context.get_executor(), std::move(config), blocking, Logger());
  PoolLoad load(*run);
  Shared shared{.pool = &pool, .load = &load, .statement = pg::Statement(std::string(item_sql))};
  double startup_ms = 0.0;
  double close_ms = 0.0;
  run_to_end(context, measure(&shared, &startup_ms, &close_ms));
  load.print(arguments[0], startup_ms, close_ms);
  return 0;
}

}  // namespace opi::bench
