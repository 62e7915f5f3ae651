#include "pg/carriers.hpp"

#include <boost/asio/post.hpp>

#include "pg/pool_state.hpp"

namespace opi::pg {
namespace {

using namespace std::chrono_literals;

/// A carrier that is recalled as it comes takes at most so many of those who wait.
constexpr std::size_t turn_max = 256;
/// Nobody waits for anything that it carries any more: so long it may go on before its connection is closed.
constexpr std::chrono::milliseconds patience = 1s;
/// The server ends what takes longer than the statement timeout; we give up a little later.
constexpr std::chrono::milliseconds statement_grace = 5s;
/// Before the pool's close gives up: time to ask the server to stop what is under way.
constexpr std::chrono::milliseconds close_grace = 500ms;

constexpr std::string_view may_have_run = "the statement was sent and may have run";

}  // namespace

// ---- the caller's side ---------------------------------------------------------------------------------------------

/// A call on its way from another executor. Destroyed without having run (the event loop is being torn down), it drops
/// the caller.
class Carriers::Arrival {
 public:
  Arrival(std::shared_ptr<PoolState> pool, ExecuteCall* call) noexcept : pool_(std::move(pool)), call_(call) {}
  Arrival(Arrival&& other) noexcept : pool_(std::move(other.pool_)), call_(std::exchange(other.call_, nullptr)) {}
  Arrival& operator=(Arrival&&) = delete;
  Arrival(const Arrival&) = delete;
  Arrival& operator=(const Arrival&) = delete;
  ~Arrival() {
    if (call_ != nullptr) const Resumption dropped = std::move(call_->resumption);
  }
  void operator()() { pool_->carriers.submit(*std::exchange(call_, nullptr)); }

 private:
  std::shared_ptr<PoolState> pool_;
  ExecuteCall* call_;
};

/// What `suspend` starts.
struct Carriers::Join {
  Carriers* carriers;
  ExecuteCall* call;
  void operator()(Resumption&& resumption, asio::cancellation_slot slot) const {
    PoolState& pool = carriers->pool_;
    call->at_home = resumption.is_on(pool.executor);
    call->resumption = std::move(resumption);
    if (call->at_home) {
      if (slot.is_connected()) {
        // Called on the caller's executor, which is ours, and only while the caller is suspended here.
        slot.assign([all = carriers, one = call](asio::cancellation_type type) { all->cancel(*one, type); });
      }
      carriers->submit(*call);
      return;
    }
    call->number = carriers->numbers_.fetch_add(1, std::memory_order_relaxed) + 1;
    if (slot.is_connected()) {
      slot.assign([shared = pool.shared_from_this(), number = call->number](asio::cancellation_type type) {
        asio::post(shared->executor, [shared, number, type] { shared->carriers.cancel_number(number, type); });
      });
    }
    asio::post(pool.executor, Arrival(pool.shared_from_this(), call));
  }
};

Task<Result<ResultSet>> Carriers::execute(Statement statement, Params params, std::optional<SteadyTime> deadline,
                                          std::source_location where) {
  ExecuteCall call(&statement, &params, deadline, where);
  co_await suspend(Join{.carriers = this, .call = &call});
  co_return std::move(*call.result);
}

// ---- on the pool's executor ----------------------------------------------------------------------------------------

Carriers::Carriers(PoolState& pool)
    : pool_(pool), timer_(pool.executor), tasks_(pool.executor, pool.log, "pool " + pool.core.name() + " carriers") {}

Carriers::~Carriers() = default;

/// Read once for all answers of one turn.
SteadyTime Carriers::moment() {
  if (!drain_asked_ || !moment_) moment_ = pool_.now();
  return *moment_;
}

void Carriers::submit(ExecuteCall& call) {
  call.begun = moment();
  call.deadline = call.deadline_of_caller.value_or(call.begun + pool_.acquire_timeout.load(std::memory_order_relaxed));
  call.stage = ExecuteCall::Stage::pending;
  pending_.push_back(call);
  if (closing_) return refuse(call, pool_.error_now(AcquireErrorKind::closed, call.begun).to_error());
  if (pending_.size() > 1) {  // others came first
    if (pending_.size() > pool_.max_waiting.load(std::memory_order_relaxed)) {
      return refuse(call, pool_.error_now(AcquireErrorKind::queue_full, call.begun).to_error());
    }
  }
  watch_deadline(call.deadline);
  dispatch();
}

void Carriers::dispatch() {
  while (!pending_.empty()) {
    Carrier* const carrier = next_carrier();
    if (carrier == nullptr || pending_.empty()) break;
    ExecuteCall& call = pending_.front();
    pending_.pop_front();
    send(*carrier, call);
  }
  waiting_.set(pending_.size());
}

/// Null: the one in front has to wait.
Carrier* Carriers::next_carrier() {
  const auto loads =
      carriers_ | std::views::transform([](const auto& carrier) -> const CarrierLoad& { return carrier->load; });
  const CarrierChoice choice = choose_carrier(loads, packing_, moment());
  if (choice.another && !queued_ && !tried_another_) {
    if (Carrier* const fresh = take_idle()) return fresh;
    if (choice.carrier == CarrierChoice::none && !queued_ && !pending_.empty()) queue_for_one({}, {});
  }
  return choice.carrier == CarrierChoice::none ? nullptr : carriers_[choice.carrier].get();
}

Borrower Carriers::borrower() const {
  Borrower who(pending_.empty() ? std::source_location::current() : pending_.front().where, "execute, for many");
  who.carries = true;
  return who;
}

Carrier* Carriers::take_idle() {
  PoolCore::Taken taken;
  Lease lease = pool_.take_now(borrower(), taken);
  if (lease && taken.ready && pool_.lends_at_once) {
    Carrier& carrier = open(std::move(lease));
    return carrier.load.takes ? &carrier : nullptr;
  }
  if (lease) {
    queue_for_one(std::move(lease), taken);
  } else if (!carriers_.empty()) {
    tried_another_ = true;
    schedule_drain();
    PoolActions actions;
    pool_.core.dial_for_taker(pool_.now(), actions);
    pool_.perform(std::move(actions));
  }
  return nullptr;
}

/// A place in the pool's queue for all who wait; or what an idle connection needs before it is used.
void Carriers::queue_for_one(Lease lease, PoolCore::Taken taken) {
  queued_ = tasks_.spawn("carrier", await_one(std::move(lease), taken, borrower()));
}

Task<> Carriers::await_one(Lease lease, PoolCore::Taken taken, Borrower who) {
  auto acquired = co_await pool_.acquire_from(std::move(lease), taken, who, SteadyTime::max());
  queued_ = false;
  if (!acquired) {
    refuse_all(acquired.error());
    co_return;
  }
  open(std::move(*acquired));
  dispatch();
  schedule_drain();  // should nobody wait any more
}

Carrier& Carriers::open(Lease lease) {
  if (spare_.empty()) spare_.push_back(std::make_unique<Carrier>());
  carriers_.push_back(std::move(spare_.back()));
  spare_.pop_back();
  Carrier& carrier = *carriers_.back();
  const SteadyTime now = moment();
  carrier.owner = this;
  carrier.slot = lease.slot_;
  carrier.lease = std::move(lease);
  carrier.load = {.progress = now};
  carrier.lost = carrier.given_up = false;
  carrier.give_up_at = SteadyTime::max();
  carrier.pipeline.emplace(*carrier.lease, [one = &carrier] {
    one->lost = true;
    one->load.takes = false;
    one->owner->schedule_drain();
  });
  if (!carrier.pipeline->usable()) {
    carrier.lost = true;
    carrier.load.takes = false;
    schedule_drain();
  } else if (!pool_.core.keep_carrier(carrier.slot, now)) {
    carrier.load.takes = false;
    for (std::size_t sent = 0; sent < turn_max && !pending_.empty(); ++sent) {
      ExecuteCall& call = pending_.front();
      pending_.pop_front();
      send(carrier, call);
    }
    schedule_drain();
  }
  return carrier;
}

void Carriers::send(Carrier& carrier, ExecuteCall& call) {
  if (!carrier.pipeline->usable()) {  // lost a moment ago, as we are about to be told
    carrier.load.takes = false;
    pending_.push_front(call);
    return;
  }
  call.stage = ExecuteCall::Stage::sent;
  call.carrier = &carrier;
  if (carrier.idle()) carrier.load.progress = call.begun;
  call.seat = carrier.take_seat(&call);
  if (!call.deadline_of_caller) {
    const std::chrono::milliseconds limit = pool_.statement_timeout.load(std::memory_order_relaxed);
    call.deadline = limit.count() > 0 ? moment() + limit + statement_grace : SteadyTime::max();
  }
  under_way_.add();
  const auto sent = carrier.pipeline->send(std::move(*call.statement), std::move(*call.params),
                                           [one = &carrier, seat = call.seat](Result<ResultSet> result) {
                                             one->owner->answered(*one, seat, std::move(result));
                                           });
  if (sent) return;
  carrier.free_seat(call.seat);
  under_way_.set(under_way_.get() - 1);
  refuse(call, sent.error());
}

void Carriers::answered(Carrier& carrier, std::uint32_t seat, Result<ResultSet> result) {
  under_way_.set(under_way_.get() - 1);
  const SteadyTime now = moment();
  ExecuteCall* const call = carrier.free_seat(seat);
  if (call != nullptr) packing_.answered(now - carrier.load.progress, now - call->begun, now);
  carrier.load.progress = now;
  schedule_drain();
  const bool lost =
      !result && (carrier.given_up || (result.error().kind == ErrorKind::unavailable && !carrier.pipeline->usable()));
  if (!lost) {
    executed_.add();
  } else if (call != nullptr) {
    lost_.add();
    if (carrier.given_up) result = failure(ErrorKind::closed, "pool " + pool_.core.name() + " was closed");
    result.error().causes.emplace_back(may_have_run);
  }
  if (call != nullptr) finish(*call, std::move(result));
}

void Carriers::finish(ExecuteCall& call, Result<ResultSet> result) {
  call.stage = ExecuteCall::Stage::finished;
  call.result.emplace(std::move(result));
  if (!call.at_home) return call.resumption.post();
  answered_.push_back(call);
  schedule_drain();
}

/// It was never sent.
void Carriers::refuse(ExecuteCall& call, Error error) {
  if (call.stage == ExecuteCall::Stage::pending) pending_.erase(pending_.iterator_to(call));
  waiting_.set(pending_.size());
  refused_.add();
  finish(call, failure(std::move(error)));
}

void Carriers::refuse_all(const AcquireError& why) {
  while (!pending_.empty()) {
    ExecuteCall& call = pending_.front();
    AcquireError error = why;
    error.waited = pool_.now() - call.begun;
    refuse(call, error.to_error());
  }
}

// ---- callers who leave ---------------------------------------------------------------------------------------------

/// Its answer goes to nobody.
void Carriers::leave(ExecuteCall& call, Error error) {
  Carrier& carrier = *call.carrier;
  carrier.seats[call.seat] = nullptr;
  given_up_.add();
  if (--carrier.interested == 0) {
    carrier.load.takes = false;
    carrier.give_up_at = std::min(carrier.give_up_at, pool_.now() + patience);
    watch_deadline(carrier.give_up_at);
  }
  error.causes.emplace_back(may_have_run);
  finish(call, failure(std::move(error)));
}

void Carriers::cancel(ExecuteCall& call, asio::cancellation_type type) {
  if (call.stage == ExecuteCall::Stage::pending) {
    refuse(call, {ErrorKind::cancelled, "the statement was cancelled before it was sent"});
  } else if (call.stage == ExecuteCall::Stage::sent && type != asio::cancellation_type::total) {
    leave(call, {ErrorKind::cancelled, "the statement was cancelled"});
  }
}

void Carriers::cancel_number(std::uint64_t number, asio::cancellation_type type) {
  for (ExecuteCall& call : pending_) {
    if (call.number == number) return cancel(call, type);
  }
  for (const auto& carrier : carriers_) {
    for (ExecuteCall* const call : carrier->seats) {
      if (call != nullptr && call->number == number) return cancel(*call, type);
    }
  }
}

// ---- the end of a carrier ------------------------------------------------------------------------------------------

void Carriers::recall(PoolSlot* slot) {
  for (const auto& carrier : carriers_) {
    if (carrier->slot == slot) carrier->load.takes = false;
  }
  schedule_drain();
}

void Carriers::give_up(Carrier& carrier) {
  carrier.load.takes = false;
  carrier.given_up = true;
  carrier.pipeline.reset();  // answers what is left
  carrier.lease.discard();
}

/// Gives back what carries nothing.
void Carriers::sweep() {
  tried_another_ = false;
  for (std::size_t at = 0; at < carriers_.size();) {
    Carrier& carrier = *carriers_[at];
    if (!carrier.lost && !carrier.given_up && !carrier.idle()) {
      ++at;
      continue;
    }
    carrier.pipeline.reset();
    carrier.lease.release();
    carrier.seats.clear();
    carrier.free_seats.clear();
    carrier.interested = 0;
    spare_.push_back(std::move(carriers_[at]));
    carriers_.erase(carriers_.begin() + static_cast<std::ptrdiff_t>(at));
  }
  if (!pending_.empty()) dispatch();
}

/// As PoolState::Drain.
class Carriers::Drain {
 public:
  explicit Drain(std::shared_ptr<PoolState> pool) noexcept : pool_(std::move(pool)) {}
  Drain(Drain&&) noexcept = default;
  Drain& operator=(Drain&&) = delete;
  Drain(const Drain&) = delete;
  Drain& operator=(const Drain&) = delete;
  ~Drain() {
    if (pool_) pool_->carriers.drop_answered();
  }
  void operator()() {
    const auto pool = std::exchange(pool_, nullptr);
    pool->carriers.drain();
  }

 private:
  std::shared_ptr<PoolState> pool_;
};

void Carriers::schedule_drain() {
  if (std::exchange(drain_asked_, true)) return;
  if (!LoopTurn::put_off(std::shared_ptr<Work>(pool_.shared_from_this(), this), pool_.executor)) post_drain();
}

void Carriers::post_drain() noexcept {
  asio::post(pool_.executor, Drain(pool_.shared_from_this()));
}

/// Resumes those who were answered; what they send at once goes where their last one went. Then looks after the
/// carriers, also when the exception of a coroutine passes through.
void Carriers::drain() {
  struct Rest {
    Carriers* carriers;
    Calls calls = {};
    ~Rest() {
      while (!calls.empty()) take().post();
      carriers->drain_asked_ = false;
      carriers->moment_.reset();
      carriers->sweep();
      if (!carriers->answered_.empty()) carriers->schedule_drain();  // refused meanwhile
    }
    Resumption take() {
      ExecuteCall& call = calls.front();
      calls.pop_front();
      return std::move(call.resumption);  // the call is gone as soon as its caller goes on
    }
  } rest{.carriers = this};
  rest.calls.swap(answered_);
  while (!rest.calls.empty()) rest.take().resume();
}

void Carriers::drop_answered() noexcept {
  while (!answered_.empty()) {
    ExecuteCall& call = answered_.front();
    answered_.pop_front();
    const Resumption dropped = std::move(call.resumption);
  }
}

// ---- time ----------------------------------------------------------------------------------------------------------

void Carriers::watch_deadline(SteadyTime deadline) {
  if (deadline >= armed_for_) return;
  armed_for_ = deadline;
  timer_.expires_at(deadline);
  timer_.async_wait([weak = pool_.weak_from_this()](const boost::system::error_code& error) {
    if (error) return;
    if (const auto pool = weak.lock()) pool->carriers.on_time();
  });
}

/// Ends what is over; the earliest deadline of the rest.
SteadyTime Carriers::expire(SteadyTime now) {
  SteadyTime next = SteadyTime::max();
  for (auto at = pending_.begin(); at != pending_.end();) {
    ExecuteCall& call = *at++;
    if (call.deadline <= now) {
      refuse(call, pool_.error_now(AcquireErrorKind::timed_out, call.begun).to_error());
    } else {
      next = std::min(next, call.deadline);
    }
  }
  for (const auto& carrier : carriers_) {
    for (ExecuteCall* const call : carrier->seats) {
      if (call == nullptr) continue;
      if (call->deadline <= now) {
        leave(*call, {ErrorKind::timed_out, "pool " + pool_.core.name() + ": no answer to a statement in time"});
      } else {
        next = std::min(next, call->deadline);
      }
    }
    if (carrier->give_up_at <= now && !carrier->given_up) {
      give_up(*carrier);
      schedule_drain();
    } else if (!carrier->given_up) {
      next = std::min(next, carrier->give_up_at);
    }
  }
  return next;
}

void Carriers::on_time() {
  armed_for_ = SteadyTime::max();
  const SteadyTime next = expire(pool_.now());
  if (next != SteadyTime::max()) watch_deadline(next);
}

// ---- the pool's end ------------------------------------------------------------------------------------------------

void Carriers::begin_close(SteadyTime deadline) {
  closing_ = true;
  refuse_all(pool_.error_now(AcquireErrorKind::closed, pool_.now()));
  const SteadyTime now = pool_.now();
  const auto left = std::max<std::chrono::nanoseconds>(deadline - now, std::chrono::nanoseconds{0});
  const SteadyTime give_up_at = deadline - std::min<std::chrono::nanoseconds>(close_grace, left / 4);
  for (const auto& carrier : carriers_) {
    carrier->load.takes = false;
    carrier->give_up_at = std::min(carrier->give_up_at, give_up_at);
    watch_deadline(carrier->give_up_at);
  }
  schedule_drain();
}

Task<> Carriers::end() {
  tasks_.cancel();
  co_await tasks_.join();
  for (const auto& carrier : carriers_) {
    if (!carrier->given_up) give_up(*carrier);
  }
  sweep();
  timer_.cancel();
}

void Carriers::report(PoolStats& stats) const noexcept {
  stats.execute_pending = static_cast<std::uint32_t>(waiting_.get());
  stats.execute_under_way = static_cast<std::uint32_t>(under_way_.get());
  stats.executed = executed_.get();
  stats.execute_refused = refused_.get();
  stats.execute_given_up = given_up_.get();
  stats.execute_lost = lost_.get();
}

}  // namespace opi::pg
