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
///   provision {passes, passes_failed, deployments {changed, unchanged, failed}, actions, last_pass_ms,
///   last_pass_ended}, projects[] {name, file, error, deployments[] {deployment, namespace, database, state, error,
///   since}}.
/// Fields that have nothing to say (error, since …) are left out. Pure.
boost::json::object status_json(const StatusSnapshot& status);

/// GET /api/v1/status. `source` outlives the server.
Route status_route(const StatusSource* source);

/// Adds GET /, which lists `routes` and itself in plain text, to them.
std::vector<Route> with_landing(std::vector<Route> routes);

}  // namespace opi::http
