#include "provision/database_manager.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <set>
#include <unordered_map>
#include <utility>

#include "aio/task_scope.hpp"
#include "aio/with_deadline.hpp"
#include "base/clock.hpp"
#include "provision/manager_parts.hpp"
#include "provision/observe.hpp"
#include "provision/sessions.hpp"

namespace opi::provision {
namespace {

std::chrono::microseconds since(SteadyTime began) {
  return std::chrono::duration_cast<std::chrono::microseconds>(steady_now() - began);
}

bool selected(const Selection& selection, const DesiredDeployment& one) {
  if (!selection.project.empty() && one.project != selection.project) return false;
  if (!selection.deployment.empty() && one.deployment != selection.deployment) return false;
  return selection.files.empty() || std::ranges::find(selection.files, one.source.file) != selection.files.end();
}

DeploymentReport report_of(const DeploymentPlan& plan) {
  DeploymentReport report{.project = plan.project,
                          .deployment = plan.deployment,
                          .namespace_ = plan.namespace_,
                          .database = plan.database,
                          .pool = plan.pool};
  report.notes = plan.notes;
  for (const auto& drift : plan.drifts) {
    if (drift.policy == DriftPolicy::warn) report.notes.push_back(drift.detail);
  }
  if (plan.refusal) {
    report.outcome = DeploymentOutcome::refused;
    report.error = plan.refusal;
  } else if (!plan.approval.empty()) {
    report.outcome = DeploymentOutcome::refused;
    report.error = needs_approval(plan.project, plan.deployment, plan.approval);
  } else if (plan.waiting) {
    report.outcome = DeploymentOutcome::waiting;
    report.error = plan.waiting;
  }
  return report;
}

bool rotates(const DeploymentPlan& plan) {
  return std::ranges::any_of(plan.actions, [](const Action& one) { return one.kind == ActionKind::rotate_login; });
}

constexpr std::chrono::seconds flow_grace{5};  ///< what waits within a flow has the flow's own deadline and says more

/// A cancelled flow as an error, which is how `with_deadline` knows that it was the deadline.
Task<Result<DeploymentReport>> bounded(DeploymentFlow* flow) {
  auto report = co_await flow->run();
  if (report.error && report.error->kind == ErrorKind::cancelled) co_return failure(*std::move(report.error));
  co_return report;
}

DeploymentReport failed_report(const DesiredDeployment& desired, Error error) {
  DeploymentReport report{.project = desired.project,
                          .deployment = desired.deployment,
                          .namespace_ = desired.namespace_,
                          .database = desired.database,
                          .pool = desired.pool,
                          .outcome = DeploymentOutcome::failed};
  report.error = std::move(error);
  report.file = desired.source.file;
  report.blob = desired.source.blob;
  return report;
}

}  // namespace

DatabaseManager::DatabaseManager(ProjectManager& projects, pg::DatabasePool& main, ManagerSettings settings,
                                 ManagerTools tools)
    : projects_(projects),
      main_(main),
      settings_(std::move(settings)),
      tools_(std::move(tools)),
      budget_({.all = settings_.connections, .beside = settings_.parallelism}) {}

std::vector<DesiredDeployment> DatabaseManager::desired(const Selection& selection) const {
  // Collisions are a matter of all declarations; only then is chosen.
  auto all = desired_state(projects_.projects(), settings_.rules);
  std::erase_if(all, [&](const DesiredDeployment& one) { return !selected(selection, one); });
  return all;
}

/// Logins whose overlap is over: how long they go on depends on their sessions.
std::vector<std::string> DatabaseManager::ending_logins(const Estate& estate, std::string_view pool) {
  std::vector<std::string> logins;
  for (const auto& one : estate.desired) {
    const auto* known = one.pool == pool ? estate.inventory.find(one.project, one.deployment) : nullptr;
    const auto* replaced = known == nullptr ? nullptr : replaced_login(*known);
    if (replaced != nullptr && replaced->overlap_over) logins.push_back(replaced->login);
  }
  for (const auto* gone : estate.undeclared(pool)) {
    for (auto& role : roles_of(gone->deployment.base_name)) logins.push_back(std::move(role));
  }
  return logins;
}

Task<Result<>> DatabaseManager::observe_pool(Estate* estate, std::string pool, pg::Connection* connection) {
  std::vector<std::string> names;
  for (const auto& one : estate->desired) {
    if (one.pool != pool || one.refusal) continue;
    names.insert(names.end(),
                 {one.database, one.names.base, one.names.login_a, one.names.login_b, one.names.read_only});
  }
  for (const auto* gone : estate->undeclared(pool)) {
    for (auto& role : roles_of(gone->deployment.base_name)) names.push_back(std::move(role));
    for (auto& database : databases_of(gone->deployment)) names.push_back(std::move(database));
  }
  auto observed = co_await observe_server(connection, std::move(names));
  if (!observed) co_return failure(std::move(observed.error()));
  auto sessions = co_await count_sessions(connection, ending_logins(*estate, pool));
  if (!sessions) co_return failure(std::move(sessions.error()));
  observed->sessions = *std::move(sessions);
  estate->servers.insert_or_assign(std::move(pool), std::move(observed));
  co_return Result<>{};
}

/// The inventory and each server once, without locks.
Task<Result<DatabaseManager::Estate>> DatabaseManager::observe(std::vector<DesiredDeployment> wanted, bool whole) {
  Estate estate{.desired = std::move(wanted), .whole = whole};
  auto lease = co_await main_.acquire({.deadline = steady_now() + settings_.plan_deadline, .task = "observe main"});
  if (!lease) co_return failure(lease.error().to_error());
  auto* connection = &**lease;
  const auto before = connection->statements_run();
  std::vector<std::string> projects;
  if (!whole) {
    for (const auto& one : estate.desired) projects.push_back(one.project);
  }
  auto inventory = co_await store::load_inventory(connection, settings_.rules.cluster, std::move(projects));
  if (!inventory) co_return failure(std::move(inventory.error()));
  estate.inventory = *std::move(inventory);
  for (auto& one : estate.desired) {
    if (const auto* known = estate.inventory.find(one.project, one.deployment)) {
      one.database = known->deployment.database_name;
      use_journaled_logins(one, known);
    }
  }
  auto clones = co_await look_at_clones(&estate, connection);
  if (!clones) co_return failure(std::move(clones.error()));
  auto observed = co_await observe_pool(&estate, "main", connection);
  if (!observed) co_return failure(std::move(observed.error()));
  stats_.statements += connection->statements_run() - before;
  lease->release();
  co_await observe_further(&estate);
  co_await judge_clones(&estate);
  co_return estate;
}

/// A further server that cannot be asked makes its deployments wait, and nobody else.
Task<> DatabaseManager::observe_further(Estate* estate) {
  std::set<std::string> pools;
  for (const auto& one : estate->desired) {
    if (one.pool != "main" && !one.refusal) pools.insert(one.pool);
  }
  for (const auto& server : estate->inventory.servers) {
    if (server.pool != "main" && !estate->undeclared(server.pool).empty()) pools.insert(server.pool);
  }
  for (const auto& name : pools) {
    auto found = tools_.pools == nullptr ? failure(ErrorKind::not_found, fmt::format("there is no pool \"{}\"", name))
                                         : tools_.pools->get(name);
    if (!found) {
      estate->servers.insert_or_assign(name, Result<ObservedServer>(failure(std::move(found.error()))));
      continue;
    }
    auto lease =
        co_await found->get().acquire({.deadline = steady_now() + settings_.plan_deadline, .task = "observe " + name});
    if (!lease) {
      estate->servers.insert_or_assign(name, Result<ObservedServer>(failure(lease.error().to_error())));
      continue;
    }
    const auto before = (*lease)->statements_run();
    auto observed = co_await observe_pool(estate, name, &**lease);
    stats_.statements += (*lease)->statements_run() - before;
    if (!observed) estate->servers.insert_or_assign(name, Result<ObservedServer>(failure(std::move(observed.error()))));
  }
}

/// Each database at its own time, so that a thousand that were made together are not entered together.
bool DatabaseManager::deep_look_is_due(const store::InventoryEntry* known) const {
  if (settings_.deep_interval.count() == 0 || known == nullptr || !known->deployment.ready_at) return false;
  const auto spread = std::hash<std::string>{}(known->deployment.stamp) % 1'000;
  const auto interval = settings_.deep_interval - settings_.deep_interval * static_cast<std::int64_t>(spread) / 5'000;
  return known->deployment.deep_look_at.value_or(known->deployment.created_at) + interval <= SystemClock().wall();
}

/// For a plan that is shown: the inside of one database, when it is ours and can be had.
Task<std::optional<ObservedInside>> DatabaseManager::look_inside(const Estate* estate,
                                                                 const DesiredDeployment* wanted) {
  const auto* known = estate->inventory.find(wanted->project, wanted->deployment);
  const auto* server = estate->server(wanted->pool);
  const auto* database = server->database(wanted->database);
  const bool due = database != nullptr && database->allow_connections && deep_look_is_due(known);
  if (!due && !needs_inside_look(*wanted, *server, known)) co_return std::nullopt;
  if (plan_one(*estate, *wanted, nullptr).refusal) co_return std::nullopt;  // not ours: not entered
  const bool with_foreign = known != nullptr && known->deployment.adoption == store::Adoption::full;
  auto inside = co_await enter(wanted, with_foreign);
  if (!inside) co_return std::nullopt;
  co_return *std::move(inside);
}

Task<Result<ObservedInside>> DatabaseManager::enter(const DesiredDeployment* wanted, bool with_foreign) {
  auto& pool = wanted->pool == "main" ? main_ : tools_.pools->get(wanted->pool)->get();
  auto settings = pool.config().server;
  settings.database = wanted->database;
  auto executor = co_await asio::this_coro::executor;
  const auto deadline = steady_now() + settings_.plan_deadline;
  const auto room = co_await budget_.take(&pool, 1, deadline);
  if (!room) co_return failure(room.error());
  ++stats_.tenant_connections;
  auto connection = co_await pg::Connection::connect(executor, settings, *tools_.blocking, deadline);
  if (!connection) co_return failure(std::move(connection.error()));
  auto inside = co_await observe_inside(&*connection, wanted->names.base, wanted->watched_schemas());
  if (inside && with_foreign) {
    auto foreign = co_await observe_foreign_objects(&*connection, wanted->names.base, wanted->schemas);
    if (foreign) {
      inside->foreign_objects = *std::move(foreign);
    } else {
      inside = failure(std::move(foreign.error()));
    }
  }
  co_await connection->close(deadline);
  co_return inside;
}

DeploymentPlan DatabaseManager::plan_one(const Estate& estate, const DesiredDeployment& wanted,
                                         const ObservedInside* inside) const {
  static const ObservedServer nothing;
  const auto* server = estate.server(wanted.pool);
  if (server == nullptr && !wanted.refusal) {
    DeploymentPlan waiting{.project = wanted.project,
                           .deployment = wanted.deployment,
                           .namespace_ = wanted.namespace_,
                           .database = wanted.database,
                           .pool = wanted.pool};
    waiting.waiting = estate.servers.at(wanted.pool).error();
    return waiting;
  }
  const auto found = std::ranges::find(estate.inventory.servers, wanted.pool, &store::ServerRecord::pool);
  PlanInput input{.desired = wanted,
                  .server = server == nullptr ? nothing : *server,
                  .known = estate.inventory.find(wanted.project, wanted.deployment),
                  .inside = inside};
  input.policies = &settings_.drift;
  input.rotate = rotation_is_due(settings_.rotation, input.known, SystemClock().wall());
  if (found != estate.inventory.servers.end()) input.server_id = found->id;
  if (const auto decided = estate.decisions.find(wanted.title()); decided != estate.decisions.end())
    input.clone = &decided->second;
  auto plan = plan_deployment(input);
  plan.approval = demanded_approval(plan.actions, settings_.approval);
  return plan;
}

Task<Result<Plan>> DatabaseManager::plan_estate(Estate* estate, bool look) {
  Plan plan;
  plan.deployments.reserve(estate->desired.size());
  for (const auto& wanted : estate->desired) {
    std::optional<ObservedInside> inside;
    if (look && !wanted.refusal && estate->server(wanted.pool) != nullptr)
      inside = co_await look_inside(estate, &wanted);
    plan.deployments.push_back(plan_one(*estate, wanted, inside ? &*inside : nullptr));
  }
  plan_removals(*estate, plan);
  co_return plan;
}

Task<Result<Plan>> DatabaseManager::plan(Selection selection) {
  auto estate = co_await observe(desired(selection), selection.everything());
  if (!estate) co_return failure(std::move(estate.error()).while_doing("plan"));
  auto plan = co_await plan_estate(&*estate, true);
  if (plan) co_await plan_cluster(&*plan, std::move(selection));
  co_return plan;
}

FlowTools DatabaseManager::flow_tools() {
  return {.main = &main_,
          .pools = tools_.pools,
          .key = tools_.key,
          .blocking = tools_.blocking,
          .budget = &budget_,
          .stats = &stats_,
          .server_ids = &server_ids_,
          .clone = settings_.clone,
          .approval = settings_.approval,
          .cluster = settings_.rules.cluster,
          .repositories = &settings_.repositories,
          .log = tools_.log,
          .on_step = tools_.on_step,
          .publisher = tools_.cluster,
          .rotation = settings_.rotation,
          .drift = settings_.drift};
}

/// A flow's deadline holds also when a server stops answering in the middle: the flow is told, and ends.
Task<DeploymentReport> DatabaseManager::run_flow(DesiredDeployment wanted, store::Cause cause, FlowOrder order) {
  const auto tools = flow_tools();
  const auto deadline =
      steady_now() + settings_.deadline + (wanted.clone ? settings_.clone.deadline : std::chrono::milliseconds{0});
  std::string broken;
  try {
    DeploymentFlow flow(&tools, wanted, std::move(cause), deadline, std::move(order));
    auto report = co_await aio::with_deadline(bounded(&flow), deadline + flow_grace,
                                              fmt::format("{}: not done within its deadline", wanted.title()));
    if (report) co_return *std::move(report);
    co_return failed_report(wanted, std::move(report.error()));
  } catch (const std::exception& exception) {
    broken = exception.what();
  }
  const bool cancelled = (co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none;
  co_return failed_report(
      wanted, Error(cancelled ? ErrorKind::cancelled : ErrorKind::internal, wanted.title() + ": " + broken));
}

void DatabaseManager::tell_progress(Work& work) const {
  if (steady_now() - work.told_at < settings_.progress_interval) return;
  work.told_at = steady_now();
  const auto failed = std::ranges::count_if(work.reports, [](const auto& one) { return one.error.has_value(); });
  tools_.log.info("pass", fmt::format("{} of {} done, {} failed so far", work.reports.size(), work.total, failed));
}

Task<> DatabaseManager::worker(std::shared_ptr<Work> work) {
  while (work->next < work->queue.size()) {
    auto item = std::move(work->queue[work->next++]);
    auto report = item.removal ? co_await run_removal(*std::move(item.removal), work->cause)
                               : co_await run_flow(std::move(item.desired), work->cause, std::move(item.order));
    if (report.error)
      tools_.log.warn(report.title(), to_string(report.outcome), {{"cause", report.error->to_string()}});
    if (work->progress) work->progress(report);
    work->reports.push_back(std::move(report));
    tell_progress(*work);
    if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none) break;
  }
  if (--work->workers == 0) work->ended.cancel();
}

/// Up to `parallelism` at once. When we are cancelled, the flows are told and waited for.
Task<> DatabaseManager::run_flows(std::shared_ptr<Work> work) {
  if (work->queue.empty()) co_return;
  auto executor = co_await asio::this_coro::executor;
  aio::TaskScope scope(executor, tools_.log, "provision");
  work->total = std::max(work->total, work->queue.size());
  if (work->told_at == SteadyTime{}) work->told_at = steady_now();
  const auto workers = std::min<std::size_t>(std::max(1U, settings_.parallelism), work->queue.size());
  work->workers = workers;
  for (std::size_t i = 0; i < workers; ++i) scope.spawn(fmt::format("provision {}", i + 1), worker(work));
  co_await work->ended.async_wait(as_result);
  co_await asio::this_coro::throw_if_cancelled(false);
  if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none) scope.cancel();
  co_await scope.join();
  co_await asio::this_coro::throw_if_cancelled(true);
}

Task<Result<ApplyReport>> DatabaseManager::apply(Selection selection, store::Cause cause, Progress progress,
                                                 std::string digest) {
  const auto began = steady_now();
  auto estate = co_await observe(desired(selection), selection.everything());
  if (!estate) co_return failure(std::move(estate.error()).while_doing("apply"));
  const bool approved = !digest.empty();
  auto plan = co_await plan_estate(&*estate, approved);
  if (!plan) co_return failure(std::move(plan.error()).while_doing("apply"));
  Plan whole;  // what was shown: with the cluster's part, which is planned again where it is done
  if (approved) {
    whole = *plan;
    co_await plan_cluster(&whole, selection);
    if (const auto actual = whole.digest(); !same_digest(digest, actual)) {
      co_return failure(
          Error(ErrorKind::conflict, fmt::format("the world has moved: the plan's digest is {} now, not {}",
                                                 actual.substr(0, digest.size()), digest))
              .with_remedy("look at the new plan: opi plan")
              .handled_by(Handling::needs_person));
    }
    auto recorded = co_await record_approval(&whole, cause);
    if (!recorded) co_return failure(std::move(recorded.error()).while_doing("apply"));
  }
  auto noted = co_await record_drift(&*estate, &*plan);
  if (!noted) tools_.log.warn("drift", "it could not be recorded", {{"cause", noted.error().to_string()}});
  ClusterRound cluster;
  co_await begin_cluster(&cluster, &*plan, selection, cause, approved ? &whole : nullptr);
  auto executor = co_await asio::this_coro::executor;
  auto work = std::make_shared<Work>(executor);
  work->cause = std::move(cause);
  work->progress = progress;
  ApplyReport report;
  for (std::size_t i = 0; i < estate->desired.size(); ++i) {
    const auto& planned = plan->deployments[i];
    const auto& wanted = estate->desired[i];
    const bool deep = deep_look_is_due(estate->inventory.find(wanted.project, wanted.deployment));
    const bool blocked = !planned.approval.empty() && !approved;
    if (!planned.refusal && !planned.waiting && !blocked && (!planned.actions.empty() || planned.to_record || deep)) {
      FlowOrder order{.look_deep = deep};
      if (rotates(planned)) order.rotation = RotationPace::seamless;
      if (approved) order.approved.emplace(planned);
      work->queue.push_back({wanted, std::move(order)});
      continue;
    }
    auto settled = report_of(planned);
    settled.file = estate->desired[i].source.file;
    settled.blob = estate->desired[i].source.blob;
    if (progress) progress(settled);
    report.deployments.push_back(std::move(settled));
  }
  queue_removals(*estate, *plan, approved, *work, report);
  cluster.items = work->queue;
  co_await run_in_ranks(work, &estate->desired);
  co_await end_cluster(&cluster, work);
  std::ranges::move(work->reports, std::back_inserter(report.deployments));
  auto updated = co_await update_sources(&*estate, &*plan);
  if (!updated)
    tools_.log.warn("sources", "the versions in force could not be recorded", {{"cause", updated.error().to_string()}});
  report_cluster(cluster, report);
  sort_rows(report);
  report.duration = since(began);
  co_return report;
}

Error DatabaseManager::nothing_selected(const Selection& selection) const {
  const auto name = selection.deployment.empty() ? selection.project : selection.project + "/" + selection.deployment;
  return Error(ErrorKind::not_found,
               fmt::format("{}: no such deployment with a database in cluster \"{}\"", name, settings_.rules.cluster));
}

Task<Result<DeploymentReport>> DatabaseManager::create_resources_for_deployment(std::string project,
                                                                                std::string deployment,
                                                                                store::Cause cause) {
  auto wanted = desired({.project = project, .deployment = deployment});
  if (wanted.empty()) {
    co_return failure(nothing_selected({.project = project, .deployment = deployment}));
  }
  co_return co_await run_alone(std::move(wanted.front()), std::move(cause), {});
}

/// One flow, with the cluster's part before and after it.
Task<DeploymentReport> DatabaseManager::run_alone(DesiredDeployment wanted, store::Cause cause, FlowOrder order) {
  auto executor = co_await asio::this_coro::executor;
  auto work = std::make_shared<Work>(executor);
  work->cause = cause;
  ClusterRound cluster;
  cluster.items.push_back({.desired = wanted, .order = order});
  co_await begin_cluster(&cluster, nullptr, {.project = wanted.project, .deployment = wanted.deployment}, cause);
  work->reports.push_back(co_await run_flow(std::move(wanted), std::move(cause), std::move(order)));
  co_await end_cluster(&cluster, work);
  ApplyReport report{.deployments = std::move(work->reports)};
  report_cluster(cluster, report);
  co_return std::move(report.deployments.front());
}

Task<Result<Credentials>> DatabaseManager::credentials(std::string project, std::string deployment,
                                                       LoginPurpose purpose) {
  const auto title = project + "/" + deployment;
  auto lease =
      co_await main_.acquire({.deadline = steady_now() + settings_.plan_deadline, .task = "credentials of " + title});
  if (!lease) co_return failure(lease.error().to_error().while_doing("credentials of " + title));
  auto found = co_await store::find_deployment(&**lease, {.project = project, .deployment = deployment});
  if (!found) co_return failure(std::move(found.error()).while_doing("credentials of " + title));
  const bool reads = purpose == LoginPurpose::read_only;
  auto published = reads ? co_await store::current_credential(&**lease, found->id, store::LoginSlot::read_only)
                         : co_await store::published_credential(&**lease, found->id);
  if (!published) co_return failure(std::move(published.error()).while_doing("credentials of " + title));
  lease->release();
  if (reads && (!*published || (*published)->state != store::CredentialState::done)) {
    co_return failure(Error(ErrorKind::not_found, fmt::format("{}: has no read-only login", title))
                          .with_remedy("declare read-only-login: true, and run: opi apply"));
  }
  if (!*published) {
    co_return failure(Error(ErrorKind::not_found, fmt::format("{}: its database is not ready yet", title))
                          .with_remedy("run: opi apply"));
  }
  auto password = store::open_password(*tools_.key, **published);
  if (!password) co_return failure(std::move(password.error()).while_doing("credentials of " + title));
  Credentials credentials{
      .project = std::move(project), .deployment = std::move(deployment), .hosts = main_.config().server.hosts};
  if (found->pool != "main" && tools_.pools != nullptr) {
    auto pool = tools_.pools->get(found->pool);
    if (!pool) co_return failure(std::move(pool.error()).while_doing("credentials of " + title));
    credentials.hosts = pool->get().config().server.hosts;
  }
  credentials.database = found->database_name;
  credentials.schema = found->base_name;
  credentials.schemas = {found->base_name};
  for (const auto& wanted : desired({.project = credentials.project, .deployment = credentials.deployment}))
    credentials.schemas = wanted.schemas;
  credentials.user = (*published)->login.login;
  credentials.password = *std::move(password);
  co_return credentials;
}

}  // namespace opi::provision
