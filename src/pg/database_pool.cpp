#include "pg/database_pool.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <cassert>
#include <utility>

#include "aio/with_deadline.hpp"
#include "pg/pool_state.hpp"

namespace opi::pg {

// ---- Lease ---------------------------------------------------------------------------------------------------------

Connection& Lease::operator*() const noexcept {
  assert(slot_ != nullptr && "this lease was given back or moved from");
  return *slot_->connection;
}

Connection* Lease::operator->() const noexcept {
  return &**this;
}

Connection Lease::detach() noexcept {
  assert(slot_ != nullptr && "this lease was given back or moved from");
  PoolSlot* const slot = std::exchange(slot_, nullptr);
  return slot->pool->detach(slot);
}

// ---- acquire -------------------------------------------------------------------------------------------------------

namespace {

/// Tells of one acquire, however it ends.
class AcquireSpan {
 public:
  AcquireSpan(PoolTracer* tracer, std::string_view pool, const std::source_location& where) noexcept
      : tracer_(tracer), span_(tracer->acquire_begun(pool, where)) {}
  ~AcquireSpan() { tracer_->acquire_ended(span_, ended_ ? error_ : &interrupted_); }
  AcquireSpan(const AcquireSpan&) = delete;
  AcquireSpan& operator=(const AcquireSpan&) = delete;
  void end(const Acquired& acquired) noexcept {
    ended_ = true;
    error_ = acquired ? nullptr : &acquired.error();
  }

 private:
  PoolTracer* tracer_;
  std::uint64_t span_;
  bool ended_ = false;
  const AcquireError* error_ = nullptr;
  const AcquireError interrupted_{.kind = AcquireErrorKind::cancelled, .pool = {}};
};

Task<Acquired> traced(Task<Acquired> acquire, PoolTracer* tracer, std::string pool, std::source_location where) {
  AcquireSpan span(tracer, pool, where);
  Acquired acquired = co_await std::move(acquire);
  span.end(acquired);
  co_return acquired;
}

}  // namespace

Task<Acquired> DatabasePool::acquire(std::source_location where) {
  if (state_->tracer != nullptr) return acquire({}, where);
  return Task<Acquired>(Acquiring(state_.get(), where));
}

Task<Acquired> DatabasePool::acquire(AcquireOptions options, std::source_location where) {
  if (state_->tracer == nullptr) return state_->acquire(options, where);
  return traced(state_->acquire(options, where), state_->tracer, name(), where);
}

Lease DatabasePool::try_acquire(AcquireOptions options, std::source_location where) {
  PoolCore::Taken taken;
  Lease lease = state_->take_now(Borrower(where, options.task, options.owner), taken);
  if (lease) {
    if (taken.forget_statements) lease->forget_statements();
    return lease;
  }
  PoolActions actions;
  state_->core.dial_for_taker(state_->now(), actions);
  state_->perform(std::move(actions));
  return {};
}

// ---- execute -------------------------------------------------------------------------------------------------------

namespace {

Task<Result<ResultSet>> refused(Error error) {
  co_return failure(std::move(error));
}

/// With a connection of its own.
Task<Result<ResultSet>> execute_alone(DatabasePool* pool, Statement statement, Params params, AcquireOptions options,
                                      std::source_location where) {
  auto lease = co_await pool->acquire(options, where);
  if (!lease) co_return failure(lease.error().to_error());
  Task<Result<ResultSet>> query = (*lease)->query(statement.sql(), std::move(params), statement.results());
  if (!options.deadline) co_return co_await std::move(query);
  auto result = co_await aio::with_deadline(std::move(query), *options.deadline,
                                            "pool " + pool->name() + ": no answer to a statement in time");
  if (!result && (*lease)->broken()) result.error().causes.emplace_back("it was sent and may have run");
  co_return result;
}

}  // namespace

Task<Result<ResultSet>> DatabasePool::execute(Statement statement, Params params, AcquireOptions options,
                                              std::source_location where) {
  if (options.deadline && *options.deadline <= state_->now()) return refused(state_->too_late().to_error());
  if (statement.multiplexable()) {
    return state_->carriers.execute(std::move(statement), std::move(params), options.deadline, where);
  }
  return execute_alone(this, std::move(statement), std::move(params), options, where);
}

Task<Result<ResultSet>> DatabasePool::execute(std::string sql, Params params, AcquireOptions options,
                                              std::source_location where) {
  return execute(Statement(std::move(sql)), std::move(params), options, where);
}

// ---- DatabasePool --------------------------------------------------------------------------------------------------

DatabasePool::DatabasePool(asio::any_io_executor executor, PoolConfig config, aio::BlockingPool& blocking, Logger log,
                           const Clock& clock, PoolAttachments attachments)
    : state_(std::make_shared<PoolState>(std::move(executor), std::move(config), blocking, std::move(log), clock,
                                         std::move(attachments))) {
  state_->listen_to_governor();
}

DatabasePool::~DatabasePool() {
  assert(state_->finished && "a DatabasePool was destroyed before close() returned");
  // Whoever still waits holds a reference to the state that holds them: answering breaks the circle.
  PoolActions actions;
  state_->core.begin_close(state_->now(), actions);
  state_->perform(std::move(actions));
  state_->keep_alive = state_;
  if (!state_->core.orphan()) state_->keep_alive.reset();
}

Task<Result<>> DatabasePool::start(SteadyTime deadline) {
  const auto state = state_;
  co_return co_await asio::co_spawn(state->executor, state->start(deadline), asio::use_awaitable);
}

Task<bool> DatabasePool::recover(SteadyTime deadline) {
  const auto state = state_;
  const auto recovered = co_await asio::co_spawn(state->executor, state->recover(deadline), asio::use_awaitable);
  co_return recovered.value_or(false);
}

Task<Result<>> DatabasePool::close(SteadyTime deadline) {
  const auto state = state_;
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  co_return co_await asio::co_spawn(state->executor, state->close(deadline), asio::use_awaitable);
}

void DatabasePool::resize(PoolSettings settings) {
  state_->resize(settings);
}
void DatabasePool::redirect(ServerSettings server) {
  state_->statement_timeout = server.statement_timeout;
  state_->core.redirect(std::move(server));
}
void DatabasePool::recycle() {
  PoolActions actions;
  state_->core.recycle(state_->now(), actions);
  state_->perform(std::move(actions));
}
void DatabasePool::retry_now() {
  PoolActions actions;
  state_->core.retry_now(state_->now(), actions);
  state_->perform(std::move(actions));
}
void DatabasePool::forget_statements() {
  PoolActions actions;
  state_->core.forget_statements(state_->now(), actions);
  state_->perform(std::move(actions));
}
void DatabasePool::pause() {
  state_->pause(true);
}
void DatabasePool::resume() {
  state_->pause(false);
}

void DatabasePool::on_availability(std::function<void(bool)> handler) {
  asio::post(state_->executor,
             [state = state_, given = std::move(handler)]() mutable { state->on_availability = std::move(given); });
}

PoolStats DatabasePool::stats() const {
  PoolStats stats = state_->core.stats();
  state_->carriers.report(stats);
  return stats;
}
std::vector<Holder> DatabasePool::holders() const {
  return state_->core.holders(state_->now());
}
const std::string& DatabasePool::name() const noexcept {
  return state_->core.name();
}
PoolConfig DatabasePool::config() const {
  return state_->core.config();
}
std::string DatabasePool::describe() const {
  return state_->core.describe(state_->now());
}

}  // namespace opi::pg
