// What was done is on disk before it is done, with who caused it, how it ended and how long it took.
#include "integration/provision/provision_fixture.hpp"

namespace opi::provision {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Audit : public ProvisionTest {
 protected:
  void SetUp() override {
    open();
    declare(shop_, {"prod"}, "{extensions: [citext], schemas: [{postfix: audit}]}");
  }
  std::string of_history(const std::string& what, const std::string& where = "true") const {
    return query("SELECT " + what + " FROM opi.history WHERE project = '" + shop_ + "' AND " + where, control_);
  }
  const std::string shop_ = unique("shop");
  const std::string base_ = shop_ + "_prod";
};

TEST_F(Audit, EveryStatementOfACreationIsThereWithCauseOutcomeAndDuration) {
  apply_all(*manager());
  EXPECT_EQ(of_history("count(*)", "outcome <> 'succeeded'"), "0");
  EXPECT_EQ(of_history("count(*)", "cause_kind <> 'command' OR cause_id <> 'test' OR replica <> 'here/1'"), "0");
  EXPECT_EQ(of_history("count(*)", "duration_us <= 0"), "0");
  const auto all = of_history("string_agg(statement, E'\\n' ORDER BY id)");
  for (const auto* part : {"CREATE ROLE", "COMMENT ON ROLE", "CREATE DATABASE", "REVOKE ALL ON DATABASE",
                           "CREATE SCHEMA", "CREATE EXTENSION", "ALTER DEFAULT PRIVILEGES", "SET search_path"}) {
    EXPECT_THAT(all, HasSubstr(part));
  }
  EXPECT_EQ(of_history("count(*)", "action = 'verify_login'"), "1");
}

TEST_F(Audit, TheServersLogHasNoStatementOfOursThatTheHistoryLacks) {
  test::PostgresServer server;
  auto config = pool_config();
  config.server = server.server_settings(server.create_database("control"));
  await(pools_->close(in(10s)));
  open({config});
  apply_all(*manager());
  const auto control = config.server.database;
  const auto recorded = server.query_as_superuser("SELECT string_agg(statement, E'\\n') FROM opi.history", control);
  std::istringstream log(server.log_text());
  std::size_t seen = 0;
  for (std::string line; std::getline(log, line);) {
    // Each statement of a batch is a line of its own; the first has the log's head before it.
    for (const auto* verb :
         {"CREATE ROLE ", "CREATE DATABASE ", "GRANT ", "REVOKE ", "ALTER ROLE ", "CREATE SCHEMA "}) {
      const auto at = line.find(verb);
      if (at == std::string::npos || line.find(base_) == std::string::npos) continue;
      const auto head = line.substr(0, at);
      if (at != 0 && !head.ends_with("statement: ") && head.find_first_not_of(" \t") != std::string::npos) continue;
      auto statement = line.substr(at);
      if (statement.ends_with(';')) statement.pop_back();
      if (const auto secret = statement.find("PASSWORD '"); secret != std::string::npos) statement.resize(secret);
      EXPECT_THAT(recorded, HasSubstr(statement));
      ++seen;
    }
  }
  EXPECT_GE(seen, 10U);
}

TEST_F(Audit, NoVerifierAndNoPasswordIsInIt) {
  const auto manager = this->manager();
  apply_all(*manager);
  const auto all = of_history("string_agg(statement || message, E'\\n')");
  EXPECT_THAT(all, HasSubstr("PASSWORD '***'"));
  EXPECT_THAT(all, Not(HasSubstr("SCRAM-SHA-256$")));
  EXPECT_THAT(all, Not(HasSubstr(std::string(credentials(*manager, shop_, "prod").password.reveal()))));
}

TEST_F(Audit, WhatAProcessThatDiedHadBegunIsThereAsStarted) {
  const auto dying = manager([&](std::string_view step) {
    if (step == "database created") throw std::runtime_error("died");
  });
  EXPECT_EQ(apply(*dying).count(DeploymentOutcome::failed), 1U);
  EXPECT_EQ(of_history("count(*)", "action = 'create_database' AND outcome = 'started'"), "1");
  EXPECT_NE(of_history("count(*)", "action = 'create_login' AND outcome = 'started'"), "0");
  apply_all(*manager());
  EXPECT_EQ(of_history("count(*)", "action = 'create_login' AND outcome = 'succeeded'"),
            of_history("count(*)", "action = 'create_login' AND outcome = 'started'"));
}

TEST_F(Audit, AFailureIsRecordedWithItsCodeAndWhatCameAfterItAsSkipped) {
  const auto failing = manager([&](std::string_view step) {
    // Somebody else is faster.
    if (step == "roles") execute("CREATE DATABASE " + base_);
  });
  const auto report = apply(*failing);
  EXPECT_EQ(of_history("sqlstate", "action = 'create_database' AND outcome = 'failed'"), "42P04");
  EXPECT_NE(of_history("count(*)", "action = 'create_login' AND outcome = 'skipped'"), "0");
  EXPECT_EQ(report.deployments.at(0).outcome, DeploymentOutcome::refused) << "that database is somebody else's";
}

TEST_F(Audit, AnUnchangedEstateWritesNothing) {
  apply_all(*manager());
  const auto before = of_history("count(*)");
  apply_all(*manager());
  EXPECT_EQ(of_history("count(*)"), before);
}

}  // namespace
}  // namespace opi::provision
