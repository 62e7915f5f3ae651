#include "pg/pool_core.hpp"

#include <algorithm>
#include <cstring>

#include "pg/sqlstate.hpp"

namespace opi::pg {
namespace {

using State = PoolSlot::State;
using namespace std::chrono_literals;

constexpr std::uint32_t dial_window_max = 64;

/// A tenth of the shortest limit that is on, 10 ms to 5 s: how late upkeep may notice.
std::chrono::nanoseconds upkeep_period(const PoolSettings& settings) {
  std::chrono::nanoseconds shortest = 50s;
  for (const std::chrono::milliseconds limit : {settings.idle_timeout, settings.max_lifetime, settings.leak_after}) {
    if (limit.count() > 0) shortest = std::min<std::chrono::nanoseconds>(shortest, limit);
  }
  return std::clamp<std::chrono::nanoseconds>(shortest / 10, 10ms, 5s);
}

/// Nothing that time heals: a person changes the password, the rights or the settings.
bool wants_a_person(const Error& error) {
  return error.kind == ErrorKind::denied || error.kind == ErrorKind::not_found || error.kind == ErrorKind::invalid;
}

}  // namespace

Borrower::Borrower(std::source_location place, std::string_view name) noexcept
    : where(place), task_size(static_cast<std::uint8_t>(std::min(name.size(), task.size()))) {
  std::copy_n(name.begin(), task_size, task.begin());
}

PoolCore::PoolCore(std::string name, PoolSettings settings, std::uint64_t seed, BackoffLimits backoff)
    : name_(std::move(name)),
      settings_(settings),
      period_(upkeep_period(settings)),
      backoff_(backoff, seed),
      slow_backoff_({.first = backoff.most, .most = backoff.most, .factor = 1.0, .jitter = backoff.jitter}, seed),
      random_(static_cast<std::minstd_rand::result_type>(seed)) {
  slots_.reserve(settings.max);
  free_.reserve(settings.max);
  idle_.reserve(settings.max);
}

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
  slot->leak_reported = slot->event_pending = slot->lent = false;
  slot->expires = SteadyTime::max();
  free_.push_back(slot);
}

SteadyTime PoolCore::lifetime_end(SteadyTime now) {
  if (settings_.max_lifetime.count() == 0) return SteadyTime::max();
  const double share = 1.0 - settings_.lifetime_jitter * std::uniform_real_distribution<double>(0.0, 1.0)(random_);
  return now + std::chrono::duration_cast<SteadyTime::duration>(settings_.max_lifetime * share);
}

bool PoolCore::known_down() const noexcept {
  return failures_ > 0 && !failure_is_transient_ && open_count() == 0;
}

void PoolCore::changed(PoolActions& actions) {
  ++version_;
  for (auto& [id, resumption] : observers_) actions.observers.push_back(std::move(resumption));
  observers_.clear();
}

void PoolCore::set_available(bool available, PoolActions& actions) {
  if (available_ == available) return;
  available_ = available;
  actions.availability = available;
}

// ---- dialing -------------------------------------------------------------------------------------------------------

void PoolCore::open(SteadyTime now, PoolActions& actions) {
  const std::scoped_lock lock(mutex_);
  if (opened_ || closing_) return;
  opened_ = true;
  if (settings_.min == 0 && total_count() == 0) start_dial(now, actions);
  settle(now, actions);
  actions.rearm = true;
}

void PoolCore::start_dial(SteadyTime now, PoolActions& actions) {
  if (free_.empty()) {
    slots_.push_back(std::make_unique<PoolSlot>());
    free_.push_back(slots_.back().get());
  }
  PoolSlot* const slot = free_.back();
  free_.pop_back();
  enter(slot, State::dialing, now);
  ++counters_.dials;
  actions.dial.push_back(slot);
}

std::uint32_t PoolCore::wanted_dials(SteadyTime now) const noexcept {
  if (closing_ || !opened_) return 0;
  const std::uint32_t room = settings_.max - total_count();
  if (failures_ > 0) {  // one dial probes a server that failed
    return dialing_count_ == 0 && now >= next_attempt_ ? std::min(1U, room) : 0;
  }
  const auto above = [](std::uint32_t a, std::uint32_t b) { return a > b ? a - b : 0; };
  // A dial for each waiter would end with far more connections than the load needs: returned ones serve most of them
  // first.
  const auto waiting = static_cast<std::uint32_t>(waiters_.size());
  const std::uint32_t for_waiters = above(std::min(waiting, dial_window_), dialing_count_);
  std::uint32_t for_minimum = above(settings_.min, open_count() + dialing_count_);
  if (recovering_) for_minimum = std::min(for_minimum, above(dial_window_, dialing_count_));
  return std::min(std::max(for_waiters, for_minimum), room);
}

/// Ends every change: dials what is missing, fails whom nobody can serve, and sees to the timer.
void PoolCore::settle(SteadyTime now, PoolActions& actions) {
  if (waiters_.empty() && !recovering_) dial_window_ = 1;
  for (std::uint32_t dials = wanted_dials(now); dials > 0; --dials) start_dial(now, actions);
  if (known_down() && dialing_count_ == 0) {
    while (!waiters_.empty()) answer(*waiters_.front(), AcquireErrorKind::unavailable, now, actions);
  }
  if (failures_ > 0 && open_count() == 0) set_available(false, actions);
  if (failures_ > 0 && dialing_count_ == 0) want_event(next_attempt_, actions);
}

void PoolCore::dialed(PoolSlot* slot, std::string server_version, SteadyTime now, PoolActions& actions) {
  const std::scoped_lock lock(mutex_);
  counters_.server_version = std::move(server_version);
  counters_.last_error.clear();
  counters_.last_sqlstate.clear();
  if (failures_ > 0) {
    recovering_ = true;
    dial_window_ = 1;
  } else {
    dial_window_ = std::min(dial_window_ * 2, dial_window_max);
  }
  failures_ = 0;
  failure_is_transient_ = false;
  backoff_.reset();
  slot->expires = lifetime_end(now);
  if (!closing_) set_available(true, actions);
  deliver(slot, now, actions);
  if (open_count() >= settings_.min) recovering_ = false;
  changed(actions);
  settle(now, actions);
}

void PoolCore::dial_failed(PoolSlot* slot, const Error& error, std::string peer, SteadyTime now, PoolActions& actions) {
  const std::scoped_lock lock(mutex_);
  enter(slot, State::free, now);
  ++counters_.dials_failed;
  counters_.last_error = error.to_string();
  const bool from_server = error.code.size() == 5;  // errno names are longer
  counters_.last_sqlstate = from_server ? error.code : std::string();
  last_peer_ = std::move(peer);
  dial_window_ = 1;
  if (!closing_ && (failures_ == 0 || now >= next_attempt_)) {  // the rest of a volley says nothing new
    ++failures_;
    next_attempt_ = now + (wants_a_person(error) ? slow_backoff_.next() : backoff_.next());
  }
  failure_is_transient_ = error.code == sqlstate::cannot_connect_now || error.code == sqlstate::too_many_connections;
  changed(actions);
  settle(now, actions);
}

void PoolCore::retry_now(SteadyTime now, PoolActions& actions) {
  const std::scoped_lock lock(mutex_);
  if (closing_) return;
  next_attempt_ = now;
  if (failures_ == 0 && open_count() + dialing_count_ == 0 && total_count() < settings_.max) start_dial(now, actions);
  settle(now, actions);
}

// ---- acquiring -----------------------------------------------------------------------------------------------------

void PoolCore::lend(PoolSlot* slot, const Borrower& borrower, SteadyTime now) noexcept {
  enter(slot, State::used, now);
  slot->borrower = borrower;
  slot->lent = true;
  slot->leak_reported = false;
  ++counters_.acquired;
}

PoolCore::Taken PoolCore::try_take(const Borrower& borrower, SteadyTime now, PoolActions& actions) {
  const std::scoped_lock lock(mutex_);
  while (!closing_ && !idle_.empty()) {
    PoolSlot* const slot = idle_.back();
    idle_.pop_back();
    if (expired(*slot, now)) {
      ++counters_.closed_lifetime;
      start_closing(slot, now, actions);
      settle(now, actions);
      continue;
    }
    const SteadyTime idle_since = slot->since;
    lend(slot, borrower, now);
    const bool long_idle = settings_.ping_after_idle.count() > 0 && now - idle_since >= settings_.ping_after_idle;
    return {.slot = slot, .needs_ping = long_idle || idle_since < suspect_before_};
  }
  return {};
}

void PoolCore::enqueue(std::shared_ptr<PoolWaiter> waiter, SteadyTime now, PoolActions& actions) {
  const std::scoped_lock lock(mutex_);
  PoolWaiter& entry = *waiter;
  entry.position = waiters_.insert(waiters_.end(), std::move(waiter));
  entry.queued = true;
  if (closing_) return answer(entry, AcquireErrorKind::closed, now, actions);
  if (entry.deadline <= now) return answer(entry, AcquireErrorKind::timed_out, now, actions);
  while (!idle_.empty()) {  // one came back between the look and the queue
    PoolSlot* const slot = idle_.back();
    idle_.pop_back();
    deliver(slot, now, actions);
    if (!entry.queued) return settle(now, actions);
  }
  if (known_down()) return answer(entry, AcquireErrorKind::unavailable, now, actions);
  if (waiters_.size() > settings_.max_waiting) return answer(entry, AcquireErrorKind::queue_full, now, actions);
  earliest_deadline_ = std::min(earliest_deadline_, entry.deadline);
  want_event(entry.deadline, actions);
  settle(now, actions);
}

std::shared_ptr<PoolWaiter> PoolCore::unqueue(PoolWaiter& waiter) {
  std::shared_ptr<PoolWaiter> owner = std::move(*waiter.position);
  waiters_.erase(waiter.position);
  waiter.queued = false;
  return owner;
}

void PoolCore::answer(PoolWaiter& waiter, AcquireErrorKind kind, SteadyTime now, PoolActions& actions) {
  switch (kind) {
    case AcquireErrorKind::queue_full: ++counters_.refused_full; break;
    case AcquireErrorKind::timed_out: ++counters_.timed_out; break;
    case AcquireErrorKind::unavailable: ++counters_.failed_unavailable; break;
    case AcquireErrorKind::cancelled: ++counters_.cancelled; break;
    case AcquireErrorKind::closed: break;
  }
  waiter.error = make_error(kind, now - waiter.since, now);
  actions.wake.push_back(unqueue(waiter));
}

void PoolCore::cancel(PoolWaiter& waiter, SteadyTime now, PoolActions& actions) {
  const std::scoped_lock lock(mutex_);
  if (waiter.queued) answer(waiter, AcquireErrorKind::cancelled, now, actions);
}

void PoolCore::refused(bool waited, bool cancelled) noexcept {
  const std::scoped_lock lock(mutex_);
  --counters_.acquired;
  if (waited) --counters_.acquired_waiting;
  if (cancelled) ++counters_.cancelled;
}

/// A connection that can be used: to who waits longest, else to the idle ones.
void PoolCore::deliver(PoolSlot* slot, SteadyTime now, PoolActions& actions) {
  slot->lent = false;
  if (closing_ || expired(*slot, now)) {
    if (!closing_) ++counters_.closed_lifetime;
    return start_closing(slot, now, actions);
  }
  while (!waiters_.empty()) {
    PoolWaiter& waiter = *waiters_.front();
    if (waiter.deadline <= now) {
      answer(waiter, AcquireErrorKind::timed_out, now, actions);
      continue;
    }
    lend(slot, waiter.borrower, now);
    ++counters_.acquired_waiting;
    counters_.waited_total += now - waiter.since;
    waiter.slot = slot;
    actions.wake.push_back(unqueue(waiter));
    return;
  }
  enter(slot, State::idle, now);
  idle_.push_back(slot);
}

// ---- giving back ---------------------------------------------------------------------------------------------------

void PoolCore::start_closing(PoolSlot* slot, SteadyTime now, PoolActions& actions) {
  slot->lent = false;
  enter(slot, State::closing, now);
  actions.close.push_back(slot);
}

void PoolCore::release(PoolSlot* slot, Returned how, SteadyTime now, PoolActions& actions) {
  const std::scoped_lock lock(mutex_);
  counters_.used_total += now - slot->since;
  if (slot->leak_reported) {
    actions.leaks.push_back({.holder = slot->borrower.holder(now - slot->since), .returned = true});
    slot->leak_reported = false;
  }
  slot->lent = false;
  if (how == Returned::lost_server) suspect_before_ = now;  // what ended this session may have ended its siblings
  if (how == Returned::broken || how == Returned::lost_server) {
    ++counters_.closed_broken;
    start_closing(slot, now, actions);
  } else if (!closing_ && (how == Returned::needs_cleaning || slot->event_pending)) {
    slot->event_pending = false;
    enter(slot, State::cleaning, now);
    actions.clean.push_back(slot);
  } else {
    deliver(slot, now, actions);
  }
  if (closing_) changed(actions);
  settle(now, actions);
}

void PoolCore::cleaned(PoolSlot* slot, Cleaned how, SteadyTime now, PoolActions& actions) {
  const std::scoped_lock lock(mutex_);
  if (how != Cleaned::unusable) {
    if (how == Cleaned::reset) ++counters_.resets;
    deliver(slot, now, actions);
  } else {
    ++counters_.closed_broken;
    start_closing(slot, now, actions);
  }
  if (closing_) changed(actions);
  settle(now, actions);
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

bool PoolCore::take_for_inspection(PoolSlot* slot, SteadyTime now) {
  const std::scoped_lock lock(mutex_);
  if (slot->state == State::used) slot->event_pending = slot->lent;
  if (slot->state != State::idle) return false;
  remove_idle(slot);
  const SteadyTime idle_since = slot->since;
  enter(slot, State::used, now);
  slot->since = idle_since;
  return true;
}

void PoolCore::inspected(PoolSlot* slot, bool alive, SteadyTime now, PoolActions& actions) {
  const std::scoped_lock lock(mutex_);
  if (alive) {
    const SteadyTime idle_since = slot->since;
    deliver(slot, now, actions);
    if (slot->state == State::idle) slot->since = idle_since;
  } else {
    ++counters_.closed_broken;
    suspect_before_ = now;
    start_closing(slot, now, actions);
  }
  settle(now, actions);
}

void PoolCore::suspect_idle(SteadyTime now) {
  const std::scoped_lock lock(mutex_);
  suspect_before_ = now;
}

// ---- upkeep --------------------------------------------------------------------------------------------------------

void PoolCore::expire_waiters(SteadyTime now, PoolActions& actions) {
  if (now < earliest_deadline_) return;
  earliest_deadline_ = SteadyTime::max();
  for (auto next = waiters_.begin(); next != waiters_.end();) {
    PoolWaiter& waiter = **next++;
    if (waiter.deadline <= now) {
      answer(waiter, AcquireErrorKind::timed_out, now, actions);
    } else {
      earliest_deadline_ = std::min(earliest_deadline_, waiter.deadline);
    }
  }
}

void PoolCore::expire_idle(SteadyTime now, PoolActions& actions) {
  const std::vector<PoolSlot*> idle = idle_;  // the longest idle first
  for (PoolSlot* const slot : idle) {
    const bool too_old = expired(*slot, now);
    const bool too_idle = settings_.idle_timeout.count() > 0 && now - slot->since >= settings_.idle_timeout &&
                          open_count() > settings_.min;
    if (!too_old && !too_idle) continue;
    ++(too_old ? counters_.closed_lifetime : counters_.closed_idle);
    remove_idle(slot);
    start_closing(slot, now, actions);
  }
}

void PoolCore::report_leaks(SteadyTime now, PoolActions& actions) {
  if (settings_.leak_after.count() == 0) return;
  for (const auto& slot : slots_) {
    if (!slot->lent || slot->leak_reported || now - slot->since < settings_.leak_after) continue;
    slot->leak_reported = true;
    ++counters_.leaks;
    actions.leaks.push_back({.holder = slot->borrower.holder(now - slot->since), .returned = false});
  }
}

void PoolCore::tick(SteadyTime now, PoolActions& actions) {
  const std::scoped_lock lock(mutex_);
  expire_waiters(now, actions);
  if (!closing_) expire_idle(now, actions);
  report_leaks(now, actions);
  settle(now, actions);
  actions.rearm = true;
}

SteadyTime PoolCore::next_event(SteadyTime now) const noexcept {
  SteadyTime next = now + period_;
  next = std::min(next, earliest_deadline_);
  if (failures_ > 0 && dialing_count_ == 0) next = std::min(next, next_attempt_);
  return next;
}

SteadyTime PoolCore::arm(SteadyTime now) {
  const std::scoped_lock lock(mutex_);
  armed_until_ = next_event(now);
  return armed_until_;
}

void PoolCore::want_event(SteadyTime when, PoolActions& actions) noexcept {
  if (when < armed_until_) actions.rearm = true;
}

void PoolCore::begin_close(SteadyTime now, PoolActions& actions) {
  const std::scoped_lock lock(mutex_);
  closing_ = true;
  while (!waiters_.empty()) answer(*waiters_.front(), AcquireErrorKind::closed, now, actions);
  for (PoolSlot* const slot : idle_) start_closing(slot, now, actions);
  idle_.clear();
  set_available(false, actions);
  changed(actions);
}

void PoolCore::observe(std::uint64_t id, std::uint64_t seen, Resumption resumption, PoolActions& actions) {
  const std::scoped_lock lock(mutex_);
  if (version_ != seen) {
    actions.observers.push_back(std::move(resumption));
  } else {
    observers_.emplace_back(id, std::move(resumption));
  }
}

void PoolCore::stop_observing(std::uint64_t id, PoolActions& actions) {
  const std::scoped_lock lock(mutex_);
  for (auto observer = observers_.begin(); observer != observers_.end(); ++observer) {
    if (observer->first != id) continue;
    actions.observers.push_back(std::move(observer->second));
    observers_.erase(observer);
    return;
  }
}

std::uint64_t PoolCore::version() const {
  const std::scoped_lock lock(mutex_);
  return version_;
}

}  // namespace opi::pg
