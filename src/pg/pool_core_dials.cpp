// Opening connections: how many at once, after which failure when again, and what a failure tells the others.
#include <algorithm>
#include <tuple>

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
  if (settings_.min == 0 && total_count() == 0 && settings_.max > 0 && !start_dial(now, actions)) note_known_down(now);
  settle(now, actions);
  actions.rearm = true;
}

// ---- which host ----------------------------------------------------------------------------------------------------

/// How many connections each host has, or will have when its dials succeed.
std::vector<std::uint32_t> PoolCore::host_loads() const {
  std::vector<std::uint32_t> loads(gates_.size());
  for (const auto& slot : slots_) {
    const auto gate = std::ranges::find(gates_, slot->gate);
    if (slot->gate && gate != gates_.end()) ++loads[static_cast<std::size_t>(gate - gates_.begin())];
  }
  return loads;
}

/// The hosts that a dial may try, the first one last.
std::vector<std::uint8_t> PoolCore::make_route(SteadyTime now) {
  std::vector<std::uint8_t> route(gates_.size());
  for (std::size_t index = 0; index < route.size(); ++index) route[index] = static_cast<std::uint8_t>(index);
  if (route.size() == 1) return route;
  const bool balanced = server_.host_order == HostOrder::balanced;
  if (balanced) std::ranges::shuffle(route, random_);
  const std::vector<std::uint32_t> loads = balanced ? host_loads() : std::vector<std::uint32_t>(gates_.size());
  std::vector<bool> unfit(gates_.size());  // is known to have another role than the one that is wanted
  bool fit_one_is_up = false;
  for (std::size_t index = 0; looks_at_roles() && index < gates_.size(); ++index) {
    const HostStatus status = gates_[index]->status();
    const bool known = status.role != HostRole::unknown && now - status.role_seen < server_.role_recheck;
    unfit[index] = known && fit_of(server_.target, status.role) != Fit::good;
    fit_one_is_up = fit_one_is_up || (!unfit[index] && !status.down());
  }
  std::vector<std::tuple<bool, std::uint32_t, std::size_t, std::uint8_t>> ranked;
  for (const std::uint8_t index : route) ranked.emplace_back(unfit[index], loads[index], ranked.size(), index);
  std::ranges::sort(ranked, std::greater{});
  const bool only_fit = failures_ == 0 && fit_one_is_up && server_.target != SessionTarget::prefer_standby;
  route.clear();
  for (const auto& [is_unfit, load, place, index] : ranked) {
    if (!is_unfit || !only_fit) route.push_back(index);
  }
  return route;
}

/// Goes to the first host of the route that the governor admits us to.
bool PoolCore::enter_route(PoolSlot* slot, std::vector<std::uint8_t> route, SteadyTime now) {
  while (!route.empty()) {
    const std::size_t index = route.back();
    route.pop_back();
    if (index >= gates_.size()) continue;  // there were more hosts when the dial began
    const auto& gate = gates_[index];
    HostGate::Admission admission = gate->admit(member_, now);
    if (admission.permit) {
      slot->permit = std::move(admission.permit);
      slot->gate = gate;
      slot->role_epoch = gate->role_epoch();
      slot->route = std::move(route);
      return true;
    }
    blocked_until_ = std::min(blocked_until_, admission.next);
  }
  return false;
}

HostPort PoolCore::target(const PoolSlot* slot) const {
  const std::scoped_lock lock(mutex_);
  return slot->gate->host();
}

Fit PoolCore::host_reached(PoolSlot* slot, HostRole role, SteadyTime now) {
  const std::scoped_lock lock(mutex_);
  slot->permit.succeeded(now);
  slot->gate->note_role(role, now);
  slot->role_epoch = slot->gate->role_epoch();
  Fit fit = fit_of(server_.target, role);
  if (fit == Fit::second_best) {
    if (slot->route.empty() && !slot->second_best) fit = Fit::good;
    if (fit == Fit::second_best) slot->second_best = slot->gate;
  }
  slot->met_wrong_role = slot->met_wrong_role || fit == Fit::none;
  return fit;
}

void PoolCore::host_failed(PoolSlot* slot, const Error& error, SteadyTime now) {
  const std::scoped_lock lock(mutex_);
  slot->permit.failed(error, now);
}

bool PoolCore::try_next_host(PoolSlot* slot, SteadyTime now) {
  const std::scoped_lock lock(mutex_);
  if (slot->epoch != epoch_ || closing_) return false;  // the hosts may be others by now
  std::vector<std::uint8_t> rest = std::exchange(slot->route, {});
  if (server_.host_order == HostOrder::balanced) {  // others have chosen since
    std::vector<std::uint8_t> again = make_route(now);
    std::erase_if(again, [&](std::uint8_t index) { return std::ranges::find(rest, index) == rest.end(); });
    rest = std::move(again);
  }
  return enter_route(slot, std::move(rest), now);
}

void PoolCore::use_second_best(PoolSlot* slot) noexcept {
  const std::scoped_lock lock(mutex_);
  slot->gate = std::exchange(slot->second_best, nullptr);
  slot->role_epoch = slot->gate->role_epoch();
}

bool PoolCore::role_seen(PoolSlot* slot, HostRole role, SteadyTime now) {
  const std::scoped_lock lock(mutex_);
  slot->gate->note_role(role, now);
  const bool fits = !slot->fenced() && fit_of(server_.target, role) != Fit::none;
  if (!fits) ++counters_.fenced;
  return fits;
}

// ---- when ----------------------------------------------------------------------------------------------------------

/// False: the governor allows none now.
bool PoolCore::start_dial(SteadyTime now, PoolActions& actions) {
  if (free_.empty()) {
    slots_.push_back(std::make_unique<PoolSlot>());
    free_.push_back(slots_.back().get());
  }
  PoolSlot* const slot = free_.back();
  if (!enter_route(slot, make_route(now), now)) return false;
  free_.pop_back();
  slot->epoch = epoch_;
  slot->schema_epoch = schema_epoch_;
  enter(slot, State::dialing, now);
  ++counters_.dials;
  actions.dial.push_back(slot);
  return true;
}

/// Nobody can serve, and the next dial will most likely not help either.
bool PoolCore::known_down() const {
  if (open_count() > 0) return false;
  if (failures_ > 0 && !failure_is_hosts_) return !failure_is_transient_;
  return std::ranges::all_of(gates_, [](const auto& gate) {
    const HostStatus status = gate->status();
    return status.down() && !status.asks_again;
  });
}

/// Others have found out: from now on we probe as well, for they may stop.
void PoolCore::note_known_down(SteadyTime now) {
  if (failures_ > 0) return;
  failures_ = 1;
  failure_is_hosts_ = true;
  failing_since_ = now;
}

HostStatus PoolCore::worst_host() const {
  HostStatus worst;
  for (const auto& gate : gates_) {
    HostStatus status = gate->status();
    if (status.failures > worst.failures) worst = std::move(status);
  }
  return worst;
}

std::uint32_t PoolCore::wanted_dials(SteadyTime now) const noexcept {
  if (closing_ || !opened_) return 0;
  const auto above = [](std::uint32_t a, std::uint32_t b) { return a > b ? a - b : 0; };
  const std::uint32_t room = above(settings_.max, total_count());
  if (failures_ > 0) {  // one dial probes a server that failed
    return dialing_count_ == 0 && (failure_is_hosts_ || now >= next_attempt_) ? std::min(1U, room) : 0;
  }
  // A dial for each waiter would end with far more connections than the load needs: returned ones serve most of them
  // first.
  const auto waiting = paused_ ? 0U : static_cast<std::uint32_t>(waiters_.size());
  const std::uint32_t for_waiters = above(std::min(waiting, dial_window_), dialing_count_);
  const std::uint32_t for_minimum = above(settings_.min, open_count() + dialing_count_);
  return std::min(std::max(for_waiters, for_minimum), room);
}

/// Ends every change: dials what is missing, fails whom nobody can serve, and sees to the timer.
void PoolCore::settle(SteadyTime now, PoolActions& actions) {
  if (waiters_.empty()) dial_window_ = 1;
  blocked_until_ = SteadyTime::max();
  for (std::uint32_t dials = wanted_dials(now); dials > 0 && start_dial(now, actions); --dials) {
  }
  if (dialing_count_ == 0 && (failures_ > 0 || !waiters_.empty()) && known_down()) {
    note_known_down(now);
    while (!waiters_.empty()) answer(waiters_.front(), AcquireErrorKind::unavailable, now, actions);
  }
  if (carrying_count_ > 0) recall_carriers(now, actions);
  if (failures_ > 0 && open_count() == 0) set_available(false, actions);
  const bool own = failures_ > 0 && dialing_count_ == 0 && !failure_is_hosts_;
  if (own && next_attempt_ > now) want_event(next_attempt_, actions);
  want_event(blocked_until_, actions);
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
  slot->permit.succeeded(now);
  slot->second_best.reset();
  dial_window_ = failures_ > 0 ? 1 : std::min(dial_window_ * 2, dial_window_max);
  failures_ = 0;
  failure_is_transient_ = failure_is_hosts_ = gave_up_ = false;
  backoff_.reset();
  slot->expires = lifetime_end(now);
  if (!closing_) set_available(true, actions);
  deliver(slot, &PoolStats::waited_dial, now, actions);
  changed(actions);
  settle(now, actions);
}

void PoolCore::dial_failed(PoolSlot* slot, const Error& error, std::string peer, SteadyTime now, PoolActions& actions) {
  const std::scoped_lock lock(mutex_);
  slot->permit.failed(error, now);
  const bool wrong_role = slot->met_wrong_role;
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
    auto pause = wants_a_person(error) ? slow_backoff_.next() : backoff_.next();
    if (wrong_role) pause = std::min(pause, server_.role_recheck);
    next_attempt_ = now + pause;
  }
  // A cluster whose servers are up and without the right role is about to choose one.
  failure_is_transient_ = wrong_role || asks_to_be_tried_again(error);
  failure_is_hosts_ = std::ranges::all_of(gates_, [](const auto& gate) { return gate->status().down(); });
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
  for (const auto& gate : gates_) gate->retry_now(now);
  if (failures_ == 0 && open_count() + dialing_count_ == 0 && total_count() < settings_.max) start_dial(now, actions);
  settle(now, actions);
}

}  // namespace opi::pg
