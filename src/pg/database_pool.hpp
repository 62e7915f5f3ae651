#pragma once
/// @file
/// A named pool of connections to one server: opened before anyone needs it, shared by everything, closed last.

#include <atomic>
#include <expected>
#include <memory>
#include <source_location>
#include <string>
#include <vector>

#include "aio/blocking_pool.hpp"
#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "pg/connection.hpp"
#include "pg/settings.hpp"

namespace opi::pg {

/// Why no connection could be had.
enum class AcquireErrorKind { queue_full, timed_out, unavailable, closed, cancelled };
std::string_view to_string(AcquireErrorKind kind) noexcept;

/// Who holds a connection, for messages and `describe()`.
struct Holder {
  std::chrono::nanoseconds since{0};
  std::string place;  ///< "provision/database_manager.cpp:212"
  std::string task;   ///< what the holder called itself
};

/// A failed acquire, typed.
struct AcquireError {
  AcquireErrorKind kind = AcquireErrorKind::unavailable;
  std::string pool;
  std::chrono::nanoseconds waited{0};
  std::vector<Holder> holders = {};  ///< timed_out and queue_full: who has the connections, oldest first, at most 16
  std::string last_error = {};       ///< unavailable: the last dial's message
  std::string sqlstate = {};         ///< of the last dial, when the server answered
  std::string peer = {};
  std::uint32_t attempt = 0;  ///< failed dials in a row
  std::chrono::nanoseconds next_attempt_in{0};

  /// The one-value form: ErrorKind exhausted, timed_out, unavailable, closed or cancelled, with all of the above in its
  /// text.
  Error to_error() const;
};

/// Options of one acquire.
struct AcquireOptions {
  /// Absolute; none: now + PoolSettings::acquire_timeout. One in the past fails without touching the pool.
  std::optional<SteadyTime> deadline = {};
  /// What the holder is doing; shown in timeouts and leak reports.
  std::string_view task = {};
};

/// Counters and gauges at one moment; idle + used + dialing + closing <= max at every moment.
struct PoolStats {
  std::string name;
  std::uint32_t min = 0, max = 0;
  std::uint32_t idle = 0, used = 0, dialing = 0, closing = 0;
  std::uint32_t waiting = 0;
  std::uint64_t acquired = 0;          ///< successful acquires
  std::uint64_t acquired_waiting = 0;  ///< of these, how many had to wait
  std::uint64_t timed_out = 0, refused_full = 0, cancelled = 0, failed_unavailable = 0;
  std::uint64_t dials = 0, dials_failed = 0;
  std::uint64_t closed_lifetime = 0, closed_idle = 0, closed_broken = 0;
  std::uint64_t resets = 0, leaks = 0;
  std::chrono::nanoseconds waited_total{0};
  std::chrono::nanoseconds used_total{0};
  bool available = false;           ///< the last dial succeeded and the pool is open
  std::string last_error = {};      ///< of the last dial, "" when it succeeded
  std::string last_sqlstate = {};   ///< of the last dial, when the server answered with one
  std::string server_version = {};  ///< of the last successful dial
};

class DatabasePool;
struct PoolSlot;

/// A connection that was lent. Move-only; destruction gives it back, without blocking and without traffic.
/// Threading: whoever holds it. A lease may outlive the pool's close(): the connection is then closed on return.
class Lease {
 public:
  Lease() noexcept = default;
  Lease(Lease&&) noexcept;
  Lease& operator=(Lease&&) noexcept;
  ~Lease();

  explicit operator bool() const noexcept { return slot_ != nullptr; }
  Connection& operator*() const noexcept;
  Connection* operator->() const noexcept;

  /// Gives it back now.
  void release() noexcept;
  /// Gives it back to be closed, never used again: for a session that holds something only its end releases.
  void discard() noexcept;

 private:
  friend class DatabasePool;
  Lease(std::shared_ptr<void> pool, PoolSlot* slot) noexcept;
  std::shared_ptr<void> pool_;  ///< keeps the pool's state, so that lease and pool may die in either order
  PoolSlot* slot_ = nullptr;
};

/// The pool.
///
/// Ownership: one owner (DatabasePools, or a program of its own); its state lives until the last Lease is back. The
/// executor's context, the blocking pool, the log's sink and the clock outlive the pool and every lease.
///
/// Threading: every member from any thread; coroutines resume on the caller's executor. The pool's own executor runs
/// one thing at a time: a context with one thread, or a strand.
///
/// Cancellation: of `acquire`, at any instant, loses neither connection nor cancellation. A dial that was started for a
/// cancelled acquirer goes on and ends as an idle connection.
///
/// Errors: `acquire` answers with AcquireError; nothing throws but broken invariants.
///
/// Outages: a failed dial fails the waiters with `unavailable` when no connection is open that could still serve them,
/// and new acquires fail so at once until a dial succeeds. Not so for 57P03 (starting up) and 53300 (too many clients):
/// the server asks to be tried again, so waiters stay until their deadline. One dial at a time probes a server that
/// failed, after 100 ms to 30 s with jitter; after 28P01, 28000 and 3D000, which time does not heal, about every 30 s
/// (`recover` tries at once).
class DatabasePool {
 public:
  DatabasePool(asio::any_io_executor executor, PoolConfig config, aio::BlockingPool& blocking, Logger log,
               const Clock& clock = system_clock());
  /// Must be closed (asserted).
  ~DatabasePool();
  DatabasePool(const DatabasePool&) = delete;
  DatabasePool& operator=(const DatabasePool&) = delete;

  /// Opens `min` connections (one when `min` is 0: it shows whether the server is there) and starts the upkeep. Returns
  /// when they are open, when the first attempt has failed (the pool is then degraded and keeps recovering in the
  /// background), or at the deadline. The error says why it is degraded.
  Task<Result<>> start(SteadyTime deadline);

  /// Strict first come, first served. Uncontended: no system call, no allocation, no traffic.
  Task<std::expected<Lease, AcquireError>> acquire(AcquireOptions options = {},
                                                   std::source_location where = std::source_location::current());

  /// Dials again now instead of at the next backoff; true when a connection is open afterwards.
  Task<bool> recover(SteadyTime deadline);

  /// Refuses new acquires and fails the waiters at once, lets leases come back until the deadline, then closes
  /// everything; leases still out are reported with their place and closed when they return. Idempotent.
  Task<Result<>> close(SteadyTime deadline);

  /// Called with true when the pool becomes available and false when it stops being so; on the pool's executor.
  void on_availability(std::function<void(bool)> handler);

  PoolStats stats() const;
  std::vector<Holder> holders() const;
  const std::string& name() const noexcept;
  const PoolConfig& config() const noexcept;
  /// A few lines for people: state, sizes, who holds what, the last error.
  std::string describe() const;

 private:
  friend class Lease;
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace opi::pg
