#include "provision/cluster_manager.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "provision/cluster_manager_parts.hpp"
#include "store/key_check.hpp"

namespace opi::provision {

ClusterManager::ClusterManager(const ProjectManager& projects, DesiredRules desired, ClusterRules rules,
                               ClusterTools tools)
    : projects_(projects),
      desired_rules_(std::move(desired)),
      rules_(std::move(rules)),
      tools_(std::move(tools)),
      namespaces_(projects, rules_),
      secrets_(*tools_.main, tools_.pools, tools_.key, rules_) {}

ClusterManager::~ClusterManager() = default;

Task<Result<>> ClusterManager::open_hash(pg::Connection* connection) {
  if (hash_) co_return Result<>{};
  auto keys = co_await store::check_platform_key(connection, tools_.key);
  if (!keys) co_return failure(std::move(keys.error()));
  hash_ = std::move(keys->hash);
  co_return Result<>{};
}

Task<Result<>> ClusterManager::load(Look* look, pg::Connection* connection) {
  if (auto opened = co_await open_hash(connection); !opened) co_return opened;
  auto recorded = co_await store::load_cluster_objects(connection, rules_.cluster);
  if (!recorded) co_return failure(std::move(recorded.error()));
  look->recorded = *std::move(recorded);
  auto keys = co_await store::load_project_keys(connection);
  if (!keys) co_return failure(std::move(keys.error()));
  for (auto& key : *keys) {
    look->keys_are_over = look->keys_are_over || key.over;
    look->keys[key.project].push_back(std::move(key));
  }
  auto published = co_await store::published_credentials(connection, rules_.cluster);
  if (!published) co_return failure(std::move(published.error()));
  look->published = *std::move(published);
  auto inventoried = co_await store::inventoried_deployments(connection, rules_.cluster);
  if (!inventoried) co_return failure(std::move(inventoried.error()));
  look->inventoried = *std::move(inventoried);
  co_return Result<>{};
}

void ClusterManager::want_credentials(Look* look, const DesiredNamespace& wanted) {
  for (const auto& deployment : wanted.deployments) {
    const auto published = std::ranges::find_if(look->published, [&](const store::PublishedCredential& one) {
      return one.deployment == deployment && one.project == wanted.project;
    });
    const auto desired = std::ranges::find_if(look->deployments, [&](const DesiredDeployment& one) {
      return one.deployment == deployment && one.project == wanted.project;
    });
    if (published == look->published.end() || desired == look->deployments.end() || desired->refusal) continue;
    auto credentials = secrets_.credentials_of(*desired, published->database, published->credential);
    auto& outcome = look->outcomes[desired->title()];
    if (!credentials) {
      outcome.error = std::move(credentials.error());
      continue;
    }
    look->items.push_back({.object = credentials_object(wanted.name, *credentials, published->credential.id, rules_,
                                                        sealed_to(look->recipients, wanted.project)),
                           .title = desired->title(),
                           .credential = &*published,
                           .deployment = &*desired});
  }
}

/// Everything of one namespace.
Task<Result<>> ClusterManager::want(Look* look, pg::Connection* connection, DesiredNamespace wanted, bool look_only) {
  const std::string title = wanted.titles().front();
  const auto* project = projects_.find(wanted.project);
  auto keys = co_await secrets_.keys_of(connection, look->keys[wanted.project], project, look_only);
  if (!keys) {
    if (keys.error().kind == ErrorKind::unavailable) co_return failure(std::move(keys.error()));
    for (const auto& one : wanted.titles()) look->outcomes[one].error = keys.error();
    if (look->keys[wanted.project].empty()) co_return Result<>{};
    keys = look->keys[wanted.project];  // a broken key in the file does not take the last good one away
  }
  for (auto& object : namespaces_.objects(wanted)) look->items.push_back({.object = std::move(object), .title = title});
  const auto& before = look->keys[wanted.project];
  if (before.empty() || before.front().recipient != keys->front().recipient) look->new_keys.insert(wanted.project);
  look->recipients.insert_or_assign(wanted.project, keys->front().recipient);
  if (!look_only) recipients_.insert_or_assign(wanted.project, keys->front().recipient);
  look->keys.insert_or_assign(wanted.project, *keys);
  look->items.push_back({.object = key_object(wanted, *keys), .title = title, .keys = *std::move(keys)});
  want_credentials(look, wanted);
  for (auto& row : namespaces_.superfluous(wanted, look->recorded)) look->superfluous.push_back(std::move(row));
  co_return Result<>{};
}

Task<Result<>> ClusterManager::observe(Look* look, SteadyTime deadline) {
  std::vector<LookedAt> objects;
  objects.reserve(look->items.size());
  std::map<std::tuple<std::string_view, std::string_view, std::string_view>, const store::ClusterObjectRow*> rows;
  for (const auto& row : look->recorded)
    rows.emplace(std::tuple(std::string_view(row.kind), std::string_view(row.name_space), std::string_view(row.name)),
                 &row);
  for (auto& item : look->items) {
    const auto known = rows.find({item.object.kind.kind, item.object.name_space, item.object.name});
    item.known = known == rows.end() ? nullptr : known->second;
    objects.push_back({.object = &item.object, .known = item.known});
  }
  auto observed = co_await target_->observe(std::move(objects), deadline);
  if (!observed) co_return failure(std::move(observed.error()));
  for (std::size_t i = 0; i < look->items.size(); ++i) {
    auto& item = look->items[i];
    item.observed = std::move((*observed)[i]);
    item.decision = decide(item.object, item.observed, item.known, rules_);
  }
  co_return Result<>{};
}

/// What is refused or waited for, of everybody who lives there; what drifted and stays.
void ClusterManager::note_decisions(Look* look) const {
  for (const auto& item : look->items) {
    std::vector<std::string> titles{item.title};
    if (item.object.deployment.empty()) {
      for (const auto& wanted : look->namespaces)
        if (wanted.name == item.object.home() && wanted.project == item.object.project) titles = wanted.titles();
    }
    for (const auto& title : titles) {
      auto& outcome = look->outcomes[title];
      if (item.decision.error && !outcome.error) outcome.error = item.decision.error;
      if (item.decision.step == ClusterStep::refuse) outcome.refused = true;
    }
    auto& outcome = look->outcomes[item.title];
    if (auto action = action_of(item.object, item.decision, look->inputs_of(item.object)))
      outcome.actions.push_back(*std::move(action));
    if (item.decision.step == ClusterStep::warn)
      outcome.notes.push_back(fmt::format("{}: {}", kube::to_string(item.object.object()), item.decision.detail));
  }
}

Task<Result<>> ClusterManager::look(Look* look, ClusterSelection selection, bool look_only, SteadyTime deadline) {
  auto lease = co_await tools_.main->acquire({.deadline = deadline, .task = "observe cluster"});
  if (!lease) co_return failure(lease.error().to_error());
  auto* connection = &**lease;
  if (auto loaded = co_await load(look, connection); !loaded) co_return loaded;
  look->deployments = desired_state(projects_.projects(), desired_rules_);
  look->namespaces = namespaces_.desired(look->recorded);
  for (const auto& wanted : look->namespaces) {
    const bool chosen = std::ranges::any_of(
        wanted.deployments, [&](const auto& one) { return !selection || selection(wanted.project, one); });
    if (!chosen) continue;
    for (const auto& title : wanted.titles()) {
      auto& outcome = look->outcomes[title];
      outcome.name_space = wanted.name;
      outcome.file = wanted.source.file;
      outcome.blob = wanted.source.blob;
      if (!wanted.refusal) continue;
      outcome.error = wanted.refusal;
      outcome.refused = true;
    }
    if (wanted.refusal) continue;
    if (auto done = co_await want(look, connection, wanted, look_only); !done) co_return done;
  }
  if (look->keys_are_over && !look_only) {
    if (auto dropped = co_await store::drop_project_keys(connection); !dropped)
      co_return failure(std::move(dropped.error()));
  }
  lease->release();
  if (auto observed = co_await observe(look, deadline); !observed) co_return observed;
  note_decisions(look);
  co_return Result<>{};
}

/// What the cluster would not take, and who would be overruled, is in the plan.
Task<> ClusterManager::rehearse(Look* look, SteadyTime deadline) {
  constexpr std::size_t objects_max = 100;  // a plan of thousands is not held up by trying each
  std::set<std::string, std::less<>> to_come;
  std::vector<ClusterWrite> writes;
  std::vector<std::string> titles;
  for (const auto& item : look->items) {
    if (!item.decision.writes() || writes.size() == objects_max) continue;
    const bool name_space = item.object.kind == kube::namespaces;
    if (name_space && item.observed.presence == Presence::absent) to_come.insert(item.object.name);
    if (!name_space && to_come.contains(item.object.home())) continue;  // where it goes is not there yet
    writes.push_back({.object = item.object});
    titles.push_back(item.title);
  }
  if (writes.empty()) co_return;
  std::vector<std::string> names;
  for (const auto& write : writes) names.push_back(kube::to_string(write.object.object()));
  const auto would = co_await target_->rehearse(std::move(writes), deadline);
  for (std::size_t i = 0; i < would.size(); ++i) {
    auto& outcome = look->outcomes[titles[i]];
    if (!would[i]) {
      if (!outcome.error) outcome.error = would[i].error();
      continue;
    }
    for (const auto& rival : would[i]->notes) outcome.notes.push_back(fmt::format("{}: {}", names[i], rival));
  }
}

Task<Result<ClusterOutcomes>> ClusterManager::plan(ClusterSelection selection, SteadyTime deadline) {
  Look found;
  const bool everything = selection == nullptr;
  if (auto looked = co_await look(&found, std::move(selection), true, deadline); !looked)
    co_return failure(std::move(looked.error()).while_doing(target_->describe()));
  co_await rehearse(&found, deadline);
  plan_removals(&found, everything);
  for (const auto& one : found.removals) {
    auto& outcome = found.outcomes[one.planned_for()];
    outcome.name_space = one.write.object.home();
    outcome.actions.push_back(removal_action(one.write.object, one.detail, one.write.version));
  }
  co_return std::move(found.outcomes);
}

std::vector<secrets::AgeRecipient> ClusterManager::recipients_of(const std::string& project) const {
  const auto found = recipients_.find(project);
  auto parsed = found == recipients_.end() ? failure(ErrorKind::not_found, "no key")
                                           : secrets::AgeRecipient::parse(found->second);
  if (!parsed) return {};
  return {*parsed};
}

/// Where Secrets are encrypted, another key is another content.
std::string ClusterManager::sealed_to(const std::map<std::string, std::string, std::less<>>& recipients,
                                      const std::string& project) const {
  const auto found = recipients.find(project);
  return found == recipients.end() || !target_->writes_together() ? std::string() : found->second;
}

Result<ClusterWrite> ClusterManager::write_of(const Item& item) const {
  ClusterWrite write{.object = item.object};
  write.force = true;
  if (!item.object.holds_secret()) return write;
  auto data = item.credential != nullptr
                  ? secrets_.open_credentials(*item.deployment, item.credential->database, item.credential->credential)
                  : secrets_.open_keys(item.keys);
  if (!data) return failure(std::move(data.error()));
  write.content_hash = content_hash(*hash_, *data);
  write.data = *std::move(data);
  write.recipients = recipients_of(item.object.project);
  return write;
}

namespace {

kube::ResourceKind kind_named(std::string_view name) {
  for (const auto& kind :
       {kube::namespaces, kube::secrets, kube::resource_quotas, kube::limit_ranges, kube::network_policies}) {
    if (kind.kind == name) return kind;
  }
  throw std::logic_error("a kind in the control database that this program does not know");
}

}  // namespace

/// The Secret of a deployment that went the whole way out: nobody declares it, and nothing of it is left to log in to.
bool ClusterManager::is_forgotten(const Look& look, const store::ClusterObjectRow& row) {
  if (row.deployment.empty() || row.version.empty()) return false;
  const auto title = row.project + "/" + row.deployment;
  return !look.inventoried.contains(title) && std::ranges::none_of(look.namespaces, [&](const DesiredNamespace& one) {
    return one.project == row.project && std::ranges::find(one.deployments, row.deployment) != one.deployments.end();
  });
}

ClusterManager::Pending ClusterManager::removal_of(const store::ClusterObjectRow& row, std::string why) {
  Pending one{.reason = "Removed", .detail = std::move(why)};
  one.write.object = {
      .kind = kind_named(row.kind), .name_space = row.name_space, .name = row.name, .project = row.project};
  one.write.object.deployment = row.deployment;
  one.write.remove = true;
  one.write.version = row.version;
  return one;
}

void ClusterManager::plan_removals(Look* look, bool everything) {
  for (const auto& row : look->superfluous) {
    look->removals.push_back(removal_of(row, "not wanted any more"));
    look->removals.back().title =
        std::ranges::find(look->namespaces, row.name_space, &DesiredNamespace::name)->titles().front();
  }
  if (everything) {
    for (const auto& row : look->recorded)
      if (is_forgotten(*look, row)) look->removals.push_back(removal_of(row, "its deployment was removed"));
  }
  for (const auto& name_space : look->recorded) {
    if (!everything || !name_space.to_go || name_space.version.empty() || look->in_use(name_space.name)) continue;
    for (const auto& row : look->recorded) {
      const bool in_it = row.name_space == name_space.name && !row.version.empty() && !is_forgotten(*look, row);
      if (in_it || &row == &name_space) look->removals.push_back(removal_of(row, "somebody let its namespace go"));
    }
  }
  for (auto& one : look->removals)
    one.approval = removal_action(one.write.object, one.detail, one.write.version).approval();
}

/// Problems that are new or over, in the history and, where it is ours, in the cluster.
Task<> ClusterManager::note_problems(const Look* look, SteadyTime deadline) {
  for (const auto& item : look->items) {
    const std::string problem = item.decision.error                       ? item.decision.error->message
                                : item.decision.step == ClusterStep::warn ? item.decision.detail
                                                                          : std::string();
    if (problem == (item.known == nullptr ? std::string() : item.known->problem) || item.decision.writes()) continue;
    auto known = item.known == nullptr ? std::nullopt : std::optional(*item.known);
    auto noted = co_await note_problem(nullptr, item.object, item.decision, std::move(known), deadline);
    if (!noted) tools_.log.warn(item.title, "it could not be recorded", {{"cause", noted.error().to_string()}});
  }
}

/// What is to be written, with its content; what cannot be made is in the outcomes.
std::vector<ClusterManager::Pending> ClusterManager::writes_of(Look* look) {
  std::vector<Pending> pending;
  for (const auto& item : look->items) {
    const auto& home = item.object.home();
    if (item.object.kind == kube::namespaces) {
      if (item.decision.error) {
        unusable_.insert_or_assign(home, *item.decision.error);
      } else {
        unusable_.erase(home);
      }
    }
    const auto action = action_of(item.object, item.decision, look->inputs_of(item.object));
    if (!action || unusable_.contains(home)) continue;
    auto write = write_of(item);
    if (!write) {
      look->outcomes[item.title].error = std::move(write.error());
      continue;
    }
    Pending one{.write = *std::move(write),
                .title = item.title,
                .reason = std::string(reason_of(item.decision.step)),
                .approval = action->approval(),
                .detail = item.decision.detail};
    if (item.object.deployment.empty()) {
      for (const auto& wanted : look->namespaces)
        if (wanted.name == home && wanted.project == item.object.project) one.titles = wanted.titles();
    }
    if (const auto* project = projects_.find(item.object.project)) one.commit = project->source.commit;
    pending.push_back(std::move(one));
  }
  return pending;
}

/// Takes out what nobody has approved, and says so.
void ClusterManager::refuse_unapproved(std::vector<Pending>* pending, const ApprovedObjects& approved,
                                       ClusterOutcomes* outcomes) {
  std::erase_if(*pending, [&](const Pending& one) {
    const auto title = one.planned_for();
    const auto found = approved.find(title);
    if (found != approved.end() && found->second.contains(one.approval)) return false;
    auto& outcome = (*outcomes)[title];
    outcome.refused = true;
    outcome.error =
        Error(ErrorKind::conflict,
              fmt::format("{}: the world has moved since the plan: {} ({}) was not in it", title,
                          kube::to_string(one.write.object.object()), one.detail.empty() ? one.reason : one.detail))
            .with_remedy("look at the new plan: opi plan")
            .handled_by(Handling::needs_person);
    return true;
  });
}

Task<Result<ClusterOutcomes>> ClusterManager::begin_pass(ClusterSelection selection, store::Cause cause,
                                                         SteadyTime deadline, std::optional<ApprovedObjects> approved) {
  Look found;
  const bool everything = selection == nullptr;
  if (auto looked = co_await look(&found, std::move(selection), false, deadline); !looked)
    co_return failure(std::move(looked.error()).while_doing(target_->describe()));
  plan_removals(&found, everything);
  if (auto recalled = co_await recall_marks(&found, deadline); !recalled)
    co_return failure(std::move(recalled.error()));
  co_await note_problems(&found, deadline);
  auto pending = writes_of(&found);
  std::ranges::move(found.removals, std::back_inserter(pending));
  if (approved) refuse_unapproved(&pending, *approved, &found.outcomes);
  if (target_->writes_together()) {
    std::ranges::move(pending, std::back_inserter(pending_));
  } else if (!pending.empty()) {
    auto written = co_await write_now(std::move(pending), &found.outcomes, std::move(cause), deadline);
    if (!written) co_return failure(std::move(written.error()).while_doing(target_->describe()));
  }
  co_return std::move(found.outcomes);
}

}  // namespace opi::provision
