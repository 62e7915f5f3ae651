// The control database is made once, by whoever comes first, and no stranger ever gets in.
#include "store/control_database.hpp"

#include "integration/store/store_test.hpp"

namespace opi::store {
namespace {

enum class Admin { superuser, createrole_createdb };

/// A name that no database has yet, and an admin of either kind.
class ControlDatabase : public testing::TestWithParam<Admin> {
 protected:
  ControlDatabase() : name_(server_.create_database("control")) {
    server_.execute_as_superuser("DROP DATABASE " + name_);
    if (GetParam() == Admin::superuser) return;
    admin_ = name_ + "_admin";
    server_.execute_as_superuser("CREATE ROLE " + admin_ + " LOGIN CREATEROLE CREATEDB PASSWORD 'for tests only'");
  }

  pg::ServerSettings settings() const {
    return admin_.empty() ? server_.server_settings(name_) : server_.server_settings(name_, admin_, "for tests only");
  }
  Result<ControlDatabaseReport> ensure(Sessions& sessions) const {
    return sessions.await(
        ensure_control_database(sessions.context().get_executor(), settings(), sessions.blocking(), in(20s)));
  }
  std::string catalogue(const std::string& what) const {
    return server_.query_as_superuser("SELECT (" + what + ")::text FROM pg_database d WHERE datname = '" + name_ + "'");
  }
  std::string public_rights() const {
    return catalogue(
        "SELECT count(*) FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a WHERE a.grantee = 0");
  }

  test::PostgresServer& server_ = test::PostgresServer::shared();
  const std::string name_;
  std::string admin_;
};

TEST_P(ControlDatabase, IsCreatedFromTemplate0AndClosedToPublic) {
  Sessions sessions;
  const auto report = ensure(sessions);
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_TRUE(report->created);
  EXPECT_EQ(public_rights(), "0");
  EXPECT_EQ(catalogue("datallowconn"), "true");
  EXPECT_EQ(catalogue("pg_encoding_to_char(encoding)"), "UTF8");

  server_.execute_as_superuser("CREATE ROLE " + name_ + "_stranger LOGIN PASSWORD 'for tests only'");
  const auto stranger = sessions.try_connect(server_.server_settings(name_, name_ + "_stranger", "for tests only"));
  ASSERT_FALSE(stranger);
  EXPECT_EQ(stranger.error().code, "42501");
}

TEST_P(ControlDatabase, ASecondCallChangesNothing) {
  Sessions sessions;
  ASSERT_TRUE(ensure(sessions));
  const std::string before = catalogue("d.xmin::text || d.ctid::text");
  const auto report = ensure(sessions);
  ASSERT_TRUE(report);
  EXPECT_FALSE(report->created);
  EXPECT_FALSE(report->public_revoked);
  EXPECT_EQ(catalogue("d.xmin::text || d.ctid::text"), before);
}

TEST_P(ControlDatabase, OneMadeByHandIsClosedToPublic) {
  server_.execute_as_superuser("CREATE DATABASE " + name_ + (admin_.empty() ? "" : " OWNER " + admin_));
  Sessions sessions;
  const auto report = ensure(sessions);
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_FALSE(report->created);
  EXPECT_TRUE(report->public_revoked);
  EXPECT_EQ(public_rights(), "0");
}

TEST_P(ControlDatabase, WhatSomebodyLeftHalfMadeIsFinished) {
  // As left behind by a process that died right after CREATE DATABASE.
  server_.execute_as_superuser("CREATE DATABASE " + name_ + " TEMPLATE template0 ALLOW_CONNECTIONS false" +
                               (admin_.empty() ? "" : " OWNER " + admin_));
  Sessions sessions;
  const auto report = ensure(sessions);
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_FALSE(report->created);
  EXPECT_EQ(public_rights(), "0");
  EXPECT_EQ(catalogue("datallowconn"), "true");
}

TEST_P(ControlDatabase, OneThatAPersonClosedStaysClosed) {
  Sessions sessions;
  ASSERT_TRUE(ensure(sessions));
  server_.execute_as_superuser("ALTER DATABASE " + name_ + " ALLOW_CONNECTIONS false");
  const auto report = ensure(sessions);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind, ErrorKind::conflict);
  EXPECT_EQ(report.error().handling(), Handling::needs_person);
  EXPECT_EQ(catalogue("datallowconn"), "false");
}

TEST_P(ControlDatabase, SixteenCallsInFourProcessesAgree) {
  const auto codes = in_processes(4, [&](int) {
    Sessions sessions;
    std::vector<Task<Result<ControlDatabaseReport>>> calls;
    for (int i = 0; i < 4; ++i) {
      calls.push_back(
          ensure_control_database(sessions.context().get_executor(), settings(), sessions.blocking(), in(40s)));
    }
    int created = 0;
    for (const auto& report : sessions.await_all(std::move(calls))) {
      if (!report) throw std::runtime_error(report.error().to_string());
      created += report->created ? 1 : 0;
    }
    return created;
  });
  int created = 0;
  for (const int code : codes) created += code;
  EXPECT_EQ(created, 1) << testing::PrintToString(codes);
  EXPECT_EQ(public_rights(), "0");
}

INSTANTIATE_TEST_SUITE_P(Admins, ControlDatabase, testing::Values(Admin::superuser, Admin::createrole_createdb),
                         [](const auto& each) {
                           return each.param == Admin::superuser ? "Superuser" : "CreateroleCreatedb";
                         });

TEST_F(StoreDatabase, AControlDatabaseOfAnotherOwnerThatStaysOpenIsRefused) {
  // The server only warns about such a REVOKE (01006 or 42501), and PUBLIC keeps its rights.
  server_.execute_as_superuser("CREATE ROLE " + name_ + "_admin LOGIN CREATEROLE CREATEDB PASSWORD 'for tests only'");
  Sessions sessions;
  const auto report = sessions.await(ensure_control_database(
      sessions.context().get_executor(), server_.server_settings(name_, name_ + "_admin", "for tests only"),
      sessions.blocking(), in(20s)));
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind, ErrorKind::denied);
  EXPECT_NE(report.error().remedy.find("REVOKE ALL ON DATABASE"), std::string::npos);
}

TEST_F(StoreDatabase, AnAdminWithoutCreatedbIsToldWhatIsMissing) {
  server_.execute_as_superuser("CREATE ROLE " + name_ + "_poor LOGIN PASSWORD 'for tests only'");
  Sessions sessions;
  const auto report = sessions.await(ensure_control_database(
      sessions.context().get_executor(), server_.server_settings(name_ + "_absent", name_ + "_poor", "for tests only"),
      sessions.blocking(), in(20s)));
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind, ErrorKind::denied);
  EXPECT_EQ(report.error().code, "42501");
  EXPECT_NE(report.error().remedy.find("CREATEDB"), std::string::npos);
}

}  // namespace
}  // namespace opi::store
