// The schema of the control database comes to its newest version once, whoever brings it there.
#include "store/migrations.hpp"

#include <array>

#include "integration/store/store_test.hpp"

namespace opi::store {
namespace {

class Migrations : public StoreDatabase {
 protected:
  std::string tables() const {
    return query(
        "SELECT string_agg(n.nspname || '.' || c.relname, ' ' ORDER BY c.relname) FROM pg_class c JOIN pg_namespace n "
        "ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', "
        "'information_schema')");
  }
};

TEST_F(Migrations, BringAnEmptyDatabaseToTheNewestVersionAndThenDoNothing) {
  Sessions sessions;
  pg::Connection* connection = sessions.connect(settings());
  const auto first = sessions.await(migrate(connection, in(20s)));
  ASSERT_TRUE(first) << first.error().to_string();
  EXPECT_EQ(first->from, 0);
  EXPECT_EQ(first->to, static_cast<int>(known_migrations().size()));
  EXPECT_EQ(first->applied, first->to);
  EXPECT_EQ(query("SELECT max(version) FROM opi.schema_migrations"), std::to_string(first->to));

  const auto before = connection->statements_run();
  const auto second = sessions.await(migrate(connection, in(20s)));
  ASSERT_TRUE(second);
  EXPECT_EQ(second->applied, 0);
  EXPECT_EQ(second->from, first->to);
  EXPECT_LE(connection->statements_run() - before, 2U);
}

TEST_F(Migrations, PutEverythingIntoOneSchema) {
  Sessions sessions;
  ASSERT_TRUE(sessions.await(migrate(sessions.connect(settings()), in(20s))));
  EXPECT_EQ(tables(),
            "opi.clones opi.cluster_objects opi.control_keys opi.credentials opi.deployments opi.drift opi.history "
            "opi.project_files opi.project_keys opi.schema_migrations opi.server_pools opi.servers opi.suspensions");
}

TEST_F(Migrations, SixteenSessionsInFourProcessesApplyEachStepOnce) {
  const auto codes = in_processes(4, [&](int) {
    Sessions sessions;
    std::vector<Task<Result<MigrationReport>>> calls;
    for (int i = 0; i < 4; ++i) calls.push_back(migrate(sessions.connect(settings()), in(40s)));
    int applied = 0;
    for (const auto& report : sessions.await_all(std::move(calls))) {
      if (!report) throw std::runtime_error(report.error().to_string());
      applied += report->applied;
    }
    return applied;
  });
  int applied = 0;
  for (const int code : codes) applied += code;
  EXPECT_EQ(applied, static_cast<int>(known_migrations().size())) << testing::PrintToString(codes);
}

TEST_F(Migrations, WorkForAnAdminThatIsNoSuperuser) {
  server_.execute_as_superuser("CREATE ROLE " + name_ + "_admin LOGIN CREATEROLE CREATEDB PASSWORD 'for tests only'");
  server_.execute_as_superuser("ALTER DATABASE " + name_ + " OWNER TO " + name_ + "_admin");
  Sessions sessions;
  pg::Connection* connection = sessions.connect(server_.server_settings(name_, name_ + "_admin", "for tests only"));
  const auto report = sessions.await(migrate(connection, in(20s)));
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->applied, report->to);
}

TEST_F(Migrations, ApplyOnlyWhatIsMissing) {
  Sessions sessions;
  pg::Connection* connection = sessions.connect(settings());
  constexpr std::array steps{
      Migration{.version = 1, .name = "one", .sql = "CREATE TABLE opi.one (); CREATE TABLE opi.uno ()"},
      Migration{.version = 2, .name = "two", .sql = "CREATE TABLE opi.two ()"}};
  ASSERT_TRUE(sessions.await(migrate(connection, std::span(steps).first(1), in(20s))));
  const auto report = sessions.await(migrate(connection, steps, in(20s)));
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->from, 1);
  EXPECT_EQ(report->applied, 1);
  EXPECT_EQ(tables(), "opi.one opi.schema_migrations opi.two opi.uno");
}

TEST_F(Migrations, RefuseASchemaThatIsNewerThanTheProgram) {
  Sessions sessions;
  pg::Connection* connection = sessions.connect(settings());
  ASSERT_TRUE(sessions.await(migrate(connection, in(20s))));
  const auto older = known_migrations().first(known_migrations().size() - 1);
  const auto report = sessions.await(migrate(connection, older, in(20s)));
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind, ErrorKind::conflict);
  EXPECT_EQ(report.error().handling(), Handling::needs_person);
}

TEST_F(Migrations, RefuseARecordedStepThatReadsDifferently) {
  Sessions sessions;
  pg::Connection* connection = sessions.connect(settings());
  constexpr std::array mine{Migration{.version = 1, .name = "one", .sql = "CREATE TABLE opi.one ()"}};
  constexpr std::array theirs{Migration{.version = 1, .name = "one", .sql = "CREATE TABLE opi.other ()"}};
  ASSERT_TRUE(sessions.await(migrate(connection, mine, in(20s))));
  const auto report = sessions.await(migrate(connection, theirs, in(20s)));
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind, ErrorKind::conflict);
  EXPECT_EQ(tables(), "opi.one opi.schema_migrations");
}

TEST_F(Migrations, AFailedStepLeavesNothingBehindAndTheSessionUsable) {
  Sessions sessions;
  pg::Connection* connection = sessions.connect(settings());
  constexpr std::array steps{Migration{.version = 1, .name = "one", .sql = "CREATE TABLE opi.one ()"},
                             Migration{.version = 2, .name = "broken", .sql = "CREATE TABLE opi.half (); SELECT 1/0"}};
  const auto report = sessions.await(migrate(connection, steps, in(20s)));
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, "22012");
  EXPECT_NE(report.error().message.find("version 2 (broken)"), std::string::npos) << report.error().message;
  EXPECT_EQ(tables(), "opi.one opi.schema_migrations");
  EXPECT_EQ(connection->transaction_status(), pg::TransactionStatus::idle);
  EXPECT_TRUE(sessions.await(migrate(connection, std::span(steps).first(1), in(20s))));
}

TEST_F(Migrations, WaitForAnotherProcessNoLongerThanTheDeadline) {
  Sessions sessions;
  pg::Connection* other = sessions.connect(settings());
  pg::Connection* connection = sessions.connect(settings());
  ASSERT_TRUE(sessions.await(other->query("SELECT pg_advisory_lock($1)", {migration_lock})));
  const auto began = std::chrono::steady_clock::now();
  const auto report = sessions.await(migrate(connection, in(300ms)));
  const auto took = std::chrono::steady_clock::now() - began;
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind, ErrorKind::timed_out);
  EXPECT_GE(took, 290ms);
  EXPECT_LT(took, 2s);
  EXPECT_FALSE(connection->broken());
  ASSERT_TRUE(sessions.await(other->query("SELECT pg_advisory_unlock($1)", {migration_lock})));
  EXPECT_TRUE(sessions.await(migrate(connection, in(20s))));
}

}  // namespace
}  // namespace opi::store
