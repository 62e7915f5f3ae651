// What is written to the cluster, and what is written down of it.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "provision/cluster_manager_parts.hpp"

namespace opi::provision {

store::ClusterObjectRow row_of(const DesiredObject& object) {
  store::ClusterObjectRow row{
      .kind = std::string(object.kind.kind), .name_space = object.name_space, .name = object.name};
  row.project = object.project;
  row.deployment = object.deployment;
  return row;
}

std::string ClusterManager::commit_message(const std::vector<Pending>& pending, const store::Cause& cause) const {
  std::set<std::string> projects;
  std::set<std::string> commits;
  for (const auto& one : pending) {
    projects.insert(one.write.object.project);
    if (!one.commit.empty()) commits.insert(one.commit);
  }
  constexpr std::size_t named = 5;
  std::vector<std::string> first(
      projects.begin(), std::next(projects.begin(), static_cast<std::ptrdiff_t>(std::min(named, projects.size()))));
  std::string message = fmt::format("{}: {}", rules_.cluster, fmt::join(first, ", "));
  if (projects.size() > named) message += fmt::format(" and {} more", projects.size() - named);
  message += "\n\n";
  if (projects.size() > named) message += fmt::format("Projects: {}\n", fmt::join(projects, ", "));
  for (const auto& commit : commits) message += fmt::format("Source-Commit: {}\n", commit);
  message += fmt::format("Cause: {}\n", cause.kind);
  return message;
}

namespace {

/// What happened to the objects of one namespace at once, and for one reason, is one event.
std::vector<ClusterEvent> one_for_each_transition(std::vector<ClusterEvent> events) {
  std::vector<ClusterEvent> grouped;
  std::map<std::tuple<std::string, std::string, std::string>, std::size_t> places;
  for (auto& event : events) {
    if (event.for_history_only) continue;
    const auto [place, fresh] =
        places.try_emplace({event.object.home(), event.reason, event.object.project}, grouped.size());
    if (fresh) {
      grouped.push_back(std::move(event));
    } else {
      grouped[place->second].message += "; " + event.message;
    }
  }
  return grouped;
}

}  // namespace

Task<Result<>> ClusterManager::write_down(pg::Connection* control, std::vector<store::ClusterObjectRow> rows,
                                          std::vector<store::ClusterObjectRow> gone, std::vector<ClusterEvent> events,
                                          store::Cause cause, SteadyTime deadline) {
  std::optional<pg::Lease> lease;
  if (control == nullptr) {
    auto acquired = co_await tools_.main->acquire({.deadline = deadline, .task = "record cluster"});
    if (!acquired) co_return failure(acquired.error().to_error());
    lease = *std::move(acquired);
    control = &**lease;
  }
  auto recorded = co_await store::record_cluster_objects(control, rules_.cluster, std::move(rows));
  if (!recorded) co_return recorded;
  if (auto forgotten = co_await store::forget_cluster_objects(control, rules_.cluster, std::move(gone)); !forgotten)
    co_return forgotten;
  std::vector<store::HistoryEvent> history;
  for (const auto& event : events) {
    store::HistoryEvent one{
        .at = SystemClock().wall(), .project = event.object.project, .deployment = event.object.deployment};
    one.server = rules_.cluster;
    one.action = fmt::format("cluster {}", event.reason);
    one.statement = kube::to_string(event.object.object());
    one.cause = cause;
    one.outcome = event.warning ? store::Outcome::failed : store::Outcome::succeeded;
    one.message = event.message;
    history.push_back(std::move(one));
  }
  if (!history.empty()) {
    if (auto appended = co_await store::append_history(control, std::move(history)); !appended) co_return appended;
  }
  if (lease) lease->release();
  co_await target_->tell(one_for_each_transition(std::move(events)), deadline);
  co_return Result<>{};
}

Task<Result<>> ClusterManager::note_problem(pg::Connection* control, DesiredObject object, ClusterDecision decision,
                                            std::optional<store::ClusterObjectRow> known, SteadyTime deadline) {
  auto row = known ? *std::move(known) : row_of(object);
  row.problem = decision.error                       ? decision.error->message
                : decision.step == ClusterStep::warn ? decision.detail
                                                     : std::string();
  std::vector<ClusterEvent> events;
  if (!row.problem.empty()) {
    ClusterEvent event{
        .object = std::move(object), .reason = std::string(reason_of(decision.step)), .message = row.problem};
    event.warning = true;
    // Into a namespace that is not ours nothing is written, not even an event.
    event.for_history_only = decision.step == ClusterStep::refuse && event.object.kind == kube::namespaces;
    if (decision.step != ClusterStep::wait) events.push_back(std::move(event));
  }
  std::vector<store::ClusterObjectRow> rows;
  rows.push_back(std::move(row));
  co_return co_await write_down(control, std::move(rows), {}, std::move(events),
                                {.kind = "drift", .id = "", .replica = ""}, deadline);
}

/// Writes all of them, and writes down what came of it. One that fails is in the outcomes of its deployments.
Task<Result<>> ClusterManager::write_now(std::vector<Pending> pending, ClusterOutcomes* outcomes, store::Cause cause,
                                         SteadyTime deadline) {
  const auto message = commit_message(pending, cause);
  std::vector<ClusterWrite> writes;
  std::vector<store::ClusterObjectRow> drafts;
  std::vector<ClusterEvent> told;
  for (auto& one : pending) {
    auto row = row_of(one.write.object);
    row.inputs = one.write.object.inputs;
    row.content_hash = one.write.content_hash;
    drafts.push_back(std::move(row));
    told.push_back({.object = one.write.object, .reason = one.reason, .message = {}});
    writes.push_back(std::move(one.write));
  }
  auto written = co_await target_->write(std::move(writes), message, deadline);
  std::vector<store::ClusterObjectRow> rows;
  std::vector<store::ClusterObjectRow> gone;
  std::vector<ClusterEvent> events;
  std::set<std::string> removed;
  for (std::size_t i = 0; i < pending.size(); ++i) {
    auto& one = pending[i];
    auto& event = told[i];
    const std::string what = kube::to_string(event.object.object());
    if (!written[i]) {
      ++stats_.failed;
      auto titles = one.titles.empty() ? std::vector{one.title} : one.titles;
      for (const auto& title : titles) {
        if (title.empty()) continue;
        auto& outcome = (*outcomes)[title];
        if (!outcome.error) outcome.error = Error(written[i].error());
      }
      if (event.object.kind == kube::namespaces) unusable_.insert_or_assign(event.object.name, written[i].error());
      tools_.log.warn(one.title, what, {{"cause", written[i].error().to_string()}});
      continue;
    }
    ++stats_.written;
    ClusterOutcome nobodys;  // what is told of no deployment is in the history
    auto& outcome = one.title.empty() ? nobodys : (*outcomes)[one.title];
    ++outcome.written;
    event.message =
        one.detail.empty() ? fmt::format("{}: {}", what, one.reason) : fmt::format("{}: {}", what, one.detail);
    for (auto& note : written[i]->notes) {
      event.message += "; " + note;
      outcome.notes.push_back(fmt::format("{}: {}", what, note));
    }
    if (event.reason == "Removed") {
      gone.push_back(std::move(drafts[i]));
      if (event.object.kind == kube::namespaces) removed.insert(event.object.name);
      event.for_history_only = removed.contains(event.object.home());  // nobody is left there to read it
    } else {
      drafts[i].version = written[i]->version;
      rows.push_back(std::move(drafts[i]));
    }
    events.push_back(std::move(event));
  }
  co_return co_await write_down(nullptr, std::move(rows), std::move(gone), std::move(events), std::move(cause),
                                deadline);
}

Task<Result<HandOver>> ClusterManager::hand_over(pg::Connection* control, const DesiredDeployment* desired,
                                                 std::string database, const store::Credential* credential,
                                                 SteadyTime deadline) {
  if (const auto bad = unusable_.find(desired->namespace_); bad != unusable_.end()) co_return failure(bad->second);
  if (auto opened = co_await open_hash(control); !opened) co_return failure(std::move(opened.error()));
  auto credentials = secrets_.credentials_of(*desired, database, *credential);
  if (!credentials) co_return failure(std::move(credentials.error()));
  auto object = credentials_object(desired->namespace_, *credentials, credential->id, rules_,
                                   sealed_to(recipients_, desired->project));
  auto known = co_await store::find_cluster_object(control, rules_.cluster, std::string(object.kind.kind),
                                                   object.name_space, object.name);
  if (!known) co_return failure(std::move(known.error()));
  const auto* row = *known ? &**known : nullptr;
  const bool landed = row != nullptr && row->inputs == object.inputs && row->problem.empty();
  if (target_->writes_together() && landed) co_return HandOver::done;
  std::vector<LookedAt> looked;
  looked.push_back({.object = &object, .known = row});
  auto observed = co_await target_->observe(std::move(looked), deadline);
  if (!observed) co_return failure(std::move(observed.error()));
  auto decision = decide(object, observed->front(), row, rules_);
  if (decision.error) {
    Error error = *decision.error;
    auto noted = co_await note_problem(control, std::move(object), std::move(decision), *std::move(known), deadline);
    if (!noted) tools_.log.warn(desired->title(), "it could not be recorded", {{"cause", noted.error().to_string()}});
    co_return failure(std::move(error));
  }
  if (!decision.writes()) co_return HandOver::done;
  auto data = secrets_.open_credentials(*desired, database, *credential);
  if (!data) co_return failure(std::move(data.error()));
  ClusterWrite write{.object = object};
  write.force = true;
  write.content_hash = content_hash(*hash_, *data);
  write.data = *std::move(data);
  write.recipients = recipients_of(desired->project);
  if (target_->writes_together()) {
    pending_.push_back({.write = std::move(write),
                        .title = desired->title(),
                        .reason = std::string(reason_of(decision.step)),
                        .detail = decision.detail,
                        .commit = desired->source.commit,
                        .hands_over = true});
    co_return HandOver::later;
  }
  auto draft = row_of(object);
  draft.inputs = object.inputs;
  draft.content_hash = write.content_hash;
  std::vector<ClusterWrite> writes;
  writes.push_back(std::move(write));
  auto written = co_await target_->write(std::move(writes), "", deadline);
  if (!written.front()) co_return failure(std::move(written.front().error()));
  ++stats_.written;
  draft.version = written.front()->version;
  ClusterEvent event{.object = std::move(object), .reason = std::string(reason_of(decision.step))};
  event.message = fmt::format("credentials of login {}", credential->login.login);
  std::vector<store::ClusterObjectRow> rows;
  rows.push_back(std::move(draft));
  std::vector<ClusterEvent> events;
  events.push_back(std::move(event));
  auto recorded = co_await write_down(control, std::move(rows), {}, std::move(events),
                                      {.kind = "schedule", .id = "", .replica = ""}, deadline);
  if (!recorded) co_return failure(std::move(recorded.error()));
  co_return HandOver::done;
}

Task<Result<std::set<std::string>>> ClusterManager::end_pass(ClusterOutcomes* outcomes, store::Cause cause,
                                                             SteadyTime deadline) {
  std::set<std::string> handed;
  if (pending_.empty()) co_return handed;
  auto pending = std::exchange(pending_, {});
  for (const auto& one : pending)
    if (one.hands_over) handed.insert(one.title);
  auto written = co_await write_now(std::move(pending), outcomes, std::move(cause), deadline);
  if (!written) co_return failure(std::move(written.error()).while_doing(target_->describe()));
  ++stats_.commits;
  for (const auto& [title, outcome] : *outcomes)
    if (outcome.error) handed.erase(title);
  co_return handed;
}

}  // namespace opi::provision
