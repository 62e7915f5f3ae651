#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <list>

#include "integration/provision/provision_fixture.hpp"
#include "support/recorded_log.hpp"

namespace opi::provision {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// Several processes' worth of pools and managers on one control database.
class Concurrency : public ProvisionTest {
 protected:
  void TearDown() override {
    for (const auto& pool : more_pools_) await(pool->close(in(10s)));
    ProvisionTest::TearDown();
  }

  DatabaseManager& another_manager() {
    auto config = pool_config();
    config.pool.max = 5;
    more_pools_.push_back(std::make_unique<pg::DatabasePool>(io_.get_executor(), config, blocking_, Logger{}));
    auto started = await(more_pools_.back()->start(in(20s)));
    if (!started) throw std::runtime_error(started.error().to_string());
    more_managers_.push_back(std::make_unique<DatabaseManager>(projects_, *more_pools_.back(), settings(), tools()));
    return *more_managers_.back();
  }

  /// Runs all of them at the same time to their ends. Those that are late are cancelled and waited for: no flow
  /// outlives its manager.
  std::vector<Result<DeploymentReport>> at_once(std::vector<Task<Result<DeploymentReport>>> tasks) {
    std::vector<Result<DeploymentReport>> results;
    std::list<asio::cancellation_signal> signals;
    const auto count = tasks.size();
    for (auto& task : tasks) {
      signals.emplace_back();
      asio::co_spawn(io_, std::move(task),
                     asio::bind_cancellation_slot(
                         signals.back().slot(), [&results](std::exception_ptr failed, Result<DeploymentReport> result) {
                           if (failed) result = failure(ErrorKind::internal, "an exception left a flow");
                           results.push_back(std::move(result));
                         }));
    }
    const auto run_until = [&](SteadyTime last) {
      while (results.size() < count && io_.run_one_until(last) > 0) {
      }
      return results.size() == count;
    };
    io_.restart();
    if (run_until(in(100s))) return results;
    ADD_FAILURE() << "not all flows ended in time";
    for (auto& signal : signals) signal.emit(asio::cancellation_type::terminal);
    EXPECT_TRUE(run_until(in(60s))) << "a cancelled flow did not end";
    return results;
  }

  std::vector<std::unique_ptr<pg::DatabasePool>> more_pools_;
  std::vector<std::unique_ptr<DatabaseManager>> more_managers_;
};

TEST_F(Concurrency, SixteenFlowsOnTheSameAndOnDifferentDeploymentsEndInOneCorrectState) {
  open();
  const auto shop = unique("shop");
  declare(shop, {"a", "b", "c", "d"});
  std::vector<Task<Result<DeploymentReport>>> tasks;
  for (int process = 0; process < 4; ++process) {
    auto& manager = another_manager();
    for (const auto* deployment : {"a", "b", "c", "d"})
      tasks.push_back(manager.create_resources_for_deployment(shop, deployment, cause_));
  }
  std::size_t created = 0;
  for (const auto& result : at_once(std::move(tasks))) {
    ASSERT_TRUE(result) << result.error().to_string();
    EXPECT_FALSE(result->error) << result->title() << ": " << result->error->to_string();
    created += result->outcome == DeploymentOutcome::created ? 1U : 0U;
  }
  EXPECT_EQ(created, 4U) << "each deployment is made by exactly one of them";
  const auto manager = this->manager();
  EXPECT_TRUE(plan(*manager).empty()) << to_text(plan(*manager));
  for (const auto* deployment : {"a", "b", "c", "d"})
    EXPECT_TRUE(log_in(credentials(*manager, shop, deployment))) << deployment;
  EXPECT_EQ(query("SELECT max(generation) FROM opi.credentials", control_), "1") << "nobody made a second password";
}

TEST_F(Concurrency, SomebodyElsesDdlOnTheSameRowsIsRetriedAndNotShown) {
  open();
  const auto shop = unique("shop");
  declare(shop, {"prod"});
  int disturbed = 0;
  // A person changes the role row in a transaction that is open while we want to write it, then commits: PostgreSQL
  // says XX000 to us.
  auto manager = this->manager([&](std::string_view step) {
    if (step == "roles") {
      execute("COMMENT ON ROLE " + shop + "_prod IS 'seen'");
      ++disturbed;
    }
  });
  const auto report = apply(*manager);
  ASSERT_EQ(report.deployments.size(), 1U);
  EXPECT_EQ(disturbed, 1);
  EXPECT_EQ(report.deployments[0].outcome, DeploymentOutcome::created) << report.deployments[0].error->to_string();
}

TEST_F(Concurrency, ManyDeploymentsAreWorkedOnSideBySideAndReportedAsTheyEnd) {
  open();
  const auto shop = unique("shop");
  declare(shop, {"a", "b", "c", "d", "e", "f"});
  const auto manager = this->manager();
  std::vector<std::string> seen;
  auto report = await(manager->apply({}, cause_, [&](const DeploymentReport& one) { seen.push_back(one.deployment); }));
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->count(DeploymentOutcome::created), 6U);
  EXPECT_EQ(seen.size(), 6U);
  EXPECT_TRUE(std::ranges::is_sorted(report->deployments, {}, &DeploymentReport::deployment));
}

TEST_F(Concurrency, ALongPassTellsHowFarItHasCome) {
  open();
  declare(unique("shop"), {"one", "two", "three"});
  test::RecordedLog log;
  auto with = settings();
  with.parallelism = 1;
  with.progress_interval = 0ms;
  auto how = tools();
  how.log = Logger(log, "provision");
  DatabaseManager told(projects_, main(), with, how);
  apply_all(told);
  for (const auto* line :
       {"info pass: 1 of 3 done, 0 failed so far", "info pass: 2 of 3 done", "info pass: 3 of 3 done"})
    EXPECT_EQ(log.count(line), 1U) << line;
  log.lines.clear();
  apply_all(told);
  EXPECT_FALSE(log.has("done")) << "nothing to do is no long pass";
}

TEST_F(Concurrency, OneThatFailsStopsNoOther) {
  open();
  const auto shop = unique("shop");
  declare(shop, {"a", "b", "c"});
  bool failed = false;
  const auto manager = this->manager([&](std::string_view step) {
    if (step == "database created") {
      // Whoever comes first.
      if (!std::exchange(failed, true)) throw std::runtime_error("the process died here");
    }
  });
  const auto report = apply(*manager);
  EXPECT_EQ(report.count(DeploymentOutcome::failed), 1U);
  EXPECT_EQ(report.count(DeploymentOutcome::created), 2U);
  EXPECT_EQ(apply_all(*manager).count(DeploymentOutcome::created), 1U);
}

}  // namespace
}  // namespace opi::provision
