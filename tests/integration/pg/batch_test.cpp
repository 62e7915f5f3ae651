// Many statements in one round trip.
#include "pg/batch.hpp"

#include "aio/with_deadline.hpp"
#include "integration/pg/connection_fixture.hpp"

namespace opi::pg {
namespace {

class BatchTest : public ConnectionTest {
 protected:
  BatchResults run_batch(Connection& connection, Batch batch) {
    auto results = run(connection.run_batch(std::move(batch)));
    if (!results) throw std::runtime_error(results.error().to_string());
    return std::move(*results);
  }
  static std::string outcome(const Result<ResultSet>& result) {
    if (result) return result->empty() ? std::string(result->command_tag()) : std::string((*result)[0].text(0));
    return result.error().code.empty() ? std::string(to_string(result.error().kind)) : result.error().code;
  }
  static std::vector<std::string> outcomes(const BatchResults& results) {
    std::vector<std::string> texts;
    for (const auto& result : results) texts.push_back(outcome(result));
    return texts;
  }
};

using Texts = std::vector<std::string>;

TEST_F(BatchTest, EveryStatementHasItsOwnResult) {
  Connection connection = connect();
  const Statement insert("INSERT INTO t VALUES ($1) RETURNING i * 10");
  Batch batch;
  batch.add("CREATE TEMP TABLE t (i int)").add("SELECT 'plain'");
  for (int number = 1; number <= 3; ++number) batch.add(insert, {number});
  batch.add(Statement("SELECT sum(i) FROM t"));
  EXPECT_EQ(outcomes(run_batch(connection, batch)), (Texts{"CREATE TABLE", "plain", "10", "20", "30", "6"}));
  EXPECT_EQ(connection.transaction_status(), TransactionStatus::idle);
  EXPECT_EQ(scalar(connection, "SELECT count(*) FROM pg_prepared_statements"), "2");
  EXPECT_EQ(value(run(connection.query_prepared(insert, {4})))[0].get<int>(0), 40);
  EXPECT_TRUE(run_batch(connection, Batch()).empty());
}

TEST_F(BatchTest, TogetherIsAllOrNothing) {
  Connection connection = connect();
  query(connection, "CREATE TEMP TABLE t (i int)");
  Batch batch;
  batch.add("INSERT INTO t VALUES (1)").add("SELECT 1/0").add(Statement("INSERT INTO t VALUES (2)")).add("SELECT 3");
  EXPECT_EQ(outcomes(run_batch(connection, batch)), (Texts{"INSERT 0 1", "22012", "conflict", "conflict"}));
  EXPECT_EQ(connection.transaction_status(), TransactionStatus::idle);
  EXPECT_EQ(scalar(connection, "SELECT count(*) FROM t"), "0");
  EXPECT_TRUE(run(connection.query_prepared("INSERT INTO t VALUES (2)")))
      << "it was not prepared, and nobody thinks so";
}

TEST_F(BatchTest, EachForItselfKeepsTheOthers) {
  Connection connection = connect();
  query(connection, "CREATE TEMP TABLE t (i int)");
  Batch batch(BatchScope::each);
  batch.add("INSERT INTO t VALUES (1)").add("SELECT 1/0").add(Statement("INSERT INTO t VALUES (2)"));
  batch.add("SELECT count(*) FROM t");
  EXPECT_EQ(outcomes(run_batch(connection, batch)), (Texts{"INSERT 0 1", "22012", "INSERT 0 1", "2"}));
}

TEST_F(BatchTest, WithinATransactionItIsAPartOfIt) {
  Connection connection = connect();
  query(connection, "CREATE TEMP TABLE t (i int)");
  query(connection, "BEGIN");
  Batch batch(BatchScope::each);
  batch.add("INSERT INTO t VALUES (1)").add("SELECT 1/0").add("SELECT 3");
  EXPECT_EQ(outcomes(run_batch(connection, batch)), (Texts{"INSERT 0 1", "22012", "25P02"}));
  EXPECT_EQ(connection.transaction_status(), TransactionStatus::failed);
  query(connection, "ROLLBACK");
}

TEST_F(BatchTest, PoolScenario90_AFailedPrepareIsToldToAllThatNeededIt) {
  Connection connection = connect();
  const Statement missing("SELECT * FROM not_there");
  Batch each(BatchScope::each);
  each.add(missing).add(missing).add("SELECT 5");
  EXPECT_EQ(outcomes(run_batch(connection, each)), (Texts{"42P01", "42P01", "5"}));
  Batch together;
  together.add(missing).add(missing).add("SELECT 5");
  EXPECT_EQ(outcomes(run_batch(connection, together)), (Texts{"42P01", "conflict", "conflict"}));
  query(connection, "CREATE TEMP TABLE not_there ()");
  EXPECT_TRUE(run(connection.query_prepared(missing)));
}

TEST_F(BatchTest, PoolScenario90_ABatchMayEvictItsOwnStatements) {
  Connection connection = connect();
  connection.limit_statements(2);
  Batch batch;
  Texts expected;
  for (int number = 0; number < 30; ++number) {
    batch.add(Statement("SELECT " + std::to_string(number % 5)));
    expected.push_back(std::to_string(number % 5));
  }
  EXPECT_EQ(outcomes(run_batch(connection, batch)), expected);
  EXPECT_EQ(outcomes(run_batch(connection, batch)), expected);
  EXPECT_EQ(value(run(connection.query_prepared("SELECT 'last'")))[0].text(0), "last");
  EXPECT_EQ(scalar(connection, "SELECT count(*) FROM pg_prepared_statements"), "2");
}

TEST_F(BatchTest, PoolScenario92_ABatchLargerThanEveryBufferDoesNotDeadlock) {
  Connection connection = connect();
  const Statement echo("SELECT $1::text");
  const std::string large(200'000, 'x');
  for (const BatchScope scope : {BatchScope::together, BatchScope::each}) {
    Batch batch(scope);
    for (int number = 0; number < 200; ++number) batch.add(echo, {large});
    const BatchResults results = run_batch(connection, batch);
    ASSERT_EQ(results.size(), 200U);
    for (const auto& result : results) ASSERT_EQ((*result)[0].text(0).size(), large.size());
  }
}

TEST_F(BatchTest, ManySmallStatementsPass) {
  Connection connection = connect();
  const Statement echo("SELECT $1::int");
  Batch batch;
  for (int number = 0; number < 20'000; ++number) batch.add(echo, {number});
  const BatchResults results = run_batch(connection, batch);
  ASSERT_EQ(results.size(), 20'000U);
  for (int number = 0; number < 20'000; ++number) {
    ASSERT_EQ((*results[static_cast<std::size_t>(number)])[0].get<int>(0), number);
  }
}

TEST_F(BatchTest, PoolScenario48_ACancelledBatchRecovers) {
  Connection connection = connect();
  Batch batch(BatchScope::each);
  batch.add("SELECT pg_sleep(600)").add(Statement("SELECT pg_sleep(600)")).add("SELECT 1");
  EXPECT_EQ(run(aio::with_deadline(connection.run_batch(batch), in(50ms), "a batch")).error().kind,
            ErrorKind::timed_out);
  const auto recovered = run(connection.recover(in(10s)));
  ASSERT_TRUE(recovered) << recovered.error().to_string();
  EXPECT_EQ(value(run(connection.query_prepared("SELECT 7")))[0].get<int>(0), 7);
}

TEST_F(BatchTest, TheLossOfTheConnectionIsTheAnswerToAll) {
  Connection connection = connect();
  Batch batch(BatchScope::each);
  batch.add("SELECT pg_terminate_backend(pg_backend_pid())").add("SELECT 1");
  const auto results = run(connection.run_batch(batch));
  ASSERT_FALSE(results);
  EXPECT_EQ(results.error().code, "57P01");
  EXPECT_TRUE(connection.ended_by_server());
  EXPECT_EQ(run(connection.run_batch(batch)).error().kind, ErrorKind::closed);
}

}  // namespace
}  // namespace opi::pg
