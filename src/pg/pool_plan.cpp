#include "pg/pool_plan.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "pg/duration_text.hpp"

namespace opi::pg {
namespace {

std::string text_of(std::chrono::milliseconds duration) {
  return duration_text(duration);
}
std::string text_of(const std::string& text) {
  return text.empty() ? "(none)" : text;
}
std::string text_of(bool flag) {
  return flag ? "yes" : "no";
}
std::string text_of(double number) {
  return fmt::format("{}", number);
}
std::string text_of(std::uint32_t number) {
  return fmt::format("{}", number);
}
std::string text_of(std::uint64_t number) {
  return fmt::format("{}", number);
}
std::string text_of(SessionTarget target) {
  return std::string(to_string(target));
}
std::string text_of(ChannelBinding binding) {
  switch (binding) {
    case ChannelBinding::disable: return "disable";
    case ChannelBinding::prefer: return "prefer";
    case ChannelBinding::require: return "require";
  }
  return "prefer";
}
std::string text_of(HostOrder order) {
  return order == HostOrder::balanced ? "balanced" : "listed";
}
std::string text_of(ReuseOrder order) {
  return order == ReuseOrder::last ? "last" : "round robin";
}
std::string text_of(ResetProfile profile) {
  switch (profile) {
    case ResetProfile::always: return "always";
    case ResetProfile::smart: return "smart";
    case ResetProfile::never: return "never";
  }
  return "smart";
}
std::string text_of(TlsMode mode) {
  switch (mode) {
    case TlsMode::disable: return "disable";
    case TlsMode::prefer: return "prefer";
    case TlsMode::require: return "require";
    case TlsMode::verify_ca: return "verify-ca";
    case TlsMode::verify_full: return "verify-full";
  }
  return "prefer";
}
std::string text_of(const std::vector<HostPort>& hosts) {
  std::vector<std::string> texts;
  texts.reserve(hosts.size());
  for (const HostPort& host : hosts) texts.push_back(to_string(host));
  return fmt::format("{}", fmt::join(texts, ", "));
}

/// What differs, as texts, and what the gravest difference takes.
class Difference {
 public:
  template <class T>
  void field(std::string_view name, const T& present, const T& wanted, PoolChange takes) {
    if (present == wanted) return;
    details_.push_back(fmt::format("{} {} → {}", name, text_of(present), text_of(wanted)));
    note(takes);
  }
  /// A value that may be anything, also something secret.
  template <class T>
  void hidden(std::string_view name, const T& present, const T& wanted, PoolChange takes) {
    if (present == wanted) return;
    details_.push_back(fmt::format("{} changed", name));
    note(takes);
  }
  bool none() const noexcept { return details_.empty(); }
  PoolAction take(std::string pool) {
    return {.change = takes_, .pool = std::move(pool), .details = std::move(details_)};
  }

 private:
  void note(PoolChange takes) noexcept { takes_ = std::max(takes_, takes); }
  std::vector<std::string> details_;
  PoolChange takes_ = PoolChange::resize;
};

/// Sessions to hosts that stay may go on.
PoolChange change_of_hosts(const std::vector<HostPort>& present, const std::vector<HostPort>& wanted) {
  const auto stays = [&](const HostPort& host) { return std::ranges::find(wanted, host) != wanted.end(); };
  if (std::ranges::all_of(present, stays)) return PoolChange::resize;
  return std::ranges::any_of(present, stays) ? PoolChange::recycle : PoolChange::replace;
}

void compare_server(Difference& difference, const ServerSettings& present, const ServerSettings& wanted) {
  using enum PoolChange;
  difference.field("hosts", present.hosts, wanted.hosts, change_of_hosts(present.hosts, wanted.hosts));
  difference.field("database", present.database, wanted.database, replace);
  difference.field("target_session_attrs", present.target, wanted.target, recycle);
  difference.field("load_balance", present.host_order, wanted.host_order, resize);
  difference.field("role_recheck", present.role_recheck, wanted.role_recheck, resize);
  difference.field("user", present.user, wanted.user, recycle);
  difference.field("tls.mode", present.tls, wanted.tls, recycle);
  difference.field("tls.channel_binding", present.channel_binding, wanted.channel_binding, recycle);
  difference.field("tls.ca_file", present.tls_ca_file, wanted.tls_ca_file, recycle);
  difference.field("application_name", present.application_name, wanted.application_name, recycle);
  difference.field("connect_timeout", present.connect_timeout, wanted.connect_timeout, resize);
  difference.field("statement_timeout", present.statement_timeout, wanted.statement_timeout, recycle);
  difference.field("lock_timeout", present.lock_timeout, wanted.lock_timeout, recycle);
  difference.field("idle_in_transaction_timeout", present.idle_in_transaction_timeout,
                   wanted.idle_in_transaction_timeout, recycle);
  difference.hidden("options", present.options, wanted.options, recycle);
  difference.field("pin_role_and_path", present.pin_role_and_path, wanted.pin_role_and_path, recycle);
}

void compare_pool(Difference& difference, const PoolSettings& present, const PoolSettings& wanted) {
  using enum PoolChange;
  difference.field("min", present.min, wanted.min, resize);
  difference.field("max", present.max, wanted.max, resize);
  difference.field("max_waiting", present.max_waiting, wanted.max_waiting, resize);
  difference.field("acquire_timeout", present.acquire_timeout, wanted.acquire_timeout, resize);
  difference.field("max_lifetime", present.max_lifetime, wanted.max_lifetime, resize);
  difference.field("lifetime_jitter", present.lifetime_jitter, wanted.lifetime_jitter, resize);
  difference.field("idle_timeout", present.idle_timeout, wanted.idle_timeout, resize);
  difference.field("ping_after_idle", present.ping_after_idle, wanted.ping_after_idle, resize);
  difference.field("ping_timeout", present.ping_timeout, wanted.ping_timeout, resize);
  difference.field("leak_after", present.leak_after, wanted.leak_after, resize);
  difference.field("max_uses", present.max_uses, wanted.max_uses, resize);
  difference.field("give_up_after", present.give_up_after, wanted.give_up_after, resize);
  difference.field("reuse", present.reuse, wanted.reuse, resize);
  difference.field("reset", present.reset, wanted.reset, resize);
}

using ByName = std::map<std::string, const PoolConfig*, std::less<>>;

ByName by_name(const std::vector<PoolConfig>& configs) {
  ByName found;
  for (const PoolConfig& config : configs) found.emplace(config.name, &config);
  return found;
}

std::vector<PoolAction> rejections(const std::vector<PoolConfig>& wanted) {
  std::vector<PoolAction> rejected;
  const auto reject = [&](const std::string& pool, std::string reason) {
    rejected.push_back({.change = PoolChange::reject, .pool = pool, .reason = std::move(reason)});
  };
  std::set<std::string_view> names;
  for (const PoolConfig& config : wanted) {
    if (!names.insert(config.name).second) reject(config.name, "is named twice; give each pool its own name");
    if (const auto valid = validate(config); !valid) reject(config.name, valid.error().to_string());
  }
  if (!names.contains("main")) reject("main", "is missing; there is always a pool of this name");
  return rejected;
}

std::string summary_of(const PoolConfig& config) {
  return fmt::format("{} as {}, database {}, {}..{}", text_of(config.server.hosts), config.server.user,
                     config.server.database, config.pool.min, config.pool.max);
}

constexpr char sign_of(PoolChange change) noexcept {
  switch (change) {
    case PoolChange::add: return '+';
    case PoolChange::remove: return '-';
    case PoolChange::reject: return '!';
    default: return '~';
  }
}

}  // namespace

std::string_view to_string(PoolChange change) noexcept {
  switch (change) {
    case PoolChange::resize: return "resize";
    case PoolChange::recycle: return "recycle";
    case PoolChange::replace: return "replace";
    case PoolChange::add: return "add";
    case PoolChange::remove: return "remove";
    case PoolChange::reject: return "reject";
  }
  return "resize";
}

std::string PoolAction::to_string() const {
  const std::string text = reason.empty() ? fmt::format("{}", fmt::join(details, ", ")) : reason;
  std::string line = fmt::format("{} {:<12}  {:<8}  {}", sign_of(change), pool, pg::to_string(change), text);
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

bool PoolPlan::rejected() const noexcept {
  return std::ranges::any_of(actions, [](const PoolAction& action) { return action.change == PoolChange::reject; });
}

const PoolAction* PoolPlan::find(std::string_view pool) const noexcept {
  const auto found = std::ranges::find(actions, pool, &PoolAction::pool);
  return found != actions.end() ? &*found : nullptr;
}

std::string PoolPlan::to_string() const {
  std::string text;
  for (const PoolAction& action : actions) text += action.to_string() + '\n';
  std::vector<std::string> sums;
  for (const PoolChange change : {PoolChange::resize, PoolChange::recycle, PoolChange::replace, PoolChange::add,
                                  PoolChange::remove, PoolChange::reject}) {
    const auto count = std::ranges::count(actions, change, &PoolAction::change);
    if (count > 0) sums.push_back(fmt::format("{} to {}", count, pg::to_string(change)));
  }
  return text + (sums.empty() ? "nothing to change" : fmt::format("{}", fmt::join(sums, ", "))) + '\n';
}

PoolPlan plan_pools(std::vector<PoolConfig> present, std::vector<PoolConfig> wanted) {
  PoolPlan plan{.actions = rejections(wanted), .present = std::move(present), .wanted = std::move(wanted)};
  if (plan.rejected()) return plan;
  const ByName there = by_name(plan.present);
  const ByName asked = by_name(plan.wanted);
  for (const PoolConfig& config : plan.wanted) {
    const auto found = there.find(config.name);
    if (found == there.end()) {
      plan.actions.push_back({.change = PoolChange::add, .pool = config.name, .details = {summary_of(config)}});
      continue;
    }
    Difference difference;
    compare_server(difference, found->second->server, config.server);
    compare_pool(difference, found->second->pool, config.pool);
    if (!difference.none()) plan.actions.push_back(difference.take(config.name));
  }
  for (const PoolConfig& config : plan.present) {
    if (asked.contains(config.name)) continue;
    plan.actions.push_back({.change = PoolChange::remove, .pool = config.name, .details = {summary_of(config)}});
  }
  return plan;
}

}  // namespace opi::pg
