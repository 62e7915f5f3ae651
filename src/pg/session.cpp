#include "pg/session.hpp"

#include <fmt/format.h>
#include <sys/socket.h>

#include <utility>

#include "aio/with_deadline.hpp"
#include "pg/server_error.hpp"
#include "pg/sqlstate.hpp"

namespace opi::pg {
namespace {

constexpr std::size_t parameters_max = 65'535;  // a 16-bit count in the Bind message

/// RESET ALL returns every setting to the value of the startup packet, so the pins hold; it leaves role and session
/// authorization alone. CLOSE, UNLISTEN, unlock and DISCARD are what DISCARD ALL does, without DEALLOCATE ALL: our
/// prepared statements are kept.
constexpr std::string_view reset_batch =
    "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; CLOSE ALL; UNLISTEN *; "
    "SELECT pg_catalog.pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES";

std::string_view notice_field(const PGresult* result, int code) {
  const char* const value = PQresultErrorField(result, code);
  return value != nullptr ? value : "";
}

std::vector<const char*> values_of(const Params& params) {
  std::vector<const char*> values;
  values.reserve(params.size());
  for (const Param& param : params) values.push_back(param.c_str());
  return values;
}

}  // namespace

/// Marks the session as busy. Left without `done()`, the session is broken: nobody knows what is still under way.
class Session::Operation {
 public:
  explicit Operation(Session* session) noexcept : session_(session) {
    session_->running_ = true;
    session_->watch_.begin_operation();
  }
  ~Operation() {
    session_->running_ = false;
    if (!done_ && session_->end_ == End::none) session_->end_ = End::abandoned;
    if (session_->end_ == End::none) session_->watch_.rearm();
  }
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
  void done() noexcept { done_ = true; }

 private:
  Session* session_;
  bool done_ = false;
};

Session::Session(asio::any_io_executor executor, Dialed dialed, aio::BlockingPool* blocking)
    : executor_(std::move(executor)),
      blocking_(blocking),
      handle_(std::move(dialed.handle)),
      peer_(std::move(dialed.peer)),
      watch_(executor_, PQsocket(handle_.get())) {
  PQsetNoticeReceiver(handle_.get(), &Session::receive_notice, this);
}

Session::~Session() {
  watch_.detach();
}

void Session::receive_notice(void* context, const PGresult* result) noexcept {
  auto* const session = static_cast<Session*>(context);
  const std::string_view severity = notice_field(result, PG_DIAG_SEVERITY_NONLOCALIZED);
  // What the server says when it ends an idle session comes as a notice.
  if ((severity == "FATAL" || severity == "PANIC") && session->end_ == End::none) session->end_ = End::server;
  if (!session->notice_) return;
  try {
    session->notice_({.sqlstate = std::string(notice_field(result, PG_DIAG_SQLSTATE)),
                      .severity = std::string(severity),
                      .message = std::string(notice_field(result, PG_DIAG_MESSAGE_PRIMARY))});
  } catch (const std::exception&) {
    // Must not pass through libpq's C frames; a notice that cannot be stored is lost.
  }
}

Result<> Session::check_usable(std::string_view sql, const Params* params) const {
  if (broken()) return failure(ErrorKind::closed, fmt::format("the connection to {} is closed", peer_));
  if (running_) return failure(ErrorKind::internal, "a connection runs one operation at a time");
  if (sql.contains('\0')) return failure(ErrorKind::invalid, "a statement must not contain a NUL byte");
  if (params == nullptr) return {};
  if (params->size() > parameters_max) {
    return failure(ErrorKind::invalid, fmt::format("{} parameters; at most {}", params->size(), parameters_max));
  }
  for (const Param& param : *params) {
    if (param.contains_nul()) return failure(ErrorKind::invalid, "a text parameter must not contain a NUL byte");
  }
  return {};
}

void Session::note_effects(const StatementEffects& effects) noexcept {
  ++statements_run_;
  dirty_ = dirty_ || effects.dirties_session;
  statements_unknown_ = statements_unknown_ || effects.names_statements;
}

Error Session::lost() {
  end_ = End::server;
  return error_of_loss(handle_.get(), peer_);
}

Error Session::abandoned() {
  if (end_ == End::none) end_ = End::abandoned;
  return {ErrorKind::cancelled, "the statement was cancelled"};
}

Task<Result<>> Session::wait_for_input() {
  co_await watch_.suspend_until_event(false);
  if (!watch_.woken_by_event()) co_return failure(abandoned());
  if (PQconsumeInput(handle_.get()) == 0 && end_ == End::none) end_ = End::server;  // PQgetResult says why
  co_return Result<>{};
}

Task<Result<>> Session::flush() {
  for (;;) {
    const int left = PQflush(handle_.get());
    if (left == 0) co_return Result<>{};
    if (left < 0) co_return failure(lost());
    // The server may be waiting for us to read before it reads on.
    co_await watch_.suspend_until_event(true);
    if (!watch_.woken_by_event()) co_return failure(abandoned());
    if (PQconsumeInput(handle_.get()) == 0) co_return failure(lost());
  }
}

Task<Result<ResultSet>> Session::collect() {
  ResultSet last;
  std::optional<Error> first_error;
  for (;;) {
    while (end_ != End::server && PQisBusy(handle_.get()) != 0) {
      if (auto waited = co_await wait_for_input(); !waited) co_return failure(std::move(waited.error()));
    }
    PGresult* const raw = PQgetResult(handle_.get());
    if (raw == nullptr) break;
    ResultSet result(raw);
    const ExecStatusType status = PQresultStatus(raw);
    if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
      end_ = End::abandoned;
      co_return failure(ErrorKind::unsupported, "COPY through a plain statement");
    }
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY) {
      last = std::move(result);
      continue;
    }
    if (ends_session(raw)) end_ = End::server;
    if (!first_error) first_error = error_of_result(raw, peer_);
  }
  if (PQstatus(handle_.get()) == CONNECTION_BAD) end_ = End::server;
  if (first_error) co_return failure(std::move(*first_error));
  if (end_ == End::server) co_return failure(lost());
  co_return last;
}

Task<Result<ResultSet>> Session::finish(Operation* operation, int sent) {
  if (sent == 0) co_return failure(lost());
  if (auto flushed = co_await flush(); !flushed) co_return failure(std::move(flushed.error()));
  auto result = co_await collect();
  operation->done();
  co_return result;
}

Task<Result<ResultSet>> Session::query(std::string sql, Params params) {
  if (auto usable = check_usable(sql, &params); !usable) co_return failure(std::move(usable.error()));
  note_effects(effects_of(sql));
  Operation operation(this);
  const std::vector<const char*> values = values_of(params);
  const int sent = PQsendQueryParams(handle_.get(), sql.c_str(), static_cast<int>(values.size()), nullptr,
                                     values.data(), nullptr, nullptr, 0);
  co_return co_await finish(&operation, sent);
}

Task<Result<ResultSet>> Session::run_simple(std::string sql) {
  Operation operation(this);
  co_return co_await finish(&operation, PQsendQuery(handle_.get(), sql.c_str()));
}

Task<Result<ResultSet>> Session::execute(std::string sql) {
  if (auto usable = check_usable(sql, nullptr); !usable) co_return failure(std::move(usable.error()));
  note_effects(effects_of(sql));
  co_return co_await run_simple(std::move(sql));
}

Task<Result<>> Session::prepare(StatementCache::Entry entry) {
  if (const auto evicted = statements_.make_room()) {
    auto dropped = co_await run_simple("DEALLOCATE " + evicted->name);
    if (!dropped) statements_unknown_ = true;  // in a failed transaction: the reset removes it
    if (broken()) co_return failure(std::move(dropped.error()));
  }
  Result<ResultSet> prepared;
  {
    Operation operation(this);
    const int sent = PQsendPrepare(handle_.get(), entry.name.c_str(), entry.sql.c_str(), 0, nullptr);
    prepared = co_await finish(&operation, sent);
  }
  if (!prepared) co_return failure(std::move(prepared.error()));
  statements_.add(std::move(entry));
  co_return Result<>{};
}

Task<Result<ResultSet>> Session::run_named(std::string name, const Params* params) {
  Operation operation(this);
  const std::vector<const char*> values = values_of(*params);
  const int sent = PQsendQueryPrepared(handle_.get(), name.c_str(), static_cast<int>(values.size()), values.data(),
                                       nullptr, nullptr, 0);
  co_return co_await finish(&operation, sent);
}

Task<Result<ResultSet>> Session::query_prepared(std::string sql, Params params) {
  if (auto usable = check_usable(sql, &params); !usable) co_return failure(std::move(usable.error()));
  bool healed = false;
  for (;;) {
    const StatementCache::Entry* entry = statements_.find(sql);
    if (entry == nullptr) {
      StatementCache::Entry fresh{.sql = sql, .name = statements_.next_name(), .effects = effects_of(sql)};
      if (auto prepared = co_await prepare(std::move(fresh)); !prepared) co_return failure(std::move(prepared.error()));
      entry = statements_.find(sql);
    }
    note_effects(entry->effects);
    const std::string name = entry->name;
    auto result = co_await run_named(name, &params);
    if (result || broken()) co_return result;
    // A changed table (0A000) or a DEALLOCATE (26000) made the statement useless: prepare it again, once, where that is
    // safe.
    const std::string& code = result.error().code;
    const bool gone = code == "26000";
    if (!gone && !(code == "0A000" && result.error().message.contains("cached plan"))) co_return result;
    statements_.remove(sql);
    if (healed || transaction_is_open()) {
      statements_unknown_ = true;
      co_return result;
    }
    healed = true;
    if (!gone) {
      if (auto dropped = co_await run_simple("DEALLOCATE " + name); !dropped)
        co_return failure(std::move(dropped.error()));
    }
  }
}

bool Session::transaction_is_open() const noexcept {
  return PQtransactionStatus(handle_.get()) != PQTRANS_IDLE;
}

namespace {

Task<Result<>> without_value(Task<Result<ResultSet>> operation) {
  auto result = co_await std::move(operation);
  if (!result) co_return failure(std::move(result.error()));
  co_return Result<>{};
}

}  // namespace

Task<Result<>> Session::ping(SteadyTime deadline) {
  if (auto usable = check_usable({}, nullptr); !usable) co_return failure(std::move(usable.error()));
  if (deadline <= std::chrono::steady_clock::now()) co_return failure(ErrorKind::timed_out, "no time left for a ping");
  co_return co_await aio::with_deadline(without_value(run_simple({})), deadline, "no answer to a ping from " + peer_);
}

bool Session::needs_reset(ResetProfile profile) const noexcept {
  if (!handle_ || transaction_is_open()) return true;
  return profile == ResetProfile::always || (profile == ResetProfile::smart && (dirty_ || statements_unknown_));
}

Task<Result<>> Session::reset(ResetProfile profile, SteadyTime deadline) {
  if (auto usable = check_usable({}, nullptr); !usable) co_return failure(std::move(usable.error()));
  std::string batch;
  if (transaction_is_open()) batch = "ROLLBACK; ";
  const bool everything =
      profile == ResetProfile::always || (profile == ResetProfile::smart && (dirty_ || statements_unknown_));
  if (everything) batch += reset_batch;
  const bool statements_too = everything && statements_unknown_;
  if (statements_too) batch += "; DEALLOCATE ALL";
  if (batch.empty()) co_return Result<>{};
  auto done = co_await aio::with_deadline(without_value(run_simple(std::move(batch))), deadline,
                                          "resetting the session at " + peer_ + " took too long");
  if (!done) co_return done;
  if (transaction_is_open()) co_return failure(ErrorKind::internal, "a transaction is open after the reset");
  drop_notifications();
  if (everything) dirty_ = false;
  if (statements_too) {
    statements_.clear();
    statements_unknown_ = false;
  }
  co_return done;
}

void Session::drop_notifications() noexcept {
  while (PGnotify* const notification = PQnotifies(handle_.get())) PQfreemem(notification);
}

bool Session::check_idle() noexcept {
  if (broken()) return false;
  constexpr int reads_max = 64;  // a server that never stops talking to an idle session is not one to keep
  for (int read = 0; read < reads_max; ++read) {
    char byte = 0;
    const ssize_t waiting = ::recv(PQsocket(handle_.get()), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (waiting == 0) break;
    if (waiting < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) break;
      watch_.rearm();
      return true;
    }
    if (PQconsumeInput(handle_.get()) == 0) break;
    PQisBusy(handle_.get());  // parses: settings, notices, notifications
    drop_notifications();
    if (end_ != End::none) return false;
  }
  end_ = End::server;
  return false;
}

}  // namespace opi::pg
