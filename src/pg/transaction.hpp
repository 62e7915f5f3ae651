#pragma once
/// @file
/// A transaction whose end is never in doubt: commit is awaited, anything else rolls back.

#include "pg/connection.hpp"

namespace opi::pg {

enum class Isolation { read_committed, repeatable_read, serializable };

/// Begun by `begin`; ended by `commit` or `rollback`. Destroyed without either, the connection is left in its
/// transaction and its pool rolls it back (or closes it) before anyone else gets it.
///
/// Ownership: borrows the connection, which outlives it.
///
/// Threading: as Connection.
class Transaction {
 public:
  static Task<Result<Transaction>> begin(Connection& connection, Isolation isolation = Isolation::read_committed);

  Transaction(Transaction&&) noexcept;
  Transaction& operator=(Transaction&&) noexcept;
  ~Transaction() = default;

  Connection& connection() const noexcept { return *connection_; }
  Task<Result<ResultSet>> query(std::string sql, Params params = {});
  /// An error of kind unavailable or cancelled means the outcome is unknown.
  /// A failed transaction that the server therefore rolled back is ErrorKind::conflict.
  Task<Result<>> commit();
  Task<Result<>> rollback();

 private:
  static Task<Result<Transaction>> begin_on(Connection* connection, Isolation isolation);
  explicit Transaction(Connection& connection) noexcept : connection_(&connection) {}
  Connection* connection_;
};

}  // namespace opi::pg
