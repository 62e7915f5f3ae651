// Servers that follow a script, so that each interleaving of their answers is exact; the numbers are those of the
// pool's test catalogue.
#include "faults/pg/fault_fixture.hpp"
#include "support/recorded_log.hpp"

namespace opi::pg {
namespace {

class PoolFakeTest : public FaultTest {};

TEST_F(PoolFakeTest, PoolScenario17_ADialOutlivesItsAcquirerAndServesTheNext) {
  test::FakeGate gate;
  test::FakePostgres server([&](test::FakeSession& session) {
    (void)session.startup();
    if (session.number() == 1) session.wait(gate);
    session.send(test::wire::logged_in());
    session.serve();
  });
  DatabasePool& pool = open(at(server.port(), 1, 2));
  Lease held = take(pool);
  const auto impatient = begin_acquire(pool);
  ASSERT_TRUE(eventually([&] { return gate.arrived() == 1; }));
  cancel(impatient);
  ASSERT_TRUE(eventually([&] { return impatient->done(); }));
  EXPECT_EQ(impatient->result->error().kind, AcquireErrorKind::cancelled);
  EXPECT_EQ(pool.stats().dialing, 1U);
  gate.open();
  ASSERT_TRUE(eventually([&] { return pool.stats().idle == 1; }));
  Lease next = take(pool);
  EXPECT_EQ(server.connections(), 2);
}

TEST_F(PoolFakeTest, PoolScenario26_ARefusalReachesEveryWaiterWithTheServersWords) {
  test::FakeGate gate;
  test::FakePostgres server([&](test::FakeSession& session) {
    (void)session.startup();
    session.wait(gate);
    session.send(test::wire::error("XX000", "the data directory is a crater", "FATAL"));
  });
  DatabasePool& pool = make(at(server.port(), 1, 3));
  asio::co_spawn(io_, pool.start(in(10s)), [](std::exception_ptr, const Result<>& started) { EXPECT_FALSE(started); });
  std::vector<std::shared_ptr<PendingAcquire>> waiters;
  for (int waiter = 0; waiter < 5; ++waiter) waiters.push_back(begin_acquire(pool));
  gate.open();
  for (const auto& waiter : waiters) {
    ASSERT_TRUE(eventually([&] { return waiter->done(); }));
    ASSERT_FALSE(*waiter->result);
    EXPECT_EQ(waiter->result->error().kind, AcquireErrorKind::unavailable);
    EXPECT_EQ(waiter->result->error().sqlstate, "XX000");
    EXPECT_TRUE(waiter->result->error().last_error.contains("crater")) << waiter->result->error().last_error;
  }
}

TEST_F(PoolFakeTest, PoolScenario27_OneOfThreeDialsFailsAndNobodyHangs) {
  test::FakeGate gate;
  std::atomic<int> logins = 0;
  test::FakePostgres server([&](test::FakeSession& session) {
    (void)session.startup();
    session.wait(gate);
    if (logins++ == 1) {
      session.send(test::wire::error("53200", "out of memory", "FATAL"));
      return;
    }
    session.send(test::wire::logged_in());
    session.serve();
  });
  DatabasePool& pool = make(at(server.port(), 3, 3));
  asio::co_spawn(io_, pool.start(in(10s)), [](std::exception_ptr, const Result<>&) {});
  std::vector<std::shared_ptr<PendingAcquire>> waiters;
  for (int waiter = 0; waiter < 3; ++waiter) waiters.push_back(begin_acquire(pool));
  ASSERT_TRUE(eventually([&] { return gate.arrived() == 3; }));
  gate.open();
  for (const auto& waiter : waiters) {
    ASSERT_TRUE(eventually([&] { return waiter->done(); }));
    ASSERT_TRUE(*waiter->result) << waiter->result->error().to_error().to_string();
    waiter->result.reset();  // gives back
  }
}

TEST_F(PoolFakeTest, PoolScenario31_AServerThatIsStartingUpIsWaitedFor) {
  test::FakePostgres server([&](test::FakeSession& session) {
    (void)session.startup();
    if (session.number() < 3) {
      session.send(test::wire::error("57P03", "the database system is starting up", "FATAL"));
      return;
    }
    session.send(test::wire::logged_in());
    session.serve();
  });
  DatabasePool& pool = make(at(server.port(), 1, 1));
  EXPECT_FALSE(run(pool.start(in(10s)))) << "the first dial says how it is";
  const auto lease = run(pool.acquire());
  ASSERT_TRUE(lease) << lease.error().to_error().to_string();
  EXPECT_EQ(server.connections(), 4);
}

TEST_F(PoolFakeTest, PoolScenario46_AServerThatEndsTheSessionRightAfterTheLogin) {
  test::FakePostgres server([](test::FakeSession& session) {
    session.log_in();
    if (session.number() < 3) session.reset();
    session.serve();
  });
  DatabasePool& pool = make(at(server.port(), 1, 1));
  (void)run(pool.start(in(10s)));
  ASSERT_TRUE(eventually([&] {
    const auto lease = run(pool.acquire({.deadline = in(2s), .task = {}}));
    return lease && run((**lease).query("SELECT 1")).has_value();
  }));
  expect_all_back(pool);
  EXPECT_EQ(pool.stats().dials, pool.stats().closed_broken + pool.stats().dials_failed + 1);
}

// One read takes the answer and leaves the end, and the socket's edge is used up; or it takes the server's last words
// too.
TEST_F(PoolFakeTest, PoolScenario46_TheEndOfASessionThatComesWithAnAnswerIsSeenWhenItIsIdle) {
  for (const std::string& last_words : {std::string(), test::wire::error("57P01", "going down", "FATAL")}) {
    std::atomic<bool> sent = false;
    test::FakePostgres server([&](test::FakeSession& session) {
      session.log_in();
      if (session.number() > 0) session.serve();
      while (session.read().type != 'S') {
      }
      session.send(test::wire::message('1', "") + test::wire::message('2', "") + test::wire::row("1") +
                   test::wire::ready() + last_words);
      session.close();
      sent = true;
      sent.notify_one();
    });
    DatabasePool& pool = open(at(server.port(), 1, 1));
    {
      Lease lease = take(pool);
      std::optional<Result<ResultSet>> answer;
      asio::co_spawn(io_, lease->query("SELECT 1"), [&](std::exception_ptr /*never*/, Result<ResultSet> result) {
        answer.emplace(std::move(result));
      });
      io_.restart();
      io_.poll();
      sent.wait(false);  // all of it is there before anything is read
      ASSERT_TRUE(eventually([&] { return answer.has_value(); }));
      EXPECT_TRUE(*answer) << "a whole answer stands: " << answer->error().to_string();
    }
    EXPECT_TRUE(eventually([&] { return server.connections() == 2 && pool.stats().idle == 1; }))
        << "noticed with nobody there, and dialled anew";
    expect_all_back(pool);
  }
}

TEST_F(PoolFakeTest, PoolScenario50_AResetThatFailsOrLeavesATransactionOpenCostsTheConnection) {
  for (const bool fails : {true, false}) {
    test::FakePostgres server([&](test::FakeSession& session) {
      session.log_in();
      session.serve([&](const std::string& sql) {
        if (!sql.contains("RESET ALL")) return test::wire::command_complete("SET");
        if (fails) return test::wire::error("XX001", "no reset today");
        return test::wire::command_complete("RESET") + test::wire::ready('T');
      });
    });
    test::RecordedLog log;
    DatabasePool& pool = open(at(server.port(), 1, 1), Logger(log, "pool"));
    Lease lease = take(pool);
    ASSERT_TRUE(run(lease->execute("SET work_mem = '8MB'")));
    lease.release();
    Lease next = take(pool, {.deadline = in(10s), .task = {}});
    EXPECT_EQ(server.connections(), 2) << fails;
    EXPECT_EQ(pool.stats().closed_broken, 1U);
    EXPECT_TRUE(log.has("could not be reset and is closed")) << fails;
    next.discard();
    run(pool.close(in(5s)));
  }
}

TEST_F(PoolFakeTest, PoolScenario23_ARequestToStopThatHangsDoesNotHoldTheReturn) {
  test::FakeGate never;
  test::FakePostgres server([&](test::FakeSession& session) {
    if (session.number() == 1) session.stay_silent();  // the request to stop
    session.log_in();
    if (session.number() == 0) session.wait(never);
    session.serve();
  });
  DatabasePool& pool = open(at(server.port(), 1, 1));
  Lease lease = take(pool);
  EXPECT_FALSE(run(aio::with_deadline(lease->query("SELECT 1"), in(50ms), "a statement")));
  lease.release();
  Lease next = take(pool, {.deadline = in(15s), .task = {}});
  EXPECT_TRUE(run(next->query("SELECT 1")));
}

TEST_F(PoolFakeTest, PoolScenario24_MoreRequestsToStopThanPlacesDoNotStarveNormalWork) {
  constexpr int places = 8;
  test::FakeGate never;
  test::FakePostgres server([&](test::FakeSession& session) {
    session.log_in();  // a request to stop ends here
    if (session.number() < places) session.wait(never);
    session.serve();
  });
  DatabasePool& pool = open(at(server.port(), places, places));
  std::vector<Lease> leases;
  for (int lease = 0; lease < places; ++lease) leases.push_back(take(pool));
  for (Lease& lease : leases) {
    EXPECT_FALSE(run(aio::with_deadline(lease->query("SELECT 1"), in(1ms), "a statement")));
  }
  leases.clear();  // eight requests on the two threads of the blocking pool, which dials need too
  for (int round = 0; round < places; ++round) {
    Lease next = take(pool, {.deadline = in(15s), .task = {}});
    EXPECT_TRUE(run(next->query("SELECT 1")));
  }
  expect_all_back(pool);
}

TEST_F(PoolFakeTest, PoolScenario24_RequestsToStopThatHangLeaveThreadsForDials) {
  constexpr int places = 4;
  test::FakeGate never;
  test::FakePostgres server([&](test::FakeSession& session) {
    if (session.number() >= places && session.number() < 2 * places) session.stay_silent();
    session.log_in();
    if (session.number() < places) session.wait(never);
    session.serve();
  });
  DatabasePool& pool = open(at(server.port(), places, places));
  std::vector<Lease> leases;
  for (int lease = 0; lease < places; ++lease) leases.push_back(take(pool));
  for (Lease& lease : leases) {
    EXPECT_FALSE(run(aio::with_deadline(lease->query("SELECT 1"), in(1ms), "a statement")));
  }
  leases.clear();
  Lease next = take(pool, {.deadline = in(20s), .task = {}});
  EXPECT_TRUE(run(next->query("SELECT 1")));
}

TEST_F(PoolFakeTest, PoolScenario92_AStatementLargerThanEveryBufferMeetsAServerThatTalksFirst) {
  // The server writes megabytes before it reads: whoever only writes would never end.
  constexpr std::size_t large = 8'000'000;
  test::FakePostgres server([&](test::FakeSession& session) {
    session.log_in();
    std::string noise;
    for (std::size_t size = 0; size < large; size += 1'000) {
      noise += test::wire::parameter("application_name", std::string(980, 'n'));
    }
    (void)session.read();  // Parse
    session.send(noise);
    while (session.read().type != 'S') {
    }
    session.send(test::wire::message('1', {}) + test::wire::message('2', {}) + test::wire::row("1") +
                 test::wire::ready());
    session.stay_silent();
  });
  DatabasePool& pool = open(at(server.port(), 1, 1));
  Lease lease = take(pool);
  const auto answer = run(aio::with_deadline(lease->query("SELECT $1::text", Params{std::string(large, 'x')}), in(20s),
                                             "a large statement"));
  EXPECT_TRUE(answer) << answer.error().to_string();
}

}  // namespace
}  // namespace opi::pg
