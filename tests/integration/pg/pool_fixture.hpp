#pragma once
/// @file
/// Pools against a real server: a fixture that opens and closes them.

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <future>

#include "aio/with_deadline.hpp"
#include "pg/database_pool.hpp"
#include "support/in_time.hpp"
#include "support/postgres_server.hpp"
#include "support/run_coroutine.hpp"

namespace opi::pg {

using namespace std::chrono_literals;
using test::in;

using Acquired = std::expected<Lease, AcquireError>;

/// One acquire that runs beside the test.
struct PendingAcquire {
  asio::cancellation_signal stop;
  std::optional<Acquired> result;
  bool done() const noexcept { return result.has_value(); }
};

class PoolTest : public testing::Test {
 protected:
  void TearDown() override {
    for (const auto& pool : pools_) run(pool->close(in(5s)));
    io_.restart();
    io_.poll();
  }

  template <class T>
  T run(Task<T> task) {
    return test::run_coroutine(io_, std::move(task));
  }

  PoolConfig config(std::uint32_t min, std::uint32_t max) const {
    PoolConfig config{.name = "main", .server = server_.server_settings(), .pool = {}};
    config.server.application_name = application_;
    config.pool.min = min;
    config.pool.max = max;
    config.pool.acquire_timeout = 20s;
    return config;
  }

  DatabasePool& make(PoolConfig config, Logger log = {}) {
    pools_.push_back(std::make_unique<DatabasePool>(io_.get_executor(), std::move(config), blocking_, std::move(log)));
    return *pools_.back();
  }

  DatabasePool& open(PoolConfig config, Logger log = {}) {
    DatabasePool& pool = make(std::move(config), std::move(log));
    const auto started = run(pool.start(in(10s)));
    if (!started) throw std::runtime_error(started.error().to_string());
    return pool;
  }

  Lease take(DatabasePool& pool, AcquireOptions options = {}) {
    auto lease = run(pool.acquire(options));
    if (!lease) throw std::runtime_error(lease.error().to_error().to_string());
    return std::move(*lease);
  }

  std::shared_ptr<PendingAcquire> begin_acquire(DatabasePool& pool, AcquireOptions options = {}) {
    auto pending = std::make_shared<PendingAcquire>();
    asio::co_spawn(io_, pool.acquire(options),
                   asio::bind_cancellation_slot(pending->stop.slot(), [pending](std::exception_ptr, Acquired result) {
                     pending->result.emplace(std::move(result));
                   }));
    io_.restart();
    io_.poll();
    return pending;
  }

  /// Runs `action` on the loop, as another task of the program would: a cancellation emitted there takes effect at
  /// once.
  template <class Action>
  void on_loop(Action action) {
    std::promise<void> promise;
    const auto done = promise.get_future();
    asio::post(io_, [&] {
      action();
      promise.set_value();
    });
    io_.restart();
    while (done.wait_for(0s) != std::future_status::ready) io_.run_one();
  }
  void cancel(const std::shared_ptr<PendingAcquire>& pending) {
    on_loop([&] { pending->stop.emit(asio::cancellation_type::terminal); });
  }

  std::string scalar(Lease& lease, std::string sql) {
    auto result = run(lease->query(std::move(sql)));
    if (!result) throw std::runtime_error(result.error().to_string());
    return std::string((*result)[0].text(0));
  }

  /// Runs the loop until the condition holds; false after a minute.
  template <class Condition>
  bool eventually(Condition condition, std::chrono::milliseconds within = 60s) {
    const SteadyTime deadline = in(within);
    io_.restart();
    while (!condition()) {
      if (std::chrono::steady_clock::now() >= deadline) return false;
      io_.run_for(5ms);
      if (io_.stopped()) io_.restart();
    }
    return true;
  }

  /// Backends of this test's pools.
  int backends() const {
    return std::stoi(server_.query_as_superuser("SELECT count(*) FROM pg_stat_activity WHERE application_name = '" +
                                                application_ + "'"));
  }
  void terminate_backends() const {
    const std::string ended = server_.query_as_superuser(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = '" + application_ +
        "'");
    if (ended == "0") throw std::runtime_error("there was no backend to terminate");
  }

  test::PostgresServer& server_ = test::PostgresServer::shared();
  /// The server cuts it to 63 bytes.
  std::string application_ = std::string(testing::UnitTest::GetInstance()->current_test_info()->name()).substr(0, 63);
  asio::io_context io_;
  aio::BlockingPool blocking_{2};
  std::vector<std::unique_ptr<DatabasePool>> pools_;
};

}  // namespace opi::pg
