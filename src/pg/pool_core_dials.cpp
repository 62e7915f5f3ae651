// Opening connections: how many at once, after which failure when again, and what a failure tells the others.
#include <algorithm>

#include "pg/pool_core.hpp"
#include "pg/sqlstate.hpp"

namespace opi::pg {
namespace {

using State = PoolSlot::State;

constexpr std::uint32_t dial_window_max = 64;

/// Nothing that time heals: a person changes the password, the rights or the settings.
bool wants_a_person(const Error& error) {
  return error.kind == ErrorKind::denied || error.kind == ErrorKind::not_found || error.kind == ErrorKind::invalid;
}

}  // namespace

void PoolCore::open(SteadyTime now, PoolActions& actions) {
  const std::scoped_lock lock(mutex_);
  if (opened_ || closing_) return;
  opened_ = true;
  if (settings_.min == 0 && total_count() == 0 && settings_.max > 0) start_dial(now, actions);
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
  slot->epoch = epoch_;
  slot->schema_epoch = schema_epoch_;
  enter(slot, State::dialing, now);
  ++counters_.dials;
  actions.dial.push_back(slot);
}

bool PoolCore::known_down() const noexcept {
  return failures_ > 0 && !failure_is_transient_ && open_count() == 0;
}

std::uint32_t PoolCore::wanted_dials(SteadyTime now) const noexcept {
  if (closing_ || !opened_) return 0;
  const auto above = [](std::uint32_t a, std::uint32_t b) { return a > b ? a - b : 0; };
  const std::uint32_t room = above(settings_.max, total_count());
  if (failures_ > 0) {  // one dial probes a server that failed
    return dialing_count_ == 0 && now >= next_attempt_ ? std::min(1U, room) : 0;
  }
  // A dial for each waiter would end with far more connections than the load needs: returned ones serve most of them
  // first.
  const auto waiting = paused_ ? 0U : static_cast<std::uint32_t>(waiters_.size());
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
    while (!waiters_.empty()) answer(waiters_.front(), AcquireErrorKind::unavailable, now, actions);
  }
  if (carrying_count_ > 0) recall_carriers(now, actions);
  if (failures_ > 0 && open_count() == 0) set_available(false, actions);
  if (failures_ > 0 && dialing_count_ == 0) want_event(next_attempt_, actions);
}

SteadyTime PoolCore::lifetime_end(SteadyTime now) {
  if (settings_.max_lifetime.count() == 0) return SteadyTime::max();
  const double share = 1.0 - settings_.lifetime_jitter * std::uniform_real_distribution<double>(0.0, 1.0)(random_);
  return now + std::chrono::duration_cast<SteadyTime::duration>(settings_.max_lifetime * share);
}

void PoolCore::dialed(PoolSlot* slot, std::string server_version, SteadyTime now, PoolActions& actions) {
  const std::scoped_lock lock(mutex_);
  counters_.dialed.add(now - slot->since);
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
  failure_is_transient_ = gave_up_ = false;
  backoff_.reset();
  slot->expires = lifetime_end(now);
  if (!closing_) set_available(true, actions);
  deliver(slot, &PoolStats::waited_dial, now, actions);
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
    if (failures_ == 0) failing_since_ = now;
    ++failures_;
    next_attempt_ = now + (wants_a_person(error) ? slow_backoff_.next() : backoff_.next());
  }
  failure_is_transient_ = error.code == sqlstate::cannot_connect_now || error.code == sqlstate::too_many_connections;
  const auto patience = settings_.give_up_after;
  if (!closing_ && !gave_up_ && patience.count() > 0 && now - failing_since_ >= patience) {
    gave_up_ = actions.gave_up = true;
  }
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

}  // namespace opi::pg
