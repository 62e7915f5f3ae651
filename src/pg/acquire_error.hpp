#pragma once
/// @file
/// Why no connection could be had, typed.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace opi::pg {

enum class AcquireErrorKind {
  queue_full,   ///< more waiters than PoolSettings::max_waiting
  timed_out,    ///< nobody gave a connection back in time
  deadlocked,   ///< everyone who holds a connection waits for another one: see AcquireOptions::owner
  unavailable,  ///< the server is known to be down
  closed,       ///< the pool is closing or closed
  cancelled,
};
std::string_view to_string(AcquireErrorKind kind) noexcept;

/// Who holds a connection, for messages and `describe()`.
struct Holder {
  std::chrono::nanoseconds since{0};
  std::string place;  ///< "provision/database_manager.cpp:212"
  std::string task;   ///< what the holder called itself
};

/// A failed acquire.
struct AcquireError {
  AcquireErrorKind kind = AcquireErrorKind::unavailable;
  std::string pool;
  std::chrono::nanoseconds waited{0};
  std::vector<Holder> holders = {};  ///< timed_out, deadlocked, queue_full: who has them, oldest first, at most 16
  bool paused = false;               ///< timed_out: the pool was paused
  std::string last_error = {};       ///< unavailable: the last dial's message
  std::string sqlstate = {};         ///< of the last dial, when the server answered
  std::string peer = {};
  std::uint32_t attempt = 0;  ///< failed dials in a row
  std::chrono::nanoseconds next_attempt_in{0};

  /// The one-value form: ErrorKind exhausted, timed_out, conflict (deadlocked), unavailable, closed or cancelled, with
  /// all of the above in its text.
  Error to_error() const;
};

}  // namespace opi::pg
