#include "pg/pipeline.hpp"

#include <fcntl.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "aio/with_deadline.hpp"
#include "pg/pipeline_queue.hpp"
#include "pg/server_error.hpp"
#include "pg/session.hpp"
#include "pg/sqlstate.hpp"

namespace opi::pg {

class Pipeline::State : public std::enable_shared_from_this<State> {
 public:
  State(std::shared_ptr<Session> session, std::function<void()> on_loss)
      : session_(std::move(session)), on_loss_(std::move(on_loss)) {}

  void begin();
  void end() noexcept;
  Result<> send(Statement statement, Params params, Completion done);
  Task<Result<>> finish(SteadyTime deadline);
  std::size_t in_flight() const noexcept { return queue_.size(); }
  bool usable() const noexcept { return open_ && !finishing_ && !session_->broken(); }

 private:
  PGconn* native() const noexcept { return session_->native(); }
  bool has_result() const noexcept { return PQisBusy(native()) == 0 || PQstatus(native()) == CONNECTION_BAD; }
  bool put(PipelinedStatement& entry);
  bool put_deallocations();
  void flush();
  void on_readable();
  void take(PGresult* raw);
  void complete();
  bool heal(PipelinedStatement& entry);
  void leave() noexcept;
  void fail_all(const Error& error);
  void lose_soon();
  void lose();

  std::shared_ptr<Session> session_;
  std::function<void()> on_loss_;
  PipelineQueue queue_;
  ResultSet last_;              ///< of the statement in front
  std::optional<Error> error_;  ///< likewise
  bool prepared_ = false;       ///< likewise
  bool plan_is_stale_ = false;  ///< likewise
  int nothings_ = 0;            ///< in a row
  bool open_ = false;           ///< the session is in its pipeline
  bool finishing_ = false;
  bool working_ = false;                                      ///< within on_readable
  std::unique_ptr<asio::posix::stream_descriptor> writable_;  ///< made when the socket is first full
  bool waits_for_writing_ = false;
  asio::steady_timer* ended_ = nullptr;  ///< of `finish`
};

void Pipeline::State::begin() {
  if (!session_ || !session_->check_usable({}, nullptr) || PQenterPipelineMode(native()) == 0) return;
  open_ = true;
  session_->lend(std::make_shared<const std::function<void()>>([weak = weak_from_this()] {
    if (const auto state = weak.lock()) state->on_readable();
  }));
}

bool Pipeline::State::put_deallocations() {
  for (const std::string& name : session_->statements().take_doomed()) {
    const std::string sql = "DEALLOCATE " + name;
    if (PQsendQueryParams(native(), sql.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0) == 0 ||
        !session_->send_sync()) {
      return false;
    }
    queue_.push({});
  }
  return true;
}

/// Hands the statement to libpq, which writes what the socket takes.
bool Pipeline::State::put(PipelinedStatement& entry) {
  StatementCache& statements = session_->statements();
  const StatementCache::Entry* known = nullptr;
  if (!entry.is_second) known = statements.find(*entry.statement, entry.params);
  entry.prepares = known == nullptr;
  if (known == nullptr) {
    statements.make_room();
    if (!put_deallocations()) return false;
    StatementCache::Entry fresh = statements.make(*entry.statement, entry.params);
    entry.name = fresh.name;
    if (PQsendPrepare(native(), fresh.name.c_str(), fresh.statement.sql().c_str(), static_cast<int>(fresh.types.size()),
                      fresh.types.data()) == 0) {
      return false;
    }
    // Those that follow may use it at once. One that is prepared a second time keeps it for itself, so that nobody's
    // failure is another's.
    if (!entry.is_second) statements.add(std::move(fresh));
  } else {
    entry.name = known->name;
  }
  return session_->send_prepared(entry.name.c_str(), entry.params, entry.statement->results()) && session_->send_sync();
}

Result<> Pipeline::State::send(Statement statement, Params params, Completion done) {
  if (!usable()) return failure(ErrorKind::closed, "the pipeline is closed");
  if (queue_.size() >= in_flight_max) return failure(ErrorKind::exhausted, "too many statements in one pipeline");
  if (auto sound = session_->check_parameters(params); !sound) return sound;
  if (statement.contains_nul()) return failure(ErrorKind::invalid, "a statement must not contain a NUL byte");
  session_->note_effects(statement.effects());
  PipelinedStatement entry{.statement = std::move(statement), .params = std::move(params), .done = std::move(done)};
  const bool put_all = put(entry);
  queue_.push(std::move(entry));
  if (put_all) {
    flush();
  } else {
    lose_soon();  // its completion comes from the event loop, as all do
  }
  return {};
}

/// libpq writes by itself whenever it reads; when the socket is full, somebody must wait for it.
void Pipeline::State::flush() {
  if (waits_for_writing_ || PQflush(native()) != 1) return;
  if (!writable_) {
    // A descriptor of its own: the session's watch waits for reading.
    const int twin = ::fcntl(PQsocket(native()), F_DUPFD_CLOEXEC, 0);
    if (twin < 0) return;
    writable_ = std::make_unique<asio::posix::stream_descriptor>(session_->executor(), twin);
  }
  waits_for_writing_ = true;
  writable_->async_wait(asio::posix::stream_descriptor::wait_write,
                        [weak = weak_from_this()](const boost::system::error_code& error) {
                          const auto state = weak.lock();
                          if (error || !state) return;
                          state->waits_for_writing_ = false;
                          if (state->open_) state->flush();
                        });
}

void Pipeline::State::on_readable() {
  if (!open_ || working_) return;
  const auto keep = shared_from_this();
  working_ = true;
  session_->consume_input();
  while (open_ && !queue_.empty() && has_result() && nothings_ < 3) take(PQgetResult(native()));
  working_ = false;
  if (!open_) return;
  if (queue_.empty()) PQisBusy(native());  // parses notices and settings
  session_->deliver_notifications();
  if (nothings_ >= 3 || session_->broken() || PQstatus(native()) == CONNECTION_BAD) {
    lose();
    return;
  }
  flush();
  session_->watch_again();
  if (finishing_ && queue_.empty() && ended_ != nullptr) ended_->cancel();
}

void Pipeline::State::take(PGresult* raw) {
  if (raw == nullptr) {  // the end of one command's answers
    ++nothings_;
    return;
  }
  nothings_ = 0;
  ResultSet result(raw);
  switch (PQresultStatus(raw)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_EMPTY_QUERY:
      prepared_ = true;
      last_ = std::move(result);
      return;
    case PGRES_PIPELINE_SYNC:
      session_->note_sync();
      complete();
      return;
    case PGRES_PIPELINE_ABORTED: return;
    default: break;
  }
  session_->note_failure(raw);
  if (error_) return;
  error_ = error_of_result(raw, session_->peer());
  plan_is_stale_ = says_plan_is_stale(raw);
}

/// The statement in front has its answers.
void Pipeline::State::complete() {
  PipelinedStatement entry = queue_.pop();
  ResultSet last = std::exchange(last_, ResultSet());
  const std::optional<Error> error = std::exchange(error_, std::nullopt);
  const bool prepared = std::exchange(prepared_, false);
  const bool stale = std::exchange(plan_is_stale_, false);
  if (!entry.statement) return;
  StatementCache& statements = session_->statements();
  if (entry.prepares && !prepared) statements.remove(entry.name);
  if (entry.prepares && prepared && entry.is_second) statements.doom_unlisted(entry.name);
  if (!error) return entry.done(std::move(last));
  if (!entry.prepares && error->code == sqlstate::invalid_statement_name) {
    statements.remove(entry.name);
  } else if (!entry.prepares && stale) {
    statements.doom(entry.name);
  } else {
    return entry.done(failure(*error));
  }
  if (!heal(entry)) entry.done(failure(*error));
}

/// The statement did nothing yet: its prepared form is gone, or of another schema, or was never made.
bool Pipeline::State::heal(PipelinedStatement& entry) {
  if (session_->broken()) return false;
  entry.is_second = true;
  const bool put_all = put(entry);
  queue_.push(std::move(entry));
  if (!put_all) lose_soon();
  return true;
}

void Pipeline::State::fail_all(const Error& error) {
  while (!queue_.empty()) {
    PipelinedStatement entry = queue_.pop();
    if (entry.statement) entry.done(failure(error));
  }
}

/// Lets go of the session.
void Pipeline::State::leave() noexcept {
  open_ = false;
  writable_.reset();
  session_->take_back(queue_.empty() && PQexitPipelineMode(native()) != 0);
}

void Pipeline::State::lose_soon() {
  session_->note_loss();
  asio::post(session_->executor(), [weak = weak_from_this()] {
    if (const auto state = weak.lock()) state->on_readable();
  });
}

void Pipeline::State::lose() {
  session_->note_loss();
  const Error error = error_ && error_->kind == ErrorKind::unavailable ? *error_ : session_->lost();
  leave();
  fail_all(error);
  if (ended_ != nullptr) ended_->cancel();
  if (on_loss_) on_loss_();
}

void Pipeline::State::end() noexcept {
  if (!open_) return;
  leave();
  fail_all({ErrorKind::cancelled, "the pipeline was given up"});
}

Task<Result<>> Pipeline::State::finish(SteadyTime deadline) {
  const auto keep = shared_from_this();
  finishing_ = true;
  asio::steady_timer ended(session_->executor(), deadline);
  ended_ = &ended;
  while (open_ && !queue_.empty() && std::chrono::steady_clock::now() < deadline) co_await ended.async_wait(as_result);
  ended_ = nullptr;
  if (!open_) co_return failure(ErrorKind::unavailable, "the connection to " + session_->peer() + " was lost");
  const bool late = !queue_.empty();
  leave();
  if (!late) co_return Result<>{};
  Error error(ErrorKind::timed_out, "a pipelined statement had no answer in time");
  fail_all(error);
  co_return failure(std::move(error));
}

Pipeline::Pipeline(Connection& connection, std::function<void()> on_loss)
    : state_(std::make_shared<State>(connection.session_, std::move(on_loss))) {
  state_->begin();
}

Pipeline::~Pipeline() {
  state_->end();
}

Result<> Pipeline::send(Statement statement, Params params, Completion done) {
  return state_->send(std::move(statement), std::move(params), std::move(done));
}

std::size_t Pipeline::in_flight() const noexcept {
  return state_->in_flight();
}
bool Pipeline::usable() const noexcept {
  return state_->usable();
}

Task<Result<>> Pipeline::finish(SteadyTime deadline) {
  return aio::shielded(state_->finish(deadline));
}

}  // namespace opi::pg
