#pragma once
/// @file
/// Single connections to a real server: a fixture that makes them and runs coroutines on them.

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>

#include "pg/connection.hpp"
#include "support/in_time.hpp"
#include "support/postgres_server.hpp"
#include "support/run_coroutine.hpp"

namespace opi::pg {

using namespace std::chrono_literals;
using test::in;

class ConnectionTest : public testing::Test {
 protected:
  template <class T>
  T run(Task<T> task) {
    return test::run_coroutine(io_, std::move(task));
  }
  Result<Connection> try_connect(const ServerSettings& settings) {
    return run(Connection::connect(io_.get_executor(), settings, blocking_, in(10s)));
  }
  Connection connect(const ServerSettings& settings) {
    auto connection = try_connect(settings);
    if (!connection) throw std::runtime_error(connection.error().to_string());
    return std::move(*connection);
  }
  Connection connect() { return connect(server_.server_settings()); }
  ResultSet query(Connection& connection, std::string sql, Params params = {}) {
    return value(run(connection.query(std::move(sql), std::move(params))));
  }
  std::string scalar(Connection& connection, std::string sql, Params params = {}) {
    return std::string(query(connection, std::move(sql), std::move(params))[0].text(0));
  }
  template <class T>
  static T value(Result<T> result) {
    if (!result) throw std::runtime_error(result.error().to_string());
    return std::move(*result);
  }

  /// Runs the loop until the condition holds; false after a minute.
  template <class Condition>
  bool eventually(Condition condition, std::chrono::milliseconds within = 60s) {
    const SteadyTime deadline = in(within);
    io_.restart();
    while (!condition()) {
      if (std::chrono::steady_clock::now() >= deadline) return false;
      io_.run_one_for(5ms);
      if (io_.stopped()) io_.restart();
    }
    return true;
  }

  test::PostgresServer& server_ = test::PostgresServer::shared();
  asio::io_context io_;
  aio::BlockingPool blocking_{2};
};

}  // namespace opi::pg
