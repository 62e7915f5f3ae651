#pragma once
/// @file
/// An operation that lasts over several calls, kept by an object that its user may drop at any time.

#include <cstdint>
#include <memory>
#include <utility>

#include "pg/session.hpp"

namespace opi::pg {

/// Keeps a session busy until it is finished. Dropped before, the session is left for `recover`. It outlives the
/// session and the session's present use without harm: then there is nothing to hold.
class SessionHold {
 public:
  /// The session is usable and idle (Session::check_usable).
  explicit SessionHold(Session& session) : session_(session.weak_from_this()), number_(session.begin_hold()) {}
  SessionHold(SessionHold&& other) noexcept : session_(std::exchange(other.session_, {})), number_(other.number_) {}
  SessionHold& operator=(SessionHold&&) = delete;
  SessionHold(const SessionHold&) = delete;
  SessionHold& operator=(const SessionHold&) = delete;
  ~SessionHold() { end(false); }

  /// Null when it was finished, is over, or went on to another use.
  std::shared_ptr<Session> session() const noexcept {
    auto held = session_.lock();
    return held && held->holds(number_) && held->open() ? held : nullptr;
  }
  /// Everything that was asked for has been answered.
  void finish() noexcept { end(true); }

 private:
  void end(bool done) noexcept {
    if (const auto held = session()) held->end_hold(number_, done);
    session_.reset();
  }

  std::weak_ptr<Session> session_;
  std::uint64_t number_;
};

}  // namespace opi::pg
