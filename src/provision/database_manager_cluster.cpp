// What the cluster adds to plans, passes and reports.

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <utility>

#include "provision/manager_parts.hpp"

namespace opi::provision {
namespace {

constexpr std::chrono::minutes pass_time{30};  ///< of thousands of objects; each request has a bound of its own

ClusterSelection chosen_by(const Selection& selection, const ProjectManager& projects) {
  if (selection.everything()) return {};
  return [selection, &projects](const std::string& project, const std::string& deployment) {
    if (!selection.project.empty() && project != selection.project) return false;
    if (!selection.deployment.empty() && deployment != selection.deployment) return false;
    if (selection.files.empty()) return true;
    const auto* known = projects.find(project);
    return known != nullptr && std::ranges::find(selection.files, known->source.file) != selection.files.end();
  };
}

bool only_waits(const Error& error) {
  return error.kind == ErrorKind::unavailable || error.kind == ErrorKind::timed_out ||
         error.kind == ErrorKind::exhausted || error.kind == ErrorKind::closed;
}

Action secret_action(const DeploymentPlan& plan, Sign sign, std::string detail) {
  const auto name = fmt::format("{}/{}-database", plan.namespace_, plan.deployment);
  return {.kind = ActionKind::write_object,
          .sign = sign,
          .object = "secret",
          .name = name,
          .detail = std::move(detail),
          .subject = "secret " + name};
}

Action shown(ClusterAction& action) {
  auto subject = action.object + " " + action.name;
  return {.kind = ActionKind::write_object,
          .sign = action.sign,
          .object = std::move(action.object),
          .name = std::move(action.name),
          .detail = std::move(action.detail),
          .subject = std::move(subject),
          .value = std::move(action.effect)};
}

/// What of a plan that somebody has approved is the cluster's.
ApprovedObjects approved_objects(const Plan& plan) {
  ApprovedObjects approved;
  for (const auto& one : plan.deployments) {
    for (const auto& action : one.actions)
      if (action.kind == ActionKind::write_object && !action.value.empty())
        approved[one.title()].insert(action.subject + " " + action.value);
  }
  return approved;
}

void add_secret(DeploymentPlan& plan) {
  if (plan.refusal || plan.waiting) return;
  const bool rotates =
      std::ranges::any_of(plan.actions, [](const Action& one) { return one.kind == ActionKind::rotate_login; });
  if (plan.first_time) plan.actions.push_back(secret_action(plan, Sign::create, "credentials"));
  if (rotates) plan.actions.push_back(secret_action(plan, Sign::change, "credentials of the new login"));
}

}  // namespace

Task<> DatabaseManager::plan_cluster(Plan* plan, Selection selection) {
  if (tools_.cluster == nullptr) co_return;
  for (auto& one : plan->deployments) add_secret(one);
  auto outcomes =
      co_await tools_.cluster->plan(chosen_by(selection, projects_), SystemClock().steady() + settings_.plan_deadline);
  if (!outcomes) {
    for (auto& one : plan->deployments)
      if (!one.refusal && !one.waiting) one.waiting = outcomes.error();
    co_return;
  }
  for (auto& [title, outcome] : *outcomes) {
    auto found =
        std::ranges::find_if(plan->deployments, [&](const DeploymentPlan& one) { return one.title() == title; });
    if (found == plan->deployments.end()) {
      if (outcome.actions.empty() && !outcome.error && outcome.notes.empty()) continue;
      const auto slash = title.find('/');
      DeploymentPlan fresh{.project = title.substr(0, slash), .deployment = title.substr(slash + 1)};
      fresh.namespace_ = outcome.name_space;
      found = plan->deployments.insert(plan->deployments.end(), std::move(fresh));
    }
    if (outcome.error && !found->refusal) {
      (outcome.refused ? found->refusal : found->waiting) = std::move(outcome.error);
      found->actions.clear();
      continue;
    }
    // The cluster's side first: that is the order in which it is done.
    std::vector<Action> first;
    for (auto& action : outcome.actions) first.push_back(shown(action));
    found->actions.insert(found->actions.begin(), std::make_move_iterator(first.begin()),
                          std::make_move_iterator(first.end()));
    std::ranges::move(outcome.notes, std::back_inserter(found->notes));
  }
}

Task<> DatabaseManager::begin_cluster(ClusterRound* round, Plan* plan, Selection selection, store::Cause cause,
                                      const Plan* approved) {
  if (tools_.cluster == nullptr) co_return;
  auto outcomes = co_await tools_.cluster->begin_pass(
      chosen_by(selection, projects_), std::move(cause), SystemClock().steady() + pass_time,
      approved == nullptr ? std::nullopt : std::optional(approved_objects(*approved)));
  if (!outcomes) {
    round->failed = std::move(outcomes.error());
    tools_.log.warn("cluster", "it could not be looked at", {{"cause", round->failed->to_string()}});
    co_return;
  }
  round->outcomes = *std::move(outcomes);
  if (plan == nullptr) co_return;
  // What may not have its namespace gets no database either.
  for (auto& one : plan->deployments) {
    const auto found = round->outcomes.find(one.title());
    if (found == round->outcomes.end() || !found->second.refused || one.refusal) continue;
    one.refusal = found->second.error;
    one.actions.clear();
  }
}

/// Runs them and puts what came of it into the rows that they have already.
Task<> DatabaseManager::run_again(std::shared_ptr<Work> work, std::shared_ptr<Work> again) {
  again->cause = work->cause;
  co_await run_flows(again);
  for (auto& second : again->reports) {
    const auto first =
        std::ranges::find_if(work->reports, [&](const DeploymentReport& one) { return one.title() == second.title(); });
    if (first == work->reports.end()) continue;
    const bool waited = first->outcome == DeploymentOutcome::waiting;
    first->handed_later = second.handed_later;
    first->duration += second.duration;
    first->actions += second.actions;
    std::ranges::move(second.notes, std::back_inserter(first->notes));
    if (!second.error && !waited) continue;
    first->outcome = second.outcome;
    first->error = std::move(second.error);
  }
}

/// What was collected is written; the flows whose credentials have landed run once more, which ends their journal. Then
/// the copies are made that have waited for one of them, and what they hand over lands as well.
Task<> DatabaseManager::end_cluster(ClusterRound* round, std::shared_ptr<Work> work) {
  if (tools_.cluster == nullptr) co_return;
  const auto executor = co_await asio::this_coro::executor;
  for (bool more = true; more;) {
    auto landed = co_await tools_.cluster->end_pass(&round->outcomes, work->cause, SystemClock().steady() + pass_time);
    if (!landed) {
      round->failed = std::move(landed.error());
      co_return;
    }
    auto again = std::make_shared<Work>(executor);
    auto copies = std::make_shared<Work>(executor);
    for (auto& item : round->items) {
      const auto& wanted = item.desired;
      if (item.removal) continue;
      if (landed->contains(wanted.title())) {
        again->queue.push_back(item);
        again->queue.back().order.landed = true;
        continue;
      }
      const auto waits = std::ranges::any_of(work->reports, [&](const DeploymentReport& one) {
        return one.title() == wanted.title() && one.outcome == DeploymentOutcome::waiting;
      });
      if (waits && wanted.clone && landed->contains(wanted.project + "/" + wanted.clone->source))
        copies->queue.push_back(item);
    }
    co_await run_again(work, std::move(again));
    more = !copies->queue.empty();
    co_await run_again(work, std::move(copies));
  }
}

void DatabaseManager::report_cluster(const ClusterRound& round, ApplyReport& report) const {
  if (tools_.cluster == nullptr) return;
  const auto fail = [](DeploymentReport& row, const Error& error, bool refused) {
    if (row.error) return;
    row.error = error;
    row.outcome = refused             ? DeploymentOutcome::refused
                  : only_waits(error) ? DeploymentOutcome::waiting
                                      : DeploymentOutcome::failed;
  };
  std::map<std::string, std::size_t, std::less<>> places;
  for (std::size_t i = 0; i < report.deployments.size(); ++i) places.emplace(report.deployments[i].title(), i);
  for (const auto& [title, outcome] : round.outcomes) {
    const auto place = places.find(title);
    auto found = place == places.end() ? report.deployments.end()
                                       : report.deployments.begin() + static_cast<std::ptrdiff_t>(place->second);
    if (found == report.deployments.end()) {
      const auto slash = title.find('/');
      DeploymentReport row{.project = title.substr(0, slash), .deployment = title.substr(slash + 1)};
      row.namespace_ = outcome.name_space;
      row.file = outcome.file;
      row.blob = outcome.blob;
      found = report.deployments.insert(report.deployments.end(), std::move(row));
    }
    found->actions += outcome.written;
    if (outcome.written != 0 && found->outcome == DeploymentOutcome::unchanged)
      found->outcome = DeploymentOutcome::changed;
    std::ranges::copy(outcome.notes, std::back_inserter(found->notes));
    if (outcome.error) fail(*found, *outcome.error, outcome.refused);
  }
  for (auto& row : report.deployments) {
    const bool gone = row.outcome == DeploymentOutcome::removed || row.outcome == DeploymentOutcome::disabled ||
                      row.outcome == DeploymentOutcome::kept;
    if (round.failed && !gone) fail(row, *round.failed, false);
    if (row.handed_later)
      fail(row, Error(ErrorKind::unavailable, row.title() + ": its credentials have not landed yet"), false);
  }
}

}  // namespace opi::provision
