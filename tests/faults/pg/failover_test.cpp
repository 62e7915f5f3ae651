// A primary and its standbys: which one a pool goes to, and that it follows when they change places.
#include "integration/pg/pool_fixture.hpp"
#include "pg/database_pools.hpp"

namespace opi::pg {
namespace {

using test::PostgresServer;

/// One cluster for all tests that do not break it.
struct Cluster {
  PostgresServer primary{{.replicates = true}};
  PostgresServer standby{test::StandbyOf{&primary}};
};

class FailoverTest : public PoolTest {
 protected:
  PoolConfig to(std::initializer_list<const PostgresServer*> servers, SessionTarget target, std::uint32_t min = 2,
                std::uint32_t max = 4) const {
    PoolConfig pool = config(min, max);
    pool.server = (*servers.begin())->server_settings();
    pool.server.application_name = application_;
    pool.server.hosts.clear();
    for (const PostgresServer* server : servers) {
      pool.server.hosts.push_back({.host = server->host(), .port = server->port()});
    }
    pool.server.target = target;
    return pool;
  }
  std::string port_of(Lease& lease) { return scalar(lease, "SELECT current_setting('port')"); }
  static std::string port(const PostgresServer& server) { return std::to_string(server.port()); }

  static Cluster& cluster() {
    static Cluster shared;
    return shared;
  }
};

TEST_F(FailoverTest, PoolScenario44_EachTargetFindsItsServerInWhateverOrderTheyAreNamed) {
  PostgresServer& primary = cluster().primary;
  PostgresServer& standby = cluster().standby;
  struct Case {
    SessionTarget target;
    const PostgresServer* goes_to;
  };
  for (const Case& one : {Case{SessionTarget::any, &standby}, Case{SessionTarget::read_write, &primary},
                          Case{SessionTarget::primary, &primary}, Case{SessionTarget::read_only, &standby},
                          Case{SessionTarget::standby, &standby}, Case{SessionTarget::prefer_standby, &standby}}) {
    DatabasePool& pool = open(to({&standby, &primary}, one.target));
    Lease lease = take(pool);
    EXPECT_EQ(port_of(lease), port(*one.goes_to)) << to_string(one.target);
    lease.release();
    run(pool.close(in(5s)));
  }
  for (const SessionTarget target : {SessionTarget::standby, SessionTarget::prefer_standby}) {
    DatabasePool& pool = open(to({&primary, &standby}, target));
    Lease lease = take(pool);
    EXPECT_EQ(port_of(lease), port(standby)) << to_string(target);
    lease.release();
    run(pool.close(in(5s)));
  }
}

TEST_F(FailoverTest, PoolScenario44_WithoutAStandbyThePrimaryIsPreferredToNothing) {
  DatabasePool& pool = open(to({&cluster().primary}, SessionTarget::prefer_standby));
  Lease lease = take(pool);
  EXPECT_EQ(port_of(lease), port(cluster().primary));
}

TEST_F(FailoverTest, PoolScenario44_NoServerOfTheWantedRoleIsSaidAndWaitedFor) {
  PoolConfig wrong = to({&cluster().standby}, SessionTarget::read_write, 1, 2);
  DatabasePool& pool = make(wrong);
  const auto started = run(pool.start(in(10s)));
  ASSERT_FALSE(started);
  EXPECT_NE(started.error().to_string().find("no read-write server: "), std::string::npos)
      << started.error().to_string();
  EXPECT_NE(started.error().to_string().find(" is a standby"), std::string::npos) << started.error().to_string();
  const auto acquired = run(pool.acquire({.deadline = in(300ms), .task = {}}));
  ASSERT_FALSE(acquired);
  EXPECT_EQ(acquired.error().kind, AcquireErrorKind::timed_out) << "a cluster is about to choose its primary";
  EXPECT_NE(pool.describe().find(": standby, 0 connections"), std::string::npos) << pool.describe();
}

TEST_F(FailoverTest, AReadOnlyPoolNeverWritesWhateverItsServerIs) {
  PostgresServer primary({.replicates = true});
  PostgresServer standby(test::StandbyOf{&primary});
  DatabasePool& pool = open(to({&standby}, SessionTarget::read_only, 1, 1));
  Lease lease = take(pool);
  standby.promote();
  const auto refused = run(lease->execute("CREATE TABLE written (a int)"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "25006");
}

TEST_F(FailoverTest, PoolScenario43_ThePoolMovesToTheNewPrimaryWithoutARestart) {
  PostgresServer primary({.replicates = true});
  PostgresServer standby(test::StandbyOf{&primary});
  primary.execute_as_superuser("CREATE TABLE item (a int)");
  DatabasePool& pool = open(to({&standby, &primary}, SessionTarget::read_write, 0, 3));
  Lease first = take(pool);
  EXPECT_EQ(port_of(first), port(primary));
  Lease second = take(pool);
  second.release();
  ASSERT_TRUE(run(first->execute("INSERT INTO public.item VALUES (1)")));
  first.release();
  ASSERT_TRUE(eventually(
      [&] { return standby.query_as_superuser("SELECT pg_catalog.to_regclass('public.item') IS NOT NULL") == "t"; }));
  ASSERT_TRUE(eventually([&] { return standby.query_as_superuser("SELECT count(*) FROM item") == "1"; }));
  // The old primary dies, the standby takes its place: what was known of its role is not waited for.
  primary.stop(test::PostgresStop::immediate);
  standby.promote();
  ASSERT_TRUE(eventually([&] {
    auto lease = run(pool.acquire({.deadline = in(1s), .task = {}}));
    return lease && run((**lease).execute("INSERT INTO public.item VALUES (2)")).has_value();
  }));
  Lease moved = take(pool);
  EXPECT_EQ(port_of(moved), port(standby));
  EXPECT_EQ(scalar(moved, "SELECT count(*) >= 2 FROM public.item"), "t");
}

TEST_F(FailoverTest, PoolScenario44_APromotedStandbyIsLeftByThoseWhoOnlyWantStandbys) {
  PostgresServer primary({.replicates = true});
  PostgresServer standby(test::StandbyOf{&primary});
  PostgresServer other(test::StandbyOf{&primary});
  PoolConfig reads = to({&standby, &other}, SessionTarget::standby, 0, 3);
  reads.server.role_recheck = 200ms;
  DatabasePool& pool = open(reads);
  std::vector<Lease> leases;
  for (int i = 0; i < 3; ++i) leases.push_back(take(pool));
  for (Lease& lease : leases) EXPECT_EQ(port_of(lease), port(standby));
  standby.promote();
  // One session hears of it with its next answer; its siblings are not lent again.
  (void)scalar(leases[0], "SELECT 1");
  leases.clear();
  for (int i = 0; i < 3; ++i) leases.push_back(take(pool));
  for (Lease& lease : leases) EXPECT_EQ(port_of(lease), port(other));
  EXPECT_GE(pool.stats().fenced, 1U);
  EXPECT_EQ(pool.stats().closed_fenced, 3U);
}

TEST_F(FailoverTest, PoolScenario44_TheFirstHostIsDownAndTheOthersShareTheLoad) {
  PostgresServer& primary = cluster().primary;
  PostgresServer& standby = cluster().standby;
  PostgresServer gone;
  gone.stop();
  PoolConfig balanced = to({&gone, &standby, &primary}, SessionTarget::any, 6, 6);
  balanced.server.host_order = HostOrder::balanced;
  DatabasePool& pool = make(balanced);
  (void)run(pool.start(in(10s)));
  ASSERT_TRUE(eventually([&] { return pool.stats().idle == 6; }));
  for (const PoolHost& host : pool.stats().hosts) {
    EXPECT_EQ(host.connections, host.available ? 3U : 0U) << host.host;
  }
}

TEST_F(FailoverTest, PoolScenario44_AllHostsDownIsAnOutageThatEndsWithTheFirstThatComesBack) {
  PostgresServer one;
  PostgresServer two;
  DatabasePool& pool = open(to({&one, &two}, SessionTarget::any, 1, 2));
  one.stop();
  two.stop();
  ASSERT_TRUE(eventually([&] { return !pool.stats().available; }));
  const auto refused = run(pool.acquire());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, AcquireErrorKind::unavailable);
  two.start();
  ASSERT_TRUE(eventually([&] { return pool.stats().idle == 1; }));
  Lease lease = take(pool);
  EXPECT_EQ(port_of(lease), port(two));
}

TEST_F(FailoverTest, PoolScenario43_AReadOnlyTransactionOfItsOwnIsNoReasonToLeave) {
  DatabasePool& pool = open(to({&cluster().primary}, SessionTarget::read_write, 1, 1));
  Lease lease = take(pool);
  const int pid = lease->backend_pid();
  ASSERT_TRUE(run(lease->execute("BEGIN READ ONLY")));
  const auto refused = run(lease->execute("CREATE TABLE never (a int)"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "25006");
  lease.release();
  Lease again = take(pool);
  EXPECT_EQ(again->backend_pid(), pid);
  EXPECT_EQ(pool.stats().fenced, 0U);
}

TEST_F(FailoverTest, ASingleConnectionFindsItsServerToo) {
  const PoolConfig pool = to({&cluster().standby, &cluster().primary}, SessionTarget::primary);
  auto connection = run(Connection::connect(io_.get_executor(), pool.server, blocking_, in(10s)));
  ASSERT_TRUE(connection) << connection.error().to_string();
  EXPECT_EQ(connection->reported_role(), HostRole::primary);
  EXPECT_EQ(run(connection->ask_role(in(5s))).value(), HostRole::primary);
  const auto none = run(Connection::connect(io_.get_executor(), to({&cluster().standby}, SessionTarget::primary).server,
                                            blocking_, in(10s)));
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, "25006");
}

}  // namespace
}  // namespace opi::pg
