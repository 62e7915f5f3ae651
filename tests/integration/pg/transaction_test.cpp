// Transactions: scopes within them, what is tried again, and what never is.
#include "pg/transaction.hpp"

#include "aio/with_deadline.hpp"
#include "integration/pg/connection_fixture.hpp"

namespace opi::pg {
namespace {

class TransactionTest : public ConnectionTest {
 protected:
  Transaction begin(Connection& connection, TransactionOptions options = {}) {
    return value(run(Transaction::begin(connection, options)));
  }
  void insert(Transaction& transaction, int number) {
    value(run(transaction.query("INSERT INTO t VALUES ($1)", {number})));
  }
  std::string numbers(Connection& connection) {
    return scalar(connection, "SELECT coalesce(string_agg(i::text, ',' ORDER BY i), '') FROM t");
  }
};

TEST_F(TransactionTest, OptionsReachTheServer) {
  Connection connection = connect();
  Transaction transaction =
      begin(connection, {.isolation = Isolation::serializable, .read_only = true, .deferrable = true});
  EXPECT_EQ(scalar(connection, "SHOW transaction_isolation"), "serializable");
  EXPECT_EQ(scalar(connection, "SHOW transaction_read_only"), "on");
  EXPECT_EQ(scalar(connection, "SHOW transaction_deferrable"), "on");
  EXPECT_TRUE(run(transaction.commit()));
  EXPECT_FALSE(transaction.open());
  EXPECT_EQ(run(transaction.query("SELECT 1")).error().kind, ErrorKind::closed);
  EXPECT_EQ(run(transaction.commit()).error().kind, ErrorKind::closed);
  EXPECT_EQ(run(transaction.rollback()).error().kind, ErrorKind::closed);
}

TEST_F(TransactionTest, PoolScenario93_AnInnerRollbackKeepsTheOuterWork) {
  Connection connection = connect();
  query(connection, "CREATE TEMP TABLE t (i int)");
  Transaction transaction = begin(connection);
  insert(transaction, 1);
  {
    Savepoint outer = value(run(transaction.savepoint()));
    insert(transaction, 2);
    {
      Savepoint inner = value(run(transaction.savepoint()));
      insert(transaction, 3);
      EXPECT_FALSE(run(transaction.query("SELECT 1/0")));
      EXPECT_TRUE(run(inner.rollback()));
      EXPECT_EQ(run(inner.rollback()).error().kind, ErrorKind::closed);
    }
    insert(transaction, 4);
    EXPECT_TRUE(run(outer.release()));
  }
  Savepoint again = value(run(transaction.savepoint()));
  insert(transaction, 5);
  EXPECT_TRUE(run(again.release()));
  EXPECT_TRUE(run(transaction.commit()));
  EXPECT_EQ(numbers(connection), "1,2,4,5");
}

TEST_F(TransactionTest, PoolScenario93_AScopeThatIsLeftWithoutAnEndIsRolledBack) {
  Connection connection = connect();
  query(connection, "CREATE TEMP TABLE t (i int)");
  Transaction transaction = begin(connection);
  insert(transaction, 1);
  {
    const Savepoint left = value(run(transaction.savepoint()));
    insert(transaction, 2);
    const Savepoint inner = value(run(transaction.savepoint()));
    EXPECT_FALSE(run(transaction.query("SELECT 1/0")));
  }
  insert(transaction, 3);
  {
    const Savepoint left = value(run(transaction.savepoint()));
    insert(transaction, 4);
  }
  EXPECT_TRUE(run(transaction.commit()));
  EXPECT_EQ(numbers(connection), "1,3");
}

TEST_F(TransactionTest, PoolScenario93_TheEndOfAnOuterScopeEndsTheInnerOnes) {
  Connection connection = connect();
  query(connection, "CREATE TEMP TABLE t (i int)");
  Transaction transaction = begin(connection);
  Savepoint outer = value(run(transaction.savepoint()));
  Savepoint inner = value(run(transaction.savepoint()));
  insert(transaction, 1);
  EXPECT_TRUE(run(outer.release()));
  EXPECT_EQ(run(inner.rollback()).error().kind, ErrorKind::closed);
  EXPECT_TRUE(run(transaction.commit()));
  EXPECT_EQ(numbers(connection), "1");
}

TEST_F(TransactionTest, PoolScenario53_AfterItsConnectionWasGivenBackItFails) {
  Connection connection = connect();
  Transaction transaction = begin(connection);
  connection.end_use();
  EXPECT_FALSE(transaction.open());
  EXPECT_EQ(run(transaction.query("SELECT 1")).error().kind, ErrorKind::closed);
  EXPECT_EQ(run(transaction.savepoint()).error().kind, ErrorKind::closed);
  EXPECT_EQ(connection.transaction_status(), TransactionStatus::in_transaction) << "nothing was sent";
  std::optional<Transaction> left;
  {
    Connection short_lived = connect();
    left = begin(short_lived);
  }
  EXPECT_EQ(run(left->query("SELECT 1")).error().kind, ErrorKind::closed);
}

/// Adds one to a row that another transaction may have changed meanwhile.
struct Increment {
  Connection* other;
  int disturbances;  ///< attempts in which somebody else comes in between
  std::shared_ptr<int> attempts = std::make_shared<int>(0);

  Task<Result<int>> operator()(Transaction* transaction) const {
    return increment(transaction, other, disturbances, attempts);
  }

  static Task<Result<int>> increment(Transaction* transaction, Connection* other, int disturbances,
                                     std::shared_ptr<int> attempts) {
    auto read = co_await transaction->query("SELECT i FROM public.retried");
    if (!read) co_return failure(std::move(read.error()));
    if (++*attempts <= disturbances) {
      auto disturbed = co_await other->query("UPDATE public.retried SET i = i + 100");
      if (!disturbed) co_return failure(std::move(disturbed.error()));
    }
    auto written =
        co_await transaction->query("UPDATE public.retried SET i = $1 RETURNING i", {(*read)[0].get<int>(0) + 1});
    if (!written) co_return failure(std::move(written.error()));
    co_return (*written)[0].get<int>(0);
  }
};

class RetryTest : public TransactionTest {
 protected:
  RetryTest() {
    server_.execute_as_superuser(
        "DROP TABLE IF EXISTS retried; CREATE TABLE retried (i int); INSERT INTO retried VALUES (0)");
  }
  ~RetryTest() override { server_.execute_as_superuser("DROP TABLE retried"); }
  static RetryOptions repeatable_read(std::uint32_t attempts_max) {
    return {.transaction = {.isolation = Isolation::repeatable_read}, .attempts_max = attempts_max};
  }
};

TEST_F(RetryTest, PoolScenario94_ASerializationFailureIsTriedAgainWithAFreshSnapshot) {
  Connection connection = connect();
  Connection other = connect();
  const Increment body{.other = &other, .disturbances = 2};
  const auto result = run(in_transaction(connection, repeatable_read(5), body));
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(*result, 201);
  EXPECT_EQ(*body.attempts, 3);
  EXPECT_EQ(scalar(other, "SELECT i FROM public.retried"), "201");
  EXPECT_EQ(connection.transaction_status(), TransactionStatus::idle);
}

TEST_F(RetryTest, PoolScenario94_AttemptsAndTimeAreBounded) {
  Connection connection = connect();
  Connection other = connect();
  const Increment body{.other = &other, .disturbances = 1'000};
  auto result = run(in_transaction(connection, repeatable_read(3), body));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, "40001");
  EXPECT_EQ(*body.attempts, 3);
  EXPECT_EQ(connection.transaction_status(), TransactionStatus::idle);
  RetryOptions late = repeatable_read(1'000);
  late.deadline = in(-1s);
  result = run(in_transaction(connection, late, body));
  EXPECT_EQ(result.error().code, "40001");
  EXPECT_EQ(*body.attempts, 4);
}

Task<Result<>> lock_both(Transaction* transaction, int first, int second, std::shared_ptr<int> attempts) {
  ++*attempts;
  for (const int key : {first, second}) {
    auto locked = co_await transaction->query("SELECT pg_advisory_xact_lock($1), pg_sleep(0.05)", {key});
    if (!locked) co_return failure(std::move(locked.error()));
  }
  co_return Result<>{};
}

struct LockBoth {
  int first;
  int second;
  std::shared_ptr<int> attempts;
  Task<Result<>> operator()(Transaction* transaction) const { return lock_both(transaction, first, second, attempts); }
};

TEST_F(RetryTest, PoolScenario94_ADeadlockIsTriedAgainAndBothSucceed) {
  ServerSettings settings = server_.server_settings();
  settings.options = {{"deadlock_timeout", "50ms"}};
  Connection one = connect(settings);
  Connection two = connect(settings);
  const auto attempts = std::make_shared<int>(0);
  int done = 0;
  const auto count = [&](const std::exception_ptr& e, const Result<>& result) {
    EXPECT_FALSE(e);
    EXPECT_TRUE(result) << result.error().to_string();
    ++done;
  };
  asio::co_spawn(io_, in_transaction(one, {}, LockBoth{.first = 9401, .second = 9402, .attempts = attempts}), count);
  asio::co_spawn(io_, in_transaction(two, {}, LockBoth{.first = 9402, .second = 9401, .attempts = attempts}), count);
  ASSERT_TRUE(eventually([&] { return done == 2; }));
  EXPECT_GT(*attempts, 2) << "there was no deadlock";
}

Task<Result<>> fail_with_division(Transaction* transaction, std::shared_ptr<int> attempts) {
  ++*attempts;
  (void)co_await transaction->query("UPDATE public.retried SET i = 5");
  auto divided = co_await transaction->query("SELECT 1/0");
  co_return failure(std::move(divided.error()));
}

Task<Result<>> die_at_commit(Transaction* transaction, std::shared_ptr<int> attempts) {
  ++*attempts;
  auto planted = co_await transaction->execute(
      "CREATE FUNCTION pg_temp.die() RETURNS trigger LANGUAGE plpgsql AS "
      "'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END'; "
      "CREATE CONSTRAINT TRIGGER die AFTER UPDATE ON public.retried DEFERRABLE INITIALLY DEFERRED FOR EACH ROW "
      "EXECUTE FUNCTION pg_temp.die(); UPDATE public.retried SET i = 1");
  if (!planted) co_return failure(std::move(planted.error()));
  co_return Result<>{};
}

template <Task<Result<>> (*body)(Transaction*, std::shared_ptr<int>)>
struct Counted {
  std::shared_ptr<int> attempts = std::make_shared<int>(0);
  Task<Result<>> operator()(Transaction* transaction) const { return body(transaction, attempts); }
};

TEST_F(RetryTest, PoolScenario94_OtherErrorsRollBackAndAreNotTriedAgain) {
  Connection connection = connect();
  const Counted<fail_with_division> body;
  const auto result = run(in_transaction(connection, {}, body));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, "22012");
  EXPECT_EQ(*body.attempts, 1);
  EXPECT_EQ(connection.transaction_status(), TransactionStatus::idle);
  EXPECT_EQ(scalar(connection, "SELECT i FROM public.retried"), "0");
}

TEST_F(RetryTest, PoolScenario94_ACommitWithoutAKnownOutcomeIsNeverTriedAgain) {
  Connection connection = connect();
  const Counted<die_at_commit> body;
  const auto result = run(in_transaction(connection, {}, body));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, "08007") << result.error().to_string();
  EXPECT_EQ(result.error().handling(), Handling::needs_person);
  EXPECT_EQ(*body.attempts, 1);
}

}  // namespace
}  // namespace opi::pg
