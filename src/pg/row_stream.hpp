#pragma once
/// @file
/// The rows of one statement while they come, without ever holding all of them.

#include <cstddef>
#include <iterator>
#include <memory>
#include <vector>

#include "aio/task.hpp"
#include "base/result.hpp"
#include "pg/value.hpp"

namespace opi::pg {

/// Rows that have come, in order. Move-only; owns them. Not synchronised.
class RowBlock {
 public:
  bool empty() const noexcept { return rows_.empty(); }
  std::size_t size() const noexcept { return rows_.size(); }
  /// Valid while the block lives.
  Row operator[](std::size_t row) const noexcept { return rows_[row][0]; }

  class Iterator {
   public:
    explicit Iterator(std::vector<ResultSet>::const_iterator at) noexcept : at_(at) {}
    Row operator*() const noexcept { return (*at_)[0]; }
    Iterator& operator++() noexcept {
      ++at_;
      return *this;
    }
    bool operator==(const Iterator&) const noexcept = default;

   private:
    std::vector<ResultSet>::const_iterator at_;
  };
  Iterator begin() const noexcept { return Iterator(rows_.begin()); }
  Iterator end() const noexcept { return Iterator(rows_.end()); }

 private:
  friend class RowStream;
  std::vector<ResultSet> rows_;
};

/// Made by Connection::stream. The connection is busy until the end of the rows was seen.
///
/// Ownership: dropped before the end, the connection is `recoverable()`; its pool does that. It may outlive the
/// connection, or its lease: then `next` fails as closed.
///
/// Threading: as Connection. Cancellation of `next`: terminal and partial end it and leave the connection for
/// `recover`; total is refused.
class RowStream {
 public:
  RowStream(RowStream&&) noexcept;
  RowStream& operator=(RowStream&&) noexcept;
  ~RowStream();

  /// At least one row and at most `rows_max`, as soon as there is one; an empty block at the end. The statement's error
  /// comes after the rows that came before it.
  Task<Result<RowBlock>> next();
  static constexpr std::size_t rows_max = 256;

 private:
  friend class Connection;
  struct State;
  explicit RowStream(std::shared_ptr<State> state) noexcept;
  static Task<Result<RowStream>> begin(std::shared_ptr<class Session> session, std::string sql, Params params,
                                       Format results);
  static Task<Result<RowBlock>> next_of(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace opi::pg
