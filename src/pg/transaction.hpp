#pragma once
/// @file
/// A transaction whose end is never in doubt: commit is awaited, anything else rolls back.

#include <memory>

#include "base/backoff.hpp"
#include "pg/connection.hpp"

namespace opi::pg {

enum class Isolation { read_committed, repeatable_read, serializable };

struct TransactionOptions {
  Isolation isolation = Isolation::read_committed;
  bool read_only = false;
  /// With serializable and read_only: waits for a snapshot that cannot fail.
  bool deferrable = false;
};

class Savepoint;

/// Begun by `begin`; ended by `commit` or `rollback`. Destroyed without either, the connection is left in its
/// transaction and its pool rolls it back (or closes it) before anyone else gets it.
///
/// Ownership: borrows the connection. Used after it was ended, or after its connection is gone or given back,
/// everything fails as ErrorKind::closed.
///
/// Threading: as Connection.
class Transaction {
 public:
  static Task<Result<Transaction>> begin(Connection& connection, TransactionOptions options = {});
  static Task<Result<Transaction>> begin(Connection& connection, Isolation isolation);

  Transaction(Transaction&&) noexcept;
  Transaction& operator=(Transaction&&) noexcept;
  ~Transaction();

  /// The one it was begun on, which must still be there.
  Connection& connection() const noexcept { return *connection_; }
  /// Neither committed nor rolled back, on a connection that is still its own.
  bool open() const noexcept;

  // As those of Connection.
  Task<Result<ResultSet>> query(std::string sql, Params params = {}, Format results = Format::text);
  Task<Result<ResultSet>> query_prepared(Statement statement, Params params = {});
  Task<Result<ResultSet>> execute(std::string sql);

  /// A scope within the transaction; they nest.
  Task<Result<Savepoint>> savepoint();

  /// An error with the code 08007 (transaction_resolution_unknown) means that COMMIT was sent and its answer is not
  /// known: the transaction may have taken effect. With any other error it has not. A failed transaction that the
  /// server therefore rolled back is ErrorKind::conflict.
  Task<Result<>> commit();
  Task<Result<>> rollback();

 private:
  friend class Savepoint;
  struct State;
  static Task<Result<Transaction>> begin_on(Connection* connection, TransactionOptions options);
  Transaction(Connection* connection, std::shared_ptr<State> state) noexcept;
  Connection* connection_;
  std::shared_ptr<State> state_;
};

/// Ended by `release` (what was done stays part of the transaction) or `rollback` (as if it had not been done, and a
/// failed transaction can go on). Destroyed without either, it is rolled back before the transaction's next statement
/// or commit. Those within it end with it.
class Savepoint {
 public:
  Savepoint(Savepoint&&) noexcept;
  Savepoint& operator=(Savepoint&&) noexcept;
  ~Savepoint();

  Task<Result<>> release();
  Task<Result<>> rollback();

 private:
  friend class Transaction;
  Savepoint(std::shared_ptr<Transaction::State> state, int depth) noexcept;
  void abandon() noexcept;
  std::shared_ptr<Transaction::State> transaction_;
  int depth_;
};

/// How `in_transaction` tries.
struct RetryOptions {
  TransactionOptions transaction = {};
  std::uint32_t attempts_max = 5;
  BackoffLimits backoff = {
      .first = std::chrono::milliseconds{5}, .most = std::chrono::milliseconds{1'000}, .jitter = 1};
  /// No attempt begins after it; none: attempts_max alone decides.
  std::optional<SteadyTime> deadline = {};
};

/// Decides whether an attempt that failed is made again: 40001 (serialization) and 40P01 (deadlock) on a connection
/// that is still usable. Never one whose commit has no known outcome.
bool may_be_retried(const Error& error, const Connection& connection) noexcept;

/// Waits before the next attempt; false: there is none.
Task<bool> pause_before_retry(const RetryOptions* options, Backoff* backoff, std::uint32_t attempts);

template <class Body>
using BodyResult = typename std::invoke_result_t<Body&, Transaction*>::value_type;

/// The inside of `in_transaction`.
template <class Body>
Task<BodyResult<Body>> attempt_transactions(Connection* connection, RetryOptions options, Body body) {
  Backoff backoff(options.backoff,
                  static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count()));
  for (std::uint32_t attempts = 1;; ++attempts) {
    auto transaction = co_await Transaction::begin(*connection, options.transaction);
    if (!transaction) co_return failure(std::move(transaction.error()));
    auto result = co_await body(&*transaction);
    if (result && transaction->open()) {
      auto committed = co_await transaction->commit();
      if (committed) co_return result;
      result = failure(std::move(committed.error()));
    }
    if (result) co_return result;
    if (transaction->open()) (void)co_await transaction->rollback();  // what it says is no news
    if (!may_be_retried(result.error(), *connection)) co_return result;
    if (!co_await pause_before_retry(&options, &backoff, attempts)) co_return result;
  }
}

/// Runs `body(Transaction*)`, a coroutine that returns a Result, in a transaction and commits when it succeeded; rolls
/// back when it failed. An attempt that ends with 40001 or 40P01, in the body or at commit, is made again in a fresh
/// transaction, after a jittered pause. The body must therefore have no effect outside of the database, and pass those
/// errors on with their code. It may end the transaction itself: then its result is the result. An exception of the
/// body leaves the transaction open.
///
/// The connection outlives the call; `body` is kept until its end.
template <class Body>
Task<BodyResult<Body>> in_transaction(Connection& connection, RetryOptions options, Body body) {
  return attempt_transactions(&connection, std::move(options), std::move(body));
}

}  // namespace opi::pg
