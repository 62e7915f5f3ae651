#include "http/status_routes.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <map>
#include <utility>

#include "http/readiness.hpp"

namespace opi::http {

namespace {

void add_unless_empty(boost::json::object& object, std::string_view name, const std::string& text) {
  if (!text.empty()) object[name] = text;
}

void add_unless_empty(boost::json::object& object, std::string_view name, const std::optional<WallTime>& time) {
  if (time) object[name] = timestamp(*time);
}

boost::json::object git_json(const GitStatus& git) {
  boost::json::object object{{"enabled", git.enabled}};
  if (!git.enabled) return object;
  object["running"] = git.running;
  object["repository"] = git.repository;
  object["branch"] = git.branch;
  add_unless_empty(object, "head", git.head);
  object["polls"] = git.polls;
  object["polls_failed"] = git.polls_failed;
  object["files_changed"] = git.files_changed;
  add_unless_empty(object, "last_success", git.last_success);
  add_unless_empty(object, "error", git.last_error);
  return object;
}

boost::json::object branch_json(const BranchStatus& branch) {
  boost::json::object object{{"branch", branch.branch}, {"files", branch.files}};
  add_unless_empty(object, "head", branch.head);
  add_unless_empty(object, "author", branch.author);
  add_unless_empty(object, "behind_since", branch.behind_since);
  add_unless_empty(object, "last_acted", branch.last_acted);
  if (!branch.refused_commit.empty()) {
    object["refused"] = {
        {"commit", branch.refused_commit}, {"author", branch.refused_author}, {"reason", branch.refused_reason}};
  }
  return object;
}

boost::json::object provision_json(const ProvisionCounters& counters) {
  const auto last_pass = std::chrono::duration_cast<std::chrono::milliseconds>(counters.last_pass);
  boost::json::object object{{"passes", counters.passes},
                             {"passes_failed", counters.passes_failed},
                             {"deployments", boost::json::object{{"changed", counters.deployments_changed},
                                                                 {"unchanged", counters.deployments_unchanged},
                                                                 {"failed", counters.deployments_failed}}},
                             {"actions", counters.actions},
                             {"last_pass_ms", last_pass.count()}};
  add_unless_empty(object, "last_pass_ended", counters.last_pass_ended);
  return object;
}

boost::json::object deployment_json(const DeploymentStatus& deployment) {
  boost::json::object object{{"deployment", deployment.deployment}, {"namespace", deployment.namespace_name}};
  add_unless_empty(object, "database", deployment.database);
  object["state"] = deployment.state;
  add_unless_empty(object, "error", deployment.last_error);
  add_unless_empty(object, "since", deployment.since);
  return object;
}

/// Deployments stand below their projects; one whose project has no file (any more) brings a project of its own.
boost::json::array projects_json(const StatusSnapshot& status) {
  std::map<std::string, boost::json::array, std::less<>> deployments;
  for (const auto& deployment : status.deployments) {
    deployments[deployment.project].push_back(deployment_json(deployment));
  }
  boost::json::array list;
  for (const auto& project : status.projects) {
    boost::json::object object{{"name", project.name}, {"file", project.file}};
    add_unless_empty(object, "error", project.error);
    add_unless_empty(object, "commit", project.commit);
    add_unless_empty(object, "author", project.author);
    if (project.suspended) object["suspended"] = true;
    const auto found = deployments.find(project.name);
    object["deployments"] = found == deployments.end() ? boost::json::array{} : std::move(found->second);
    if (found != deployments.end()) deployments.erase(found);
    list.push_back(std::move(object));
  }
  for (auto& [name, own] : deployments) {
    list.push_back(boost::json::object{{"name", name}, {"deployments", std::move(own)}});
  }
  return list;
}

Task<Response> status_response(const StatusSource* source) {
  co_return json_response(status_json(source->status()));
}

Task<Response> landing(std::string text) {
  co_return Response{.body = std::move(text)};
}

}  // namespace

std::string timestamp(WallTime time) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(time)));
}

boost::json::array repositories_json(const std::vector<RepositoryStatus>& repositories) {
  boost::json::array list;
  for (const auto& repository : repositories) {
    boost::json::object object{{"name", repository.name}, {"url", repository.url}, {"state", repository.state}};
    add_unless_empty(object, "last_check", repository.last_check);
    add_unless_empty(object, "last_success", repository.last_success);
    add_unless_empty(object, "next_check", repository.next_check);
    add_unless_empty(object, "failing_since", repository.failing_since);
    add_unless_empty(object, "error", repository.last_error);
    object["errors_in_a_row"] = repository.errors_in_a_row;
    object["checks"] = repository.checks;
    object["checks_failed"] = repository.checks_failed;
    object["fetches"] = repository.fetches;
    object["waiting"] = repository.waiting;
    boost::json::array branches;
    for (const auto& branch : repository.branches) branches.push_back(branch_json(branch));
    object["branches"] = std::move(branches);
    list.push_back(std::move(object));
  }
  return list;
}

boost::json::object status_json(const StatusSnapshot& status) {
  return {{"version", status.build.version},
          {"commit", status.build.commit},
          {"environment", status.environment},
          {"cluster", status.cluster},
          {"booted", timestamp(status.booted)},
          {"state", to_string(status.lifespan.state)},
          {"phases", phases_json(status.lifespan.phases)},
          {"pools", pools_json(status.pools)},
          {"git", git_json(status.git)},
          {"repositories", repositories_json(status.repositories)},
          {"webhooks", boost::json::object{{"woken", status.webhooks.woken},
                                           {"ignored", status.webhooks.ignored},
                                           {"refused", status.webhooks.refused},
                                           {"invalid", status.webhooks.invalid}}},
          {"provision", provision_json(status.provision)},
          {"projects", projects_json(status)}};
}

Route status_route(const StatusSource* source) {
  return {Method::get, "/api/v1/status", Access::loopback, "everything that is known, as JSON",
          [source](Request) { return status_response(source); }};
}

std::vector<Route> with_landing(std::vector<Route> routes) {
  std::string text = "opi, the Operations Manager\n\n";
  std::size_t width = 0;
  for (const Route& route : routes) width = std::max(width, to_string(route.method).size() + route.pattern.size());
  for (const Route& route : routes) {
    const std::string name = fmt::format("{} {}", to_string(route.method), route.pattern);
    text += fmt::format("  {:<{}}  {}{}\n", name, width + 1, route.summary,
                        route.access == Access::loopback ? " (from this machine)" : "");
  }
  routes.push_back({Method::get, "/", Access::anyone, "this list", [text](Request) { return landing(text); }});
  return routes;
}

}  // namespace opi::http
