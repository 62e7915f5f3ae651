// One writer per catalogue row: across sessions and processes, within the deadline, and never left behind.
#include "store/catalogue_locks.hpp"

#include <algorithm>

#include "aio/with_deadline.hpp"
#include "integration/store/store_test.hpp"
#include "pg/database_pool.hpp"

namespace opi::store {
namespace {

CatalogueRow role(const std::string& name) {
  return {.server_id = 1, .kind = RowKind::role, .name = name};
}

class Locks : public StoreDatabase {
 protected:
  template <class T>
  T await(Task<T> task) {
    return sessions_.await(std::move(task));
  }
  pg::Connection* connect() { return sessions_.connect(settings()); }
  Result<CatalogueLocks> lock(pg::Connection* connection, std::vector<CatalogueRow> rows,
                              std::chrono::milliseconds patience = 20s) {
    return await(CatalogueLocks::acquire(connection, std::move(rows), in(patience)));
  }
  /// How many advisory locks the session holds, as the server sees it.
  std::string held_by(pg::Connection* connection) const {
    return query("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = " +
                 std::to_string(connection->backend_pid()));
  }

  Sessions sessions_;
};

TEST_F(Locks, AreHeldUntilGivenBack) {
  pg::Connection* one = connect();
  pg::Connection* two = connect();
  auto mine = lock(one, {role("a"), role("b"), role("a")});
  ASSERT_TRUE(mine) << mine.error().to_string();
  EXPECT_EQ(held_by(one), "2");  // a row named twice is locked once
  const auto refused = lock(two, {role("b")}, 50ms);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::timed_out);
  ASSERT_TRUE(await(mine->release()));
  EXPECT_FALSE(mine->held());
  EXPECT_EQ(held_by(one), "0");
  EXPECT_TRUE(lock(two, {role("b")}));
}

TEST_F(Locks, CostOneStatementWhenFreeAndOneToGiveBack) {
  pg::Connection* connection = connect();
  const auto before = connection->statements_run();
  auto mine = lock(connection, {role("a"), role("b"), role("c")});
  ASSERT_TRUE(mine);
  EXPECT_EQ(connection->statements_run() - before, 1U);
  ASSERT_TRUE(await(mine->release()));
  EXPECT_EQ(connection->statements_run() - before, 2U);
}

TEST_F(Locks, OfOtherRowsKindsAndServersDoNotExclude) {
  pg::Connection* one = connect();
  pg::Connection* two = connect();
  ASSERT_TRUE(lock(one, {role("a")}));
  EXPECT_TRUE(lock(two,
                   {role("b"),
                    {.server_id = 2, .kind = RowKind::role, .name = "a"},
                    {.server_id = 1, .kind = RowKind::database, .name = "a"}},
                   0ms));
}

TEST_F(Locks, ADeadlineIsKeptAndTheHolderIsNamed) {
  pg::Connection* one = connect();
  pg::Connection* two = connect();
  ASSERT_TRUE(lock(one, {role("shop_prod")}));
  const auto began = std::chrono::steady_clock::now();
  const auto refused = lock(two, {role("free"), role("shop_prod"), role("also free")}, 400ms);
  const auto took = std::chrono::steady_clock::now() - began;
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::timed_out);
  EXPECT_GE(took, 390ms);
  EXPECT_LT(took, 2s);
  const std::string text = refused.error().to_string();
  EXPECT_NE(text.find("role shop_prod of server 1"), std::string::npos) << text;
  EXPECT_NE(text.find("backend " + std::to_string(one->backend_pid())), std::string::npos) << text;
  EXPECT_EQ(held_by(two), "0");
  EXPECT_FALSE(two->broken());
  EXPECT_EQ(two->transaction_status(), pg::TransactionStatus::idle);
  const auto timeout = await(two->query("SHOW lock_timeout"));
  EXPECT_EQ((*timeout)[0].text(0), "30s");  // what was set for the wait went with it
}

TEST_F(Locks, OfASessionThatDiesAreFree) {
  pg::Connection* one = connect();
  pg::Connection* two = connect();
  ASSERT_TRUE(lock(one, {role("a")}));
  server_.execute_as_superuser("SELECT pg_terminate_backend(" + std::to_string(one->backend_pid()) + ")");
  EXPECT_TRUE(lock(two, {role("a")}));
}

Task<int> lock_and_unlock(pg::Connection* connection, std::vector<CatalogueRow> rows, int times) {
  int done = 0;
  for (int i = 0; i < times; ++i) {
    std::vector<CatalogueRow> wanted = rows;
    auto mine = co_await CatalogueLocks::acquire(connection, std::move(wanted), in(30s));
    if (!mine) co_return done;
    const auto released = co_await mine->release();
    if (!released) co_return done;
    ++done;
  }
  co_return done;
}

TEST_F(Locks, TakenInAnyOrderDoNotDeadlock) {
  std::vector<Task<int>> flows;
  const std::vector<CatalogueRow> rows{role("a"), role("b"), role("c"), role("d")};
  for (std::size_t i = 0; i < 8; ++i) {
    std::vector<CatalogueRow> mine = rows;
    std::rotate(mine.begin(), mine.begin() + static_cast<std::ptrdiff_t>(i % 4), mine.end());
    mine.pop_back();
    flows.push_back(lock_and_unlock(connect(), mine, 10));
  }
  EXPECT_EQ(sessions_.await_all(std::move(flows)), std::vector<int>(8, 10));
  EXPECT_EQ(server_.log_text().find("deadlock detected"), std::string::npos);
}

/// Adds one to a counter by reading and writing, which loses updates unless one flow at a time does it.
Task<int> count_up(pg::Connection* connection, int times) {
  int done = 0;
  for (int i = 0; i < times; ++i) {
    std::vector<CatalogueRow> rows{role("counter"), role("other")};
    auto mine = co_await CatalogueLocks::acquire(connection, std::move(rows), in(40s));
    if (!mine) co_return done;
    const auto value = co_await connection->query("SELECT n FROM public.counter");
    if (!value) co_return done;
    const auto written = co_await connection->query("UPDATE public.counter SET n = $1", {(*value)[0].get<int>(0) + 1});
    const auto released = co_await mine->release();
    if (!written || !released) co_return done;
    ++done;
  }
  co_return done;
}

TEST_F(StoreDatabase, SixteenFlowsInFourProcessesWriteOneAfterAnother) {
  server_.execute_as_superuser("CREATE TABLE public.counter AS SELECT 0 AS n", name_);
  const auto codes = in_processes(4, [&](int) {
    Sessions sessions;
    std::vector<Task<int>> flows;
    for (int i = 0; i < 4; ++i) flows.push_back(count_up(sessions.connect(settings()), 5));
    int done = 0;
    for (const int each : sessions.await_all(std::move(flows))) done += each;
    return done;
  });
  EXPECT_EQ(codes, std::vector<int>(4, 20));
  EXPECT_EQ(query("SELECT n FROM public.counter"), "80");
}

/// A pool of one connection.
class LeasedLocks : public Locks {
 protected:
  LeasedLocks() : pool_(sessions_.context().get_executor(), config(settings()), *sessions_.blocking(), Logger()) {
    if (!await(pool_.start(in(20s)))) throw std::runtime_error("pool");
  }
  ~LeasedLocks() override { (void)await(pool_.close(in(5s))); }

  static pg::PoolConfig config(pg::ServerSettings server) {
    pg::PoolConfig config;
    config.name = "main";
    config.server = std::move(server);
    config.pool.min = 1;
    config.pool.max = 1;
    return config;
  }
  pg::Lease lease() {
    auto lease = await(pool_.acquire());
    if (!lease) throw std::runtime_error(lease.error().to_error().to_string());
    return std::move(*lease);
  }
  std::string locks_in_database() const {
    return query(
        "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE locktype = 'advisory' AND "
        "datname = current_database()");
  }

  pg::DatabasePool pool_;
};

Task<Result<>> locked_once(pg::Lease lease, std::vector<CatalogueRow> rows) {
  auto locked = co_await LockedLease::acquire(std::move(lease), std::move(rows), in(30s));
  if (!locked) co_return failure(locked.error());
  co_return Result<>{};
}

TEST_F(LeasedLocks, ReleasedTheConnectionGoesOnToServe) {
  auto locked = await(LockedLease::acquire(lease(), {role("a")}, in(20s)));
  ASSERT_TRUE(locked) << locked.error().to_string();
  const int backend = locked->connection()->backend_pid();
  EXPECT_EQ(locks_in_database(), "1");
  auto returned = await(locked->release(in(20s)));
  ASSERT_TRUE(returned) << returned.error().to_string();
  EXPECT_EQ(locks_in_database(), "0");
  EXPECT_EQ((*returned)->backend_pid(), backend);
  returned->release();
  EXPECT_EQ(lease()->backend_pid(), backend);
}

TEST_F(LeasedLocks, DroppedWithoutReleaseTheSessionIsClosed) {
  int backend = 0;
  {
    auto locked = await(LockedLease::acquire(lease(), {role("a")}, in(20s)));
    ASSERT_TRUE(locked) << locked.error().to_string();
    backend = locked->connection()->backend_pid();
  }
  // Another session gets the lock as soon as the server has noticed; the pool has a new connection.
  EXPECT_TRUE(lock(connect(), {role("a")}));
  EXPECT_NE(lease()->backend_pid(), backend);
}

TEST_F(LeasedLocks, ARefusalGivesACleanConnectionBack) {
  pg::Connection* other = connect();
  ASSERT_TRUE(lock(other, {role("a")}));
  const int backend = lease()->backend_pid();
  const auto refused = await(LockedLease::acquire(lease(), {role("a"), role("b")}, in(100ms)));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::timed_out);
  EXPECT_EQ(locks_in_database(), "1");
  EXPECT_EQ(lease()->backend_pid(), backend);
}

TEST_F(LeasedLocks, AWaiterThatIsCancelledLeavesNothingBehind) {
  pg::Connection* other = connect();
  auto blocker = lock(other, {role("m")});
  ASSERT_TRUE(blocker);
  // Rows on both sides of the one that is held: some are taken already when the cancellation comes.
  std::vector<CatalogueRow> rows{role("m")};
  for (const char* name : {"a", "b", "c", "d", "e", "f"}) rows.push_back(role(name));
  const auto stopped = await(aio::with_deadline(locked_once(lease(), rows), in(200ms), "stopped"));
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().kind, ErrorKind::timed_out);
  ASSERT_TRUE(await(blocker->release()));
  EXPECT_TRUE(lock(connect(), rows));
  EXPECT_TRUE(await(lease()->query("SELECT 1")));
}

}  // namespace
}  // namespace opi::store
