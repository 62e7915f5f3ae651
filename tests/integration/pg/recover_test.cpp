// Cancelled statements: what the server stops, and how the connection goes on.
#include <boost/asio/this_coro.hpp>

#include "aio/with_deadline.hpp"
#include "integration/pg/connection_fixture.hpp"
#include "pg/pipeline.hpp"

namespace opi::pg {
namespace {

Task<Result<ResultSet>> with_every_cancellation(Task<Result<ResultSet>> operation) {
  co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
  co_return co_await std::move(operation);
}

Task<Result<>> cancel_hundred_times(Connection* sibling, int* requests, int pid) {
  ++*requests;
  auto done = co_await sibling->query("SELECT count(pg_cancel_backend($1)) FROM generate_series(1, 100)", {pid});
  if (!done) co_return failure(std::move(done.error()));
  co_return Result<>{};
}

Task<Result<>> wait_for(asio::steady_timer* never) {
  co_await never->async_wait(as_result);
  co_return failure(ErrorKind::cancelled, "given up");
}

class RecoverTest : public ConnectionTest {
 protected:
  struct Running {
    asio::cancellation_signal stop;
    std::optional<Result<ResultSet>> result;
    bool threw = false;
  };

  /// Starts `operation` with every cancellation type enabled, and returns when the server runs it.
  std::shared_ptr<Running> start(Connection& connection, Task<Result<ResultSet>> operation) {
    auto running = std::make_shared<Running>();
    asio::co_spawn(io_, with_every_cancellation(std::move(operation)),
                   asio::bind_cancellation_slot(running->stop.slot(),
                                                [running](const std::exception_ptr& e, Result<ResultSet> result) {
                                                  running->threw = e != nullptr;
                                                  running->result.emplace(std::move(result));
                                                }));
    const std::string pid = std::to_string(connection.backend_pid());
    EXPECT_TRUE(eventually([&] {
      return server_.query_as_superuser("SELECT state FROM pg_stat_activity WHERE pid = " + pid) == "active";
    }));
    return running;
  }
  void emit(Running& running, asio::cancellation_type type) {
    asio::post(io_, [&running, type] { running.stop.emit(type); });
  }
  bool is_idle(int pid) const {
    return server_.query_as_superuser("SELECT state = 'idle' FROM pg_stat_activity WHERE pid = " +
                                      std::to_string(pid)) == "t";
  }
};

TEST_F(RecoverTest, PoolScenario25_TerminalCancellationEndsAtOnceAndTheConnectionRecovers) {
  Connection connection = connect();
  const auto running = start(connection, connection.query("SELECT pg_sleep(600)"));
  emit(*running, asio::cancellation_type::terminal);
  ASSERT_TRUE(eventually([&] { return running->result.has_value(); }));
  EXPECT_EQ(running->result->error().kind, ErrorKind::cancelled);
  EXPECT_TRUE(connection.broken());
  ASSERT_TRUE(connection.recoverable());
  const auto recovered = run(connection.recover(in(10s)));
  ASSERT_TRUE(recovered) << recovered.error().to_string();
  EXPECT_FALSE(connection.broken());
  EXPECT_TRUE(is_idle(connection.backend_pid()));
  EXPECT_EQ(scalar(connection, "SELECT 7"), "7");
}

TEST_F(RecoverTest, PoolScenario25_PartialCancellationStopsTheStatementAndKeepsTheConnection) {
  Connection connection = connect();
  query(connection, "BEGIN");
  const auto running = start(connection, connection.query("SELECT pg_sleep(600)"));
  emit(*running, asio::cancellation_type::partial);
  ASSERT_TRUE(eventually([&] { return running->result.has_value(); }));
  EXPECT_EQ(running->result->error().kind, ErrorKind::cancelled);
  EXPECT_FALSE(connection.broken());
  EXPECT_EQ(connection.transaction_status(), TransactionStatus::failed) << "the transaction is its owner's";
  query(connection, "ROLLBACK");
  EXPECT_EQ(scalar(connection, "SELECT 7"), "7");
}

TEST_F(RecoverTest, PoolScenario25_TotalCancellationIsRefusedOnceTheStatementWasSent) {
  Connection connection = connect();
  Connection witness = connect();
  query(witness, "SELECT pg_advisory_lock(25025)");
  const auto running = start(connection, connection.query("SELECT pg_advisory_xact_lock(25025), 'done'"));
  emit(*running, asio::cancellation_type::total);
  query(witness, "SELECT pg_advisory_unlock(25025)");
  ASSERT_TRUE(eventually([&] { return running->result.has_value(); }));
  EXPECT_FALSE(running->threw);
  ASSERT_TRUE(*running->result) << running->result->error().to_string();
  EXPECT_EQ((**running->result)[0].text(1), "done");
  EXPECT_FALSE(connection.broken());
}

TEST_F(RecoverTest, PoolScenario25_AfterTotalCancellationTheOthersStillCount) {
  Connection connection = connect();
  const auto running = start(connection, connection.query("SELECT pg_sleep(600)"));
  emit(*running, asio::cancellation_type::total);
  io_.restart();
  io_.poll();
  EXPECT_FALSE(running->result);
  emit(*running, asio::cancellation_type::terminal);
  ASSERT_TRUE(eventually([&] { return running->result.has_value(); }));
  EXPECT_EQ(running->result->error().kind, ErrorKind::cancelled);
  EXPECT_TRUE(run(connection.recover(in(10s))));
}

TEST_F(RecoverTest, PoolScenario21_ACancelledStatementNeverHarmsTheNextOne) {
  Connection connection = connect();
  const int pid = connection.backend_pid();
  const int rounds = std::getenv("OPI_SOAK") != nullptr ? 10'000 : 300;
  int stopped = 0;
  for (int round = 0; round < rounds; ++round) {
    // From "cancelled before the server has read it" to "answered before it is cancelled".
    const auto result = run(aio::with_deadline(
        connection.query("SELECT pg_sleep(0.002)"),
        std::chrono::steady_clock::now() + std::chrono::microseconds(round * 10 % 3'000), "sleeping"));
    if (!result && connection.broken()) {
      ++stopped;
      const auto recovered = run(connection.recover(in(10s)));
      ASSERT_TRUE(recovered) << recovered.error().to_string();
    }
    const auto next = run(connection.query("SELECT $1::int, pg_sleep(0)", {round}));
    ASSERT_TRUE(next) << "round " << round << ": " << next.error().to_string();
    ASSERT_EQ((*next)[0].get<int>(0), round);
  }
  EXPECT_GT(stopped, rounds / 10);
  EXPECT_EQ(connection.backend_pid(), pid);
}

TEST_F(RecoverTest, PoolScenario22_ManyRequestsToStopNeverHitTheNextStatement) {
  Connection connection = connect();
  Connection sibling = connect();
  int requests = 0;
  const CancelBackend hundred_times = [&](int pid) { return cancel_hundred_times(&sibling, &requests, pid); };
  for (int round = 0; round < 50; ++round) {
    EXPECT_FALSE(run(aio::with_deadline(connection.query("SELECT pg_sleep(600)"), in(1ms), "sleeping")));
    const auto recovered = run(connection.recover(in(10s), hundred_times));
    ASSERT_TRUE(recovered) << recovered.error().to_string();
    for (int next = 0; next < 5; ++next) ASSERT_EQ(scalar(connection, "SELECT 1, pg_sleep(0)"), "1");
  }
  EXPECT_GE(requests, 50);
}

TEST_F(RecoverTest, PoolScenario23_ARequestToStopThatHangsIsBounded) {
  Connection connection = connect();
  EXPECT_FALSE(run(aio::with_deadline(connection.query("SELECT pg_sleep(600)"), in(50ms), "sleeping")));
  asio::steady_timer never(io_, SteadyTime::max());
  const CancelBackend stuck = [&](int) { return wait_for(&never); };
  const SteadyTime begun = std::chrono::steady_clock::now();
  const auto recovered = run(connection.recover(in(200ms), stuck));
  ASSERT_FALSE(recovered);
  EXPECT_EQ(recovered.error().kind, ErrorKind::timed_out);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 5s);
  EXPECT_TRUE(connection.broken());
  run(connection.close(in(5s)));
}

TEST_F(RecoverTest, PoolScenario48_AnOpenTransactionIsRolledBack) {
  Connection connection = connect();
  query(connection, "CREATE TEMP TABLE t (i int)");
  query(connection, "BEGIN");
  query(connection, "INSERT INTO t VALUES (1)");
  EXPECT_FALSE(run(aio::with_deadline(connection.query("SELECT pg_sleep(600)"), in(50ms), "sleeping")));
  ASSERT_TRUE(run(connection.recover(in(10s))));
  EXPECT_EQ(connection.transaction_status(), TransactionStatus::idle);
  EXPECT_EQ(scalar(connection, "SELECT count(*) FROM t"), "0");
}

TEST_F(RecoverTest, PoolScenario48_MidPipelineTheConnectionRecovers) {
  Connection connection = connect();
  int answers = 0;
  {
    Pipeline pipeline(connection);
    for (int round = 0; round < 3; ++round) {
      ASSERT_TRUE(pipeline.send(Statement("SELECT pg_sleep(600)"), {}, [&](Result<ResultSet>) { ++answers; }));
    }
  }
  EXPECT_EQ(answers, 3);
  const auto recovered = run(connection.recover(in(10s)));
  ASSERT_TRUE(recovered) << recovered.error().to_string();
  EXPECT_EQ(value(run(connection.query_prepared("SELECT 7")))[0].get<int>(0), 7);
}

TEST_F(RecoverTest, PoolScenario48_MidCopyTheConnectionRecovers) {
  Connection connection = connect();
  query(connection, "CREATE TEMP TABLE t (i int)");
  for (const char* copy : {"COPY t FROM STDIN", "COPY (SELECT * FROM generate_series(1, 1000000)) TO STDOUT"}) {
    EXPECT_EQ(run(connection.execute(copy)).error().kind, ErrorKind::unsupported);
    ASSERT_TRUE(connection.recoverable());
    const auto recovered = run(connection.recover(in(10s)));
    ASSERT_TRUE(recovered) << recovered.error().to_string();
    EXPECT_EQ(scalar(connection, "SELECT count(*) FROM t"), "0");
  }
}

TEST_F(RecoverTest, ALargeAnswerAndALargeParameterOnTheirWayAreTakenAway) {
  Connection connection = connect();
  const std::string large(50'000'000, 'x');
  EXPECT_FALSE(run(aio::with_deadline(connection.query("SELECT $1::text || $1::text", {large}), in(20ms), "moving")));
  if (connection.broken()) {
    const auto recovered = run(connection.recover(in(20s)));
    ASSERT_TRUE(recovered) << recovered.error().to_string();
  }
  EXPECT_EQ(scalar(connection, "SELECT 7"), "7");
}

TEST_F(RecoverTest, ASessionThatTheServerEndedDoesNotRecover) {
  Connection connection = connect();
  EXPECT_FALSE(run(aio::with_deadline(connection.query("SELECT pg_sleep(600)"), in(50ms), "sleeping")));
  server_.execute_as_superuser("SELECT pg_terminate_backend(" + std::to_string(connection.backend_pid()) + ")");
  const auto recovered = run(connection.recover(in(10s)));
  ASSERT_FALSE(recovered);
  EXPECT_EQ(recovered.error().kind, ErrorKind::unavailable);
  EXPECT_FALSE(connection.recoverable());
  Connection fresh = connect();
  EXPECT_EQ(run(fresh.recover(in(1s))).error().kind, ErrorKind::closed) << "there is nothing to recover from";
  EXPECT_EQ(scalar(fresh, "SELECT 7"), "7");
}

}  // namespace
}  // namespace opi::pg
