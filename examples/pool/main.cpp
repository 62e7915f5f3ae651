// A pool, tasks that share it, a transaction that is tried again, and an orderly end. The server comes from PGHOST,
// PGPORT, PGUSER, PGPASSWORD and PGDATABASE.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdio>
#include <cstdlib>
#include <opi/pg/database_pool.hpp>
#include <opi/pg/transaction.hpp>

using namespace std::chrono_literals;
namespace pg = opi::pg;

std::string setting(const char* name, const char* otherwise) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : otherwise;
}

opi::SteadyTime in(std::chrono::milliseconds duration) {
  return std::chrono::steady_clock::now() + duration;
}

/// Each task takes a connection, runs a statement that is prepared once for each connection, and gives it back.
opi::Task<opi::Result<int>> square(pg::DatabasePool* pool, int number) {
  auto lease = co_await pool->acquire({.deadline = in(5s), .task = "square"});
  if (!lease) co_return opi::failure(lease.error().to_error());  // says who holds the connections, or what is down
  static const pg::Statement multiply("SELECT $1::int * $1::int");
  auto result = co_await (*lease)->query_prepared(multiply, {number});
  if (!result) co_return opi::failure(std::move(result.error()));
  co_return (*result)[0].get<int>(0);
}

opi::Task<opi::Result<>> deposit(pg::Transaction* transaction) {
  auto made = co_await transaction->execute("CREATE TEMPORARY TABLE account (owner text, cents bigint) ON COMMIT DROP");
  if (!made) co_return opi::failure(std::move(made.error()));
  auto put = co_await transaction->query("INSERT INTO account VALUES ($1, $2)", {"ada", std::int64_t{4'200}});
  if (!put) co_return opi::failure(std::move(put.error()));
  co_return opi::Result<>{};
}

opi::Task<int> work(pg::DatabasePool* pool) {
  if (auto started = co_await pool->start(in(10s)); !started) {
    std::fprintf(stderr, "degraded: %s\n", started.error().to_string().c_str());  // it goes on trying by itself
  }
  int failed = 0;
  for (int number = 1; number <= 3; ++number) {
    auto squared = co_await square(pool, number);
    if (squared) std::printf("%d * %d = %d\n", number, number, *squared);
    failed += squared ? 0 : 1;
  }
  if (auto lease = co_await pool->acquire()) {
    auto deposited = co_await pg::in_transaction(**lease, {.attempts_max = 3}, deposit);
    std::printf("deposit: %s\n", deposited ? "committed" : deposited.error().to_string().c_str());
    failed += deposited ? 0 : 1;
  }
  std::printf("%s\n", pool->describe().c_str());
  auto closed = co_await pool->close(in(5s));
  co_return failed == 0 && closed ? 0 : 1;
}

int main() {
  boost::asio::io_context io;
  opi::aio::BlockingPool blocking(2);  // name lookup and key derivation happen there
  const auto password = [] { return opi::Result<opi::SecretString>(opi::SecretString(setting("PGPASSWORD", ""))); };
  pg::ServerSettings server{
      .hosts = {{.host = setting("PGHOST", "127.0.0.1"),
                 .port = static_cast<std::uint16_t>(std::atoi(setting("PGPORT", "5432").c_str()))}},
      .user = setting("PGUSER", "postgres"),
      .database = setting("PGDATABASE", "postgres"),
      .password = password};
  pg::DatabasePool pool(io.get_executor(), {.name = "main", .server = server, .pool = {.min = 2, .max = 10}}, blocking,
                        opi::Logger());
  int exit_code = 1;
  boost::asio::co_spawn(io, work(&pool), [&](std::exception_ptr, int code) { exit_code = code; });
  io.run();
  return exit_code;
}
