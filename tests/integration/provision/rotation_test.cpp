#include <map>

#include "integration/provision/provision_fixture.hpp"

namespace opi::provision {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Rotation : public ProvisionTest {
 protected:
  void SetUp() override {
    open();
    declare(shop_, {"prod"});
    manager_ = manager();
    apply_all(*manager_);
  }

  DeploymentReport rotate(RotationPace pace = RotationPace::seamless) {
    auto report = await(manager_->rotate({.project = shop_}, cause_, pace));
    if (!report) throw std::runtime_error(report.error().to_string());
    return report->deployments.at(0);
  }
  Credentials now() { return credentials(*manager_, shop_, "prod"); }
  /// As if the overlap's time had passed (and the grace's).
  void let_overlap_pass(bool grace_too = false) const {
    execute("UPDATE opi.credentials SET overlap_until = now()" + std::string(grace_too ? ", grace_until = now()" : "") +
                " WHERE overlap_until > now()",
            control_);
  }
  bool may_log_in(const std::string& role) const {
    return query("SELECT rolcanlogin FROM pg_roles WHERE rolname = '" + role + "'") == "t";
  }
  std::string states() const {
    return query(
        "SELECT string_agg(c.slot || c.generation::text || ' ' || c.state, ', ' ORDER BY c.slot, c.generation) FROM "
        "opi.credentials c JOIN opi.deployments d ON d.id = c.deployment_id WHERE project = '" +
            shop_ + "'",
        control_);
  }

  const std::string shop_ = unique("shop");
  const std::string base_ = shop_ + "_prod";
  std::unique_ptr<DatabaseManager> manager_;
};

TEST_F(Rotation, TheOtherLoginTakesOverAndTheOldOneStaysValidForItsOverlap) {
  const auto old = now();
  const auto report = rotate();
  ASSERT_FALSE(report.error) << report.error->to_string();
  EXPECT_EQ(report.outcome, DeploymentOutcome::changed);
  EXPECT_THAT(report.notes, ElementsAre(HasSubstr(base_ + "__b took over; " + base_ + "__a is valid until 20")));
  const auto fresh = now();
  EXPECT_EQ(fresh.user, base_ + "__b");
  EXPECT_NE(fresh.password.reveal(), old.password.reveal());
  auto with_new = log_in(fresh);
  ASSERT_TRUE(with_new) << with_new.error().to_string();
  EXPECT_EQ(ask(*with_new, "SELECT current_user || ' ' || current_schema()"), base_ + " " + base_);
  EXPECT_TRUE(log_in(old)) << "whoever still has the old Secret";
  EXPECT_TRUE(plan(*manager_).empty()) << to_text(plan(*manager_));
  apply_all(*manager_);
  EXPECT_TRUE(log_in(old)) << "not a session is open with it, and it is valid nevertheless";
  EXPECT_EQ(states(), "a1 done, b1 done");
}

TEST_F(Rotation, WhatOneLoginMadeTheOtherOwns) {
  auto first = log_in(now());
  ASSERT_TRUE(first);
  ASSERT_EQ(ask(*first, "CREATE TABLE goods (id int)"), "");
  rotate();
  auto second = log_in(now());
  ASSERT_TRUE(second);
  EXPECT_EQ(ask(*second, "ALTER TABLE goods ADD COLUMN name text"), "");
  EXPECT_EQ(ask(*second, "SELECT tableowner FROM pg_tables WHERE tablename = 'goods'"), base_);
}

TEST_F(Rotation, ASecondOneWaitsForTheEndOfTheFirst) {
  rotate();
  const auto newest = now();
  const auto report = rotate();
  EXPECT_EQ(report.outcome, DeploymentOutcome::waiting);
  ASSERT_TRUE(report.error);
  EXPECT_THAT(report.error->to_string(), HasSubstr("its last rotation is not over: " + base_ + "__a is valid until"));
  EXPECT_EQ(now().password.reveal(), newest.password.reveal());
}

TEST_F(Rotation, AfterItsOverlapALoginWithoutSessionsIsDisabledAndItsPasswordForgotten) {
  const auto old = now();
  rotate();
  let_overlap_pass();
  EXPECT_THAT(to_text(plan(*manager_)), HasSubstr("was replaced and its overlap is over"));
  EXPECT_EQ(apply_all(*manager_).count(DeploymentOutcome::changed), 1U);
  EXPECT_FALSE(may_log_in(base_ + "__a"));
  EXPECT_FALSE(log_in(old));
  EXPECT_EQ(states(), "a1 retired, b1 done");
  EXPECT_EQ(query("SELECT count(*) FROM opi.credentials WHERE state = 'retired' AND (sealed <> '' OR verifier <> '')",
                  control_),
            "0");
  EXPECT_TRUE(log_in(now()));
  EXPECT_TRUE(plan(*manager_).empty()) << to_text(plan(*manager_));
}

TEST_F(Rotation, SessionsOfTheOldLoginGoOnThroughTheGraceAndAreEndedAfterIt) {
  auto session = log_in(now());
  ASSERT_TRUE(session);
  rotate();
  let_overlap_pass();
  EXPECT_EQ(apply_all(*manager_).count(DeploymentOutcome::unchanged), 1U);
  EXPECT_EQ(ask(*session, "SELECT 1"), "1") << "still within its grace";
  EXPECT_TRUE(may_log_in(base_ + "__a"));
  let_overlap_pass(true);
  execute("UPDATE opi.credentials SET grace_until = now() WHERE grace_until > now()", control_);
  EXPECT_EQ(apply_all(*manager_).count(DeploymentOutcome::changed), 1U);
  EXPECT_FALSE(may_log_in(base_ + "__a"));
  EXPECT_EQ(ask(*session, "SELECT 1").substr(0, 5), "error") << "its session was ended";
  EXPECT_EQ(query("SELECT count(*) FROM pg_stat_activity WHERE usename = '" + base_ + "__a'"), "0");
  EXPECT_EQ(states(), "a1 retired, b1 done");
}

TEST_F(Rotation, ALeakedPasswordEndsAtOnceWithItsSessions) {
  const auto leaked = now();
  auto session = log_in(leaked);
  ASSERT_TRUE(session);
  const auto report = rotate(RotationPace::immediately);
  ASSERT_FALSE(report.error) << report.error->to_string();
  EXPECT_FALSE(log_in(leaked));
  EXPECT_EQ(ask(*session, "SELECT 1").substr(0, 5), "error");
  EXPECT_TRUE(log_in(now()));
  // And once more, while the other one has just ended.
  const auto second = now();
  ASSERT_FALSE(rotate(RotationPace::immediately).error);
  EXPECT_EQ(now().user, base_ + "__a");
  EXPECT_FALSE(log_in(second));
  EXPECT_TRUE(log_in(now()));
  EXPECT_EQ(states(), "a1 retired, a2 done, b1 retired");
}

TEST_F(Rotation, ALeakWithinTheOverlapEndsBothOldLogins) {
  const auto first = now();
  rotate();
  const auto second = now();
  ASSERT_FALSE(rotate(RotationPace::immediately).error);
  EXPECT_FALSE(log_in(first));
  EXPECT_FALSE(log_in(second));
  EXPECT_TRUE(log_in(now()));
}

TEST_F(Rotation, APasswordThatIsOldEnoughIsReplacedByItself) {
  auto settings = this->settings();
  settings.rotation.interval = std::chrono::hours{24 * 90};
  DatabaseManager aging(projects_, main(), settings, tools());
  EXPECT_TRUE(plan(aging).empty());
  execute("UPDATE opi.credentials SET published_at = now() - interval '91 days'", control_);
  EXPECT_THAT(to_text(plan(aging)), HasSubstr("a new password; takes over from " + base_ + "__a"));
  const auto report = apply_all(aging);
  EXPECT_EQ(report.count(DeploymentOutcome::changed), 1U);
  EXPECT_EQ(credentials(aging, shop_, "prod").user, base_ + "__b");
  EXPECT_TRUE(plan(aging).empty()) << "not again before its time: " << to_text(plan(aging));
}

TEST_F(Rotation, WhatIsNotReadyIsNotRotated) {
  declare(unique("late"), {"prod"});
  auto report = await(manager_->rotate({.project = unique("late")}, cause_, RotationPace::seamless));
  ASSERT_TRUE(report);
  EXPECT_EQ(report->deployments.at(0).outcome, DeploymentOutcome::created);
  EXPECT_THAT(report->deployments[0].notes, ElementsAre(HasSubstr("its password is new")));
  EXPECT_FALSE(await(manager_->rotate({.project = "nobody"}, cause_, RotationPace::seamless)));
}

TEST_F(Rotation, ALoginThatSomebodyDroppedMeanwhileComesBackWithItsOwnPassword) {
  const auto old = now();
  rotate();
  execute("DROP OWNED BY " + base_ + "__a; DROP ROLE " + base_ + "__a");
  execute("DROP OWNED BY " + base_ + "__b; DROP ROLE " + base_ + "__b");
  apply_all(*manager_);
  EXPECT_TRUE(log_in(old)) << "within the overlap";
  EXPECT_TRUE(log_in(now()));
}

/// Two clients through fifty rotations: one takes the newest Secret for every connection, one keeps the Secret it has
/// for as long as the overlap lasts. Neither sees a failed login.
class Clients : public Rotation {
 protected:
  struct Tally {
    std::size_t logins = 0;
    std::vector<std::string> failures = {};
  };

  Task<> newest(bool* stop, Tally* tally) {
    while (!*stop) {
      auto found = co_await manager_->credentials(shop_, "prod");
      if (!found) {
        tally->failures.push_back(found.error().to_string());
        co_return;
      }
      co_await use(&*found, tally);
    }
  }
  Task<> use(const Credentials* with, Tally* tally) {
    auto executor = co_await asio::this_coro::executor;
    auto settings = tenant_settings(server_.server_settings(), with->user, with->password, with->database);
    auto connection = co_await pg::Connection::connect(executor, settings, blocking_, in(20s));
    if (!connection) {
      tally->failures.push_back(with->user + ": " + connection.error().to_string());
      co_return;
    }
    ++tally->logins;
    co_await connection->close(in(5s));
  }
  /// Lets everything run until `done` says so.
  void run_until(const std::function<bool()>& done) {
    const auto last = in(60s);
    io_.restart();
    while (!done() && io_.run_one_until(last) > 0) {
    }
    ASSERT_TRUE(done()) << "not in time";
  }
  template <class T>
  T run_beside(Task<T> task) {
    std::optional<T> value;
    asio::co_spawn(io_, std::move(task), [&](std::exception_ptr failed, T result) {
      if (!failed) value = std::move(result);
    });
    run_until([&] { return value.has_value(); });
    return std::move(*value);
  }
};

TEST_F(Clients, ThroughFiftyRotationsNeitherTheNewestNorTheOverlappingSecretEverFails) {
  bool stop = false;
  bool stopped = false;
  Tally reconnecting;
  Tally keeping;
  asio::co_spawn(io_, newest(&stop, &reconnecting), [&](std::exception_ptr) { stopped = true; });
  for (int round = 0; round < 50; ++round) {
    SCOPED_TRACE(round);
    auto kept = run_beside(manager_->credentials(shop_, "prod"));
    ASSERT_TRUE(kept);
    const auto rotated = run_beside(manager_->rotate({.project = shop_}, cause_, RotationPace::seamless));
    ASSERT_TRUE(rotated);
    ASSERT_FALSE(rotated->deployments.at(0).error) << rotated->deployments[0].error->to_string();
    // The old Secret, after the new one was published: within the overlap.
    const auto before = keeping.logins + keeping.failures.size();
    asio::co_spawn(io_, use(&*kept, &keeping), [](std::exception_ptr) {});
    run_until([&] { return keeping.logins + keeping.failures.size() > before; });
    // The other client has read the Secret since it was published, so no old one is on its way.
    const auto seen = reconnecting.logins + 2;
    run_until([&] { return reconnecting.logins >= seen || !reconnecting.failures.empty(); });
    let_overlap_pass(true);
    const auto ended = run_beside(manager_->apply({}, cause_));
    ASSERT_TRUE(ended);
    ASSERT_TRUE(ended->succeeded());
    ASSERT_THAT(reconnecting.failures, ::testing::IsEmpty());
    ASSERT_THAT(keeping.failures, ::testing::IsEmpty());
  }
  stop = true;
  run_until([&] { return stopped; });
  EXPECT_GE(reconnecting.logins, 100U);
  EXPECT_EQ(keeping.logins, 50U);
  EXPECT_EQ(query("SELECT max(generation) FROM opi.credentials", control_), "26");
}

}  // namespace
}  // namespace opi::provision
