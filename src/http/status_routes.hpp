#pragma once
/// @file
/// The read-only beginning of the API: the status, and a page at / that names the routes.

#include <boost/json/fwd.hpp>
#include <vector>

#include "http/router.hpp"
#include "http/snapshot.hpp"

namespace opi::http {

/// GET /api/v1/status as JSON:
///   version, commit, environment, cluster, booted (RFC 3339), state, phases[], pools[],
///   git {enabled, running, repository, branch, head, polls, polls_failed, files_changed, last_success, error},
///   repositories[] {name, url, state, last_check, last_success, next_check, failing_since, error, errors_in_a_row,
///   checks, checks_failed, fetches, waiting, branches[] {branch, head, author, files, behind_since, last_acted,
///   refused {commit, author, reason}}}, webhooks {woken, ignored, refused, invalid},
///   provision {passes, passes_failed, deployments {changed, unchanged, failed}, actions, last_pass_ms,
///   last_pass_ended}, projects[] {name, file, error, commit, author, suspended,
///   deployments[] {deployment, namespace, database, state, error,
///   since}}.
/// Fields that have nothing to say (error, since …) are left out. Pure.
boost::json::object status_json(const StatusSnapshot& status);

/// The part of it that GET /api/v1/repositories gives as well.
boost::json::array repositories_json(const std::vector<RepositoryStatus>& repositories);

/// GET /api/v1/status. `source` outlives the server.
Route status_route(const StatusSource* source);

/// Adds GET /, which lists `routes` and itself in plain text, to them.
std::vector<Route> with_landing(std::vector<Route> routes);

}  // namespace opi::http
