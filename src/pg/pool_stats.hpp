#pragma once
/// @file
/// What a pool counts, as plain data.

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "pg/duration_histogram.hpp"
#include "pg/settings.hpp"

namespace opi::pg {

/// One of the hosts that a pool may dial. Role and availability are what all pools together know.
struct PoolHost {
  std::string host;  ///< "db1:5432"
  HostRole role = HostRole::unknown;
  bool available = true;          ///< the last dial that says something of the host did not fail
  std::uint32_t connections = 0;  ///< of this pool
  std::string last_error = {};
};

/// Counters and gauges at one moment, consistent with each other: idle + used + dialing + closing is what exists, and
/// passes `max` only after a shrink, until what is lent comes back.
struct PoolStats {
  std::string name;
  std::uint32_t min = 0, max = 0;
  std::uint32_t idle = 0, used = 0, dialing = 0, closing = 0;
  std::uint32_t waiting = 0;
  std::uint32_t carrying = 0;  ///< of those used: they carry statements of DatabasePool::execute
  bool paused = false;
  std::uint64_t acquired = 0;          ///< successful acquires
  std::uint64_t acquired_waiting = 0;  ///< of these, how many had to wait
  std::uint64_t timed_out = 0, deadlocked = 0, refused_full = 0, cancelled = 0, failed_unavailable = 0;
  std::uint64_t dials = 0, dials_failed = 0;
  std::uint64_t closed_lifetime = 0, closed_idle = 0, closed_broken = 0;
  std::uint64_t closed_uses = 0;      ///< after PoolSettings::max_uses
  std::uint64_t closed_recycled = 0;  ///< by `recycle` or a new configuration
  std::uint64_t closed_surplus = 0;   ///< the pool was made smaller
  std::uint64_t detached = 0;         ///< left the pool by Lease::detach
  std::uint64_t resets = 0, leaks = 0;
  std::uint64_t fenced = 0;         ///< times that a server of ours was found in a role which will not do
  std::uint64_t closed_fenced = 0;  ///< connections closed because their server changed its role

  // Statements of DatabasePool::execute that shared a connection; the others are leases as any. Counted beside the
  // rest.
  std::uint32_t execute_pending = 0;    ///< wait for a connection
  std::uint32_t execute_under_way = 0;  ///< were sent and have no answer yet
  std::uint64_t executed = 0;           ///< answered by the server, with a result or an error
  std::uint64_t execute_refused = 0;    ///< never sent: no connection in time, cancelled before, the pool is closed …
  std::uint64_t execute_given_up = 0;   ///< sent, but the caller left before the answer: deadline or cancellation
  std::uint64_t execute_lost = 0;       ///< sent, and the connection was lost before the answer

  /// Waiting, by what it ended with: a connection that came back, a dial, a reset. An acquire that found an idle
  /// connection did not wait and is in none of them.
  DurationHistogram waited_queue, waited_dial, waited_reset;
  DurationHistogram pings;   ///< checks of long idle connections before they were lent
  DurationHistogram dialed;  ///< successful dials
  /// How long connections were lent: one lease in 64 is timed.
  DurationHistogram used_for;
  std::chrono::nanoseconds waited_total{0};
  std::chrono::nanoseconds used_total{0};  ///< of all leases, each to within some milliseconds

  bool available = false;            ///< the last dial succeeded and the pool is open
  std::string last_error = {};       ///< of the last dial, "" when it succeeded
  std::string last_sqlstate = {};    ///< of the last dial, when the server answered with one
  std::string server_version = {};   ///< of the last successful dial
  std::vector<PoolHost> hosts = {};  ///< in the order of the settings
};

}  // namespace opi::pg
