#pragma once
/// @file
/// Many statements in one round trip.

#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "pg/param.hpp"
#include "pg/statement.hpp"
#include "pg/value.hpp"

namespace opi::pg {

/// What happens to the others when a statement of a batch fails.
enum class BatchScope {
  /// All or nothing: outside of a transaction the batch is one, within one it is a part of it, which then has failed.
  /// The statements after the failed one are not run.
  together,
  /// Each for itself; within an open transaction that has failed, the rest fail too.
  each,
};

/// A list of statements for Connection::run_batch; a plain value. Statements that manage transactions do not belong in.
class Batch {
 public:
  struct Item {
    Statement statement;
    Params params;
    bool prepared = true;
  };

  explicit Batch(BatchScope scope = BatchScope::together) noexcept : scope_(scope) {}

  /// Prepared at its first use, as query_prepared does.
  Batch& add(Statement statement, Params params = {}) {
    items_.push_back({.statement = std::move(statement), .params = std::move(params)});
    return *this;
  }
  /// Not prepared.
  Batch& add(std::string sql, Params params = {}) {
    items_.push_back({.statement = Statement(std::move(sql)), .params = std::move(params), .prepared = false});
    return *this;
  }

  BatchScope scope() const noexcept { return scope_; }
  const std::vector<Item>& items() const noexcept { return items_; }

 private:
  BatchScope scope_;
  std::vector<Item> items_;
};

/// One for each statement, in order.
using BatchResults = std::vector<Result<ResultSet>>;

}  // namespace opi::pg
