// How a statement is run: sent, waited for, its answers taken.
#include "pg/session.hpp"

#include <fmt/format.h>

#include <boost/asio/this_coro.hpp>
#include <utility>

#include "aio/with_deadline.hpp"
#include "pg/bound_params.hpp"
#include "pg/server_error.hpp"
#include "pg/sqlstate.hpp"

namespace opi::pg {
namespace {

constexpr std::size_t parameters_max = 65'535;            // a 16-bit count in the Bind message
constexpr std::size_t parameter_bytes_max = 0x3fff'ffff;  // MaxAllocSize: no value of the server is larger

std::string_view result_field(const PGresult* result, int code) {
  const char* const value = PQresultErrorField(result, code);
  return value != nullptr ? value : "";
}

/// What a cancellation means for a statement that was sent.
enum class Cancelled {
  ignored,   ///< total: it cannot be as if it had never run
  stops,     ///< partial: the server is asked to stop it, and we wait for that
  abandons,  ///< terminal, or the session was closed under it
};

Cancelled meaning_of(asio::cancellation_type type) noexcept {
  if (type == asio::cancellation_type::total) return Cancelled::ignored;
  if (type == asio::cancellation_type::none) return Cancelled::abandons;
  return (type & asio::cancellation_type::terminal) == asio::cancellation_type::none ? Cancelled::stops
                                                                                     : Cancelled::abandons;
}

/// After partial cancellation.
constexpr std::chrono::seconds stop_timeout{5};

}  // namespace

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
  const std::string_view severity = result_field(result, PG_DIAG_SEVERITY_NONLOCALIZED);
  // What the server says when it ends an idle session comes as a notice.
  if ((severity == "FATAL" || severity == "PANIC") && session->end_ == End::none) session->end_ = End::server;
  if (!session->notice_) return;
  try {
    session->notice_({.sqlstate = std::string(result_field(result, PG_DIAG_SQLSTATE)),
                      .severity = std::string(severity),
                      .message = std::string(result_field(result, PG_DIAG_MESSAGE_PRIMARY))});
  } catch (const std::exception&) {
    // Must not pass through libpq's C frames; a notice that cannot be stored is lost.
  }
}

Result<> Session::check_usable(std::string_view sql, const Params* params) const {
  if (broken()) return failure(ErrorKind::closed, fmt::format("the connection to {} is closed", peer_));
  if (running_) return failure(ErrorKind::internal, "a connection runs one operation at a time");
  if (sql.contains('\0')) return failure(ErrorKind::invalid, "a statement must not contain a NUL byte");
  return params != nullptr ? check_parameters(*params) : Result<>();
}

Result<> Session::check_parameters(const Params& params) {
  if (params.size() > parameters_max) {
    return failure(ErrorKind::invalid, fmt::format("{} parameters; at most {}", params.size(), parameters_max));
  }
  for (const Param& param : params) {
    if (param.contains_nul()) return failure(ErrorKind::invalid, "a text parameter must not contain a NUL byte");
    if (param.size() > parameter_bytes_max) return failure(ErrorKind::invalid, "a parameter has at most 1 GB");
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
  end_hold(held_, false);
  return {ErrorKind::cancelled, "the statement was cancelled"};
}

bool Session::transaction_is_open() const noexcept {
  return PQtransactionStatus(handle_.get()) != PQTRANS_IDLE;
}

Session::Ready Session::ready() noexcept {
  // A failed write shows in the results: libpq reads what the server said last.
  if (unsent_) unsent_ = PQflush(handle_.get()) == 1;
  if (PQisBusy(handle_.get()) == 0 || PQstatus(handle_.get()) == CONNECTION_BAD) return Ready::result;
  return unsent_ ? Ready::output : Ready::input;
}

void Session::consume_input() noexcept {
  if (PQconsumeInput(handle_.get()) == 0 && end_ == End::none) end_ = End::server;  // the next result says why
}

bool Session::send_prepared(const char* name, const Params& params, Format results) {
  const BoundParams bound(params);
  return PQsendQueryPrepared(handle_.get(), name, bound.size(), bound.values(), bound.lengths(), bound.formats(),
                             static_cast<int>(results)) != 0;
}

bool Session::send_sync() {
  if (PQpipelineSync(handle_.get()) == 0) return false;
  ++syncs_pending_;
  return true;
}

/// What is doomed goes first, each in a batch of its own: a failure concerns nothing else. Not where it would end
/// somebody's transaction.
bool Session::send_deallocations(int& syncs) {
  if (statements_.doomed().empty()) return true;
  const PGTransactionStatusType status = PQtransactionStatus(handle_.get());
  if (status != PQTRANS_IDLE && (status != PQTRANS_INTRANS || statements_unknown_)) return true;
  std::vector<std::string> doomed = statements_.take_doomed();
  if (statements_.size() == 0 && doomed.size() > 1 && !statements_unknown_) doomed = {"ALL"};
  if (PQenterPipelineMode(handle_.get()) == 0) return false;
  for (const std::string& name : doomed) {
    const std::string sql = "DEALLOCATE " + name;
    if (PQsendQueryParams(handle_.get(), sql.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0) == 0 || !send_sync()) {
      return false;
    }
    ++syncs;
  }
  return true;
}

/// Prepared and run in one round trip.
bool Session::send_with_prepare(const Request& request, Exchange& exchange) {
  statements_.make_room();
  exchange.fresh = statements_.make(*request.statement, request.params);
  preparing_ = true;
  const StatementCache::Entry& entry = *exchange.fresh;
  if (!send_deallocations(exchange.syncs_ignored)) return false;
  if (PQpipelineStatus(handle_.get()) == PQ_PIPELINE_OFF && PQenterPipelineMode(handle_.get()) == 0) return false;
  return PQsendPrepare(handle_.get(), entry.name.c_str(), entry.statement.sql().c_str(),
                       static_cast<int>(entry.types.size()), entry.types.data()) != 0 &&
         send_prepared(entry.name.c_str(), request.params, request.statement->results()) && send_sync();
}

bool Session::send(const Request& request, Exchange& exchange) {
  unsent_ = true;
  switch (request.kind) {
    case Request::Kind::simple: return PQsendQuery(handle_.get(), request.sql.c_str()) != 0;
    case Request::Kind::once: {
      const BoundParams bound(request.params);
      return PQsendQueryParams(handle_.get(), request.sql.c_str(), bound.size(), bound.types(), bound.values(),
                               bound.lengths(), bound.formats(), static_cast<int>(request.results)) != 0;
    }
    case Request::Kind::prepared:
      exchange.entry = statements_.find(*request.statement, request.params);
      if (exchange.entry == nullptr) return send_with_prepare(request, exchange);
      return send_prepared(exchange.entry->name.c_str(), request.params, request.statement->results());
  }
  return false;
}

/// Takes one answer; false when it was the last.
bool Session::take(Exchange& exchange, PGresult* raw) {
  if (raw == nullptr) {
    // In a pipeline it ends the answers to one command; two in a row: libpq expects nothing more.
    return syncs_pending_ > 0 && ++exchange.nothings < 2;
  }
  exchange.nothings = 0;
  ResultSet result(raw);
  switch (PQresultStatus(raw)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_EMPTY_QUERY:
      if (exchange.syncs_ignored > 0) return true;
      exchange.prepared = exchange.answered = true;
      exchange.last = std::move(result);
      return true;
    case PGRES_PIPELINE_SYNC:
      if (exchange.syncs_ignored > 0) --exchange.syncs_ignored;
      return --syncs_pending_ > 0;
    case PGRES_PIPELINE_ABORTED: return true;
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH:
      if (end_ == End::none) end_ = End::abandoned;
      exchange.error.emplace(ErrorKind::unsupported, "COPY through a plain statement");
      return false;
    default: break;
  }
  note_failure(raw);
  if (exchange.error || exchange.syncs_ignored > 0) return true;
  exchange.error = error_of_result(raw, peer_);
  exchange.plan_is_stale = says_plan_is_stale(raw);
  return true;
}

/// Takes the answers that are here; Ready::result when there are no more.
Session::Ready Session::advance(Exchange& exchange) {
  for (;;) {
    const Ready now = ready();
    if (now != Ready::result) {
      if (end_ != End::server) return now;
      if (!exchange.error) exchange.error = lost();  // it said goodbye: nothing more comes
      return Ready::result;
    }
    if (!take(exchange, PQgetResult(handle_.get()))) break;
  }
  finish(exchange);
  return Ready::result;
}

void Session::finish(Exchange& exchange) {
  if (PQstatus(handle_.get()) == CONNECTION_BAD) end_ = End::server;
  // An answer that is whole stands, though the session's end came with it.
  if (!exchange.error && end_ == End::server && !exchange.answered) exchange.error = lost();
  if (end_ != End::none) return;
  if (exchange.fresh) {
    preparing_ = false;
    if (syncs_pending_ > 0 || PQexitPipelineMode(handle_.get()) == 0) {
      end_ = End::abandoned;
      if (!exchange.error) exchange.error.emplace(ErrorKind::internal, "libpq stayed in its pipeline");
      return;
    }
    if (exchange.prepared) statements_.add(std::move(*exchange.fresh));
  }
  deliver_notifications();
}

/// A changed table or a DEALLOCATE made the statement useless: true when it may be prepared again and run, once, which
/// is so outside of a transaction. It did nothing yet.
bool Session::heals(Exchange& exchange) {
  if (exchange.entry == nullptr || broken()) return false;
  const std::string name = exchange.entry->name;
  if (exchange.error->code == sqlstate::invalid_statement_name) {
    statements_.remove(name);
  } else if (exchange.plan_is_stale) {
    statements_.doom(name);
  } else {
    return false;
  }
  return !transaction_is_open();
}

std::unique_ptr<Error> Session::refusal(const Request& request) const {
  auto usable = check_usable(request.sql, &request.params);
  if (!usable) return std::make_unique<Error>(std::move(usable.error()));
  if (!request.statement || !request.statement->contains_nul()) return nullptr;
  return std::make_unique<Error>(ErrorKind::invalid, "a statement must not contain a NUL byte");
}

/// Sends it; false when the session is lost.
bool Session::begin(const Request& request) {
  exchange_ = {};
  if (send(request, exchange_)) return true;
  exchange_.error = lost();
  return false;
}

Result<ResultSet> Session::outcome(std::unique_ptr<Error> refused) {
  if (refused) return failure(std::move(*refused));  // another operation may run
  if (auto error = std::exchange(exchange_.error, std::nullopt)) return failure(std::move(*error));
  return std::move(exchange_.last);
}

/// After partial cancellation; whether it did, broken() says.
Task<> Session::stop_running() {
  (void)co_await aio::shielded(settle(std::chrono::steady_clock::now() + stop_timeout, {}));
}

// What it keeps over a suspension is little, and what it gives back is made in one place: its frame stays below the
// 1 020 bytes up to which Asio keeps frames for the next coroutine.
Task<Result<ResultSet>> Session::run(Request request) {
  std::unique_ptr<Error> refused = refusal(request);
  if (!refused && !request.ours)
    note_effects(request.statement ? request.statement->effects() : effects_of(request.sql));
  std::optional<bool> throwing;  // set once the caller was cancelled and we go on
  for (bool again = !refused; again;) {
    Cancelled cancelled = Cancelled::ignored;
    {
      Operation operation(this);
      const bool sent = begin(request);
      for (Ready now = sent ? advance(exchange_) : Ready::result; now != Ready::result; now = advance(exchange_)) {
        co_await watch_.suspend_until_event(now == Ready::output);
        if (watch_.woken_by_event()) {
          consume_input();
          continue;
        }
        cancelled = meaning_of((co_await asio::this_coro::cancellation_state).cancelled());
        if (cancelled == Cancelled::abandons) exchange_.error = abandoned();
        if (cancelled == Cancelled::abandons) break;
        if (!throwing) throwing = co_await asio::this_coro::throw_if_cancelled();
        co_await asio::this_coro::throw_if_cancelled(false);
        if (cancelled == Cancelled::stops) break;
      }
      if (sent && cancelled == Cancelled::ignored) operation.done();
    }
    if (cancelled == Cancelled::stops) {
      co_await stop_running();
      exchange_.error.emplace(ErrorKind::cancelled, "the statement was cancelled");
    }
    again = cancelled == Cancelled::ignored && exchange_.error && heals(exchange_);
  }
  if (throwing) co_await asio::this_coro::throw_if_cancelled(*throwing);
  co_return outcome(std::move(refused));
}

Task<Result<>> Session::wait(Ready what) {
  for (;;) {
    co_await watch_.suspend_until_event(what == Ready::output);
    if (watch_.woken_by_event()) break;
    if (meaning_of((co_await asio::this_coro::cancellation_state).cancelled()) != Cancelled::ignored) {
      co_return failure(abandoned());
    }
    co_await asio::this_coro::throw_if_cancelled(false);
  }
  consume_input();
  co_return Result<>{};
}

Task<Result<>> Session::await_result() {
  for (Ready now = ready(); now != Ready::result; now = ready()) {
    if (end_ == End::server) co_return failure(lost());  // it said goodbye: nothing more comes
    if (auto waited = co_await wait(now); !waited) co_return waited;
  }
  co_return Result<>{};
}

}  // namespace opi::pg
