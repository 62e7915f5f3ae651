// Thirty lines against the installed library.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdio>
#include <cstdlib>
#include <opi/pg/database_pool.hpp>

opi::Task<> greet(opi::pg::DatabasePool* pool) {
  const auto in_time = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  (void)co_await pool->start(in_time);
  if (auto lease = co_await pool->acquire()) {
    auto answer = co_await (*lease)->query("SELECT 'installed ' || $1::int", {42});
    std::puts(answer ? std::string((*answer)[0].text(0)).c_str() : answer.error().to_string().c_str());
  }
  (void)co_await pool->close(in_time);
}

int main() {
  boost::asio::io_context io;
  opi::aio::BlockingPool blocking(1);
  opi::pg::ServerSettings server{
      .hosts = {{.host = "127.0.0.1", .port = static_cast<std::uint16_t>(std::atoi(std::getenv("PGPORT")))}},
      .user = "postgres",
      .database = "postgres",
      .password = [] { return opi::Result<opi::SecretString>(opi::SecretString(std::getenv("PGPASSWORD"))); }};
  opi::pg::DatabasePool pool(io.get_executor(), {.name = "main", .server = server, .pool = {}}, blocking, {});
  boost::asio::co_spawn(io, greet(&pool), [](std::exception_ptr) {});
  io.run();
}
