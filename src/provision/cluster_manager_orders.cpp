// What a person orders for the cluster: a namespace that may go, another key for a project.

#include <fmt/format.h>

#include <algorithm>

#include "provision/cluster_manager_parts.hpp"

namespace opi::provision {

Task<Result<>> ClusterManager::note_order(pg::Connection* control, std::string project, std::string action,
                                          std::string statement, store::Cause cause) const {
  store::HistoryEvent event{.at = SystemClock().wall(), .project = std::move(project)};
  event.server = rules_.cluster;
  event.action = std::move(action);
  event.statement = std::move(statement);
  event.cause = std::move(cause);
  std::vector<store::HistoryEvent> events;
  events.push_back(std::move(event));
  co_return co_await store::append_history(control, std::move(events));
}

/// A namespace that is in use again does not go when it is empty the next time.
Task<Result<>> ClusterManager::recall_marks(const Look* look, SteadyTime deadline) {
  for (const auto& row : look->recorded) {
    if (!row.to_go || !look->in_use(row.name)) continue;
    auto lease = co_await tools_.main->acquire({.deadline = deadline, .task = "keep namespace " + row.name});
    if (!lease) co_return failure(lease.error().to_error());
    auto recalled =
        co_await store::mark_cluster_object(&**lease, rules_.cluster, row.kind, row.name_space, row.name, false);
    if (!recalled) co_return recalled;
    tools_.log.info(row.name, "is in use again, and stays");
  }
  co_return Result<>{};
}

Task<Result<>> ClusterManager::let_namespace_go(std::string name, store::Cause cause, SteadyTime deadline) {
  auto lease = co_await tools_.main->acquire({.deadline = deadline, .task = "let namespace " + name + " go"});
  if (!lease) co_return failure(lease.error().to_error());
  Look found;
  if (auto loaded = co_await load(&found, &**lease); !loaded) co_return loaded;
  found.namespaces = namespaces_.desired(found.recorded);
  const auto row = std::ranges::find_if(found.recorded, [&](const store::ClusterObjectRow& one) {
    return one.kind == kube::namespaces.kind && one.name == name && !one.version.empty();
  });
  if (row == found.recorded.end())
    co_return failure(ErrorKind::not_found, fmt::format("{}: no namespace that we made", name));
  if (found.in_use(name))
    co_return failure(Error(ErrorKind::conflict, fmt::format("namespace {}: deployments are in it", name))
                          .with_remedy("take them out of their project file and let them be removed first: opi "
                                       "removals list")
                          .handled_by(Handling::needs_person));
  auto marked = co_await store::mark_cluster_object(&**lease, rules_.cluster, row->kind, "", name, true);
  if (!marked) co_return marked;
  co_return co_await note_order(&**lease, row->project, "let_namespace_go", "namespace " + name, std::move(cause));
}

Task<Result<store::ProjectKey>> ClusterManager::replace_key(std::string project, store::Cause cause,
                                                            SteadyTime deadline) {
  const auto* declared = projects_.find(project);
  if (declared == nullptr) co_return failure(ErrorKind::not_found, fmt::format("{}: no such project", project));
  if (const auto& given = declared->project.config.age_private_key)
    co_return failure(
        Error(ErrorKind::conflict, fmt::format("{}: its file brings its key", project))
            .with_remedy("replace config.age-private-key there; the key before stays beside it for a while")
            .at(given->place));
  auto lease = co_await tools_.main->acquire({.deadline = deadline, .task = "replace the key of " + project});
  if (!lease) co_return failure(lease.error().to_error());
  auto made =
      co_await store::set_project_key(&**lease, tools_.key, {.project = project, .overlap = rules_.key_overlap}, true);
  if (!made) co_return failure(std::move(made.error()).while_doing("the age key of project " + project));
  auto noted =
      co_await note_order(&**lease, project, "replace_project_key", "age key " + made->recipient, std::move(cause));
  if (!noted) co_return failure(std::move(noted.error()));
  co_return made;
}

}  // namespace opi::provision
