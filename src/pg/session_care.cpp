// What keeps a session fit for its next user: a ping, a reset, and a look at what the server said meanwhile.
#include <sys/socket.h>

#include "aio/with_deadline.hpp"
#include "pg/server_error.hpp"
#include "pg/session.hpp"
#include "pg/sqlstate.hpp"

namespace opi::pg {
namespace {

/// RESET ALL returns every setting to the value of the startup packet, so the pins hold; it leaves role and session
/// authorization alone. CLOSE, UNLISTEN, unlock and DISCARD are what DISCARD ALL does, without DEALLOCATE ALL: our
/// prepared statements are kept.
constexpr std::string_view reset_batch =
    "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; CLOSE ALL; UNLISTEN *; "
    "SELECT pg_catalog.pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES";

std::string_view result_field(const PGresult* result, int code) {
  const char* const value = PQresultErrorField(result, code);
  return value != nullptr ? value : "";
}

Task<Result<>> without_value(Task<Result<ResultSet>> operation) {
  auto result = co_await std::move(operation);
  if (!result) co_return failure(std::move(result.error()));
  co_return Result<>{};
}

}  // namespace

Task<Result<ResultSet>> Session::run_own(std::string sql) {
  return run({.kind = Request::Kind::simple, .ours = true, .sql = std::move(sql)});
}

Task<Result<>> Session::ping(SteadyTime deadline) {
  if (auto usable = check_usable({}, nullptr); !usable) co_return failure(std::move(usable.error()));
  if (deadline <= std::chrono::steady_clock::now()) co_return failure(ErrorKind::timed_out, "no time left for a ping");
  co_return co_await aio::with_deadline(without_value(run_own({})), deadline, "no answer to a ping from " + peer_);
}

/// From version 14 the server tells by itself.
HostRole Session::reported_role() const noexcept {
  const char* const standby = PQparameterStatus(handle_.get(), "in_hot_standby");
  if (standby == nullptr) return HostRole::unknown;
  return std::string_view(standby) == "on" ? HostRole::standby : HostRole::primary;
}

Task<Result<HostRole>> Session::ask_role(SteadyTime deadline) {
  if (auto usable = check_usable({}, nullptr); !usable) co_return failure(std::move(usable.error()));
  auto answer = co_await aio::with_deadline(run_own("SELECT pg_catalog.pg_is_in_recovery()"), deadline,
                                            "no answer from " + peer_ + " to what its role is");
  if (!answer) co_return failure(std::move(answer.error()));
  if (answer->size() != 1) co_return failure(ErrorKind::internal, peer_ + " does not say what its role is");
  co_return (*answer)[0].text(0) == "t" ? HostRole::standby : HostRole::primary;
}

void Session::note_failure(const PGresult* result) noexcept {
  if (ends_session(result)) note_loss();
  write_refused_ = write_refused_ || result_field(result, PG_DIAG_SQLSTATE) == sqlstate::read_only_sql_transaction;
  plan_was_stale_ = plan_was_stale_ || says_plan_is_stale(result);
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
  auto done = co_await aio::with_deadline(without_value(run_own(std::move(batch))), deadline,
                                          "resetting the session at " + peer_ + " took too long");
  if (!done) co_return done;
  if (transaction_is_open()) co_return failure(ErrorKind::internal, "a transaction is open after the reset");
  if (everything) dirty_ = false;
  if (statements_too) {
    statements_.clear();
    statements_unknown_ = false;
  }
  co_return done;
}

void Session::on_idle_event(std::shared_ptr<const std::function<void()>> handler) {
  idle_handler_ = handler;
  if (!lent_) watch_.on_idle_event(std::move(handler));
}

std::uint64_t Session::begin_hold() {
  running_ = touched_ = true;
  held_ = ++holds_begun_;
  watch_.begin_operation();
  return held_;
}

void Session::end_hold(std::uint64_t number, bool done) noexcept {
  if (held_ == 0 || held_ != number) return;
  running_ = false;
  held_ = 0;
  if (!done && end_ == End::none) end_ = End::abandoned;
  if (end_ != End::none) return;
  deliver_notifications();
  watch_.rearm(true);
}

void Session::end_use() noexcept {
  end_hold(held_, false);
  ++use_;
  notice_ = nullptr;
  notification_ = nullptr;
}

void Session::lend(std::shared_ptr<const std::function<void()>> handler) {
  running_ = lent_ = touched_ = true;
  watch_.on_idle_event(std::move(handler));
  watch_.rearm(true);
}

void Session::take_back(bool clean) noexcept {
  running_ = lent_ = false;
  if (!clean && end_ == End::none) end_ = End::abandoned;
  watch_.on_idle_event(idle_handler_);
  if (end_ == End::none) watch_.rearm(true);
}

void Session::deliver_notifications() noexcept {
  while (PGnotify* const raw = PQnotifies(handle_.get())) {
    const std::unique_ptr<PGnotify, decltype(&PQfreemem)> notification(raw, &PQfreemem);
    if (!notification_) continue;
    try {
      notification_({.channel = notification->relname, .payload = notification->extra, .pid = notification->be_pid});
    } catch (const std::exception&) {
      // One that cannot be stored is lost, as if it had come before LISTEN.
    }
  }
}

// The end of the session may have come with the answer: one read does not see it, and its edge has been used.
void Session::rest() noexcept {
  unlooked_ = looks_later_;
  watch_.rearm(!looks_later_);
}

void Session::look_later(bool later) noexcept {
  looks_later_ = later;
  if (!later && unlooked_ && !running_ && end_ == End::none) rest();
}

bool Session::check_idle() noexcept {
  if (broken()) return false;
  if (running_) return true;     // whoever runs it looks after it
  constexpr int reads_max = 64;  // a server that never stops talking to an idle session is not one to keep
  for (int read = 0; read < reads_max; ++read) {
    char byte = 0;
    const ssize_t waiting = ::recv(PQsocket(handle_.get()), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (waiting == 0) break;
    if (waiting < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) break;
      unlooked_ = false;
      watch_.rearm(false);  // it is empty
      return true;
    }
    if (PQconsumeInput(handle_.get()) == 0) break;
    PQisBusy(handle_.get());  // parses: settings, notices, notifications
    deliver_notifications();
    if (end_ != End::none) return false;
  }
  end_ = End::server;
  return false;
}

}  // namespace opi::pg
