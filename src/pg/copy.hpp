#pragma once
/// @file
/// COPY: rows as bytes, in the form that the statement names (text, csv or binary).

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "aio/task.hpp"
#include "base/result.hpp"

namespace opi::pg {

class Session;

/// Made by Connection::copy_in for a statement COPY … FROM STDIN. The connection is busy until `finish` or `abort`.
///
/// Ownership: dropped before its end nothing is copied; the connection is then `recoverable()`, which its pool does. It
/// may outlive the connection, or its lease: then it fails as closed.
///
/// Threading: as Connection. Cancellation: terminal and partial end the call and leave the connection for `recover`;
/// total is refused.
class CopyIn {
 public:
  CopyIn(CopyIn&&) noexcept;
  CopyIn& operator=(CopyIn&&) noexcept;
  ~CopyIn();

  /// Any cut of the bytes, rows need not be whole; returns when the socket has taken them. What the server thinks of
  /// them shows in `finish`.
  Task<Result<>> write(std::string bytes);
  /// The number of rows that were copied.
  Task<Result<std::int64_t>> finish();
  /// Nothing is copied; the server logs the reason. The connection is usable afterwards, its transaction failed.
  Task<Result<>> abort(std::string reason);

 private:
  friend class Connection;
  struct State;
  explicit CopyIn(std::shared_ptr<State> state) noexcept;
  static Task<Result<CopyIn>> begin(std::shared_ptr<Session> session, std::string sql);
  std::shared_ptr<State> state_;
};

/// Made by Connection::copy_out for a statement COPY … TO STDOUT. The connection is busy until the end was seen; for
/// the rest see CopyIn.
class CopyOut {
 public:
  CopyOut(CopyOut&&) noexcept;
  CopyOut& operator=(CopyOut&&) noexcept;
  ~CopyOut();

  /// The next bytes: one row as the server sends it; none at the end. An error: the rows so far are not all.
  Task<Result<std::optional<std::string>>> next();

 private:
  friend class Connection;
  struct State;
  explicit CopyOut(std::shared_ptr<State> state) noexcept;
  static Task<Result<CopyOut>> begin(std::shared_ptr<Session> session, std::string sql);
  std::shared_ptr<State> state_;
};

}  // namespace opi::pg
