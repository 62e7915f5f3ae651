// Networks that cut, delay, split, corrupt and swallow; the numbers are those of the pool's test catalogue.
#include "faults/pg/fault_fixture.hpp"

namespace opi::pg {
namespace {

class PoolProxyTest : public FaultTest {
 public:
  /// Takes a connection, runs a statement on it and leaves the pool without it.
  static Task<Result<>> exchange(DatabasePool* pool, SteadyTime deadline) {
    auto lease = co_await pool->acquire({.deadline = deadline, .task = {}});
    if (!lease) co_return failure(lease.error().to_error());
    auto answer = co_await aio::with_deadline((*lease)->query("SELECT 1"), deadline, "a statement");
    if (!answer) co_return failure(std::move(answer.error()));
    if (answer->size() != 1 || (*answer)[0].text(0) != "1")
      co_return failure(ErrorKind::internal, "not what was asked");
    (*lease).discard();
    co_return Result<>{};
  }
};

TEST_F(PoolProxyTest, PoolScenario38_HalfOpenConnectionsAreFoundByThePingAndOthersServe) {
  test::FaultProxy proxy(server_.port());
  PoolConfig careful = at(proxy.port(), 2, 3);
  careful.pool.ping_after_idle = 1ms;
  careful.pool.ping_timeout = 100ms;
  DatabasePool& pool = open(careful);
  Lease first = take(pool);
  Lease second = take(pool);
  proxy.black_hole();
  Lease sound = take(pool);
  const int pid = sound->backend_pid();
  sound.release();
  first.release();
  second.release();  // the two dead ones are tried first
  const SteadyTime later = in(5ms);
  EXPECT_TRUE(eventually([&] { return std::chrono::steady_clock::now() > later; }));
  Lease lease = take(pool, {.deadline = in(10s), .task = {}});
  EXPECT_EQ(lease->backend_pid(), pid);
  EXPECT_EQ(scalar(lease, "SELECT 1"), "1");
  EXPECT_EQ(pool.stats().closed_broken, 2U);
}

TEST_F(PoolProxyTest, PoolScenario39_HalfOpenConnectionsThatReturnGiveTheirPlacesBackInTime) {
  constexpr std::uint32_t max = 4;
  test::FaultProxy proxy(server_.port());
  DatabasePool& pool = open(at(proxy.port(), max, max));
  std::vector<Lease> leases;
  for (std::uint32_t lease = 0; lease < max; ++lease) {
    leases.push_back(take(pool));
    ASSERT_TRUE(run(leases.back()->execute("BEGIN")));
  }
  proxy.black_hole();
  leases.clear();  // each wants a rollback that nobody answers
  for (std::uint32_t lease = 0; lease < max; ++lease) {
    leases.push_back(take(pool, {.deadline = in(20s), .task = {}}));
    EXPECT_EQ(scalar(leases.back(), "SELECT 1"), "1");
  }
  EXPECT_EQ(pool.stats().closed_broken, max);
}

/// One of several that share the cuts: a pool behind a proxy of its own.
struct Lane {
  DatabasePool* pool = nullptr;
  test::FaultProxy* proxy = nullptr;
  int failures = 0;
  int not_restored = 0;
  bool ended = false;
};

/// An idle pool without connections again; false when it does not get there.
Task<bool> restore(DatabasePool* pool) {
  const SteadyTime last = in(30s);
  bool served = false;
  while (!served && std::chrono::steady_clock::now() < last) {
    (void)co_await pool->recover(in(5s));
    served = (co_await PoolProxyTest::exchange(pool, in(5s))).has_value();
  }
  while (pool->stats().idle + pool->stats().closing + pool->stats().dialing > 0) {
    if (std::chrono::steady_clock::now() >= last) co_return false;
    co_await aio::sleep_for(1ms);
  }
  co_return served && pool->holders().empty() && pool->stats().waiting == 0;
}

Task<> cut_everywhere(Lane* lane, std::size_t first, std::size_t step, std::size_t to_server, std::size_t to_client) {
  for (std::size_t byte = first; byte < to_server + to_client; byte += step) {
    if (byte < to_server) {
      lane->proxy->set({.cut_after = byte}, {});
    } else {
      lane->proxy->set({}, {.cut_after = byte - to_server});
    }
    (void)co_await lane->pool->recover(in(10s));
    const auto done = co_await PoolProxyTest::exchange(lane->pool, in(10s));
    lane->failures += done ? 0 : 1;
    lane->proxy->heal();
    const bool restored = co_await restore(lane->pool);
    lane->not_restored += restored ? 0 : 1;
  }
  lane->ended = true;
}

TEST_F(PoolProxyTest, PoolScenario40_ThePoolIsRestoredAfterACutAtAnyByte) {
  constexpr std::size_t lanes = 8;
  test::FakePostgres server(test::friendly_server());
  std::vector<std::unique_ptr<test::FaultProxy>> proxies;
  std::array<Lane, lanes> walks;
  for (Lane& lane : walks) {
    lane.proxy = proxies.emplace_back(std::make_unique<test::FaultProxy>(server.port())).get();
    lane.pool = &open(at(lane.proxy->port(), 0, 1));
    take(*lane.pool).discard();
    ASSERT_TRUE(run(restore(lane.pool)));
  }
  const std::uint64_t sent_before = proxies[0]->bytes_to_server();
  const std::uint64_t got_before = proxies[0]->bytes_to_client();
  ASSERT_TRUE(run(restore(walks[0].pool)));
  const std::size_t sent = proxies[0]->bytes_to_server() - sent_before;
  const std::size_t got = proxies[0]->bytes_to_client() - got_before;
  ASSERT_GT(sent, 200U);
  ASSERT_GT(got, 150U);
  for (std::size_t first = 0; first < lanes; ++first) {
    asio::co_spawn(io_, cut_everywhere(&walks.at(first), first, lanes, sent, got),
                   [](const std::exception_ptr& exception) { EXPECT_FALSE(exception); });
  }
  ASSERT_TRUE(eventually([&] { return std::ranges::all_of(walks, &Lane::ended); }, 110s));
  std::size_t failures = 0;
  for (const Lane& lane : walks) {
    failures += static_cast<std::size_t>(lane.failures);
    EXPECT_EQ(lane.not_restored, 0);
  }
  EXPECT_GE(failures, got) << "a cut before the last byte of the answer fails the exchange";
  for (const Lane& lane : walks) EXPECT_TRUE(run(lane.pool->close(in(10s))));
}

TEST_F(PoolProxyTest, PoolScenario40_TheSameWithARealServer) {
  test::FaultProxy proxy(server_.port());
  DatabasePool& pool = open(at(proxy.port(), 0, 1));
  take(pool).discard();
  constexpr std::uint64_t step = 61;  // a login with SCRAM and a statement are about 1 500 bytes, both ways together
  for (std::uint64_t byte = 5; byte < 1'200 && !HasFatalFailure(); byte += step) {
    proxy.set({.cut_after = byte}, {.cut_after = byte + step / 2});
    (void)run(pool.recover(in(10s)));
    (void)run(exchange(&pool, in(10s)));
    proxy.heal();
    ASSERT_TRUE(heals(pool)) << byte;
    take(pool).discard();
    expect_all_back(pool);
  }
  EXPECT_TRUE(eventually([&] { return backends() == 0; })) << "no session is left behind";
}

TEST_F(PoolProxyTest, RecoverDialsAsSoonAsAPlaceIsFree) {
  DatabasePool& pool = open(config(0, 1));
  take(pool).discard();
  EXPECT_EQ(pool.stats().closing, 1U) << "it takes the only place";
  EXPECT_TRUE(run(pool.recover(in(20s))));
}

TEST_F(PoolProxyTest, PoolScenario41_CorruptedBytesCostTheConnectionAndNothingElse) {
  test::FakePostgres server(test::friendly_server());
  test::FaultProxy proxy(server.port());
  const std::size_t login = test::wire::logged_in().size();
  const std::size_t answer = (test::wire::row("1") + test::wire::ready()).size();
  std::vector<std::unique_ptr<DatabasePool>> pools;
  for (std::size_t byte = 0; byte < answer; ++byte) {
    proxy.set({}, {.corrupt_at = login + byte});
    PoolConfig one = at(proxy.port(), 1, 1);
    one.name = "corrupt-" + std::to_string(byte);
    pools.push_back(std::make_unique<DatabasePool>(io_.get_executor(), one, blocking_, Logger()));
    ASSERT_TRUE(run(pools.back()->start(in(10s))));
  }
  proxy.heal();
  int survived = 0;
  int finished = 0;
  for (const auto& pool : pools) {
    asio::co_spawn(io_, exchange(pool.get(), in(1s)), [&](std::exception_ptr exception, Result<> result) {
      EXPECT_FALSE(exception);
      survived += result ? 1 : 0;
      ++finished;
    });
  }
  ASSERT_TRUE(eventually([&] { return finished == static_cast<int>(pools.size()); }));
  // Names, sizes of types and the tag of the command do not matter to this statement; lengths, types and values do.
  EXPECT_LT(survived, static_cast<int>(answer) * 2 / 3);
  for (const auto& pool : pools) {
    EXPECT_TRUE(heals(*pool)) << pool->name();
    expect_all_back(*pool);
  }
  for (const auto& pool : pools) EXPECT_TRUE(run(pool->close(in(10s))));
}

TEST_F(PoolProxyTest, PoolScenario42_TinySegmentsAndDelaysEvictNobody) {
  test::FaultProxy proxy(server_.port());
  proxy.set({.segment_max = 1}, {.segment_max = 7, .pause = std::chrono::microseconds{20}});
  PoolConfig slow = at(proxy.port(), 2, 2);
  slow.pool.ping_after_idle = 1ms;
  DatabasePool& pool = open(slow);
  for (int round = 0; round < 5; ++round) {
    Lease lease = take(pool);
    EXPECT_EQ(scalar(lease, "SELECT repeat('x', 2000)").size(), 2'000U);
    ASSERT_TRUE(run(lease->execute("SET work_mem = '8MB'")));  // dirty: reset over the slow line
  }
  EXPECT_TRUE(eventually([&] { return pool.stats().idle == 2; }));
  EXPECT_EQ(pool.stats().closed_broken, 0U);
  EXPECT_EQ(pool.stats().dials, 2U);
}

TEST_F(PoolProxyTest, PoolScenario42_OverASlowLineDeadlinesAreHonoured) {
  test::FaultProxy proxy(server_.port());
  DatabasePool& pool = make(at(proxy.port(), 0, 1));
  ASSERT_TRUE(run(pool.start(in(10s))));
  take(pool).discard();
  proxy.set({}, {.segment_max = 512, .pause = 1ms});  // half a megabyte a second
  Lease lease = take(pool);
  const SteadyTime begun = std::chrono::steady_clock::now();
  const auto late = run(aio::with_deadline(lease->query("SELECT repeat('x', 100000000)"), in(100ms), "a large answer"));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind, ErrorKind::timed_out);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 5s) << "the answer would take minutes";
  lease.release();
  proxy.heal();
  Lease next = take(pool, {.deadline = in(20s), .task = {}});
  EXPECT_EQ(scalar(next, "SELECT 1"), "1");
}

TEST_F(PoolProxyTest, PoolScenario47_ACloseWithUnreadDataEndsInOrder) {
  test::FaultProxy proxy(server_.port());
  DatabasePool& pool = open(at(proxy.port(), 1, 1));
  for (int round = 0; round < 3; ++round) {
    Lease lease = take(pool);
    auto rows = run(lease->stream("SELECT i, repeat('x', 1000) FROM generate_series(1, 10000) AS i"));
    ASSERT_TRUE(rows);
    ASSERT_TRUE(run(rows->next()));
    lease.discard();  // megabytes are under way
    ASSERT_TRUE(eventually([&] { return pool.stats().idle == 1; }));
  }
  ASSERT_TRUE(run(pool.close(in(10s))));
  EXPECT_TRUE(eventually([&] { return proxy.client_goodbyes() == proxy.connections(); }));
  EXPECT_EQ(proxy.client_resets(), 0);
}

}  // namespace
}  // namespace opi::pg
