// Rows and copies that do not fit into one answer.
#include <boost/asio/this_coro.hpp>

#include "aio/with_deadline.hpp"
#include "integration/pg/connection_fixture.hpp"

namespace opi::pg {
namespace {

Task<Result<std::int64_t>> sum_of(RowStream* stream) {
  std::int64_t sum = 0;
  for (;;) {
    auto block = co_await stream->next();
    if (!block) co_return failure(std::move(block.error()));
    if (block->empty()) co_return sum;
    for (const Row row : *block) sum += row.get<std::int64_t>(0);
  }
}

Task<Result<std::string>> all_of(CopyOut* copy) {
  std::string all;
  for (;;) {
    auto chunk = co_await copy->next();
    if (!chunk) co_return failure(std::move(chunk.error()));
    if (!*chunk) co_return all;
    all += **chunk;
  }
}

class StreamTest : public ConnectionTest {
 protected:
  void recover(Connection& connection) {
    ASSERT_TRUE(connection.recoverable());
    const auto recovered = run(connection.recover(in(10s)));
    ASSERT_TRUE(recovered) << recovered.error().to_string();
    EXPECT_EQ(scalar(connection, "SELECT 7"), "7");
  }
};

TEST_F(StreamTest, EveryRowComesInBlocksAndTheConnectionIsFreeAfterwards) {
  Connection connection = connect();
  RowStream stream = value(run(connection.stream("SELECT i FROM generate_series(1, $1) i", {100'000})));
  EXPECT_EQ(run(connection.query("SELECT 1")).error().kind, ErrorKind::internal) << "the stream has it";
  const auto sum = run(sum_of(&stream));
  ASSERT_TRUE(sum) << sum.error().to_string();
  EXPECT_EQ(*sum, 5'000'050'000);
  EXPECT_TRUE(value(run(stream.next())).empty());
  EXPECT_EQ(scalar(connection, "SELECT 7"), "7");
  RowStream nothing = value(run(connection.stream("SELECT 1 WHERE false")));
  EXPECT_TRUE(value(run(nothing.next())).empty());
  RowStream binary = value(run(connection.stream("SELECT 5::int8", {}, Format::binary)));
  EXPECT_EQ(*run(sum_of(&binary)), 5);
}

TEST_F(StreamTest, AnErrorComesAfterTheRowsBeforeIt) {
  Connection connection = connect();
  RowStream stream = value(run(connection.stream("SELECT 100 / (1000 - i) FROM generate_series(1, 2000) i")));
  std::size_t rows = 0;
  for (;;) {
    auto block = run(stream.next());
    if (!block) {
      EXPECT_EQ(block.error().code, "22012");
      break;
    }
    ASSERT_FALSE(block->empty());
    EXPECT_LE(block->size(), RowStream::rows_max);
    rows += block->size();
  }
  EXPECT_EQ(rows, 999U);
  EXPECT_TRUE(value(run(stream.next())).empty());
  EXPECT_EQ(scalar(connection, "SELECT 7"), "7");
  RowStream wrong = value(run(connection.stream("SELECT * FROM nowhere")));
  EXPECT_EQ(run(wrong.next()).error().code, "42P01");
  EXPECT_EQ(scalar(connection, "SELECT 7"), "7");
}

TEST_F(StreamTest, PoolScenario48_AStreamThatIsDroppedLeavesAConnectionThatRecovers) {
  Connection connection = connect();
  {
    RowStream stream = value(run(connection.stream("SELECT generate_series(1, 100000000)")));
    EXPECT_FALSE(value(run(stream.next())).empty());
  }
  EXPECT_TRUE(connection.broken());
  recover(connection);
}

TEST_F(StreamTest, PoolScenario53_WhatOutlivesItsUseFailsAndHarmsNobody) {
  Connection connection = connect();
  std::optional<RowStream> stale = value(run(connection.stream("SELECT 1")));
  connection.end_use();
  EXPECT_EQ(run(stale->next()).error().kind, ErrorKind::closed);
  recover(connection);
  std::optional<RowStream> next = value(run(connection.stream("SELECT 1")));
  stale.reset();
  EXPECT_EQ(*run(sum_of(&*next)), 1) << "the stale one is not its business";
  {
    Connection short_lived = connect();
    stale = value(run(short_lived.stream("SELECT 1")));
  }
  EXPECT_EQ(run(stale->next()).error().kind, ErrorKind::closed);
}

TEST_F(StreamTest, TheLossOfTheConnectionEndsAStream) {
  Connection connection = connect();
  RowStream stream = value(run(connection.stream("SELECT pg_sleep(600)")));
  server_.execute_as_superuser("SELECT pg_terminate_backend(" + std::to_string(connection.backend_pid()) + ")");
  const auto block = run(stream.next());
  ASSERT_FALSE(block);
  EXPECT_EQ(block.error().kind, ErrorKind::unavailable);
  EXPECT_TRUE(connection.ended_by_server());
}

TEST_F(StreamTest, CopyGoesInAndOutInEveryForm) {
  Connection connection = connect();
  query(connection, "CREATE TEMP TABLE t (i int, name text)");
  CopyIn in_text = value(run(connection.copy_in("COPY t FROM STDIN")));
  EXPECT_TRUE(run(in_text.write("1\ton")));
  EXPECT_TRUE(run(in_text.write("e\n2\ttwo\n")));
  EXPECT_EQ(value(run(in_text.finish())), 2);
  EXPECT_EQ(run(in_text.write("3\tthree\n")).error().kind, ErrorKind::closed);
  CopyIn in_csv = value(run(connection.copy_in("COPY t FROM STDIN (FORMAT csv)")));
  EXPECT_TRUE(run(in_csv.write("3,\"a,b\"\n")));
  EXPECT_EQ(value(run(in_csv.finish())), 1);
  CopyOut out = value(run(connection.copy_out("COPY (SELECT * FROM t ORDER BY i) TO STDOUT (FORMAT csv)")));
  EXPECT_EQ(value(run(all_of(&out))), "1,one\n2,two\n3,\"a,b\"\n");
  CopyOut binary = value(run(connection.copy_out("COPY t TO STDOUT (FORMAT binary)")));
  const std::string bytes = value(run(all_of(&binary)));
  EXPECT_TRUE(bytes.starts_with("PGCOPY\n"));
  CopyIn back = value(run(connection.copy_in("COPY t FROM STDIN (FORMAT binary)")));
  EXPECT_TRUE(run(back.write(bytes)));
  EXPECT_EQ(value(run(back.finish())), 3);
  EXPECT_EQ(scalar(connection, "SELECT count(*) FROM t"), "6");
  EXPECT_FALSE(connection.needs_reset(ResetProfile::never));
}

TEST_F(StreamTest, ACopyLargerThanEveryBufferPasses) {
  Connection connection = connect();
  query(connection, "CREATE TEMP TABLE t (name text)");
  CopyIn copy = value(run(connection.copy_in("COPY t FROM STDIN")));
  const std::string row = std::string(99, 'x') + '\n';
  std::string piece;
  for (int number = 0; number < 50'000; ++number) piece += row;
  for (int pieces = 0; pieces < 4; ++pieces) ASSERT_TRUE(run(copy.write(piece)));
  EXPECT_EQ(value(run(copy.finish())), 200'000);
  CopyOut out = value(run(connection.copy_out("COPY t TO STDOUT")));
  EXPECT_EQ(value(run(all_of(&out))).size(), 20'000'000U);
}

TEST_F(StreamTest, ErrorsOfACopyLeaveTheConnectionUsable) {
  Connection connection = connect();
  query(connection, "CREATE TEMP TABLE t (i int)");
  CopyIn wrong = value(run(connection.copy_in("COPY t FROM STDIN")));
  EXPECT_TRUE(run(wrong.write("1\nnot a number\n")));
  EXPECT_EQ(run(wrong.finish()).error().code, "22P02");
  CopyIn aborted = value(run(connection.copy_in("COPY t FROM STDIN")));
  EXPECT_TRUE(run(aborted.write("1\n")));
  EXPECT_TRUE(run(aborted.abort("the source is gone")));
  EXPECT_EQ(run(connection.copy_in("COPY nowhere FROM STDIN")).error().code, "42P01");
  EXPECT_EQ(run(connection.copy_in("SELECT 1")).error().kind, ErrorKind::invalid);
  EXPECT_EQ(run(connection.copy_out("SELECT 1/0")).error().code, "22012");
  CopyOut failing = value(run(connection.copy_out("COPY (SELECT 1 / (3 - i) FROM generate_series(1, 5) i) TO STDOUT")));
  EXPECT_EQ(run(all_of(&failing)).error().code, "22012");
  EXPECT_EQ(scalar(connection, "SELECT count(*) FROM t"), "0");
  EXPECT_EQ(run(connection.copy_in("COPY t TO STDOUT")).error().kind, ErrorKind::invalid);
  recover(connection);
}

TEST_F(StreamTest, PoolScenario48_ACopyThatIsDroppedHalfWayCopiesNothingAndRecovers) {
  Connection connection = connect();
  query(connection, "CREATE TEMP TABLE t (i int)");
  {
    CopyIn copy = value(run(connection.copy_in("COPY t FROM STDIN")));
    EXPECT_TRUE(run(copy.write("1\n2\n")));
  }
  recover(connection);
  EXPECT_EQ(scalar(connection, "SELECT count(*) FROM t"), "0");
  {
    CopyOut copy = value(run(connection.copy_out("COPY (SELECT generate_series(1, 100000000)) TO STDOUT")));
    EXPECT_EQ(value(run(copy.next())), "1\n");
  }
  recover(connection);
}

TEST_F(StreamTest, PoolScenario25_ACancelledCallLeavesTheConnectionForRecovery) {
  Connection connection = connect();
  RowStream stream = value(run(connection.stream("SELECT pg_sleep(600)")));
  const auto block = run(aio::with_deadline(stream.next(), in(50ms), "waiting for a row"));
  ASSERT_FALSE(block);
  EXPECT_EQ(block.error().kind, ErrorKind::timed_out);
  EXPECT_EQ(run(stream.next()).error().kind, ErrorKind::closed);
  recover(connection);
}

TEST_F(StreamTest, NotificationsReachTheirHandler) {
  Connection connection = connect();
  Connection other = connect();
  std::vector<Notification> heard;
  connection.on_notification([&](const Notification& notification) { heard.push_back(notification); });
  query(connection, "LISTEN news");
  query(other, "NOTIFY news, 'first'");
  query(connection, "SELECT 1");
  ASSERT_TRUE(eventually([&] { return connection.check_idle() && !heard.empty(); }));
  EXPECT_EQ(heard[0].channel, "news");
  EXPECT_EQ(heard[0].payload, "first");
  EXPECT_EQ(heard[0].pid, other.backend_pid());
  connection.on_notification(nullptr);
  query(other, "NOTIFY news, 'second'");
  query(connection, "SELECT 1");
  EXPECT_EQ(heard.size(), 1U);
}

}  // namespace
}  // namespace opi::pg
