#pragma once
/// @file
/// A named pool of connections to one server: opened before anyone needs it, shared by everything, closed last.

#include <expected>
#include <functional>
#include <memory>
#include <source_location>
#include <string>
#include <utility>
#include <vector>

#include "aio/blocking_pool.hpp"
#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "pg/acquire_error.hpp"
#include "pg/acquiring.hpp"
#include "pg/connection.hpp"
#include "pg/dial_governor.hpp"
#include "pg/lease.hpp"
#include "pg/pool_stats.hpp"
#include "pg/settings.hpp"

namespace opi::pg {

/// What a program adds to a pool. Each may be empty. A hook that suspends is bounded by `PoolHooks::deadline`; one that
/// fails, throws or takes too long costs the connection, never the pool's capacity. Run on the pool's executor.
struct PoolHooks {
  using Step = std::function<Task<Result<>>(Connection*)>;
  Step after_connect = {};   ///< once for each new connection, before anyone gets it; a failure counts as a failed dial
  Step before_acquire = {};  ///< before it is lent; a failure closes it and the next one is tried
  Step after_release = {};   ///< once for each lease, before anyone else gets it, before the reset
  std::function<void(Connection&)> before_close = {};  ///< while it is still open; does not suspend or throw
  /// Called once when the server has not been reached for PoolSettings::give_up_after; the pool goes on trying.
  std::function<void(const PoolStats&)> gave_up = {};
  std::chrono::milliseconds deadline{5'000};
};

/// Watches a pool for tracing; every `begun` is followed by exactly one end. Called from any thread that uses the pool,
/// inline: must be quick, and must not throw or use the pool.
class PoolTracer {
 public:
  virtual ~PoolTracer() = default;
  /// A number of the tracer's own that names the span in `acquire_ended`.
  virtual std::uint64_t acquire_begun(std::string_view pool, const std::source_location& where) noexcept = 0;
  /// `error` is null when a connection was lent.
  virtual void acquire_ended(std::uint64_t span, const AcquireError* error) noexcept = 0;
  virtual std::uint64_t dial_begun(std::string_view pool) noexcept = 0;
  virtual void dial_ended(std::uint64_t span, const Error* error) noexcept = 0;
  /// A lease ended.
  virtual void released(std::string_view pool, std::chrono::nanoseconds held) noexcept = 0;
};

/// What comes with a pool beside its configuration.
struct PoolAttachments {
  PoolHooks hooks = {};
  PoolTracer* tracer = nullptr;  ///< outlives the pool and its leases
  /// Shared by all pools that may dial the same hosts; null: the pool has one of its own.
  std::shared_ptr<DialGovernor> governor = {};
  /// A session met a statement whose table had changed: called with where, for others that go there too. From any
  /// thread, without locks; must not throw.
  std::function<void(const ServerSettings&)> on_schema_change = {};
};

/// The pool.
///
/// Ownership: one owner (DatabasePools, or a program of its own); its state lives until the last Lease is back. The
/// executor's context, the blocking pool, the log's sink, the clock and the tracer outlive the pool and every lease.
///
/// Threading: every member from any thread; coroutines resume on the caller's executor. The pool's own executor runs
/// one thing at a time: a context with one thread, or a strand. A caller's context that another thread runs outlives
/// the pool's close: the thread that wakes the last coroutine of it may still be leaving its `post` when that has
/// ended.
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
               const Clock& clock = system_clock(), PoolAttachments attachments = {});
  /// Must be closed (asserted).
  ~DatabasePool();
  DatabasePool(const DatabasePool&) = delete;
  DatabasePool& operator=(const DatabasePool&) = delete;

  /// Opens `min` connections (one when `min` is 0: it shows whether the server is there) and starts the upkeep. Returns
  /// when they are open, when the first attempt has failed (the pool is then degraded and keeps recovering in the
  /// background), or at the deadline. The error says why it is degraded.
  Task<Result<>> start(SteadyTime deadline);

  /// Strict first come, first served. Uncontended: no system call, no allocation, no traffic. The pool outlives the
  /// call.
  Task<Acquired> acquire(std::source_location where = std::source_location::current());
  Task<Acquired> acquire(AcquireOptions options, std::source_location where = std::source_location::current());
  /// An idle connection now, or an empty lease: then one more is dialled in the background, where there is room.
  /// Does not check how long the connection was idle, and runs no `before_acquire`.
  Lease try_acquire(AcquireOptions options = {}, std::source_location where = std::source_location::current());

  /// One statement without a checkout. Where the statement allows it (Statement::multiplexable) it shares a connection
  /// with those of other callers, pipelined, each in a transaction of its own; the pool packs them on as few
  /// connections as serve best, counts these as used, and gives one back as soon as it carries nothing or somebody
  /// waits for a connection of their own. Any other statement takes an ordinary lease. Statements that come back slowly
  /// hold up those behind them on their connection: a long one wants a lease.
  ///
  /// `deadline` bounds the whole call; none: acquire_timeout for a connection, and then the server's statement_timeout
  /// and 5 s more. One statement, prepared on first use in a session as by Connection::query_prepared (what takes a
  /// lease is not prepared); no COPY.
  ///
  /// Cancellation: before the statement was sent, without effect; after that, terminal and partial end the call at once
  /// and leave the statement to its end, unless nobody waits for anything on that connection: then it is closed within
  /// a second. Total is refused once it was sent.
  ///
  /// Errors: the server's, with its SQLSTATE; those of `acquire` as AcquireError::to_error; timed_out, cancelled,
  /// unavailable (the connection was lost) and closed say among their causes when the statement was sent and may have
  /// run.
  ///
  /// Hooks run, and the session is reset as the profile says, once for each time that a connection is taken to be
  /// shared; the tracer hears of the dials alone. The pool outlives the call.
  Task<Result<ResultSet>> execute(Statement statement, Params params = {}, AcquireOptions options = {},
                                  std::source_location where = std::source_location::current());
  /// As above; the text is read anew at each call, which a Statement that is kept saves.
  Task<Result<ResultSet>> execute(std::string sql, Params params = {}, AcquireOptions options = {},
                                  std::source_location where = std::source_location::current());

  /// Dials again now instead of at the next backoff, in the background.
  void retry_now();
  /// The same, and waits for it; true when a connection is open afterwards.
  Task<bool> recover(SteadyTime deadline);

  /// Refuses new acquires and fails the waiters at once, lets leases come back until the deadline, then closes
  /// everything; leases still out are reported with their place and closed when they return. Idempotent. Sessions that
  /// are idle are told goodbye; their backends may need some milliseconds more than this call to end.
  Task<Result<>> close(SteadyTime deadline);

  /// Takes new settings while running. Limits apply at once: above a smaller `max`, idle connections are closed now and
  /// lent ones when they come back. `max_lifetime` applies to new connections. After close(): nothing.
  void resize(PoolSettings settings);
  /// Reaches the server otherwise from now on: later dials use `server`. Connections of today stay; see `recycle`.
  void redirect(ServerSettings server);
  /// Replaces every connection: idle ones are closed now, lent ones when they come back; waiters get new ones.
  void recycle();
  /// Before a connection of today is lent again, its prepared statements are dropped: after a change of the schema.
  /// Done by itself when a session runs into a statement whose table has changed.
  void forget_statements();
  /// Holds every new acquire (it waits, at most until its deadline) while what is lent may go on; `resume` serves them
  /// in their order.
  void pause();
  void resume();

  /// Called with true when the pool becomes available and false when it stops being so; on the pool's executor.
  void on_availability(std::function<void(bool)> handler);

  PoolStats stats() const;
  std::vector<Holder> holders() const;
  const std::string& name() const noexcept;
  /// As of now.
  PoolConfig config() const;
  /// A few lines for people: state, sizes, who holds what, the last error.
  std::string describe() const;

 private:
  std::shared_ptr<PoolState> state_;
};

}  // namespace opi::pg
