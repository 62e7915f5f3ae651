#pragma once
/// @file
/// The text that Prometheus reads, from plain values; the only place that knows the metrics library.

#include <string>

#include "http/process_stats.hpp"
#include "http/router.hpp"
#include "http/server.hpp"
#include "http/snapshot.hpp"

namespace opi::http {

/// All that is measured, at one moment.
struct MetricsInput {
  StatusSnapshot status;
  ServerStats server;
  ProcessStats process;
};

/// Prometheus' text exposition format 0.0.4. Names begin with opi_, or process_ where Prometheus' own conventions name
/// them. No label takes a value that a tenant could make grow without bound: pools, their hosts, phases and states
/// only. Pure.
std::string metrics_text(const MetricsInput& input);

/// GET /metrics. `source` and `server` (may be null until the server exists) are read on the server's executor and
/// outlive it.
Route metrics_route(const StatusSource* source, const Server* const* server);

}  // namespace opi::http
