#pragma once
/// @file
/// A DatabaseManager on a real server: its own control database, project files as text, sessions as tenants.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "pg/database_pools.hpp"
#include "provision/database_manager.hpp"
#include "provision/login_check.hpp"
#include "store/prepare.hpp"
#include "support/in_time.hpp"
#include "support/postgres_server.hpp"
#include "support/run_coroutine.hpp"

namespace opi::provision {

using namespace std::chrono_literals;
using test::in;

/// A project file with one component that uses a database; `more` is put at its end.
inline std::string project_text(const std::string& name, const std::vector<std::string>& deployments,
                                const std::string& database_config = {}, const std::string& of_deployment = {}) {
  std::string text = "name: " + name + "\nclusters: [local]\n";
  text += database_config.empty() ? "services: [postgresql-database]\n"
                                  : "services:\n  - postgresql-database:\n      config: " + database_config + "\n";
  text += "components:\n  - name: web\n    uses-services: [postgresql-database]\ndeployments:\n";
  for (const auto& one : deployments) {
    text += "  - name: " + one +
            "\n    cluster: local\n    components: [{reference: web, image: registry.example/web:1}]\n" + of_deployment;
  }
  return text;
}

/// One process's view: pools, key and managers on one io_context.
class ProvisionTest : public ::testing::Test {
 protected:
  explicit ProvisionTest(test::PostgresServer& server = test::PostgresServer::shared())
      : server_(server),
        control_(server_.create_database("control")),
        number_(control_.substr(control_.find_last_not_of("0123456789") + 1)) {}

  /// A project name that no other test on this server has: "shop" and a number.
  std::string unique(const std::string& name) const { return name + number_; }

  pg::PoolConfig pool_config(const std::string& name = "main") const {
    pg::PoolConfig config{.name = name, .server = server_.server_settings(control_), .pool = {}};
    config.pool.min = 0;
    config.pool.max = 4;
    return config;
  }

  /// Opens `main` (and further pools) and prepares the control database; call it first.
  void open(std::vector<pg::PoolConfig> configs) {
    pools_ = std::make_unique<pg::DatabasePools>(io_.get_executor(), blocking_, Logger{});
    auto started = await(pools_->initialize(std::move(configs), in(20s)));
    if (!started) throw std::runtime_error(started.error().to_string());
    prepare();
  }
  void open() { open({pool_config()}); }

  void prepare() {
    auto lease = await(main().acquire());
    if (!lease) throw std::runtime_error(lease.error().to_error().to_string());
    auto prepared = await(store::prepare_control_store(&**lease, &key_, in(20s)));
    if (!prepared) throw std::runtime_error(prepared.error().to_string());
  }

  void TearDown() override {
    if (pools_) {
      auto closed = await(pools_->close(in(10s)));
      EXPECT_TRUE(closed) << closed.error().to_string();
    }
    io_.restart();
    io_.poll();
  }

  template <class T>
  T await(Task<T> task) {
    return test::run_coroutine(io_, std::move(task));
  }

  pg::DatabasePool& main() { return pools_->get("main")->get(); }

  ManagerSettings settings() const {
    ManagerSettings settings;
    settings.rules.control_database = control_;
    settings.repositories.urls = {{"", "/srv/projects.git"}};
    settings.deadline = 40s;
    return settings;
  }
  ManagerTools tools(StepHook hook = {}) {
    return {.pools = pools_.get(), .key = &key_, .blocking = &blocking_, .log = {}, .on_step = std::move(hook)};
  }
  std::unique_ptr<DatabaseManager> manager(StepHook hook = {}) {
    return std::make_unique<DatabaseManager>(projects_, main(), settings(), tools(std::move(hook)));
  }

  void declare(const std::string& name, const std::vector<std::string>& deployments,
               const std::string& database_config = {}, const std::string& of_deployment = {}) {
    const auto errors = projects_.replace("projects/" + name + ".yaml", "b" + std::to_string(++blobs_), "c1",
                                          project_text(name, deployments, database_config, of_deployment));
    for (const auto& error : errors) ADD_FAILURE() << error.to_string();
  }

  ApplyReport apply(DatabaseManager& manager, Selection selection = {}) {
    auto report = await(manager.apply(std::move(selection), cause_));
    if (!report) throw std::runtime_error(report.error().to_string());
    return *std::move(report);
  }
  /// Applies everything and expects that nothing went wrong.
  ApplyReport apply_all(DatabaseManager& manager) {
    auto report = apply(manager);
    for (const auto& one : report.deployments) {
      if (one.error) ADD_FAILURE() << one.title() << " " << to_string(one.outcome) << ": " << one.error->to_string();
    }
    return report;
  }
  Plan plan(DatabaseManager& manager) {
    auto plan = await(manager.plan());
    if (!plan) throw std::runtime_error(plan.error().to_string());
    return *std::move(plan);
  }
  Credentials credentials(DatabaseManager& manager, const std::string& project, const std::string& deployment) {
    auto found = await(manager.credentials(project, deployment));
    if (!found) throw std::runtime_error(found.error().to_string());
    return *std::move(found);
  }

  /// A session as the application has it.
  Result<pg::Connection> log_in(const Credentials& with, std::string database = {}) {
    auto settings = tenant_settings(server_.server_settings(), with.user, with.password,
                                    database.empty() ? with.database : database);
    return await(pg::Connection::connect(io_.get_executor(), settings, blocking_, in(20s)));
  }
  std::string ask(pg::Connection& connection, const std::string& sql) {
    auto rows = await(connection.query(sql));
    if (!rows) return "error " + rows.error().code;
    return rows->empty() || rows->columns() == 0 ? "" : std::string((*rows)[0].text(0));
  }
  std::string query(const std::string& sql, const std::string& database = "postgres") const {
    return server_.query_as_superuser(sql, database);
  }
  void execute(const std::string& sql, const std::string& database = "postgres") const {
    server_.execute_as_superuser(sql, database);
  }

  test::PostgresServer& server_;
  const std::string control_;
  const std::string number_;
  asio::io_context io_;
  aio::BlockingPool blocking_{4};
  secrets::PlatformKey key_ = secrets::PlatformKey::generate();
  ProjectManager projects_;
  std::unique_ptr<pg::DatabasePools> pools_;
  store::Cause cause_{.kind = "command", .id = "test", .replica = "here/1"};
  int blobs_ = 0;
};

}  // namespace opi::provision
