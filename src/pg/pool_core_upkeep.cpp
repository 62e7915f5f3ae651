// What time and the owner do to a pool: limits, leaks, new settings, pause and the end.
#include <algorithm>

#include "pg/pool_core.hpp"

namespace opi::pg {
namespace {

using State = PoolSlot::State;
using namespace std::chrono_literals;

/// A tenth of the shortest limit that is on, 10 ms to 5 s: how late upkeep may notice.
std::chrono::nanoseconds upkeep_period(const PoolSettings& settings) {
  std::chrono::nanoseconds shortest = 50s;
  for (const std::chrono::milliseconds limit : {settings.idle_timeout, settings.max_lifetime, settings.leak_after}) {
    if (limit.count() > 0) shortest = std::min<std::chrono::nanoseconds>(shortest, limit);
  }
  return std::clamp<std::chrono::nanoseconds>(shortest / 10, 10ms, 5s);
}

GovernorLimits limits_of(BackoffLimits outage) {
  GovernorLimits limits{.outage = outage, .asks_again = outage};
  limits.asks_again.most = std::min(outage.most, GovernorLimits{}.asks_again.most);
  return limits;
}

std::chrono::nanoseconds ping_after(const PoolSettings& settings) {
  return settings.ping_after_idle.count() > 0 ? settings.ping_after_idle : std::chrono::nanoseconds::max();
}

}  // namespace

PoolCore::PoolCore(PoolConfig config, std::uint64_t seed, BackoffLimits backoff, std::shared_ptr<DialGovernor> governor)
    : name_(std::move(config.name)),
      ping_after_(ping_after(config.pool)),
      settings_(config.pool),
      server_(std::move(config.server)),
      period_(upkeep_period(config.pool)),
      backoff_(backoff, seed),
      slow_backoff_({.first = backoff.most, .most = backoff.most, .factor = 1.0, .jitter = backoff.jitter}, seed),
      random_(static_cast<std::minstd_rand::result_type>(seed)),
      governor_(governor ? std::move(governor) : std::make_shared<DialGovernor>(limits_of(backoff), seed)),
      member_(std::make_shared<DialMember>([] {})) {
  slots_.reserve(settings_.max);
  free_.reserve(settings_.max);
  idle_.reserve(settings_.max);
  use_hosts();
}

void PoolCore::on_wake(std::function<void()> wake) {
  const std::scoped_lock lock(mutex_);
  member_ = std::make_shared<DialMember>(std::move(wake));
  for (const auto& gate : gates_) gate->join(member_);
}

/// The gates of the server's hosts, and what else follows from the server's settings.
void PoolCore::use_hosts() {
  gates_.clear();
  for (const HostPort& host : server_.hosts) gates_.push_back(governor_->gate(host));
  if (gates_.empty()) gates_.push_back(governor_->gate({}));
  for (const auto& gate : gates_) gate->join(member_);
  target_ = server_.target;
  use_limits();
}

void PoolCore::use_limits() {
  ping_after_ = ping_after(settings_);
  if (looks_at_roles()) ping_after_ = std::min<std::chrono::nanoseconds>(ping_after_, server_.role_recheck);
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

// ---- the server spoke ----------------------------------------------------------------------------------------------

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
    deliver(slot, &PoolStats::waited_queue, now, actions);
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

// ---- time ----------------------------------------------------------------------------------------------------------

void PoolCore::expire_waiters(SteadyTime now, PoolActions& actions) {
  if (now < earliest_deadline_) return;
  earliest_deadline_ = SteadyTime::max();
  for (auto next = waiters_.begin(); next != waiters_.end();) {
    PoolWaiter& waiter = *next++;
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
    const bool too_old = now >= slot->expires;
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
    if (!slot->lent || slot->borrower.carries || slot->leak_reported || now - slot->since < settings_.leak_after)
      continue;
    slot->leak_reported = true;
    ++counters_.leaks;
    actions.leaks.push_back({.holder = slot->borrower.holder(now - slot->since), .returned = false});
  }
}

void PoolCore::tick(SteadyTime now, PoolActions& actions) {
  const std::scoped_lock lock(mutex_);
  expire_waiters(now, actions);
  if (!closing_) {
    close_fenced(now, actions);
    expire_idle(now, actions);
  }
  report_leaks(now, actions);
  settle(now, actions);
  actions.rearm = true;
}

SteadyTime PoolCore::next_event(SteadyTime now) const noexcept {
  SteadyTime next = now + period_;
  next = std::min(next, earliest_deadline_);
  // A time that has passed is the governor's matter: it is waited for until `blocked_until_`, or the pool is woken.
  const bool own = failures_ > 0 && dialing_count_ == 0 && !failure_is_hosts_;
  if (own && next_attempt_ > now) next = std::min(next, next_attempt_);
  return std::min(next, blocked_until_);
}

SteadyTime PoolCore::arm(SteadyTime now) {
  const std::scoped_lock lock(mutex_);
  armed_until_ = next_event(now);
  return armed_until_;
}

void PoolCore::want_event(SteadyTime when, PoolActions& actions) noexcept {
  if (when < armed_until_) actions.rearm = true;
}

// ---- carriers ------------------------------------------------------------------------------------------------------

bool PoolCore::wanted_back(const PoolSlot& slot, SteadyTime now) const noexcept {
  return held_back_ || outdated(slot) || slot.schema_epoch != schema_epoch_ || now >= slot.expires || surplus();
}

/// Those who wait for a connection of their own, counted up to `most`.
std::uint32_t PoolCore::waiting_alone(std::uint32_t most) const noexcept {
  std::uint32_t count = 0;
  for (auto waiter = waiters_.begin(); waiter != waiters_.end() && count < most; ++waiter) {
    if (!waiter->borrower.carries) ++count;
  }
  return count;
}

/// A carrier is never done by itself while statements keep coming: it comes back when its time is over as that of any
/// idle connection, and one for each who waits for a connection of their own.
void PoolCore::recall_carriers(SteadyTime now, PoolActions& actions) {
  if (recalled_count_ == carrying_count_) return;
  const std::uint32_t waiting = waiting_alone(carrying_count_);
  for (const auto& slot : slots_) {
    if (!slot->lent || !slot->borrower.carries || slot->recalled) continue;
    if (recalled_count_ >= waiting && !wanted_back(*slot, now)) continue;
    slot->recalled = true;
    ++recalled_count_;
    actions.recall.push_back(slot.get());
  }
}

bool PoolCore::keep_carrier(PoolSlot* slot, SteadyTime now) {
  const std::scoped_lock lock(mutex_);
  if (slot->recalled) return false;
  if (recalled_count_ >= waiting_alone(carrying_count_) && !wanted_back(*slot, now)) return true;
  slot->recalled = true;
  ++recalled_count_;
  return false;
}

// ---- changes while running -----------------------------------------------------------------------------------------

void PoolCore::resize(PoolSettings settings, SteadyTime now, PoolActions& actions) {
  const std::scoped_lock lock(mutex_);
  if (closing_) return;
  settings_ = settings;
  use_limits();
  period_ = upkeep_period(settings);
  while (surplus() && !idle_.empty()) {
    PoolSlot* const longest = idle_.front();
    idle_.erase(idle_.begin());
    ++counters_.closed_surplus;
    start_closing(longest, now, actions);
  }
  changed(actions);
  settle(now, actions);
  actions.rearm = true;
}

void PoolCore::redirect(ServerSettings server) {
  const std::scoped_lock lock(mutex_);
  server_ = std::move(server);
  use_hosts();
}

void PoolCore::recycle(SteadyTime now, PoolActions& actions) {
  const std::scoped_lock lock(mutex_);
  if (closing_) return;
  ++epoch_;
  close_idle(&PoolStats::closed_recycled, now, actions);
  next_attempt_ = std::min(next_attempt_, now);  // whatever failed before may be what changed
  settle(now, actions);
}

void PoolCore::forget_statements(SteadyTime now, PoolActions& actions) {
  const std::scoped_lock lock(mutex_);
  ++schema_epoch_;
  recall_carriers(now, actions);
}

void PoolCore::pause(bool paused, SteadyTime now, PoolActions& actions) {
  const std::scoped_lock lock(mutex_);
  paused_ = paused;
  held_back_ = paused_ || closing_;
  while (!held_back_ && !waiters_.empty() && !idle_.empty()) {
    deliver(pop_idle(), &PoolStats::waited_queue, now, actions);
  }
  changed(actions);
  settle(now, actions);
}

void PoolCore::begin_close(SteadyTime now, PoolActions& actions) {
  const std::scoped_lock lock(mutex_);
  closing_ = held_back_ = true;
  while (!waiters_.empty()) answer(waiters_.front(), AcquireErrorKind::closed, now, actions);
  for (PoolSlot* const slot : idle_) start_closing(slot, now, actions);
  idle_.clear();
  recall_carriers(now, actions);
  set_available(false, actions);
  changed(actions);
}

bool PoolCore::orphan() noexcept {
  const std::scoped_lock lock(mutex_);
  orphaned_ = lent_count_ > 0;
  return orphaned_;
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
