// What the pool's core tells: statistics, who holds what, and why an acquire failed.
#include <fmt/format.h>

#include <algorithm>

#include "pg/duration_text.hpp"
#include "pg/pool_core.hpp"

namespace opi::pg {
namespace {

constexpr std::size_t holders_in_error_max = 16;

/// The path below the source folder: "provision/database_manager.cpp".
std::string_view short_path(std::string_view path) {
  std::size_t below = path.rfind('/') + 1;
  std::size_t innermost = 0;
  for (const std::string_view folder : {"/src/", "/tests/", "/bench/"}) {
    const std::size_t at = path.rfind(folder);
    if (at == std::string_view::npos || at + 1 < innermost) continue;
    innermost = at + 1;
    below = at + folder.size();
  }
  return path.substr(below);
}

}  // namespace

Holder Borrower::holder(std::chrono::nanoseconds since) const {
  return {.since = since,
          .place = fmt::format("{}:{}", short_path(where.file_name()), where.line()),
          .task = std::string(task())};
}

std::vector<Holder> PoolCore::list_holders(SteadyTime now) const {
  std::vector<Holder> holders;
  for (const auto& slot : slots_) {
    if (slot->lent) holders.push_back(slot->borrower.holder(now - slot->since));
  }
  std::ranges::sort(holders, std::ranges::greater{}, &Holder::since);
  return holders;
}

std::vector<PoolHost> PoolCore::list_hosts() const {
  std::vector<PoolHost> hosts;
  for (const auto& gate : gates_) {
    const HostStatus status = gate->status();
    const auto connections = std::ranges::count_if(
        slots_, [&](const auto& slot) { return slot->gate == gate && slot->state != PoolSlot::State::dialing; });
    hosts.push_back({.host = to_string(status.host),
                     .role = status.role,
                     .available = !status.down(),
                     .connections = static_cast<std::uint32_t>(connections),
                     .last_error = status.last_error});
  }
  return hosts;
}

AcquireError PoolCore::make_error(AcquireErrorKind kind, std::chrono::nanoseconds waited, SteadyTime now) const {
  AcquireError error;
  error.kind = kind;
  error.pool = name_;
  error.waited = waited;
  error.paused = paused_;
  if (kind == AcquireErrorKind::timed_out || kind == AcquireErrorKind::queue_full ||
      kind == AcquireErrorKind::deadlocked) {
    error.holders = list_holders(now);
    if (error.holders.size() > holders_in_error_max) error.holders.resize(holders_in_error_max);
  }
  if (kind == AcquireErrorKind::timed_out || kind == AcquireErrorKind::unavailable) {
    error.last_error = counters_.last_error;
    error.sqlstate = counters_.last_sqlstate;
    error.peer = last_peer_;
    error.attempt = failures_;
    SteadyTime next = next_attempt_;
    if (failure_is_hosts_) {
      const HostStatus host = worst_host();
      error.attempt = std::max(error.attempt, host.failures);
      next = host.next_attempt;
      if (error.last_error.empty()) {  // others found out
        error.last_error = host.last_error;
        error.sqlstate = host.last_sqlstate;
        error.peer = to_string(host.host);
      }
    }
    if (failures_ > 0 && next > now) error.next_attempt_in = next - now;
  }
  return error;
}

AcquireError PoolCore::error_now(AcquireErrorKind kind, std::chrono::nanoseconds waited, SteadyTime now) const {
  const std::scoped_lock lock(mutex_);
  return make_error(kind, waited, now);
}

bool PoolCore::closing() const {
  const std::scoped_lock lock(mutex_);
  return closing_;
}

bool PoolCore::unreachable() const {
  const std::scoped_lock lock(mutex_);
  return known_down();
}

std::uint32_t PoolCore::total() const {
  const std::scoped_lock lock(mutex_);
  return total_count();
}

std::uint32_t PoolCore::lent() const {
  const std::scoped_lock lock(mutex_);
  return lent_count_;
}

PoolStats PoolCore::stats() const {
  const std::scoped_lock lock(mutex_);
  PoolStats stats = counters_;
  stats.name = name_;
  stats.min = settings_.min;
  stats.max = settings_.max;
  stats.idle = idle_count_;
  stats.used = used_count_;
  stats.dialing = dialing_count_;
  stats.closing = closing_count_;
  stats.waiting = static_cast<std::uint32_t>(waiters_.size());
  stats.carrying = carrying_count_;
  stats.available = available_;
  stats.paused = paused_;
  stats.hosts = list_hosts();
  return stats;
}

PoolConfig PoolCore::config() const {
  const std::scoped_lock lock(mutex_);
  return {.name = name_, .server = server_, .pool = settings_};
}

std::vector<Holder> PoolCore::holders(SteadyTime now) const {
  const std::scoped_lock lock(mutex_);
  return list_holders(now);
}

std::string PoolCore::describe(SteadyTime now) const {
  const std::scoped_lock lock(mutex_);
  const std::string_view state = closing_ ? "closed" : paused_ ? "paused" : available_ ? "available" : "unavailable";
  std::string text = fmt::format("pool {}: {}, {} idle, {} used, {} dialing, {} closing of {}..{}, {} waiting\n", name_,
                                 state, idle_count_, used_count_, dialing_count_, closing_count_, settings_.min,
                                 settings_.max, waiters_.size());
  if (!counters_.server_version.empty()) text += fmt::format("  PostgreSQL {}\n", counters_.server_version);
  for (const Holder& holder : list_holders(now)) {
    text += fmt::format("  held since {}   {}   {}\n", duration_text(holder.since), holder.place, holder.task);
  }
  if (!counters_.last_error.empty()) {
    const AcquireError trouble = make_error(AcquireErrorKind::unavailable, {}, now);
    text += fmt::format("  last error: {} (attempt {}", trouble.last_error, trouble.attempt);
    if (trouble.next_attempt_in.count() > 0)
      text += fmt::format(", next in {}", duration_text(trouble.next_attempt_in));
    text += ")\n";
  }
  for (const PoolHost& host : list_hosts()) {
    if (gates_.size() > 1 || looks_at_roles()) {
      text += fmt::format("  host {}: {}, {} connections{}\n", host.host, to_string(host.role), host.connections,
                          host.available ? "" : ", down");
    }
  }
  return text;
}

}  // namespace opi::pg
