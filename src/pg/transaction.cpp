#include "pg/transaction.hpp"

#include <utility>

namespace opi::pg {
namespace {

const char* begin_statement(Isolation isolation) noexcept {
  switch (isolation) {
    case Isolation::read_committed: return "BEGIN ISOLATION LEVEL READ COMMITTED";
    case Isolation::repeatable_read: return "BEGIN ISOLATION LEVEL REPEATABLE READ";
    case Isolation::serializable: return "BEGIN ISOLATION LEVEL SERIALIZABLE";
  }
  return "BEGIN ISOLATION LEVEL SERIALIZABLE";
}

}  // namespace

Task<Result<Transaction>> Transaction::begin(Connection& connection, Isolation isolation) {
  return begin_on(&connection, isolation);
}

Task<Result<Transaction>> Transaction::begin_on(Connection* connection, Isolation isolation) {
  if (connection->transaction_status() != TransactionStatus::idle && !connection->broken()) {
    co_return failure(ErrorKind::internal, "a transaction is open on this connection already");
  }
  if (auto begun = co_await connection->execute(begin_statement(isolation)); !begun) {
    co_return failure(std::move(begun.error()));
  }
  co_return Transaction(*connection);
}

Transaction::Transaction(Transaction&& other) noexcept : connection_(std::exchange(other.connection_, nullptr)) {}

Transaction& Transaction::operator=(Transaction&& other) noexcept {
  connection_ = std::exchange(other.connection_, nullptr);
  return *this;
}

Task<Result<ResultSet>> Transaction::query(std::string sql, Params params) {
  return connection_->query(std::move(sql), std::move(params));
}

Task<Result<>> Transaction::commit() {
  auto committed = co_await connection_->execute("COMMIT");
  if (!committed) co_return failure(std::move(committed.error()));
  // COMMIT of a failed transaction succeeds as a ROLLBACK: say so instead of pretending.
  if (committed->command_tag() != "COMMIT") {
    co_return failure(ErrorKind::conflict, "the transaction had failed and was rolled back");
  }
  co_return Result<>{};
}

Task<Result<>> Transaction::rollback() {
  auto rolled_back = co_await connection_->execute("ROLLBACK");
  if (!rolled_back) co_return failure(std::move(rolled_back.error()));
  co_return Result<>{};
}

}  // namespace opi::pg
