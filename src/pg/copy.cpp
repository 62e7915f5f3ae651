#include "pg/copy.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "pg/server_error.hpp"
#include "pg/session.hpp"
#include "pg/session_hold.hpp"

namespace opi::pg {
namespace {

/// Nobody answers for less: the bytes that libpq may hold of a copy.
constexpr std::size_t chunk_bytes = 64 * 1024;

/// What a COPY statement ended with.
struct CopyEnd {
  std::int64_t rows = 0;
  std::optional<Error> error = {};
};

/// Takes the answers that follow a copy, or an error in its place; the session is quiet then.
Task<Result<CopyEnd>> take_end(std::shared_ptr<Session> session) {
  CopyEnd end;
  for (;;) {
    if (auto waited = co_await session->await_result(); !waited) co_return failure(std::move(waited.error()));
    const ResultSet result(PQgetResult(session->native()));
    if (result.native() == nullptr) break;
    const ExecStatusType status = PQresultStatus(result.native());
    if (status == PGRES_COMMAND_OK) {
      const std::string_view rows = PQcmdTuples(const_cast<PGresult*>(result.native()));
      std::from_chars(rows.data(), rows.data() + rows.size(), end.rows);
    } else if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
      co_return failure(ErrorKind::unsupported, "several COPY in one statement");
    } else if (status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY) {
      session->note_failure(result.native());
      if (!end.error) end.error = error_of_result(result.native(), session->peer());
      if (session->broken()) break;
    }
  }
  if (!session->still_connected() && !end.error) end.error = session->lost();
  co_return end;
}

/// Sends the statement and waits until the server is ready to copy.
Task<Result<>> begin_copy(std::shared_ptr<Session> session, SessionHold* hold, std::string sql,
                          ExecStatusType expected) {
  session->note_effects(effects_of(sql));
  if (PQsendQuery(session->native(), sql.c_str()) == 0) co_return failure(session->lost());
  session->expect_flush();
  if (auto waited = co_await session->await_result(); !waited) co_return waited;
  const ResultSet result(PQgetResult(session->native()));
  const ExecStatusType status = PQresultStatus(result.native());
  if (status == expected) co_return Result<>{};
  if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
    co_return failure(ErrorKind::invalid, "COPY goes the other way");
  }
  std::optional<Error> error;
  if (status == PGRES_FATAL_ERROR) {
    session->note_failure(result.native());
    error = error_of_result(result.native(), session->peer());
  }
  if (!session->broken()) {
    auto end = co_await take_end(session);
    if (!end) co_return failure(std::move(end.error()));
    if (!error) error = std::move(end->error);
  }
  hold->finish();
  if (!error) error.emplace(ErrorKind::invalid, "the statement is no COPY");
  co_return failure(std::move(*error));
}

Error closed() {
  return {ErrorKind::closed, "the copy has ended"};
}

}  // namespace

struct CopyIn::State {
  explicit State(Session& session) : hold(session) {}
  /// Ends the copy, with a reason to fail it, and takes the answer.
  static Task<Result<CopyEnd>> end(std::shared_ptr<State> state, std::optional<std::string> reason);
  static Task<Result<>> write(std::shared_ptr<State> state, std::string bytes);
  static Task<Result<std::int64_t>> finish(std::shared_ptr<State> state);
  static Task<Result<>> abort(std::shared_ptr<State> state, std::string reason);
  SessionHold hold;
};

CopyIn::CopyIn(std::shared_ptr<State> state) noexcept : state_(std::move(state)) {}
CopyIn::CopyIn(CopyIn&&) noexcept = default;
CopyIn& CopyIn::operator=(CopyIn&&) noexcept = default;
CopyIn::~CopyIn() = default;

Task<Result<CopyIn>> CopyIn::begin(std::shared_ptr<Session> session, std::string sql) {
  if (!session) co_return failure(ErrorKind::closed, "there is no connection");
  if (auto usable = session->check_usable(sql, nullptr); !usable) co_return failure(std::move(usable.error()));
  auto state = std::make_shared<State>(*session);
  auto begun = co_await begin_copy(session, &state->hold, std::move(sql), PGRES_COPY_IN);
  if (!begun) co_return failure(std::move(begun.error()));
  co_return CopyIn(std::move(state));
}

Task<Result<>> CopyIn::State::write(std::shared_ptr<State> state, std::string bytes) {
  const auto session = state->hold.session();
  if (!session || session->broken()) co_return failure(closed());
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t size = std::min(bytes.size() - at, chunk_bytes);
    const int put = PQputCopyData(session->native(), bytes.data() + at, static_cast<int>(size));
    if (put < 0) co_return failure(session->lost());
    if (put == 1) at += size;
    // Read meanwhile: the server may have something to say before it takes more.
    while (PQflush(session->native()) == 1) {
      if (auto waited = co_await session->wait(Session::Ready::output); !waited) co_return waited;
      if (session->broken()) co_return failure(session->lost());
    }
  }
  co_return Result<>{};
}

Task<Result<CopyEnd>> CopyIn::State::end(std::shared_ptr<State> state, std::optional<std::string> reason) {
  const auto session = state->hold.session();
  if (!session || session->broken()) co_return failure(closed());
  for (int put = 0; put != 1;) {
    put = PQputCopyEnd(session->native(), reason ? reason->c_str() : nullptr);
    if (put < 0) co_return failure(session->lost());
    if (put == 1) break;
    if (auto waited = co_await session->wait(Session::Ready::output); !waited) {
      co_return failure(std::move(waited.error()));
    }
  }
  session->expect_flush();
  auto end = co_await take_end(session);
  if (end) state->hold.finish();
  co_return end;
}

Task<Result<std::int64_t>> CopyIn::State::finish(std::shared_ptr<State> state) {
  auto end = co_await State::end(state, std::nullopt);
  if (!end) co_return failure(std::move(end.error()));
  if (end->error) co_return failure(std::move(*end->error));
  co_return end->rows;
}

Task<Result<>> CopyIn::State::abort(std::shared_ptr<State> state, std::string reason) {
  auto end = co_await State::end(state, std::move(reason));
  if (!end) co_return failure(std::move(end.error()));
  if (!end->error) co_return failure(ErrorKind::internal, "the server copied what was aborted");
  if (end->error->kind == ErrorKind::unavailable) co_return failure(std::move(*end->error));
  co_return Result<>{};  // 57014: as it was asked to
}

Task<Result<>> CopyIn::write(std::string bytes) {
  return State::write(state_, std::move(bytes));
}

Task<Result<std::int64_t>> CopyIn::finish() {
  return State::finish(state_);
}

Task<Result<>> CopyIn::abort(std::string reason) {
  return State::abort(state_, std::move(reason));
}

struct CopyOut::State {
  explicit State(Session& session) : hold(session) {}
  static Task<Result<std::optional<std::string>>> next(std::shared_ptr<State> state);
  SessionHold hold;
  bool ended = false;
};

CopyOut::CopyOut(std::shared_ptr<State> state) noexcept : state_(std::move(state)) {}
CopyOut::CopyOut(CopyOut&&) noexcept = default;
CopyOut& CopyOut::operator=(CopyOut&&) noexcept = default;
CopyOut::~CopyOut() = default;

Task<Result<CopyOut>> CopyOut::begin(std::shared_ptr<Session> session, std::string sql) {
  if (!session) co_return failure(ErrorKind::closed, "there is no connection");
  if (auto usable = session->check_usable(sql, nullptr); !usable) co_return failure(std::move(usable.error()));
  auto state = std::make_shared<State>(*session);
  auto begun = co_await begin_copy(session, &state->hold, std::move(sql), PGRES_COPY_OUT);
  if (!begun) co_return failure(std::move(begun.error()));
  co_return CopyOut(std::move(state));
}

Task<Result<std::optional<std::string>>> CopyOut::State::next(std::shared_ptr<State> state) {
  if (state->ended) co_return std::nullopt;
  const auto session = state->hold.session();
  if (!session || session->broken()) co_return failure(closed());
  for (;;) {
    char* raw = nullptr;
    const int size = PQgetCopyData(session->native(), &raw, 1);
    const std::unique_ptr<char, decltype(&PQfreemem)> chunk(raw, &PQfreemem);
    if (size > 0) co_return std::string(raw, static_cast<std::size_t>(size));
    if (size < 0) break;  // the end, or an error: the answers say which
    if (session->broken()) co_return failure(session->lost());
    if (auto waited = co_await session->wait(Session::Ready::input); !waited)
      co_return failure(std::move(waited.error()));
  }
  auto end = co_await take_end(session);
  if (!end) co_return failure(std::move(end.error()));
  state->ended = true;
  state->hold.finish();
  if (end->error) co_return failure(std::move(*end->error));
  co_return std::nullopt;
}

Task<Result<std::optional<std::string>>> CopyOut::next() {
  return State::next(state_);
}

}  // namespace opi::pg
