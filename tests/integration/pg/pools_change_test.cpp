// The named pools against a real server: plans applied, refused and undone; changes of a schema.
#include "pg/database_pools.hpp"

#include <fstream>

#include "integration/pg/pool_fixture.hpp"
#include "pg/password_source.hpp"
#include "support/temporary_directory.hpp"

namespace opi::pg {
namespace {

class PoolsChangeTest : public PoolTest {
 protected:
  void TearDown() override {
    run(named_.close(in(5s)));
    PoolTest::TearDown();
  }
  PoolConfig named(std::string name, std::uint32_t min = 1, std::uint32_t max = 4) const {
    PoolConfig pool = config(min, max);
    pool.name = std::move(name);
    return pool;
  }
  void initialize(std::vector<PoolConfig> configs) {
    const auto starts = run(named_.initialize(std::move(configs), in(10s)));
    if (!starts) throw std::runtime_error(starts.error().to_string());
  }
  Result<> apply(std::vector<PoolConfig> wanted) { return run(named_.apply(named_.plan(std::move(wanted)), in(5s))); }
  DatabasePool& pool(std::string_view name) { return named_.get(name)->get(); }

  DatabasePools named_{io_.get_executor(), blocking_, Logger()};
};

TEST_F(PoolsChangeTest, PoolScenario69_AChangeThatNeedsNoSessionRecyclesNone) {
  initialize({named("main")});
  Lease lease = take(pool("main"));
  const int pid = lease->backend_pid();
  lease.release();
  PoolConfig wanted = named("main", 1, 8);
  wanted.pool.acquire_timeout = 7s;
  wanted.server.connect_timeout = 3s;
  ASSERT_TRUE(apply({wanted}));
  EXPECT_EQ(pool("main").config().pool.max, 8U);
  EXPECT_EQ(pool("main").config().server.connect_timeout, 3s);
  EXPECT_EQ(take(pool("main"))->backend_pid(), pid);
  EXPECT_TRUE(named_.plan({wanted}).empty());
}

TEST_F(PoolsChangeTest, PoolScenario69_AChangeThatNeedsNewSessionsLetsLentOnesFinish) {
  initialize({named("main", 2)});
  DatabasePool& main = pool("main");
  Lease old = take(main);
  const int pid = old->backend_pid();
  PoolConfig wanted = named("main", 2);
  wanted.server.statement_timeout = 12'345ms;
  ASSERT_TRUE(apply({wanted}));
  EXPECT_EQ(&pool("main"), &main) << "who has the pool keeps it";
  EXPECT_EQ(scalar(old, "SELECT pg_backend_pid()"), std::to_string(pid));
  Lease fresh = take(main);
  EXPECT_EQ(scalar(fresh, "SHOW statement_timeout"), "12345ms");
  old.release();
  fresh.release();
  ASSERT_TRUE(eventually([&] { return main.stats().closed_recycled >= 2; }));
  EXPECT_NE(take(main)->backend_pid(), pid);
}

TEST_F(PoolsChangeTest, PoolScenario86_WhatAPoolCountedVanishesWithIt) {
  initialize({named("main"), named("reports")});
  take(pool("reports")).release();
  const auto names = [&] {
    std::vector<std::string> found;
    for (const PoolStats& stats : named_.stats()) found.push_back(stats.name);
    return found;
  };
  ASSERT_EQ(names(), (std::vector<std::string>{"main", "reports"}));
  ASSERT_TRUE(apply({named("main")}));
  EXPECT_EQ(names(), std::vector<std::string>{"main"});
  ASSERT_TRUE(apply({named("main"), named("reports")}));
  ASSERT_EQ(names(), (std::vector<std::string>{"main", "reports"}));
  EXPECT_EQ(named_.stats()[1].acquired, 0U) << "another pool of the same name counts for itself";
}

TEST_F(PoolsChangeTest, PoolScenario82_ACanaryThatFailsLeavesEverythingAsItWas) {
  initialize({named("main"), named("reports")});
  const int pid = take(pool("main"))->backend_pid();
  PoolConfig larger = named("main", 1, 9);
  PoolConfig stranger = named("reports");
  stranger.server.user = "nobody_of_this_name";
  const auto refused = apply({larger, stranger});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::unavailable);
  EXPECT_EQ(refused.error().code, "28P01");
  EXPECT_NE(refused.error().to_string().find("a first connection failed for pool reports"), std::string::npos)
      << refused.error().to_string();
  EXPECT_EQ(pool("main").config().pool.max, 4U) << "all or nothing";
  EXPECT_EQ(pool("reports").config().server.user, server_.superuser());
  EXPECT_EQ(take(pool("main"))->backend_pid(), pid);
  EXPECT_EQ(scalar(*std::make_unique<Lease>(take(pool("reports"))), "SELECT 1"), "1");
}

TEST_F(PoolsChangeTest, PoolScenario82_AnAddedPoolThatCannotStartIsTakenBack) {
  server_.execute_as_superuser(
      "DROP ROLE IF EXISTS narrow; CREATE ROLE narrow LOGIN CONNECTION LIMIT 1 PASSWORD 'narrow'");
  initialize({named("main")});
  PoolConfig added = named("narrow", 3, 3);
  added.server.user = "narrow";
  added.server.password = fixed_password(SecretString("narrow"));
  const auto refused = apply({named("main", 1, 9), added});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().to_string().find("cannot start pool narrow"), std::string::npos)
      << refused.error().to_string();
  EXPECT_FALSE(named_.get("narrow"));
  EXPECT_EQ(pool("main").config().pool.max, 4U);
  EXPECT_TRUE(named_.plan({named("main")}).empty());
}

TEST_F(PoolsChangeTest, PoolScenario82_ARejectedPlanAndOneOfYesterdayAreNotApplied) {
  initialize({named("main")});
  PoolConfig wrong = named("main");
  wrong.pool.min = 100;
  const auto rejected = apply({wrong});
  ASSERT_FALSE(rejected);
  EXPECT_EQ(rejected.error().kind, ErrorKind::invalid);
  EXPECT_NE(rejected.error().to_string().find("pool main: pool.min: 100 is above"), std::string::npos);
  PoolPlan early = named_.plan({named("main", 1, 7)});
  ASSERT_TRUE(apply({named("main", 1, 6)}));
  const auto late = run(named_.apply(std::move(early), in(5s)));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind, ErrorKind::conflict);
  EXPECT_EQ(pool("main").config().pool.max, 6U);
}

TEST_F(PoolsChangeTest, PoolsAreAddedReplacedAndRemoved) {
  const std::string other = server_.create_database("elsewhere");
  initialize({named("main"), named("old"), named("moved")});
  DatabasePool& old = pool("old");
  PoolConfig moved = named("moved");
  moved.server.database = other;
  ASSERT_TRUE(apply({named("main"), moved, named("fresh")}));
  EXPECT_EQ(named_.list(), (std::vector<std::string>{"fresh", "main", "moved"}));
  Lease lease = take(pool("moved"));
  EXPECT_EQ(scalar(lease, "SELECT current_database()"), other);
  EXPECT_EQ(scalar(*std::make_unique<Lease>(take(pool("fresh"))), "SELECT 1"), "1");
  const auto closed = run(old.acquire());
  ASSERT_FALSE(closed);
  EXPECT_EQ(closed.error().kind, AcquireErrorKind::closed) << "a reference to it stays good";
}

TEST_F(PoolsChangeTest, PoolScenario70_ARotatedPasswordIsTakenFromItsFileAndABadOneCostsNoSession) {
  server_.execute_as_superuser("DROP ROLE IF EXISTS keyed; CREATE ROLE keyed LOGIN PASSWORD 'first'");
  const test::TemporaryDirectory folder;
  const auto write = [&](std::string_view text) { std::ofstream(folder.path() / "password") << text; };
  write("first\n");
  PoolConfig keyed = named("main", 1, 3);
  keyed.server.user = "keyed";
  keyed.server.password = password_from_file((folder.path() / "password").string());
  initialize({keyed});
  DatabasePool& main = pool("main");
  Lease old = take(main);
  write("wrong\n");
  const auto refused = begin_acquire(main, {.deadline = in(400ms), .task = {}});
  ASSERT_TRUE(eventually([&] { return refused->done(); }));
  EXPECT_EQ(refused->result->error().sqlstate, "28P01");
  EXPECT_EQ(scalar(old, "SELECT 1"), "1") << "what lives lives on";
  server_.execute_as_superuser("ALTER ROLE keyed PASSWORD 'second'");
  write("second\n");
  EXPECT_TRUE(named_.plan({keyed}).empty());
  ASSERT_TRUE(apply({keyed}));
  Lease fresh = take(main, {.deadline = in(10s), .task = {}});
  EXPECT_EQ(scalar(fresh, "SELECT current_user"), "keyed") << "the refused pool dialled again at once";
  EXPECT_EQ(scalar(old, "SELECT 1"), "1");
}

TEST_F(PoolsChangeTest, PoolScenario91_OneSessionThatMeetsAChangedTableTellsEveryPoolOnTheDatabase) {
  const std::string database = server_.create_database("schema");
  const std::string other = server_.create_database("schema");
  std::vector<PoolConfig> configs = {named("main"), named("second"), named("elsewhere")};
  configs[0].server.database = configs[1].server.database = database;
  configs[2].server.database = other;
  for (const std::string& name : {database, other}) {
    server_.execute_as_superuser("CREATE TABLE item (a int); INSERT INTO item VALUES (1)", name);
  }
  initialize(configs);
  for (const char* name : {"main", "second", "elsewhere"}) {
    Lease lease = take(pool(name));
    ASSERT_TRUE(run(lease->query_prepared("SELECT * FROM public.item", {})));
  }
  server_.execute_as_superuser("ALTER TABLE item ADD COLUMN b int", database);
  {
    Lease lease = take(pool("main"));
    const auto healed = run(lease->query_prepared("SELECT * FROM public.item", {}));
    ASSERT_TRUE(healed);
    EXPECT_EQ(healed->columns(), 2);
  }
  Lease second = take(pool("second"));
  EXPECT_EQ(scalar(second, "SELECT count(*) FROM pg_prepared_statements"), "1") << "not deallocated yet";
  ASSERT_TRUE(run(second->execute("BEGIN")));
  const auto inside = run(second->query_prepared("SELECT * FROM public.item", {}));
  ASSERT_TRUE(inside) << "within a transaction nothing heals: it was told before";
  EXPECT_EQ(inside->columns(), 2);
}

TEST_F(PoolsChangeTest, PoolScenario91_AMigrationTellsEveryPoolOnItsDatabase) {
  initialize({named("main"), named("second")});
  EXPECT_EQ(named_.schema_changed("main"), 2U);
  EXPECT_EQ(named_.schema_changed("nobody"), 0U);
  ServerSettings elsewhere = named("main").server;
  elsewhere.database = "another";
  EXPECT_EQ(named_.schema_changed(elsewhere), 0U);
}

TEST_F(PoolsChangeTest, WhatOnePoolLearnsOfAHostTheOthersKnow) {
  test::PostgresServer server;
  std::vector<PoolConfig> configs = {named("main", 1, 2), named("second", 0, 2)};
  for (PoolConfig& one : configs) one.server = server.server_settings();
  initialize(configs);
  ASSERT_TRUE(eventually([&] { return pool("second").stats().idle == 1; }));
  pool("second").recycle();
  ASSERT_TRUE(eventually([&] { return pool("second").stats().idle + pool("second").stats().closing == 0; }));
  server.stop();
  ASSERT_TRUE(eventually([&] { return !pool("main").stats().available; }));
  const auto refused = run(pool("second").acquire());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, AcquireErrorKind::unavailable);
  EXPECT_NE(refused.error().last_error.find("connection refused by"), std::string::npos);
  server.start();
  EXPECT_TRUE(eventually([&] { return pool("main").stats().available && pool("second").stats().available; }));
  run(named_.close(in(5s)));
}

}  // namespace
}  // namespace opi::pg
