#pragma once
/// @file
/// One PostgreSQL session over libpq, without blocking.

#include <functional>
#include <memory>
#include <string>

#include "aio/blocking_pool.hpp"
#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "pg/batch.hpp"
#include "pg/copy.hpp"
#include "pg/row_stream.hpp"
#include "pg/settings.hpp"
#include "pg/statement.hpp"
#include "pg/value.hpp"

namespace opi::pg {

/// A warning or note that the server sent beside a result.
struct Notice {
  std::string sqlstate;
  std::string severity;
  std::string message;
};

/// What NOTIFY sent to a channel that the session listens to.
struct Notification {
  std::string channel;
  std::string payload;
  int pid = 0;  ///< of the backend that sent it
};

enum class TransactionStatus { idle, active, in_transaction, failed, unknown };

/// Has the statement of another session's server process stopped, as pg_cancel_backend does over a further session;
/// returns when the process was signalled.
using CancelBackend = std::function<Task<Result<>>(int backend_pid)>;

class Session;

/// One session. Move-only; destruction closes the socket at once without waiting.
///
/// Threading: one operation at a time, from any executor; the caller resumes on its own. The context of the executor
/// given to `connect` watches the socket: it runs meanwhile, and outlives the connection.
///
/// Cancellation of a statement that is under way. Terminal: the operation ends at once with ErrorKind::cancelled and
/// the connection is `broken()`, for the answer is still under way; `recover` makes it usable again. Partial: the
/// server is asked to stop the statement and the operation ends with ErrorKind::cancelled when it has, within 5 s; the
/// connection stays usable (or is broken, if that failed), its transaction as the statement left it. Total: refused,
/// the statement runs to its end and its result is returned. In each case the statement may have had its effect. Asio
/// passes partial and total cancellation on only to coroutines that ask for it (`this_coro::reset_cancellation_state`).
/// An operation that is dropped half-way is as one with terminal cancellation.
///
/// Errors: a server's error has its SQLSTATE in `Error::code`; the message holds the server's primary message, and
/// never parameters. After an error within the protocol (broken()) the connection is useless.
class Connection {
 public:
  /// Dials, authenticates and pins the session (see startup_pins). Several hosts are tried in their order until one
  /// lets us in and has the role that the target wants; each gets an equal share of the time that is left. An answer of
  /// a server that denies us ends the search. Blocking parts (name lookup, files) run on `blocking`.
  ///
  /// Errors: timed_out, unavailable (also: a server of another role, with code 25006), denied (28P01, 28000), not_found
  /// (3D000), exhausted (53300), invalid, cancelled.
  static Task<Result<Connection>> connect(asio::any_io_executor executor, const ServerSettings& server,
                                          aio::BlockingPool& blocking, SteadyTime deadline);
  /// The same to one host of the server; its role is not looked at.
  static Task<Result<Connection>> connect_host(asio::any_io_executor executor, const ServerSettings& server,
                                               const HostPort& host, aio::BlockingPool& blocking, SteadyTime deadline);

  /// None: `broken()`, and every operation fails as closed.
  Connection() noexcept;
  Connection(Connection&&) noexcept;
  Connection& operator=(Connection&&) noexcept;
  ~Connection();

  /// One statement with parameters ($1, $2 …), extended protocol, not prepared.
  Task<Result<ResultSet>> query(std::string sql, Params params = {}, Format results = Format::text);
  /// One statement with parameters, prepared once for each connection, text and types of the parameters, in the same
  /// round trip as its first run; then reused. A prepared statement that the server no longer has, or whose table has
  /// changed, is prepared again and run, outside of a transaction; within one the error surfaces.
  Task<Result<ResultSet>> query_prepared(Statement statement, Params params = {});
  Task<Result<ResultSet>> query_prepared(std::string sql, Params params = {});
  /// One or more statements separated by semicolons, simple protocol, the last result. Several are one implicit
  /// transaction.
  Task<Result<ResultSet>> execute(std::string sql);
  /// The rows as they come, in blocks; for results that should not be in memory whole. Not prepared.
  Task<Result<RowStream>> stream(std::string sql, Params params = {}, Format results = Format::text);
  /// All of the statements in one round trip, their answers read while they are sent. An error means that the answers
  /// are not known; those of single statements are in the results.
  Task<Result<BatchResults>> run_batch(Batch batch);
  /// COPY … FROM STDIN and COPY … TO STDOUT, one statement without parameters.
  Task<Result<CopyIn>> copy_in(std::string sql);
  Task<Result<CopyOut>> copy_out(std::string sql);
  /// A round trip that proves the session is alive.
  Task<Result<>> ping(SteadyTime deadline);
  /// Makes the session as new: an open transaction is rolled back; then, as `profile` says, roles, settings, cursors,
  /// locks, LISTEN, temporary tables and sequences' state are discarded in one batch. Our prepared statements stay. An
  /// error: close the connection.
  Task<Result<>> reset(ResetProfile profile, SteadyTime deadline);
  /// After an operation that was cancelled or dropped half-way (`recoverable()`): asks the server to stop it, takes
  /// what is still under way (answers, the rest of a COPY, a pipeline) and rolls back. Until it returns nobody may have
  /// the connection: a late request to stop would hit the next statement. The request goes through `cancel` when there
  /// is one; else on the blocking pool through libpq, which before version 17 can do it only where the session is not
  /// encrypted. An error: close the connection.
  Task<Result<>> recover(SteadyTime deadline, CancelBackend cancel = {});
  bool recoverable() const noexcept;
  /// Says goodbye and waits for the server's end of the socket, so that its backend is gone; bounded by the deadline. A
  /// statement that was cancelled half-way is cancelled on the server first (where the session is not encrypted:
  /// libpq's request is not either). Not cancellable.
  Task<> close(SteadyTime deadline);

  /// Collects notices from now on; replaced at each call. Never called after the connection is gone.
  void on_notice(std::function<void(const Notice&)> handler);

  /// Called with what NOTIFY sent, after each operation and in `check_idle`; replaced at each call. Without a handler
  /// it is dropped. Never called after the connection is gone.
  void on_notification(std::function<void(const Notification&)> handler);

  /// How many statements stay prepared; the least recently used one is deallocated for a new one. 0: none stays.
  void limit_statements(std::size_t statements_max);
  /// After a change of the schema: no statement that is prepared now is used again. They are deallocated with the next
  /// one that is prepared. At once, without traffic; between operations.
  void forget_statements();

  /// The connection goes to somebody else: transactions, streams and copies that were made on it so far end (used
  /// again, they fail as closed), and nobody is told of notices and notifications any more. No traffic.
  void end_use() noexcept;

  /// Called when the server sends something, or closes, while no operation runs: then `check_idle` says whether the
  /// session is still good. On the executor given to `connect`, or within an operation; a call may still come after the
  /// handler was replaced.
  void on_idle_event(std::shared_ptr<const std::function<void()>> handler);
  /// Takes in what the server sent meanwhile, without waiting; false when the session is over.
  bool check_idle() noexcept;
  /// For a pool, which hands most connections on at once: what came with an answer beyond it, the end of the session
  /// too, is looked for by `check_idle` alone and not after each operation, which saves a system call. What comes later
  /// is told all the same. `unlooked`: that has not been done since the last operation.
  void look_later(bool later) noexcept;
  bool unlooked() const noexcept;

  /// Whether the server refused a write with 25006 since it was last asked: it is a standby, or the transaction was
  /// one for reading. And whether a prepared statement was stale because its table had changed. For a pool, whose other
  /// connections are concerned too.
  bool take_write_refused() noexcept;
  bool take_plan_was_stale() noexcept;
  /// What the server says of itself without being asked (from version 14, as of its last answer), or unknown.
  HostRole reported_role() const noexcept;
  /// What it says when it is asked: a round trip, so it proves as well that the session is alive.
  Task<Result<HostRole>> ask_role(SteadyTime deadline);

  bool broken() const noexcept;
  /// Broken because the server ended it or was lost, not because an operation was abandoned.
  bool ended_by_server() const noexcept;
  /// True when `reset` with this profile has something to do.
  bool needs_reset(ResetProfile profile) const noexcept;
  /// Whether an operation ran or a handler was set since it was last asked; for a pool, which has nothing to look at
  /// otherwise.
  bool take_touched() noexcept;
  TransactionStatus transaction_status() const noexcept;
  int backend_pid() const noexcept;
  /// 150020 for 15.20.
  int server_version() const noexcept;
  /// "15.20".
  std::string server_version_text() const;
  /// "127.0.0.1:5432" or the socket's directory.
  std::string peer() const;
  std::uint64_t statements_run() const noexcept;

 private:
  friend class Pipeline;
  friend class Transaction;
  explicit Connection(std::shared_ptr<Session> session) noexcept;
  static Task<Result<Connection>> connect_owning(asio::any_io_executor executor, ServerSettings server,
                                                 aio::BlockingPool* blocking, SteadyTime deadline);
  static Task<Result<Connection>> dial_one(asio::any_io_executor executor, ServerSettings server, HostPort host,
                                           aio::BlockingPool* blocking, SteadyTime deadline);
  std::shared_ptr<Session> session_;
};

}  // namespace opi::pg
