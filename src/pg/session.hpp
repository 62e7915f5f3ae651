#pragma once
/// @file
/// The inside of a Connection: one libpq session, its socket's watch, its statements and what it knows of its own
/// state.

#include <libpq-fe.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "pg/connection.hpp"
#include "pg/dial.hpp"
#include "pg/socket_watch.hpp"
#include "pg/statement_cache.hpp"

namespace opi::pg {

/// What one operation asks the server for.
struct Request {
  enum class Kind : std::uint8_t {
    simple,    ///< `sql`, simple protocol
    once,      ///< `sql` with `params`, not prepared
    prepared,  ///< `statement` with `params`
  };
  Kind kind = Kind::simple;
  bool ours = false;  ///< says nothing about what the session's user did
  Format results = Format::text;
  std::string sql = {};
  std::optional<Statement> statement = {};
  Params params = {};
};

/// One operation at a time; coroutines resume on their caller's executor. The object stays where it is until its end.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(asio::any_io_executor executor, Dialed dialed, aio::BlockingPool* blocking);
  /// Closes the socket at once.
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Checks, sends, waits and collects, in one coroutine: the way every plain statement goes.
  Task<Result<ResultSet>> run(Request request);
  /// A statement that we run for ourselves.
  Task<Result<ResultSet>> run_own(std::string sql);
  Task<Result<BatchResults>> run_batch(Batch batch);
  Task<Result<>> ping(SteadyTime deadline);
  Task<Result<>> reset(ResetProfile profile, SteadyTime deadline);
  Task<Result<>> recover(SteadyTime deadline, CancelBackend cancel);
  Task<> close(SteadyTime deadline);

  bool needs_reset(ResetProfile profile) const noexcept;
  bool check_idle() noexcept;
  void look_later(bool later) noexcept;
  bool unlooked() const noexcept { return unlooked_; }
  void on_notice(std::function<void(const Notice&)> handler) {
    notice_ = std::move(handler);
    touched_ = touched_ || notice_;
  }
  void on_notification(std::function<void(const Notification&)> handler) {
    notification_ = std::move(handler);
    touched_ = touched_ || notification_;
  }
  bool take_touched() noexcept { return std::exchange(touched_, false); }
  bool take_write_refused() noexcept { return std::exchange(write_refused_, false); }
  bool take_plan_was_stale() noexcept { return std::exchange(plan_was_stale_, false); }
  HostRole reported_role() const noexcept;
  Task<Result<HostRole>> ask_role(SteadyTime deadline);
  void on_idle_event(std::shared_ptr<const std::function<void()>> handler);
  void limit_statements(std::size_t statements_max) { statements_.limit(statements_max); }
  void forget_statements() { statements_.doom_all(); }
  Statement statement_of(std::string sql) const { return statements_.statement_of(std::move(sql)); }

  bool open() const noexcept { return static_cast<bool>(handle_); }
  bool broken() const noexcept { return end_ != End::none || !handle_; }
  bool recoverable() const noexcept { return end_ == End::abandoned && handle_; }
  bool ended_by_server() const noexcept { return end_ == End::server; }
  PGconn* native() const noexcept { return handle_.get(); }
  const std::string& peer() const noexcept { return peer_; }
  /// Which use of the session this is: what was made in an earlier one must not touch it any more.
  std::uint64_t use() const noexcept { return use_; }
  void end_use() noexcept;
  std::uint64_t statements_run() const noexcept { return statements_run_; }

  // What the kinds of operations are built from (run, Pipeline, streams): between them the session is quiet.

  /// Marks the session as busy. Left without `done()`, the session is broken: nobody knows what is still under way.
  class Operation;
  /// What PQgetResult may be called for, or what to wait for first.
  enum class Ready { result, input, output };

  Result<> check_usable(std::string_view sql, const Params* params) const;
  static Result<> check_parameters(const Params& params);
  void note_effects(const StatementEffects& effects) noexcept;
  /// Sends what libpq still holds and says whether a result can be had without blocking.
  Ready ready() noexcept;
  /// For operations that wait less often than `run`: until `what` it says is possible. Total cancellation is left for
  /// later; any other abandons the operation.
  Task<Result<>> wait(Ready what);
  /// Until PQgetResult may be called; an error when the session is lost or the wait was cancelled.
  Task<Result<>> await_result();
  /// libpq was given something to send.
  void expect_flush() noexcept { unsent_ = true; }
  bool still_connected() const noexcept { return end_ != End::server && PQstatus(handle_.get()) != CONNECTION_BAD; }
  /// For operations that last over several calls (SessionHold): a number for this one. It ends when it is done, or
  /// abandoned in any way.
  std::uint64_t begin_hold();
  void end_hold(std::uint64_t number, bool done) noexcept;
  bool holds(std::uint64_t number) const noexcept { return held_ == number; }
  /// Takes in what has arrived, or as much of it as libpq has room for.
  void consume_input() noexcept;
  Error lost();
  Error abandoned();
  void note_loss() noexcept {
    if (end_ == End::none) end_ = End::server;
  }
  /// What an error says of the session, beyond its statement.
  void note_failure(const PGresult* result) noexcept;
  bool transaction_is_open() const noexcept;
  bool send_prepared(const char* name, const Params& params, Format results);
  void deliver_notifications() noexcept;
  StatementCache& statements() noexcept { return statements_; }
  const asio::any_io_executor& executor() const noexcept { return executor_; }

  /// Ends a batch of the pipeline, and its answers; counted, for somebody may have to drain them.
  bool send_sync();
  void note_sync() noexcept { --syncs_pending_; }
  /// For an operation that outlives coroutines: the session is busy, and `handler` is called when it can be read.
  void lend(std::shared_ptr<const std::function<void()>> handler);
  /// Asks for the next call of the handler, also because of what was not read yet.
  void watch_again() { watch_.rearm(true); }
  /// Not clean: answers are still under way.
  void take_back(bool clean) noexcept;

 private:
  enum class End {
    none,
    server,     ///< lost, or ended by the server
    abandoned,  ///< an operation was cancelled or dropped half-way: answers are still under way
  };
  /// The answers to one request, as far as they have come.
  struct Exchange {
    ResultSet last = {};
    std::optional<Error> error = {};
    const StatementCache::Entry* entry = nullptr;     ///< what runs, when it was prepared before
    std::optional<StatementCache::Entry> fresh = {};  ///< what is prepared and run
    bool prepared = false;                            ///< `fresh` is
    bool answered = false;
    bool plan_is_stale = false;
    int syncs_ignored = 0;  ///< batches before ours
    int nothings = 0;       ///< in a row
  };
  struct BatchRun;

  Task<Result<>> settle(SteadyTime deadline, CancelBackend cancel);
  Task<Result<>> stop_statement(SteadyTime deadline, CancelBackend cancel);
  Task<Result<>> drain();
  Ready drain_now();
  bool end_copy(ExecStatusType status);
  Task<> stop_running();
  void rest() noexcept;
  std::unique_ptr<Error> refusal(const Request& request) const;
  bool begin(const Request& request);
  Result<ResultSet> outcome(std::unique_ptr<Error> refused);
  bool send(const Request& request, Exchange& exchange);
  bool send_with_prepare(const Request& request, Exchange& exchange);
  bool send_deallocations(int& syncs);
  Ready advance(Exchange& exchange);
  bool take(Exchange& exchange, PGresult* raw);
  bool send_more(BatchRun& run);
  bool send_item(BatchRun& run, const Batch::Item& item);
  bool take(BatchRun& run, PGresult* raw);
  void answer(BatchRun& run);
  void finish(Exchange& exchange);
  bool heals(Exchange& exchange);
  static void receive_notice(void* session, const PGresult* result) noexcept;

  asio::any_io_executor executor_;
  aio::BlockingPool* blocking_;
  ConnectionHandle handle_;
  std::string peer_;
  SocketWatch watch_;
  StatementCache statements_;
  Exchange exchange_;  ///< of the operation that runs
  std::shared_ptr<const std::function<void()>> idle_handler_;
  std::function<void(const Notice&)> notice_;
  std::function<void(const Notification&)> notification_;
  End end_ = End::none;
  bool running_ = false;
  bool touched_ = true;  ///< since a pool last asked
  bool looks_later_ = false;
  bool unlooked_ = false;   ///< nobody looked at the socket since the last operation
  bool lent_ = false;       ///< running, by callbacks
  std::uint64_t held_ = 0;  ///< running, over several calls: which of them
  std::uint64_t holds_begun_ = 0;
  bool unsent_ = false;  ///< libpq may hold bytes that the socket did not take
  bool dirty_ = false;
  bool statements_unknown_ = false;  ///< somebody else's PREPARE or DEALLOCATE ran, or one of ours has no known outcome
  bool preparing_ = false;
  bool write_refused_ = false;   ///< 25006, since it was last asked
  bool plan_was_stale_ = false;  ///< likewise
  int syncs_pending_ = 0;        ///< ends of pipelined batches that have not come
  std::uint64_t statements_run_ = 0;
  std::uint64_t use_ = 0;
};

class Session::Operation {
 public:
  explicit Operation(Session* session) noexcept : session_(session) {
    session_->running_ = session_->touched_ = true;
    session_->watch_.begin_operation();
  }
  ~Operation() {
    session_->running_ = false;
    if (!done_ && session_->end_ == End::none) session_->end_ = End::abandoned;
    if (session_->end_ == End::none) session_->rest();
  }
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
  void done() noexcept { done_ = true; }

 private:
  Session* session_;
  bool done_ = false;
};

// Asked at every return of a lease.
inline bool Connection::take_touched() noexcept {
  return !session_ || session_->take_touched();
}
inline bool Connection::unlooked() const noexcept {
  return session_ && session_->unlooked();
}

}  // namespace opi::pg
