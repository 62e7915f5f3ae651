// Taking connections and giving them back.
#include "pg/pool_core.hpp"

#include <algorithm>

namespace opi::pg {
namespace {

using State = PoolSlot::State;

constexpr std::uint32_t timed_one_in = 64;

}  // namespace

std::uint32_t& PoolCore::counter(State state) noexcept {
  switch (state) {
    case State::dialing: return dialing_count_;
    case State::idle: return idle_count_;
    case State::closing: return closing_count_;
    default: return used_count_;
  }
}

void PoolCore::enter(PoolSlot* slot, State state, SteadyTime now) noexcept {
  if (slot->state != State::free) --counter(slot->state);
  slot->state = state;
  slot->since = now;
  if (state != State::free) {
    ++counter(state);
    return;
  }
  slot->leak_reported = slot->recalled = slot->event_pending = slot->lent = slot->timed = false;
  slot->expires = SteadyTime::max();
  slot->uses = 0;
  slot->permit.release();
  slot->gate.reset();
  slot->second_best.reset();
  slot->route.clear();
  slot->met_wrong_role = false;
  free_.push_back(slot);
}

// ---- taking --------------------------------------------------------------------------------------------------------

void PoolCore::lend(PoolSlot* slot, const Borrower& borrower, SteadyTime now, const Clock* precise) noexcept {
  slot->since = now;
  slot->borrower = borrower;
  slot->lent = true;
  slot->leak_reported = false;
  ++slot->uses;
  ++lent_count_;
  if (borrower.carries) {
    ++carrying_count_;
    slot->timed = false;
    return;
  }
  ++counters_.acquired;
  slot->timed = precise != nullptr && ++sampled_ % timed_one_in == 0;
  if (slot->timed) slot->taken_at = precise->steady();
}

/// A lease ends.
void PoolCore::take_back(PoolSlot* slot, SteadyTime now, const Clock* precise) noexcept {
  if (slot->borrower.carries) {
    --carrying_count_;
    if (std::exchange(slot->recalled, false)) --recalled_count_;
  } else if (now > slot->since) {
    counters_.used_total += now - slot->since;
  }
  if (slot->timed) counters_.used_for.add((precise != nullptr ? precise->steady() : now) - slot->taken_at);
  slot->lent = slot->timed = false;
  --lent_count_;
}

PoolSlot* PoolCore::pop_idle() noexcept {
  const bool newest = settings_.reuse == ReuseOrder::last;
  PoolSlot* const slot = newest ? idle_.back() : idle_.front();
  if (newest) {
    idle_.pop_back();
  } else {
    idle_.erase(idle_.begin());
  }
  return slot;
}

PoolCore::Taken PoolCore::try_take(const Borrower& borrower, const Clock& clock) {
  const std::scoped_lock lock(mutex_);
  if (held_back_ || idle_.empty()) return {};
  const SteadyTime now = clock.coarse();
  const PoolSlot* const next = settings_.reuse == ReuseOrder::last ? idle_.back() : idle_.front();
  if (now >= next->expires || fenced(*next)) return {.stale = true};
  PoolSlot* const slot = pop_idle();
  const SteadyTime idle_since = slot->since;
  const bool forget = slot->schema_epoch != schema_epoch_;
  slot->schema_epoch = schema_epoch_;
  --idle_count_;
  ++used_count_;
  slot->state = State::used;
  lend(slot, borrower, now, &clock);
  const bool ping = now - idle_since >= ping_after_ || idle_since < suspect_before_;
  return {.slot = slot, .ready = !ping && !forget, .needs_ping = ping, .forget_statements = forget};
}

void PoolCore::evict_stale(SteadyTime now, PoolActions& actions) {
  const std::scoped_lock lock(mutex_);
  const std::vector<PoolSlot*> idle = idle_;
  for (PoolSlot* const slot : idle) {
    const bool fence = fenced(*slot);
    if (now < slot->expires && !fence) continue;
    ++(fence ? counters_.closed_fenced : counters_.closed_lifetime);
    remove_idle(slot);
    start_closing(slot, now, actions);
  }
  settle(now, actions);
}

void PoolCore::dial_for_taker(SteadyTime now, PoolActions& actions) {
  const std::scoped_lock lock(mutex_);
  if (held_back_ || !opened_ || failures_ > 0 || dialing_count_ > 0 || total_count() >= settings_.max) return;
  start_dial(now, actions);
}

/// Every connection is lent, and every holder waits for another one.
bool PoolCore::deadlocked(const Borrower& newcomer) const {
  if (newcomer.owner == nullptr || lent_count_ < settings_.max || lent_count_ != total_count()) return false;
  return std::ranges::all_of(slots_, [&](const auto& slot) {
    if (!slot->lent) return true;
    const void* const holder = slot->borrower.owner;
    if (holder == nullptr) return false;
    return holder == newcomer.owner || std::ranges::any_of(waiters_, [holder](const PoolWaiter& waiter) {
             return waiter.borrower.owner == holder;
           });
  });
}

void PoolCore::enqueue(PoolWaiter& waiter, SteadyTime now, PoolActions& actions) {
  const std::scoped_lock lock(mutex_);
  waiters_.push_back(waiter);
  waiter.queued = true;
  if (closing_) return answer(waiter, AcquireErrorKind::closed, now, actions);
  if (waiter.deadline <= now) return answer(waiter, AcquireErrorKind::timed_out, now, actions);
  while (!idle_.empty() && !held_back_) {  // one came back between the look and the queue
    deliver(pop_idle(), &PoolStats::waited_queue, now, actions);
    if (!waiter.queued) return settle(now, actions);
  }
  if (known_down()) {
    note_known_down(now);
    answer(waiter, AcquireErrorKind::unavailable, now, actions);
    return settle(now, actions);
  }
  if (waiters_.size() > settings_.max_waiting) return answer(waiter, AcquireErrorKind::queue_full, now, actions);
  if (deadlocked(waiter.borrower)) return answer(waiter, AcquireErrorKind::deadlocked, now, actions);
  earliest_deadline_ = std::min(earliest_deadline_, waiter.deadline);
  want_event(waiter.deadline, actions);
  settle(now, actions);
}

/// Answered: on the pool's own executor it is resumed with its like, elsewhere alone. True: somebody has to come for
/// the ready ones.
bool PoolCore::make_ready(PoolWaiter& waiter) noexcept {
  waiter.queued = false;
  ready_.push_back(waiter);
  return !std::exchange(drain_asked_, true);
}

void PoolCore::wake(PoolWaiter& waiter, PoolActions& actions) {
  waiters_.erase(waiters_.iterator_to(waiter));
  waiter.queued = false;
  if (waiter.at_home) {
    actions.drain = make_ready(waiter) || actions.drain;
  } else {
    actions.wake.push_back(waiter);
  }
}

void PoolCore::take_ready(PoolWaiters& ready) {
  const std::scoped_lock lock(mutex_);
  drain_asked_ = false;
  ready.swap(ready_);
}

void PoolCore::answer(PoolWaiter& waiter, AcquireErrorKind kind, SteadyTime now, PoolActions& actions) {
  switch (kind) {
    case AcquireErrorKind::queue_full: ++counters_.refused_full; break;
    case AcquireErrorKind::timed_out: ++counters_.timed_out; break;
    case AcquireErrorKind::deadlocked: ++counters_.deadlocked; break;
    case AcquireErrorKind::unavailable: ++counters_.failed_unavailable; break;
    case AcquireErrorKind::cancelled: ++counters_.cancelled; break;
    case AcquireErrorKind::closed: break;
  }
  waiter.error = std::make_unique<AcquireError>(make_error(kind, now - waiter.since, now));
  wake(waiter, actions);
}

void PoolCore::cancel(PoolWaiter& waiter, SteadyTime now, PoolActions& actions) {
  const std::scoped_lock lock(mutex_);
  if (waiter.queued) answer(waiter, AcquireErrorKind::cancelled, now, actions);
}

void PoolCore::abandon(PoolWaiter& waiter) noexcept {
  const std::scoped_lock lock(mutex_);
  if (!waiter.queued) return;
  waiters_.erase(waiters_.iterator_to(waiter));
  waiter.queued = false;
}

void PoolCore::refused(const Borrower& borrower, bool waited, bool cancelled) noexcept {
  const std::scoped_lock lock(mutex_);
  if (borrower.carries) return;
  --counters_.acquired;
  if (waited) --counters_.acquired_waiting;
  if (cancelled) ++counters_.cancelled;
}

void PoolCore::pinged(std::chrono::nanoseconds took) noexcept {
  const std::scoped_lock lock(mutex_);
  counters_.pings.add(took);
}

// ---- giving back ---------------------------------------------------------------------------------------------------

/// The waiter is out of the queue. True: somebody has to come for the ready ones.
bool PoolCore::hand_over(PoolWaiter& waiter, PoolSlot* slot, WaitedFor phase, SteadyTime precise_now) noexcept {
  if (!waiter.borrower.carries) {
    ++counters_.acquired_waiting;
    const auto waited = std::max<std::chrono::nanoseconds>(precise_now - waiter.since, std::chrono::nanoseconds{0});
    counters_.waited_total += waited;
    (counters_.*phase).add(waited);
  }
  waiter.forget_statements = slot->schema_epoch != schema_epoch_;
  slot->schema_epoch = schema_epoch_;
  waiter.slot = slot;
  return waiter.at_home && make_ready(waiter);
}

PoolCore::Handed PoolCore::hand_back(PoolSlot* slot, SteadyTime now, const Clock& precise, bool looked) {
  const std::scoped_lock lock(mutex_);
  if (held_back_ || slot->leak_reported || slot->event_pending || now >= slot->expires || outdated(*slot) ||
      surplus()) {
    return {};
  }
  if (waiters_.empty()) {
    if (!looked) return {.look = true};
    take_back(slot, now, &precise);
    slot->state = State::idle;
    slot->since = now;
    --used_count_;
    ++idle_count_;
    idle_.push_back(slot);
    return {.done = true};
  }
  PoolWaiter& waiter = waiters_.front();
  const SteadyTime exactly = precise.steady();
  if (waiter.deadline <= exactly) return {};
  take_back(slot, now, &precise);
  waiters_.pop_front();
  waiter.queued = false;
  if (waiters_.empty()) dial_window_ = 1;
  lend(slot, waiter.borrower, now, &precise);
  const bool drain = hand_over(waiter, slot, &PoolStats::waited_queue, exactly);
  return {.done = true, .drain = drain, .wake = waiter.at_home ? nullptr : &waiter};
}

bool PoolCore::release(PoolSlot* slot, Returned how, SteadyTime now, PoolActions& actions) {
  const std::scoped_lock lock(mutex_);
  if (slot->leak_reported) {
    actions.leaks.push_back({.holder = slot->borrower.holder(now - slot->since), .returned = true});
    slot->leak_reported = false;
  }
  take_back(slot, now, nullptr);
  if (how == Returned::lost_server) suspect_before_ = now;  // what ended this session may have ended its siblings
  if (how == Returned::wrong_role) {
    close_fenced(now, actions);
    ++counters_.closed_fenced;
    start_closing(slot, now, actions);
  } else if (how == Returned::broken || how == Returned::lost_server) {
    ++counters_.closed_broken;
    start_closing(slot, now, actions);
  } else if (!closing_ && !outdated(*slot) && (how == Returned::needs_cleaning || slot->event_pending)) {
    slot->event_pending = false;
    enter(slot, State::cleaning, now);
    actions.clean.push_back(slot);
  } else {
    deliver(slot, &PoolStats::waited_queue, now, actions);
  }
  if (closing_) changed(actions);
  settle(now, actions);
  return last_of_orphan();
}

bool PoolCore::detach(PoolSlot* slot, SteadyTime now, PoolActions& actions) {
  const std::scoped_lock lock(mutex_);
  take_back(slot, now, nullptr);
  ++counters_.detached;
  enter(slot, State::free, now);
  changed(actions);
  settle(now, actions);
  return last_of_orphan();
}

void PoolCore::cleaned(PoolSlot* slot, Cleaned how, SteadyTime now, PoolActions& actions) {
  const std::scoped_lock lock(mutex_);
  if (how != Cleaned::unusable) {
    if (how == Cleaned::reset) ++counters_.resets;
    deliver(slot, how == Cleaned::reset ? &PoolStats::waited_reset : &PoolStats::waited_queue, now, actions);
  } else {
    ++counters_.closed_broken;
    start_closing(slot, now, actions);
  }
  if (closing_) changed(actions);
  settle(now, actions);
}

/// True: it is not to be used again, and is being closed.
bool PoolCore::close_if_unwanted(PoolSlot* slot, SteadyTime now, PoolActions& actions) {
  if (closing_) {
    // Counted as nothing: the pool ends.
  } else if (slot->epoch != epoch_) {
    ++counters_.closed_recycled;
  } else if (fenced(*slot)) {
    ++counters_.closed_fenced;
  } else if (outdated(*slot)) {
    ++counters_.closed_uses;
  } else if (now >= slot->expires) {
    ++counters_.closed_lifetime;
  } else if (surplus()) {
    ++counters_.closed_surplus;
  } else {
    return false;
  }
  start_closing(slot, now, actions);
  return true;
}

/// A connection that can be used: to who waits longest, else to the idle ones.
void PoolCore::deliver(PoolSlot* slot, WaitedFor phase, SteadyTime now, PoolActions& actions) {
  if (close_if_unwanted(slot, now, actions)) return;
  while (!waiters_.empty() && !held_back_) {
    PoolWaiter& waiter = waiters_.front();
    if (waiter.deadline <= now) {
      answer(waiter, AcquireErrorKind::timed_out, now, actions);
      continue;
    }
    if (slot->state != State::used) enter(slot, State::used, now);
    lend(slot, waiter.borrower, now, nullptr);
    waiters_.pop_front();
    waiter.queued = false;
    if (hand_over(waiter, slot, phase, now)) actions.drain = true;
    if (!waiter.at_home) actions.wake.push_back(waiter);
    return;
  }
  enter(slot, State::idle, now);
  idle_.push_back(slot);
}

void PoolCore::start_closing(PoolSlot* slot, SteadyTime now, PoolActions& actions) {
  enter(slot, State::closing, now);
  actions.close.push_back(slot);
}

void PoolCore::closed(PoolSlot* slot, SteadyTime now, PoolActions& actions) {
  const std::scoped_lock lock(mutex_);
  enter(slot, State::free, now);
  changed(actions);
  settle(now, actions);
}

void PoolCore::remove_idle(PoolSlot* slot) noexcept {
  std::erase(idle_, slot);
}

/// Idle connections to hosts that changed their role.
void PoolCore::close_fenced(SteadyTime now, PoolActions& actions) {
  if (!looks_at_roles()) return;
  std::erase_if(idle_, [&](PoolSlot* slot) {
    if (!slot->fenced()) return false;
    ++counters_.closed_fenced;
    start_closing(slot, now, actions);
    return true;
  });
}

void PoolCore::close_idle(std::uint64_t PoolStats::* counter, SteadyTime now, PoolActions& actions) {
  for (PoolSlot* const slot : idle_) {
    ++(counters_.*counter);
    start_closing(slot, now, actions);
  }
  idle_.clear();
}

}  // namespace opi::pg
