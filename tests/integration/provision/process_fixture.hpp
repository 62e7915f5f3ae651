#pragma once
/// @file
/// Managers in processes of their own on one control database: they race, and they die by SIGKILL.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "integration/provision/provision_fixture.hpp"
#include "support/processes.hpp"
#include "support/temporary_directory.hpp"

namespace opi::provision {

/// What a manager in a process works with. Made in the child, for it has threads.
class OneProcess {
 public:
  using Adjust = std::function<void(ManagerSettings&)>;

  OneProcess(const test::PostgresServer& server, const std::string& control, const std::string& key_text,
             const std::map<std::string, std::string>& files, StepHook hook = {}, const Adjust& adjust = {})
      : server_(server), key_(*secrets::PlatformKey::parse(key_text)) {
    for (const auto& [file, text] : files) {
      for (const auto& error : projects_.replace(file, "b" + std::to_string(text.size()), "c1", text))
        throw std::runtime_error(error.to_string());
    }
    pg::PoolConfig config{.name = "main", .server = server.server_settings(control), .pool = {}};
    config.pool.min = 0;
    config.pool.max = 5;
    pools_ = std::make_unique<pg::DatabasePools>(io_.get_executor(), blocking_, Logger{});
    must(await(pools_->initialize({config}, in(60s))));
    auto lease = await(pools_->get("main")->get().acquire());
    if (!lease) throw std::runtime_error(lease.error().to_error().to_string());
    must(await(store::prepare_control_store(&**lease, &key_, in(60s))));
    lease->release();
    ManagerSettings settings;
    settings.rules.control_database = control;
    settings.repository = "/srv/projects.git";
    settings.deadline = 90s;
    if (adjust) adjust(settings);
    manager_ = std::make_unique<DatabaseManager>(
        projects_, pools_->get("main")->get(), settings,
        ManagerTools{
            .pools = pools_.get(), .key = &key_, .blocking = &blocking_, .log = {}, .on_step = std::move(hook)});
  }
  ~OneProcess() { (void)await(pools_->close(in(10s))); }
  OneProcess(const OneProcess&) = delete;
  OneProcess& operator=(const OneProcess&) = delete;

  template <class T>
  T await(Task<T> task) {
    return test::run_coroutine(io_, std::move(task), 100s);
  }
  DatabaseManager& manager() { return *manager_; }

  /// 0 when all rows of the pass are well; says otherwise what was not.
  int apply() { return told(await(manager_->apply({}, cause_))); }
  int rotate(const std::string& project, RotationPace pace = RotationPace::seamless) {
    return told(await(manager_->rotate({.project = project}, cause_, pace)));
  }
  /// 0 when a plan has nothing to do.
  int nothing_left() {
    auto plan = await(manager_->plan());
    if (!plan) return say(plan.error().to_string());
    return plan->empty() && plan->counts().refused == 0 ? 0 : say(to_text(*plan));
  }
  Credentials credentials(const std::string& project, const std::string& deployment) {
    auto found = await(manager_->credentials(project, deployment));
    if (!found) throw std::runtime_error(found.error().to_string());
    return *std::move(found);
  }
  /// 0 when a login with them works and acts as the owner.
  int log_in(const std::string& user, const SecretString& password, const std::string& database) {
    auto proof =
        await(prove_login(tenant_settings(server_.server_settings(), user, password, database), &blocking_, in(30s)));
    if (proof.verdict != LoginVerdict::works) return say(user + ": " + proof.error.to_string());
    return proof.current_user == database ? 0 : say(user + " acts as " + proof.current_user);
  }
  int log_in(const std::string& project, const std::string& deployment) {
    const auto with = credentials(project, deployment);
    return log_in(with.user, with.password, with.database);
  }

  static int say(const std::string& what) {
    std::fprintf(stderr, "%s\n", what.c_str());
    return 1;
  }

 private:
  template <class T>
  static void must(const Result<T>& result) {
    if (!result) throw std::runtime_error(result.error().to_string());
  }
  static int told(const Result<ApplyReport>& report) {
    if (!report) return say(report.error().to_string());
    for (const auto& one : report->deployments) {
      if (one.error) return say(one.title() + ": " + one.error->to_string());
    }
    return 0;
  }

  const test::PostgresServer& server_;
  asio::io_context io_;
  aio::BlockingPool blocking_{2};
  secrets::PlatformKey key_;
  ProjectManager projects_;
  std::unique_ptr<pg::DatabasePools> pools_;
  std::unique_ptr<DatabaseManager> manager_;
  store::Cause cause_{.kind = "command", .id = "test", .replica = "here/" + std::to_string(::getpid())};
};

/// Has no thread itself, so that it may fork.
class ProcessTest : public ::testing::Test {
 protected:
  ProcessTest()
      : control_(server_.create_database("control")),
        number_(control_.substr(control_.find_last_not_of("0123456789") + 1)),
        key_text_(secrets::PlatformKey::generate().to_key_file("today").reveal()) {}

  std::string unique(const std::string& name) const { return name + number_; }
  void declare(const std::string& name, const std::vector<std::string>& deployments, const std::string& config = {}) {
    files_["projects/" + name + ".yaml"] = project_text(name, deployments, config);
  }
  void take_away(const std::string& name) { files_.erase("projects/" + name + ".yaml"); }

  /// `body` in a process of its own.
  int in_process(const std::function<int(OneProcess&)>& body, const StepHook& hook = {},
                 const OneProcess::Adjust& adjust = {}) const {
    return test::in_process([&] {
      OneProcess process(server_, control_, key_text_, files_, hook, adjust);
      return body(process);
    });
  }
  /// The same, killed at its step number `last` (counted from 0). False: it came to its end before.
  bool killed_at(int last, const std::function<int(OneProcess&)>& body, std::string* name = nullptr,
                 const OneProcess::Adjust& adjust = {}) const {
    const std::string note = (folder_.path() / "step").string();
    int step = 0;
    const auto code = in_process(
        body,
        [&](std::string_view reached) {
          if (step++ != last) return;
          std::ofstream(note) << reached;
          ::kill(::getpid(), SIGKILL);
        },
        adjust);
    if (name != nullptr) std::getline(std::ifstream(note) >> std::ws, *name);
    if (code != 128 + SIGKILL) EXPECT_EQ(code, 0);
    return code == 128 + SIGKILL;
  }

  std::string query(const std::string& sql, const std::string& database = "postgres") const {
    return server_.query_as_superuser(sql, database);
  }
  void execute(const std::string& sql, const std::string& database = "postgres") const {
    server_.execute_as_superuser(sql, database);
  }

  test::PostgresServer& server_ = test::PostgresServer::shared();
  const std::string control_;
  const std::string number_;
  const std::string key_text_;
  std::map<std::string, std::string> files_;
  test::TemporaryDirectory folder_;
};

}  // namespace opi::provision
