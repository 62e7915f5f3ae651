#include "pg/connection.hpp"

#include "pg/session.hpp"

namespace opi::pg {
namespace {

template <class T>
Task<Result<T>> closed_result() {
  co_return failure(ErrorKind::closed, "there is no connection");
}

Task<> nothing() {
  co_return;
}

}  // namespace

Connection::Connection(std::shared_ptr<Session> session) noexcept : session_(std::move(session)) {}
Connection::Connection() noexcept = default;
Connection::Connection(Connection&&) noexcept = default;
Connection& Connection::operator=(Connection&&) noexcept = default;
Connection::~Connection() = default;

Task<Result<ResultSet>> Connection::query(std::string sql, Params params, Format results) {
  if (!session_) return closed_result<ResultSet>();
  return session_->run(
      {.kind = Request::Kind::once, .results = results, .sql = std::move(sql), .params = std::move(params)});
}

Task<Result<ResultSet>> Connection::query_prepared(Statement statement, Params params) {
  if (!session_) return closed_result<ResultSet>();
  return session_->run(
      {.kind = Request::Kind::prepared, .statement = std::move(statement), .params = std::move(params)});
}

Task<Result<ResultSet>> Connection::query_prepared(std::string sql, Params params) {
  if (!session_) return closed_result<ResultSet>();
  return query_prepared(session_->statement_of(std::move(sql)), std::move(params));
}

Task<Result<ResultSet>> Connection::execute(std::string sql) {
  if (!session_) return closed_result<ResultSet>();
  return session_->run({.kind = Request::Kind::simple, .sql = std::move(sql)});
}

Task<Result<RowStream>> Connection::stream(std::string sql, Params params, Format results) {
  return RowStream::begin(session_, std::move(sql), std::move(params), results);
}

Task<Result<BatchResults>> Connection::run_batch(Batch batch) {
  return session_ ? session_->run_batch(std::move(batch)) : closed_result<BatchResults>();
}

Task<Result<CopyIn>> Connection::copy_in(std::string sql) {
  return CopyIn::begin(session_, std::move(sql));
}

Task<Result<CopyOut>> Connection::copy_out(std::string sql) {
  return CopyOut::begin(session_, std::move(sql));
}

Task<Result<>> Connection::ping(SteadyTime deadline) {
  return session_ ? session_->ping(deadline) : closed_result<void>();
}

Task<Result<>> Connection::reset(ResetProfile profile, SteadyTime deadline) {
  return session_ ? session_->reset(profile, deadline) : closed_result<void>();
}

Task<Result<>> Connection::recover(SteadyTime deadline, CancelBackend cancel) {
  return session_ ? session_->recover(deadline, std::move(cancel)) : closed_result<void>();
}

bool Connection::recoverable() const noexcept {
  return session_ && session_->recoverable();
}

Task<> Connection::close(SteadyTime deadline) {
  return session_ ? session_->close(deadline) : nothing();
}

void Connection::on_notice(std::function<void(const Notice&)> handler) {
  session_->on_notice(std::move(handler));
}

void Connection::end_use() noexcept {
  if (session_) session_->end_use();
}

void Connection::on_notification(std::function<void(const Notification&)> handler) {
  session_->on_notification(std::move(handler));
}

void Connection::limit_statements(std::size_t statements_max) {
  if (session_) session_->limit_statements(statements_max);
}

void Connection::forget_statements() {
  if (session_) session_->forget_statements();
}

void Connection::on_idle_event(std::shared_ptr<const std::function<void()>> handler) {
  session_->on_idle_event(std::move(handler));
}

bool Connection::take_write_refused() noexcept {
  return session_ && session_->take_write_refused();
}
bool Connection::take_plan_was_stale() noexcept {
  return session_ && session_->take_plan_was_stale();
}
HostRole Connection::reported_role() const noexcept {
  return session_ && session_->open() ? session_->reported_role() : HostRole::unknown;
}
Task<Result<HostRole>> Connection::ask_role(SteadyTime deadline) {
  return session_ ? session_->ask_role(deadline) : closed_result<HostRole>();
}

bool Connection::broken() const noexcept {
  return !session_ || session_->broken();
}
bool Connection::ended_by_server() const noexcept {
  return session_ && session_->ended_by_server();
}
bool Connection::needs_reset(ResetProfile profile) const noexcept {
  return session_ && session_->needs_reset(profile);
}
void Connection::look_later(bool later) noexcept {
  if (session_) session_->look_later(later);
}
bool Connection::check_idle() noexcept {
  return session_ && session_->check_idle();
}

TransactionStatus Connection::transaction_status() const noexcept {
  if (!session_ || !session_->open()) return TransactionStatus::unknown;
  switch (PQtransactionStatus(session_->native())) {
    case PQTRANS_IDLE: return TransactionStatus::idle;
    case PQTRANS_ACTIVE: return TransactionStatus::active;
    case PQTRANS_INTRANS: return TransactionStatus::in_transaction;
    case PQTRANS_INERROR: return TransactionStatus::failed;
    case PQTRANS_UNKNOWN: return TransactionStatus::unknown;
  }
  return TransactionStatus::unknown;
}

int Connection::backend_pid() const noexcept {
  return session_ && session_->open() ? PQbackendPID(session_->native()) : 0;
}

int Connection::server_version() const noexcept {
  return session_ && session_->open() ? PQserverVersion(session_->native()) : 0;
}

std::string Connection::server_version_text() const {
  if (!session_ || !session_->open()) return {};
  const char* const text = PQparameterStatus(session_->native(), "server_version");
  const std::string_view version = text != nullptr ? text : "";
  return std::string(version.substr(0, version.find(' ')));  // "15.20 (Debian 15.20-0+deb12u1)"
}

std::string Connection::peer() const {
  return session_ ? session_->peer() : std::string();
}
std::uint64_t Connection::statements_run() const noexcept {
  return session_ ? session_->statements_run() : 0;
}

}  // namespace opi::pg
