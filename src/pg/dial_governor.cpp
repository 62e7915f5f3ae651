#include "pg/dial_governor.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "pg/sqlstate.hpp"

namespace opi::pg {

namespace {

/// Long enough for a pool that was woken to ask again.
constexpr std::chrono::seconds share_kept{1};

}  // namespace

bool asks_to_be_tried_again(const Error& error) noexcept {
  return error.code == sqlstate::cannot_connect_now || error.code == sqlstate::too_many_connections;
}

bool blames_host(const Error& error) noexcept {
  if (error.kind == ErrorKind::timed_out) return true;
  // A limit of one role or one database is no business of the others.
  if (error.code == sqlstate::too_many_connections) return error.handling() != Handling::wait;
  constexpr std::array codes = {sqlstate::cannot_connect_now, sqlstate::admin_shutdown, sqlstate::crash_shutdown};
  if (std::ranges::find(codes, error.code) != codes.end()) return true;
  return error.kind == ErrorKind::unavailable && error.code.starts_with('E');  // errno
}

// ---- DialPermit ----------------------------------------------------------------------------------------------------

DialPermit& DialPermit::operator=(DialPermit&& other) noexcept {
  if (this == &other) return *this;
  release();
  gate_ = std::move(other.gate_);
  member_ = other.member_;
  return *this;
}

void DialPermit::succeeded(SteadyTime now) {
  if (const auto gate = std::exchange(gate_, nullptr)) gate->succeeded(member_, now);
}

void DialPermit::failed(const Error& error, SteadyTime now) {
  if (const auto gate = std::exchange(gate_, nullptr)) gate->failed(member_, error, now);
}

void DialPermit::release() noexcept {
  if (const auto gate = std::exchange(gate_, nullptr)) gate->released(member_);
}

// ---- HostGate ------------------------------------------------------------------------------------------------------

HostGate::HostGate(HostPort host, GovernorLimits limits, std::uint64_t seed)
    : host_(std::move(host)),
      limits_(limits),
      status_{.host = host_},
      outage_(limits.outage, seed),
      asks_again_(limits.asks_again, seed),
      tokens_(limits.burst) {}

HostGate::Member& HostGate::member_of(const std::shared_ptr<DialMember>& member) {
  std::erase_if(members_, [](const Member& known) { return known.who.expired() && known.dialing == 0; });
  const auto found = std::ranges::find(members_, member.get(), &Member::address);
  if (found != members_.end()) {
    if (found->who.expired()) found->who = member;  // another one, where one that is gone was
    return *found;
  }
  return members_.emplace_back(Member{.who = member, .address = member.get()});
}

void HostGate::join(const std::shared_ptr<DialMember>& member) {
  const std::scoped_lock lock(mutex_);
  member_of(member);
}

/// A bucket that fills by `dials_per_second` up to `burst`.
bool HostGate::take_token(SteadyTime now, SteadyTime& next) {
  if (limits_.dials_per_second <= 0.0) return true;
  const std::chrono::duration<double> passed = now - std::max(refilled_, SteadyTime{});
  if (now > refilled_) {
    tokens_ = std::min<double>(tokens_ + passed.count() * limits_.dials_per_second, limits_.burst);
    refilled_ = now;
  }
  if (tokens_ >= 1.0) {
    tokens_ -= 1.0;
    return true;
  }
  const double seconds = (1.0 - tokens_) / limits_.dials_per_second;
  // Rounded up: at that time there is one.
  next = now + std::chrono::milliseconds(static_cast<std::int64_t>(std::ceil(seconds * 1e3)));
  return false;
}

/// During the ramp the members that are refused have a share of the window.
bool HostGate::ramp_admits(const Member& member, SteadyTime now) const {
  if (!recovering_) return true;
  if (status_.dialing >= window_) return false;
  const auto others = std::ranges::count_if(members_, [&](const Member& other) {
    return &other != &member && now < other.has_share_until && !other.who.expired();
  });
  return member.dialing < std::max<std::uint32_t>(1, window_ / static_cast<std::uint32_t>(others + 1));
}

HostGate::Admission HostGate::admit(const std::shared_ptr<DialMember>& member, SteadyTime now) {
  const std::scoped_lock lock(mutex_);
  Member& entry = member_of(member);
  Admission answer;
  entry.refused = true;
  if (status_.down()) {
    if (status_.dialing > 0) return answer;  // somebody probes
    if (now < status_.next_attempt) {
      answer.next = status_.next_attempt;
      return answer;
    }
  } else if (!ramp_admits(entry, now)) {
    entry.has_share_until = now + share_kept;
    return answer;
  }
  if (!take_token(now, answer.next)) return answer;
  entry.refused = false;
  entry.has_share_until = {};
  ++entry.dialing;
  ++status_.dialing;
  answer.permit = DialPermit(shared_from_this(), member.get());
  return answer;
}

void HostGate::retry_now(SteadyTime now) {
  Woken woken;
  {
    const std::scoped_lock lock(mutex_);
    if (!status_.down()) return;
    status_.next_attempt = std::min(status_.next_attempt, now);
    woken = take_refused();
  }
  wake(woken);
}

void HostGate::end_dial(const DialMember* member) {
  --status_.dialing;
  const auto entry = std::ranges::find(members_, member, &Member::address);
  if (entry != members_.end()) --entry->dialing;
}

HostGate::Woken HostGate::take_refused() {
  Woken woken;
  for (Member& member : members_) {
    if (!std::exchange(member.refused, false)) continue;
    if (auto who = member.who.lock()) woken.push_back(std::move(who));
  }
  return woken;
}

void HostGate::wake(const Woken& members) {
  for (const auto& member : members) member->wake();
}

void HostGate::succeeded(const DialMember* member, SteadyTime /*now*/) {
  Woken woken;
  {
    const std::scoped_lock lock(mutex_);
    end_dial(member);
    if (status_.down()) {
      recovering_ = limits_.ramp_max > 1;
      window_ = 1;
    } else if (recovering_) {
      window_ *= 2;
      recovering_ = window_ < limits_.ramp_max;
    }
    status_.failures = 0;
    status_.asks_again = false;
    status_.last_error.clear();
    status_.last_sqlstate.clear();
    outage_.reset();
    asks_again_.reset();
    woken = take_refused();
  }
  wake(woken);
}

void HostGate::failed(const DialMember* member, const Error& error, SteadyTime now) {
  if (!blames_host(error)) {
    const bool answered = error.code.size() == 5 && !error.code.starts_with('E');  // a SQLSTATE: the host is there
    return answered ? succeeded(member, now) : released(member);
  }
  Woken woken;
  {
    const std::scoped_lock lock(mutex_);
    end_dial(member);
    const bool again = asks_to_be_tried_again(error);
    if (!status_.down() || now >= status_.next_attempt) {  // the rest of a volley says nothing new
      if (!status_.down()) status_.down_since = now;
      ++status_.failures;
      status_.next_attempt = now + (again ? asks_again_.next() : outage_.next());
    }
    status_.asks_again = again;
    status_.last_error = error.to_string();
    status_.last_sqlstate = error.code.starts_with('E') ? "" : error.code;
    woken = take_refused();
  }
  wake(woken);
}

void HostGate::released(const DialMember* member) noexcept {
  Woken woken;
  {
    const std::scoped_lock lock(mutex_);
    end_dial(member);
    woken = take_refused();
  }
  wake(woken);
}

void HostGate::note_role(HostRole role, SteadyTime now) {
  if (role == HostRole::unknown) return;
  Woken everyone;
  {
    const std::scoped_lock lock(mutex_);
    status_.role_seen = now;
    if (std::exchange(status_.role, role) == role) return;
    role_epoch_.fetch_add(1, std::memory_order_relaxed);
    for (Member& member : members_) {
      member.refused = false;
      if (auto who = member.who.lock()) everyone.push_back(std::move(who));
    }
  }
  wake(everyone);
}

HostStatus HostGate::status() const {
  const std::scoped_lock lock(mutex_);
  return status_;
}

// ---- DialGovernor --------------------------------------------------------------------------------------------------

std::shared_ptr<HostGate> DialGovernor::gate(const HostPort& host) {
  const std::string key = host.host + '\0' + std::to_string(host.port);
  const std::scoped_lock lock(mutex_);
  std::erase_if(gates_, [](const auto& entry) { return entry.second.expired(); });
  if (const auto found = gates_.find(key); found != gates_.end()) {
    if (auto known = found->second.lock()) return known;
  }
  auto made = std::make_shared<HostGate>(host, limits_, seed_ + std::hash<std::string>{}(key));
  gates_.insert_or_assign(key, made);
  return made;
}

std::vector<HostStatus> DialGovernor::status() const {
  std::vector<HostStatus> hosts;
  const std::scoped_lock lock(mutex_);
  for (const auto& [key, weak] : gates_) {
    if (const auto gate = weak.lock()) hosts.push_back(gate->status());
  }
  return hosts;
}

}  // namespace opi::pg
