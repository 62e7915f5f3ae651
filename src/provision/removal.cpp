#include "provision/removal.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "provision/clone.hpp"

namespace opi::provision {
namespace {

using store::DeploymentState;

constexpr std::chrono::hours brake_window{24};

std::string day(WallTime time) {
  return fmt::format("{:%Y-%m-%d %H:%M}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(time)));
}

/// Why nothing may be concluded from the deployment not being declared.
std::optional<std::string> doubt(const RemovalInput& input, const store::DeploymentRecord& record) {
  if (record.repository != input.repositories.of(record.file))
    return fmt::format("was declared in {}, kept", record.repository);
  bool project_declared = false;
  for (const auto& from : input.projects) {
    if (from.project.name.value != record.key.project) continue;
    project_declared = true;
    for (const auto& deployment : from.project.deployments) {
      if (deployment.name.value == record.key.deployment && deployment.cluster.value != record.cluster)
        return fmt::format("is declared for cluster {} now, kept", deployment.cluster.value);
    }
  }
  const auto of_file = [&](const BrokenFile& file) { return file.source.file == record.file; };
  if (std::ranges::any_of(input.broken, of_file)) return "its file cannot be read, kept";
  const auto unknown = [](const BrokenFile& file) { return !file.last_good_version; };
  if (!project_declared && std::ranges::any_of(input.broken, unknown)) return "not all project files can be read, kept";
  return std::nullopt;
}

/// Those that nobody has confirmed and that are not tombstones yet; the brake is about them.
struct Brake {
  std::size_t estate = 0;  ///< deployments that stand
  std::size_t recent = 0;  ///< tombstones of the last day that nobody confirmed
  std::size_t wanted = 0;

  std::size_t going() const noexcept { return wanted + recent; }
  bool pulled(const RemovalRules& rules) const noexcept {
    if (going() > rules.most) return true;
    return going() > 1 && going() * 100 > rules.most_percent * (estate + recent);
  }
};

class Judge {
 public:
  Judge(const RemovalInput& input, const RemovalRules& rules) : input_(input), rules_(rules) {
    for (const auto& one : input.desired) declared_.emplace(one.project, one.deployment);
    for (const auto& entry : input.inventory.entries) count(entry);
  }

  bool declared(const store::DeploymentRecord& record) const {
    return declared_.contains({record.key.project, record.key.deployment});
  }
  RemovalDecision decide(const store::InventoryEntry& entry) const;

 private:
  bool nothing_declared() const { return input_.projects.empty(); }
  bool keeps(const store::DeploymentRecord& record) const {
    return record.deletion == "keep" || (rules_.keep && record.deletion != "remove" && !record.removal_confirmed);
  }
  bool candidate(const store::DeploymentRecord& record) const {
    const bool stands = record.state == DeploymentState::wanted || record.state == DeploymentState::ready;
    return stands && !declared(record) && !record.removal_confirmed && !keeps(record) && !doubt(input_, record);
  }
  void count(const store::InventoryEntry& entry) {
    const auto& record = entry.deployment;
    const bool stands = record.state == DeploymentState::wanted || record.state == DeploymentState::ready;
    brake_.estate += stands ? 1U : 0U;
    brake_.wanted += candidate(record) ? 1U : 0U;
    const bool fresh = record.tombstone_at && *record.tombstone_at + brake_window > input_.now;
    brake_.recent += !stands && fresh && !record.removal_confirmed ? 1U : 0U;
  }
  RemovalDecision of_tombstone(const store::InventoryEntry& entry) const;
  RemovalDecision of_standing(const store::InventoryEntry& entry) const;

  const RemovalInput& input_;
  const RemovalRules& rules_;
  std::set<std::pair<std::string_view, std::string_view>> declared_;
  Brake brake_;
};

RemovalDecision Judge::of_tombstone(const store::InventoryEntry& entry) const {
  const auto& record = entry.deployment;
  if (record.state == DeploymentState::removing) return {&entry, RemovalStep::remove, "is being removed"};
  if (nothing_declared() && !record.removal_confirmed)
    return {&entry, RemovalStep::rest, "no project file declares anything; its removal waits for a confirmation"};
  // Somebody kept it for ever and changed their mind: its grace begins now.
  if (!record.remove_after) return {&entry, RemovalStep::bury, "no longer declared"};
  if (record.removal_over) return {&entry, RemovalStep::remove, "no longer declared, and its grace period is over"};
  return {&entry, RemovalStep::rest,
          fmt::format("no longer declared: disabled, kept until {}; declare it again and it is back",
                      day(*record.remove_after))};
}

RemovalDecision Judge::of_standing(const store::InventoryEntry& entry) const {
  const auto& record = entry.deployment;
  if (record.removal_confirmed) return {&entry, RemovalStep::bury, "no longer declared, and its removal is confirmed"};
  if (nothing_declared())
    return {&entry, RemovalStep::hold, "no project file declares anything; kept until its removal is confirmed"};
  if (brake_.pulled(rules_)) {
    return {&entry, RemovalStep::hold,
            fmt::format("no longer declared, as are {} of {}; kept until their removal is confirmed", brake_.going(),
                        brake_.estate + brake_.recent)};
  }
  return {&entry, RemovalStep::bury, "no longer declared"};
}

RemovalDecision Judge::decide(const store::InventoryEntry& entry) const {
  const auto& record = entry.deployment;
  if (record.state == DeploymentState::removing) return of_tombstone(entry);
  if (keeps(record))
    return {&entry, RemovalStep::keep,
            record.deletion == "keep" ? "no longer declared, kept (deletion: keep)" : "no longer declared, kept"};
  if (auto reason = doubt(input_, record)) return {&entry, RemovalStep::keep, *std::move(reason)};
  return record.state == DeploymentState::tombstone ? of_tombstone(entry) : of_standing(entry);
}

class RemovalPlanner {
 public:
  RemovalPlanner(const RemovalDecision& decision, const ObservedServer& server, DeploymentPlan& plan)
      : decision_(decision), record_(decision.entry->deployment), server_(server), plan_(plan) {}

  void disable(Sign sign);
  void bury() {
    add(ActionKind::bury, Sign::remove, "tombstone", record_.base_name, decision_.reason + "; its data is kept",
        record_.base_name);
    disable(Sign::remove);
  }
  void remove(bool with_dump);

 private:
  void add(ActionKind kind, Sign sign, std::string object, std::string name, std::string detail, std::string subject) {
    plan_.actions.push_back({kind, sign, std::move(object), std::move(name), std::move(detail), std::move(subject)});
  }

  const RemovalDecision& decision_;
  const store::DeploymentRecord& record_;
  const ObservedServer& server_;
  DeploymentPlan& plan_;
};

void RemovalPlanner::disable(Sign sign) {
  for (const auto& name : roles_of(record_.base_name)) {
    const auto* role = server_.role(name);
    if (role == nullptr) continue;
    if (role->login) add(ActionKind::disable_login, sign, "login", name, "NOLOGIN", name);
    const auto sessions = server_.sessions.find(name);
    if (sessions != server_.sessions.end() && sessions->second > 0) {
      add(ActionKind::end_sessions, sign, "sessions", name, fmt::format("{} are ended", sessions->second), name);
    }
  }
}

void RemovalPlanner::remove(bool with_dump) {
  disable(Sign::remove);
  std::vector<std::string> there;
  for (auto& name : databases_of(record_)) {
    const auto* database = server_.database(name);
    const bool ours = database != nullptr && (name == record_.database_name || database->owner == record_.base_name);
    if (ours) there.push_back(std::move(name));
  }
  for (const auto& name : there) {
    if (with_dump && record_.final_dump.empty())
      add(ActionKind::final_dump, Sign::remove, "dump", name, "its last one", name);
  }
  for (const auto& name : there) {
    add(ActionKind::drop_database, Sign::remove, "database", name,
        name == record_.database_name ? decision_.reason : "a former generation", name);
  }
  for (const auto& name : roles_of(record_.base_name)) {
    if (server_.role(name) != nullptr) add(ActionKind::drop_role, Sign::remove, "role", name, "", name);
  }
  add(ActionKind::forget, Sign::remove, "record", plan_.title(), "and its credentials; the history stays",
      record_.base_name);
}

}  // namespace

std::vector<std::string> databases_of(const store::DeploymentRecord& record) {
  std::vector<std::string> databases{record.database_name};
  // The next one may be a copy that was interrupted.
  for (int generation = 0; generation <= record.generation + 1; ++generation) {
    auto name = generation_name(record.base_name, generation);
    if (name != record.database_name) databases.push_back(std::move(name));
  }
  return databases;
}

std::vector<std::string> roles_of(std::string_view base_name) {
  std::vector<std::string> roles;
  for (const auto* suffix : {"__a", "__b", "_ro", ""}) roles.push_back(fmt::format("{}{}", base_name, suffix));
  return roles;
}

std::vector<RemovalDecision> decide_removals(const RemovalInput& input, const RemovalRules& rules) {
  const Judge judge(input, rules);
  std::vector<RemovalDecision> decisions;
  for (const auto& entry : input.inventory.entries) {
    if (!judge.declared(entry.deployment)) decisions.push_back(judge.decide(entry));
  }
  return decisions;
}

DeploymentPlan plan_removal(const RemovalDecision& decision, const ObservedServer* server, bool with_dump) {
  const auto& record = decision.entry->deployment;
  DeploymentPlan plan{.project = record.key.project,
                      .deployment = record.key.deployment,
                      .namespace_ = record.namespace_,
                      .database = record.database_name,
                      .pool = record.pool};
  if (server == nullptr) return plan;
  plan.server_version = server->facts.version_text;
  RemovalPlanner planner(decision, *server, plan);
  switch (decision.step) {
    case RemovalStep::keep:
    case RemovalStep::hold: break;
    case RemovalStep::rest: planner.disable(Sign::drift); break;
    case RemovalStep::bury: planner.bury(); break;
    case RemovalStep::remove: planner.remove(with_dump); break;
  }
  return plan;
}

}  // namespace opi::provision
