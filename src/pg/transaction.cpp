#include "pg/transaction.hpp"

#include <fmt/format.h>

#include <utility>

#include "aio/with_deadline.hpp"
#include "pg/session.hpp"
#include "pg/sqlstate.hpp"

namespace opi::pg {
namespace {

std::string begin_statement(const TransactionOptions& options) {
  std::string sql = "BEGIN ISOLATION LEVEL ";
  switch (options.isolation) {
    case Isolation::read_committed: sql += "READ COMMITTED"; break;
    case Isolation::repeatable_read: sql += "REPEATABLE READ"; break;
    case Isolation::serializable: sql += "SERIALIZABLE"; break;
  }
  sql += options.read_only ? " READ ONLY" : " READ WRITE";
  if (options.deferrable) sql += " DEFERRABLE";
  return sql;
}

std::string savepoint_name(int depth) {
  return "opi_savepoint_" + std::to_string(depth);
}

}  // namespace

/// Shared with the savepoints, which may outlive their transaction's object.
struct Transaction::State {
  explicit State(const std::shared_ptr<Session>& on) : session(on), use(on->use()) {}

  std::shared_ptr<Session> usable() const noexcept {
    auto held = ended ? nullptr : session.lock();
    return held && held->use() == use ? held : nullptr;
  }
  bool open(int depth) const noexcept { return usable() != nullptr && depth <= depth_open; }
  /// What was dropped is rolled back first.
  Task<Result<ResultSet>> run(Request request);
  Task<Result<>> run_plain(std::string sql);

  std::weak_ptr<Session> session;
  std::uint64_t use;
  bool ended = false;
  int depth_open = 0;            ///< savepoints that are open, one in the other
  std::optional<int> dropped{};  ///< the outermost that was destroyed without an end
};

Task<Result<ResultSet>> Transaction::State::run(Request request) {
  const auto held = usable();
  if (!held) co_return failure(ErrorKind::closed, "the transaction has ended");
  if (const auto depth = std::exchange(dropped, std::nullopt)) {
    const std::string name = savepoint_name(*depth);
    auto undone = co_await held->run({.sql = "ROLLBACK TO SAVEPOINT " + name + "; RELEASE SAVEPOINT " + name});
    if (!undone) co_return undone;
    depth_open = *depth - 1;
  }
  co_return co_await held->run(std::move(request));
}

Task<Result<>> Transaction::State::run_plain(std::string sql) {
  auto done = co_await run({.sql = std::move(sql)});
  if (!done) co_return failure(std::move(done.error()));
  co_return Result<>{};
}

Task<Result<Transaction>> Transaction::begin(Connection& connection, TransactionOptions options) {
  return begin_on(&connection, options);
}

Task<Result<Transaction>> Transaction::begin(Connection& connection, Isolation isolation) {
  return begin_on(&connection, {.isolation = isolation});
}

Task<Result<Transaction>> Transaction::begin_on(Connection* connection, TransactionOptions options) {
  if (connection->transaction_status() != TransactionStatus::idle && !connection->broken()) {
    co_return failure(ErrorKind::internal, "a transaction is open on this connection already");
  }
  if (auto begun = co_await connection->execute(begin_statement(options)); !begun) {
    co_return failure(std::move(begun.error()));
  }
  co_return Transaction(connection, std::make_shared<State>(connection->session_));
}

Transaction::Transaction(Connection* connection, std::shared_ptr<State> state) noexcept
    : connection_(connection), state_(std::move(state)) {}
Transaction::Transaction(Transaction&&) noexcept = default;
Transaction& Transaction::operator=(Transaction&&) noexcept = default;
Transaction::~Transaction() = default;

bool Transaction::open() const noexcept {
  return state_ && state_->usable() != nullptr;
}

Task<Result<ResultSet>> Transaction::query(std::string sql, Params params, Format results) {
  return state_->run(
      {.kind = Request::Kind::once, .results = results, .sql = std::move(sql), .params = std::move(params)});
}

Task<Result<ResultSet>> Transaction::query_prepared(Statement statement, Params params) {
  return state_->run({.kind = Request::Kind::prepared, .statement = std::move(statement), .params = std::move(params)});
}

Task<Result<ResultSet>> Transaction::execute(std::string sql) {
  return state_->run({.sql = std::move(sql)});
}

Task<Result<Savepoint>> Transaction::savepoint() {
  const auto state = state_;
  if (state->dropped) {  // it goes first, and its place may be taken again
    if (auto undone = co_await state->run_plain({}); !undone) co_return failure(std::move(undone.error()));
  }
  const int depth = state->depth_open + 1;
  auto set = co_await state->run_plain("SAVEPOINT " + savepoint_name(depth));
  if (!set) co_return failure(std::move(set.error()));
  state->depth_open = depth;
  co_return Savepoint(state, depth);
}

namespace {

/// COMMIT was sent; nobody knows what it did.
Error unknown_outcome(Error error) {
  error.code = sqlstate::transaction_resolution_unknown;
  return std::move(error)
      .while_doing("COMMIT has no known outcome")
      .with_remedy("find out whether the transaction took effect before it is done again")
      .handled_by(Handling::needs_person);
}

}  // namespace

Task<Result<>> Transaction::commit() {
  const auto state = state_;
  const auto session = state->usable();
  if (!session) co_return failure(ErrorKind::closed, "the transaction has ended");
  if (state->dropped) {
    if (auto undone = co_await state->run_plain({}); !undone) co_return undone;
  }
  if (session->broken()) co_return failure(ErrorKind::closed, "the connection was closed before COMMIT");
  auto committed = co_await state->run({.sql = "COMMIT"});
  state->ended = true;
  if (!committed) {
    const bool answered = !session->broken() && committed.error().kind != ErrorKind::cancelled;
    if (answered) co_return failure(std::move(committed.error()));
    co_return failure(unknown_outcome(std::move(committed.error())));
  }
  // COMMIT of a failed transaction succeeds as a ROLLBACK: say so instead of pretending.
  if (committed->command_tag() != "COMMIT") {
    co_return failure(ErrorKind::conflict, "the transaction had failed and was rolled back");
  }
  co_return Result<>{};
}

Task<Result<>> Transaction::rollback() {
  const auto state = state_;
  state->dropped.reset();
  auto rolled_back = co_await state->run_plain("ROLLBACK");
  if (rolled_back) state->ended = true;
  co_return rolled_back;
}

Savepoint::Savepoint(std::shared_ptr<Transaction::State> state, int depth) noexcept
    : transaction_(std::move(state)), depth_(depth) {}
Savepoint::Savepoint(Savepoint&&) noexcept = default;

Savepoint& Savepoint::operator=(Savepoint&& other) noexcept {
  if (this != &other) {
    abandon();
    transaction_ = std::move(other.transaction_);
    depth_ = other.depth_;
  }
  return *this;
}

Savepoint::~Savepoint() {
  abandon();
}

void Savepoint::abandon() noexcept {
  if (!transaction_ || !transaction_->open(depth_)) return;
  transaction_->dropped = std::min(depth_, transaction_->dropped.value_or(depth_));
}

Task<Result<>> Savepoint::release() {
  const auto state = std::exchange(transaction_, nullptr);
  const int depth = depth_;
  if (!state || !state->open(depth)) co_return failure(ErrorKind::closed, "the savepoint has ended");
  auto released = co_await state->run_plain("RELEASE SAVEPOINT " + savepoint_name(depth));
  // In a failed transaction it stays: then only its rollback helps, which comes by itself.
  if (released) {
    state->depth_open = depth - 1;
  } else {
    state->dropped = std::min(depth, state->dropped.value_or(depth));
  }
  co_return released;
}

Task<Result<>> Savepoint::rollback() {
  const auto state = std::exchange(transaction_, nullptr);
  if (!state || !state->open(depth_)) co_return failure(ErrorKind::closed, "the savepoint has ended");
  state->dropped = std::min(depth_, state->dropped.value_or(depth_));
  co_return co_await state->run_plain({});
}

bool may_be_retried(const Error& error, const Connection& connection) noexcept {
  return !connection.broken() &&
         (error.code == sqlstate::serialization_failure || error.code == sqlstate::deadlock_detected);
}

Task<bool> pause_before_retry(const RetryOptions* options, Backoff* backoff, std::uint32_t attempts) {
  if (attempts >= options->attempts_max) co_return false;
  const SteadyTime next = std::chrono::steady_clock::now() + backoff->next();
  if (options->deadline && next >= *options->deadline) co_return false;
  co_return co_await aio::sleep_until(next);
}

}  // namespace opi::pg
