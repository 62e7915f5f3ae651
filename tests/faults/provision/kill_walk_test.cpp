// Killed by SIGKILL at each step of a creation, a rotation and a removal: the next process goes on, with the same
// password, to the same end.

#include "integration/provision/process_fixture.hpp"

namespace opi::provision {
namespace {

/// More than any flow has; a walk that comes to its end before is one that has walked all steps.
constexpr int steps_max = 60;

class KillWalk : public ProcessTest {
 protected:
  std::string journaled(const std::string& login) const {
    return query("SELECT coalesce(string_agg(verifier, ' ' ORDER BY id), '') FROM opi.credentials WHERE login = '" +
                     login + "' AND state <> 'retired'",
                 control_);
  }
  std::string on_server(const std::string& login) const {
    return query("SELECT coalesce((SELECT rolpassword FROM pg_authid WHERE rolname = '" + login + "'), '')");
  }
  int finish(const std::string& project) const {
    return in_process([&](OneProcess& process) {
      if (const int code = process.apply(); code != 0) return code;
      if (const int code = process.nothing_left(); code != 0) return code;
      return process.log_in(project, "prod");
    });
  }
};

TEST_F(KillWalk, OfACreationEndsWithTheJournaledPassword) {
  int last = 0;
  for (; last < steps_max; ++last) {
    files_.clear();
    const auto project = "k" + std::to_string(last) + "x" + number_;
    const auto login = project + "_prod__a";
    declare(project, {"prod"}, "{extensions: [citext], schemas: [{postfix: audit}]}");
    std::string step;
    const bool killed = killed_at(last, [](OneProcess& process) { return process.apply(); }, &step);
    SCOPED_TRACE("killed at step " + std::to_string(last) + ": " + step);
    const auto before = journaled(login);
    ASSERT_EQ(finish(project), 0);
    if (!before.empty()) EXPECT_EQ(journaled(login), before);
    EXPECT_EQ(on_server(login), journaled(login));
    EXPECT_EQ(query("SELECT count(*) FROM pg_database WHERE datname = '" + project + "_prod' AND datallowconn"), "1");
    // The next one is not to work on this one.
    execute("UPDATE opi.deployments SET deletion = 'keep'", control_);
    if (!killed) break;
  }
  EXPECT_GE(last, 14);
  EXPECT_LT(last, steps_max);
}

/// One deployment that rotates again and again; `a` and `b` take turns.
class RotationWalk : public KillWalk {
 protected:
  RotationWalk() { declare(shop_, {"prod"}); }

  /// The published credential, for a process that comes later.
  int remember(OneProcess& process) const {
    const auto with = process.credentials(shop_, "prod");
    std::ofstream(folder_.path() / "secret") << with.user << '\n' << with.password.reveal() << '\n';
    return 0;
  }
  int log_in_with_the_remembered(OneProcess& process) const {
    std::ifstream file(folder_.path() / "secret");
    std::string user;
    std::string password;
    std::getline(file, user);
    std::getline(file, password);
    return process.log_in(user, SecretString(password), shop_ + "_prod");
  }
  /// One rotation, and the end of the login before.
  int whole_rotation(OneProcess& process) const {
    if (const int code = process.rotate(shop_); code != 0) return code;
    let_time_pass();
    return process.apply();
  }
  void let_time_pass() const {
    execute("UPDATE opi.credentials SET overlap_until = now(), grace_until = now() WHERE overlap_until IS NOT NULL",
            control_);
  }
  const std::string shop_ = unique("shop");
};

TEST_F(RotationWalk, NeitherTheNewestNorTheOverlappingPasswordFailsAtAnyStep) {
  ASSERT_EQ(in_process([](OneProcess& process) { return process.apply(); }), 0);
  int last = 0;
  for (; last < steps_max; ++last) {
    ASSERT_EQ(in_process([&](OneProcess& process) { return remember(process); }), 0);
    std::string step;
    bool over = false;
    const bool killed = killed_at(last, [&](OneProcess& process) { return whole_rotation(process); }, &step);
    SCOPED_TRACE("killed at step " + std::to_string(last) + ": " + step);
    over = query("SELECT count(*) FROM opi.credentials WHERE overlap_until <= now()", control_) != "0";
    // Before anybody has gone on: what is published works, and what was, unless its time is over.
    ASSERT_EQ(in_process([&](OneProcess& process) {
                if (const int code = process.log_in(shop_, "prod"); code != 0) return code;
                return over ? 0 : log_in_with_the_remembered(process);
              }),
              0);
    ASSERT_EQ(finish(shop_), 0);
    for (const auto* login : {"__a", "__b"}) {
      const auto name = shop_ + "_prod" + login;
      if (!journaled(name).empty()) EXPECT_EQ(on_server(name), journaled(name));
    }
    if (!killed) break;
    let_time_pass();
    ASSERT_EQ(finish(shop_), 0);
    EXPECT_EQ(query("SELECT count(*) FROM opi.credentials WHERE state <> 'retired'", control_), "1");
    EXPECT_EQ(query("SELECT count(*) FROM pg_roles WHERE rolcanlogin AND rolname LIKE '" + shop_ + "%'"), "1");
  }
  EXPECT_GE(last, 10);
  EXPECT_LT(last, steps_max);
}

class RemovalWalk : public KillWalk {
 protected:
  static void at_once(ManagerSettings& settings) {
    settings.removal.grace = 0s;
    settings.removal.most = 1'000;
    settings.removal.most_percent = 100;
  }
  /// To the tombstone, and, as there is no grace, to the end.
  static int whole_removal(OneProcess& process) {
    if (const int code = process.apply(); code != 0) return code;
    return process.apply();
  }
};

TEST_F(RemovalWalk, EndsWithNothingOfItAtWhateverStep) {
  const auto stays = unique("stays");
  declare(stays, {"prod"});
  int last = 0;
  for (; last < steps_max; ++last) {
    const auto project = "r" + std::to_string(last) + "x" + number_;
    declare(project, {"prod"});
    ASSERT_EQ(in_process([](OneProcess& process) { return process.apply(); }), 0);
    execute("GRANT ALL ON DATABASE postgres TO " + project + "_prod__a");
    take_away(project);
    std::string step;
    const bool killed = killed_at(last, whole_removal, &step, at_once);
    SCOPED_TRACE("killed at step " + std::to_string(last) + ": " + step);
    ASSERT_EQ(in_process(whole_removal, {}, at_once), 0);
    EXPECT_EQ(query("SELECT count(*) FROM pg_roles WHERE rolname LIKE '" + project + "%'"), "0");
    EXPECT_EQ(query("SELECT count(*) FROM pg_database WHERE datname LIKE '" + project + "%'"), "0");
    EXPECT_EQ(query("SELECT count(*) FROM opi.deployments", control_), "1");
    if (!killed) break;
  }
  EXPECT_GE(last, 7);
  EXPECT_LT(last, steps_max);
}

}  // namespace
}  // namespace opi::provision
