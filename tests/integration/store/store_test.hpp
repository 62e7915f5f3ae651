#pragma once
/// @file
/// What the tests of this room share: a control database of their own on a private server, sessions in it, many
/// processes at once.

#include <gtest/gtest.h>
#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "aio/blocking_pool.hpp"
#include "pg/connection.hpp"
#include "store/inventory.hpp"
#include "store/prepare.hpp"
#include "support/in_time.hpp"
#include "support/postgres_server.hpp"
#include "support/processes.hpp"
#include "support/run_coroutine.hpp"

namespace opi::store {

using namespace std::chrono_literals;
using test::in;

/// Sessions of one process, driven by one io_context.
class Sessions {
 public:
  template <class T>
  T await(Task<T> task) {
    return test::run_coroutine(context_, std::move(task));
  }

  /// Runs all of them at the same time.
  template <class T>
  std::vector<T> await_all(std::vector<Task<T>> tasks) {
    std::vector<std::optional<T>> values(tasks.size());
    std::size_t running = tasks.size();
    std::exception_ptr failed;
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      asio::co_spawn(context_, keep(std::move(tasks[i]), &values[i]), [&](const std::exception_ptr& e) {
        if (e) failed = e;
        --running;
      });
    }
    const auto last = in(60s);
    context_.restart();
    while (running > 0) {
      if (context_.run_one_until(last) == 0) throw std::runtime_error("not all coroutines ended in time");
    }
    if (failed) std::rethrow_exception(failed);
    std::vector<T> all;
    for (auto& value : values) all.push_back(std::move(*value));
    return all;
  }

  Result<pg::Connection> try_connect(const pg::ServerSettings& server) {
    return await(pg::Connection::connect(context_.get_executor(), server, blocking_, in(20s)));
  }
  /// A session that lives as long as this object.
  pg::Connection* connect(const pg::ServerSettings& server) {
    auto connection = try_connect(server);
    if (!connection) throw std::runtime_error(connection.error().to_string());
    sessions_.push_back(std::move(*connection));
    return &sessions_.back();
  }

  asio::io_context& context() noexcept { return context_; }
  aio::BlockingPool* blocking() noexcept { return &blocking_; }

 private:
  template <class T>
  static Task<> keep(Task<T> task, std::optional<T>* into) {
    into->emplace(co_await std::move(task));
  }

  asio::io_context context_;
  aio::BlockingPool blocking_{2};
  std::deque<pg::Connection> sessions_;
};

using test::in;
using test::in_processes;

/// A fresh database on the shared server; nothing is connected yet.
class StoreDatabase : public testing::Test {
 protected:
  StoreDatabase() : name_(server_.create_database("store")) {}

  pg::ServerSettings settings() const { return server_.server_settings(name_); }
  std::string query(const std::string& sql) const { return server_.query_as_superuser(sql, name_); }

  test::PostgresServer& server_ = test::PostgresServer::shared();
  const std::string name_;
};

/// The same, with the schema in place, a platform key and one session.
class StoreTest : public StoreDatabase {
 protected:
  StoreTest() : connection_(sessions_.connect(settings())) {
    auto prepared = await(prepare_control_store(connection_, &key_, in(20s)));
    if (!prepared) throw std::runtime_error(prepared.error().to_string());
    keys_.emplace(std::move(prepared->keys));
    auto server = await(register_server(connection_, "main", {.system_identifier = "1", .version = 150000}));
    if (!server) throw std::runtime_error(server.error().to_string());
    server_id_ = server->id;
  }

  template <class T>
  T await(Task<T> task) {
    return sessions_.await(std::move(task));
  }
  pg::Connection* connect() { return sessions_.connect(settings()); }

  Declaration declaration(const std::string& project, const std::string& deployment) const {
    return {.key = {.project = project, .deployment = deployment},
            .cluster = "local",
            .server_id = server_id_,
            .base_name = project + "_" + deployment,
            .namespace_ = "rig-" + project,
            .repository = "/srv/projects.git",
            .file = "projects/" + project + ".yaml",
            .blob_id = "b1",
            .commit_id = "c1"};
  }
  DeploymentRecord declared(const std::string& project, const std::string& deployment) {
    auto record = await(declare_deployment(connection_, declaration(project, deployment)));
    if (!record) throw std::runtime_error(record.error().to_string());
    return *record;
  }

  Sessions sessions_;
  secrets::PlatformKey key_ = secrets::PlatformKey::generate();
  pg::Connection* connection_;
  std::optional<ControlKeys> keys_;
  std::int64_t server_id_ = 0;
};

}  // namespace opi::store
