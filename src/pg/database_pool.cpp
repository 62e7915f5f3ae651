#include "pg/database_pool.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>
#include <cassert>
#include <utility>

#include "aio/with_deadline.hpp"
#include "pg/pool_state.hpp"

namespace opi::pg {
namespace {

/// The coroutine that waits may vanish between the answer and its continuation: then the connection goes back by
/// itself.
struct LeaseWaiter : PoolWaiter {
  std::function<void(PoolSlot*)> give_back;
  LeaseWaiter() = default;
  ~LeaseWaiter() override {
    if (slot != nullptr) give_back(slot);
  }
  LeaseWaiter(const LeaseWaiter&) = delete;
  LeaseWaiter& operator=(const LeaseWaiter&) = delete;
};

}  // namespace

// ---- Lease ---------------------------------------------------------------------------------------------------------

Lease::Lease(std::shared_ptr<void> pool, PoolSlot* slot) noexcept : pool_(std::move(pool)), slot_(slot) {}

Lease::Lease(Lease&& other) noexcept : pool_(std::move(other.pool_)), slot_(std::exchange(other.slot_, nullptr)) {}

Lease& Lease::operator=(Lease&& other) noexcept {
  if (this != &other) {
    release();
    pool_ = std::move(other.pool_);
    slot_ = std::exchange(other.slot_, nullptr);
  }
  return *this;
}

Lease::~Lease() {
  release();
}

Connection& Lease::operator*() const noexcept {
  assert(slot_ != nullptr && "this lease was given back or moved from");
  return *slot_->connection;
}

Connection* Lease::operator->() const noexcept {
  return &**this;
}

void Lease::release() noexcept {
  if (PoolSlot* const slot = std::exchange(slot_, nullptr)) {
    static_cast<DatabasePool::State*>(pool_.get())->give_back(slot, false);
    pool_.reset();
  }
}

void Lease::discard() noexcept {
  if (PoolSlot* const slot = std::exchange(slot_, nullptr)) {
    static_cast<DatabasePool::State*>(pool_.get())->give_back(slot, true);
    pool_.reset();
  }
}

// ---- acquire -------------------------------------------------------------------------------------------------------

namespace {

/// What `suspend` starts: joins the queue.
template <class State>
struct JoinQueue {
  std::shared_ptr<State> state;
  std::shared_ptr<PoolWaiter> waiter;
  void operator()(Resumption resumption, asio::cancellation_slot slot) const {
    waiter->resumption = std::move(resumption);
    if (slot.is_connected()) {
      slot.assign([pool = std::weak_ptr(state), waiting = std::weak_ptr(waiter)](asio::cancellation_type) {
        const auto locked = pool.lock();
        const auto entry = waiting.lock();
        if (!locked || !entry) return;
        PoolActions actions;
        locked->core.cancel(*entry, locked->now(), actions);
        locked->perform(std::move(actions));
      });
    }
    PoolActions actions;
    state->core.enqueue(waiter, state->now(), actions);
    state->perform(std::move(actions));
  }
};

}  // namespace

Task<std::expected<Lease, AcquireError>> DatabasePool::acquire(AcquireOptions options, std::source_location where) {
  const auto state = state_;
  const SteadyTime begun = state->now();
  const SteadyTime deadline = options.deadline.value_or(begun + state->config.pool.acquire_timeout);
  if (deadline <= begun) {
    AcquireError error;
    error.kind = AcquireErrorKind::timed_out;
    error.pool = state->config.name;
    co_return std::unexpected(std::move(error));
  }
  const Borrower borrower(where, options.task);
  for (SteadyTime now = begun;; now = state->now()) {
    PoolActions actions;
    const PoolCore::Taken taken = state->core.try_take(borrower, now, actions);
    if (!actions.empty()) state->perform(std::move(actions));
    if (taken.slot == nullptr) break;
    Lease lease(state, taken.slot);
    if (!taken.needs_ping) co_return lease;
    const auto pong = co_await lease->ping(std::min(deadline, now + state->config.pool.ping_timeout));
    if (pong) co_return lease;
    const bool cancelled = pong.error().kind == ErrorKind::cancelled;
    state->core.refused(false, cancelled);
    if (!cancelled) state->core.suspect_idle(state->now());
    lease.discard();
    if (cancelled) co_return std::unexpected(state->error_now(AcquireErrorKind::cancelled, begun));
  }

  auto waiter = std::make_shared<LeaseWaiter>();
  waiter->borrower = borrower;
  waiter->since = begun;
  waiter->deadline = deadline;
  waiter->give_back = [state](PoolSlot* slot) { state->give_back(slot, false); };
  co_await suspend(JoinQueue<State>{.state = state, .waiter = waiter});
  PoolSlot* const slot = std::exchange(waiter->slot, nullptr);
  if (slot == nullptr) co_return std::unexpected(std::move(*waiter->error));
  Lease lease(state, slot);
  // Cancelled after the answer: the cancellation is not lost, and the connection goes to whoever is next.
  if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none) {
    state->core.refused(true, true);
    lease.release();
    co_return std::unexpected(state->error_now(AcquireErrorKind::cancelled, begun));
  }
  co_return lease;
}

// ---- DatabasePool --------------------------------------------------------------------------------------------------

DatabasePool::DatabasePool(asio::any_io_executor executor, PoolConfig config, aio::BlockingPool& blocking, Logger log,
                           const Clock& clock)
    : state_(std::make_shared<State>(std::move(executor), std::move(config), blocking, std::move(log), clock)) {}

DatabasePool::~DatabasePool() {
  assert(state_->finished && "a DatabasePool was destroyed before close() returned");
  // Whoever still waits holds a reference to the state that holds them: answering breaks the circle.
  PoolActions actions;
  state_->core.begin_close(state_->now(), actions);
  state_->perform(std::move(actions));
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

void DatabasePool::on_availability(std::function<void(bool)> handler) {
  asio::post(state_->executor,
             [state = state_, given = std::move(handler)]() mutable { state->on_availability = std::move(given); });
}

PoolStats DatabasePool::stats() const {
  return state_->core.stats();
}
std::vector<Holder> DatabasePool::holders() const {
  return state_->core.holders(state_->now());
}
const std::string& DatabasePool::name() const noexcept {
  return state_->config.name;
}
const PoolConfig& DatabasePool::config() const noexcept {
  return state_->config;
}
std::string DatabasePool::describe() const {
  return state_->core.describe(state_->now());
}

}  // namespace opi::pg
