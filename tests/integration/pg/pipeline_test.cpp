// Statements of many callers on one connection.
#include "pg/pipeline.hpp"

#include <sys/socket.h>

#include "integration/pg/connection_fixture.hpp"

namespace opi::pg {
namespace {

class PipelineTest : public ConnectionTest {
 protected:
  using Answers = std::vector<Result<ResultSet>>;

  /// Sends and appends the answer when it comes.
  static void send(Pipeline& pipeline, const char* sql, Params params, Answers& answers) {
    const auto sent = pipeline.send(Statement(sql), std::move(params),
                                    [&answers](Result<ResultSet> answer) { answers.push_back(std::move(answer)); });
    ASSERT_TRUE(sent) << sent.error().to_string();
  }
  bool await(const Answers& answers, std::size_t count) {
    return eventually([&] { return answers.size() >= count; });
  }
};

TEST_F(PipelineTest, AnswersComeInOrderAndTheConnectionComesBackClean) {
  Connection connection = connect();
  Answers answers;
  {
    Pipeline pipeline(connection);
    ASSERT_TRUE(pipeline.usable());
    for (int number = 0; number < 1'000; ++number) send(pipeline, "SELECT $1::int", {number}, answers);
    EXPECT_TRUE(answers.empty()) << "never from within send";
    EXPECT_EQ(pipeline.in_flight(), 1'000U);
    EXPECT_EQ(run(connection.query("SELECT 1")).error().kind, ErrorKind::internal) << "the pipeline has it";
    ASSERT_TRUE(await(answers, 1'000));
    EXPECT_EQ(pipeline.in_flight(), 0U);
    EXPECT_TRUE(run(pipeline.finish(in(5s))));
    EXPECT_FALSE(pipeline.usable());
    EXPECT_EQ(pipeline.send(Statement("SELECT 1"), {}, [](Result<ResultSet>) {}).error().kind, ErrorKind::closed);
  }
  for (int number = 0; number < 1'000; ++number) {
    ASSERT_TRUE(answers[static_cast<std::size_t>(number)]);
    ASSERT_EQ((*answers[static_cast<std::size_t>(number)])[0].get<int>(0), number);
  }
  EXPECT_EQ(connection.transaction_status(), TransactionStatus::idle);
  EXPECT_EQ(scalar(connection, "SELECT count(*) FROM pg_prepared_statements"), "1");
  EXPECT_EQ(value(run(connection.query_prepared("SELECT $1::int", {7})))[0].get<int>(0), 7);
}

TEST_F(PipelineTest, AFailureDoesNotTouchItsNeighbours) {
  Connection connection = connect();
  query(connection, "CREATE TEMP TABLE t (i int PRIMARY KEY)");
  Answers answers;
  Pipeline pipeline(connection);
  for (const int number : {1, 1, 2}) send(pipeline, "INSERT INTO t VALUES ($1)", {number}, answers);
  send(pipeline, "SELECT 1/$1", {0}, answers);
  send(pipeline, "SELECT count(*) FROM t", {}, answers);
  ASSERT_TRUE(await(answers, 5));
  EXPECT_TRUE(answers[0]);
  EXPECT_EQ(answers[1].error().code, "23505");
  EXPECT_TRUE(answers[2]);
  EXPECT_EQ(answers[3].error().code, "22012");
  EXPECT_EQ((*answers[4])[0].get<int>(0), 2);
  EXPECT_TRUE(run(pipeline.finish(in(5s))));
}

TEST_F(PipelineTest, PoolScenario90_AFailedPrepareInAPipelineConcernsOnlyItsStatement) {
  Connection connection = connect();
  Answers answers;
  Pipeline pipeline(connection);
  for (int round = 0; round < 3; ++round) send(pipeline, "SELECT * FROM not_there_yet", {}, answers);
  send(pipeline, "SELECT 5", {}, answers);
  ASSERT_TRUE(await(answers, 4));
  EXPECT_EQ((*answers[1])[0].get<int>(0), 5) << "those that are tried again come later";
  for (const std::size_t failed : {0U, 2U, 3U}) EXPECT_EQ(answers[failed].error().code, "42P01");
  EXPECT_TRUE(run(pipeline.finish(in(5s))));
  query(connection, "CREATE TEMP TABLE not_there_yet ()");
  EXPECT_TRUE(run(connection.query_prepared("SELECT * FROM not_there_yet")));
}

TEST_F(PipelineTest, PoolScenario90_EvictionInsideAPipelineServesEveryStatement) {
  Connection connection = connect();
  connection.limit_statements(3);
  Answers answers;
  {
    Pipeline pipeline(connection);
    for (int number = 0; number < 60; ++number) {
      send(pipeline, ("SELECT " + std::to_string(number % 7)).c_str(), {}, answers);
    }
    ASSERT_TRUE(await(answers, 60));
    EXPECT_TRUE(run(pipeline.finish(in(5s))));
  }
  for (std::size_t number = 0; number < 60; ++number) {
    ASSERT_TRUE(answers[number]);
    EXPECT_EQ((*answers[number])[0].get<std::uint32_t>(0), number % 7);
  }
  EXPECT_EQ(scalar(connection, "SELECT count(*) FROM pg_prepared_statements"), "3");
}

TEST_F(PipelineTest, PoolScenario91_ChangedTablesAndLostStatementsHeal) {
  Connection connection = connect();
  const std::string table = "healing_" + std::to_string(connection.backend_pid());
  server_.execute_as_superuser("CREATE TABLE " + table + " (a int)");
  const std::string sql = "SELECT * FROM public." + table;
  Answers answers;
  Pipeline pipeline(connection);
  send(pipeline, sql.c_str(), {}, answers);
  ASSERT_TRUE(await(answers, 1));
  server_.execute_as_superuser("ALTER TABLE " + table + " ADD COLUMN b int");
  for (int round = 0; round < 3; ++round) send(pipeline, sql.c_str(), {}, answers);
  ASSERT_TRUE(await(answers, 4));
  send(pipeline, "DEALLOCATE ALL", {}, answers);
  send(pipeline, sql.c_str(), {}, answers);
  ASSERT_TRUE(await(answers, 6));
  for (std::size_t at = 1; at < 4; ++at) {
    ASSERT_TRUE(answers[at]) << answers[at].error().to_string();
    EXPECT_EQ(answers[at]->columns(), 2);
  }
  ASSERT_TRUE(answers[5]) << answers[5].error().to_string();
  EXPECT_EQ(answers[5]->columns(), 2);
  EXPECT_TRUE(run(pipeline.finish(in(5s))));
  server_.execute_as_superuser("DROP TABLE " + table);
}

TEST_F(PipelineTest, PoolScenario92_LargeParametersAndAnswersInFlightDoNotDeadlock) {
  Connection connection = connect();
  const std::string large(3'000'000, 'x');
  Answers answers;
  Pipeline pipeline(connection);
  for (int round = 0; round < 20; ++round) send(pipeline, "SELECT $1::text", {large}, answers);
  ASSERT_TRUE(await(answers, 20));
  for (const auto& answer : answers) EXPECT_EQ((*answer)[0].text(0).size(), large.size());
  EXPECT_TRUE(run(pipeline.finish(in(5s))));
}

TEST_F(PipelineTest, ACompletionMaySendTheNext) {
  Connection connection = connect();
  Pipeline pipeline(connection);
  int rounds = 0;
  std::function<void(Result<ResultSet>)> next = [&](Result<ResultSet> answer) {
    ASSERT_TRUE(answer);
    if (++rounds < 500) ASSERT_TRUE(pipeline.send(Statement("SELECT 1"), {}, next));
  };
  ASSERT_TRUE(pipeline.send(Statement("SELECT 1"), {}, next));
  EXPECT_TRUE(eventually([&] { return rounds == 500; }));
  EXPECT_TRUE(run(pipeline.finish(in(5s))));
}

TEST_F(PipelineTest, TheLossOfTheConnectionFailsEveryStatement) {
  Connection connection = connect();
  Answers answers;
  int losses = 0;
  Pipeline pipeline(connection, [&] { ++losses; });
  send(pipeline, "SELECT pg_terminate_backend(pg_backend_pid())", {}, answers);
  for (int round = 0; round < 3; ++round) send(pipeline, "SELECT 1", {}, answers);
  ASSERT_TRUE(await(answers, 4));
  for (const auto& answer : answers) EXPECT_EQ(answer.error().kind, ErrorKind::unavailable);
  EXPECT_EQ(answers[0].error().code, "57P01");
  EXPECT_EQ(losses, 1);
  EXPECT_TRUE(connection.broken());
  EXPECT_TRUE(connection.ended_by_server());
  EXPECT_FALSE(pipeline.usable());
  EXPECT_EQ(run(pipeline.finish(in(5s))).error().kind, ErrorKind::unavailable);
}

TEST_F(PipelineTest, AnIdlePipelineNoticesTheLossAndTheNextOneIsRefused) {
  Connection connection = connect();
  bool lost = false;
  Pipeline pipeline(connection, [&] { lost = true; });
  server_.execute_as_superuser("SELECT pg_terminate_backend(" + std::to_string(connection.backend_pid()) + ")");
  EXPECT_TRUE(eventually([&] { return lost; }));
  Pipeline second(connection);
  EXPECT_FALSE(second.usable());
  EXPECT_EQ(second.send(Statement("SELECT 1"), {}, [](Result<ResultSet>) {}).error().kind, ErrorKind::closed);
}

TEST_F(PipelineTest, WhatIsNotAnsweredByTheDeadlineIsGivenUp) {
  Connection connection = connect();
  Answers answers;
  Pipeline pipeline(connection);
  send(pipeline, "SELECT pg_sleep(600)", {}, answers);
  const auto finished = run(pipeline.finish(in(100ms)));
  ASSERT_FALSE(finished);
  EXPECT_EQ(finished.error().kind, ErrorKind::timed_out);
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].error().kind, ErrorKind::timed_out);
  EXPECT_TRUE(connection.broken());
  run(connection.close(in(5s)));
}

TEST_F(PipelineTest, DestructionCompletesWhatIsUnderWay) {
  Connection connection = connect();
  Answers answers;
  {
    Pipeline pipeline(connection);
    send(pipeline, "SELECT pg_sleep(600)", {}, answers);
  }
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].error().kind, ErrorKind::cancelled);
  EXPECT_TRUE(connection.broken());
  run(connection.close(in(5s)));
  Connection other = connect();
  {
    Pipeline unused(other);
  }
  EXPECT_EQ(scalar(other, "SELECT 1"), "1") << "nothing was under way";
}

TEST_F(PipelineTest, StatementsThatCannotBeSentAreRefusedAtOnce) {
  Connection connection = connect();
  Pipeline pipeline(connection);
  const auto ignored = [](Result<ResultSet>) { FAIL() << "its completion is dropped"; };
  EXPECT_EQ(pipeline.send(Statement(std::string("SELECT 1\0", 9)), {}, ignored).error().kind, ErrorKind::invalid);
  EXPECT_EQ(pipeline.send(Statement("SELECT $1"), {std::string("\0", 1)}, ignored).error().kind, ErrorKind::invalid);
  EXPECT_EQ(pipeline.in_flight(), 0U);
  EXPECT_TRUE(run(pipeline.finish(in(5s))));
}

}  // namespace
}  // namespace opi::pg
