#pragma once
/// @file
/// The one error value of the house: what failed, where, why, and what may be done about it.

#include <string>
#include <string_view>
#include <vector>

#include "base/place.hpp"

namespace opi {

/// What sort of failure this is; callers branch on it, people read the message.
enum class ErrorKind {
  invalid,      ///< the input is wrong: a file, a setting, an argument
  not_found,    ///< the thing asked for does not exist
  conflict,     ///< it exists already, belongs to another, or the world has moved
  denied,       ///< a server or the system refuses us: authentication, rights
  unavailable,  ///< cannot be reached now: refused, reset, shutting down, starting up
  exhausted,    ///< a limit is reached: queue, connections, disk, memory
  timed_out,    ///< a deadline passed
  cancelled,    ///< the caller asked to stop
  closed,       ///< used after it was closed, or while draining
  unsupported,  ///< understood, and deliberately not done
  internal,     ///< anything else a peer or a library reports
};

/// How a failure wants to be handled.
enum class Handling {
  retry,         ///< the same again, soon, with backoff
  wait,          ///< nothing to do until something outside changes by itself
  needs_person,  ///< no retry helps; somebody has to change something
};

/// An expected failure as a value. Holds no secret: whoever builds one keeps them out.
/// A plain value, safe to copy and to pass between threads.
struct Error {
  ErrorKind kind = ErrorKind::internal;
  std::string message;                   ///< one line: which object, what failed
  std::string code = {};                 ///< SQLSTATE, errno name or HTTP status, when there is one
  Place place = {};                      ///< where in an input, when it is about one
  std::vector<std::string> causes = {};  ///< why, nearest first
  std::string remedy = {};               ///< what to do, when we know

  /// The kind decides, unless `handling_override` was set by who knew better.
  Handling handling() const noexcept;
  bool retryable() const noexcept { return handling() == Handling::retry; }

  /// Puts `what` in front: the old message becomes the first cause. Kind, code and place stay.
  Error&& while_doing(std::string what) &&;
  Error&& at(Place where) &&;
  Error&& with_code(std::string sqlstate_or_errno) &&;
  Error&& with_remedy(std::string what_to_do) &&;
  Error&& because(std::string cause) &&;
  Error&& handled_by(Handling how) &&;

  /// One line for people: "file:line:column: message: cause [code]; remedy".
  std::string to_string() const;

 private:
  bool handling_set_ = false;
  Handling handling_override_ = Handling::needs_person;

 public:
  Error() = default;
  Error(ErrorKind k, std::string m) : kind(k), message(std::move(m)) {}
};

/// "invalid", "not found" … for logs and JSON; stable.
std::string_view to_string(ErrorKind kind) noexcept;
std::string_view to_string(Handling handling) noexcept;

/// An Error for a failed system call: errno's name as code, its text as cause.
Error system_error(ErrorKind kind, std::string what, int errno_value);

}  // namespace opi
