#include "http/metrics.hpp"

#include <fmt/format.h>
#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <limits>
#include <map>
#include <utility>

namespace opi::http {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

double seconds_of(std::chrono::nanoseconds duration) {
  return static_cast<double>(duration.count()) / 1e9;
}
double seconds_of(WallTime time) {
  return seconds_of(time.time_since_epoch());
}

/// Families in the order they were first named; a sample of a known name joins its family.
class Families {
 public:
  void gauge(const std::string& name, const char* help, double value, Labels labels = {}) {
    ClientMetric sample;
    sample.label = std::move(labels);
    sample.gauge.value = value;
    family(name, help, MetricType::Gauge).metric.push_back(std::move(sample));
  }
  void counter(const std::string& name, const char* help, double value, Labels labels = {}) {
    ClientMetric sample;
    sample.label = std::move(labels);
    sample.counter.value = value;
    family(name, help, MetricType::Counter).metric.push_back(std::move(sample));
  }
  void counter(const std::string& name, const char* help, std::uint64_t value, Labels labels = {}) {
    counter(name, help, static_cast<double>(value), std::move(labels));
  }
  /// Durations in seconds; the buckets are those of the histogram.
  void histogram(const std::string& name, const char* help, const pg::DurationHistogram& durations, Labels labels) {
    ClientMetric sample;
    sample.label = std::move(labels);
    sample.histogram.sample_count = durations.count();
    sample.histogram.sample_sum = seconds_of(durations.sum());
    std::uint64_t cumulated = 0;
    for (std::size_t index = 0; index < durations.size; ++index) {
      cumulated += durations.counts()[index];
      const bool last = index + 1 == durations.size;
      const double bound =
          last ? std::numeric_limits<double>::infinity() : seconds_of(pg::DurationHistogram::upper_bound(index));
      sample.histogram.bucket.push_back({.cumulative_count = cumulated, .upper_bound = bound});
    }
    family(name, help, MetricType::Histogram).metric.push_back(std::move(sample));
  }
  std::vector<MetricFamily> take() { return std::move(families_); }

 private:
  MetricFamily& family(const std::string& name, const char* help, MetricType type) {
    const auto [found, inserted] = index_.emplace(name, families_.size());
    if (inserted) families_.push_back({name, help, type, {}});
    return families_[found->second];
  }

  std::vector<MetricFamily> families_;
  std::map<std::string, std::size_t> index_;
};

void add_pool_sizes(Families& families, const pg::PoolStats& pool) {
  const auto connections = [&](const char* state, std::uint32_t count) {
    families.gauge("opi_pool_connections", "Connections of a pool by state.", count,
                   {{"pool", pool.name}, {"state", state}});
  };
  connections("idle", pool.idle);
  connections("used", pool.used);
  connections("dialing", pool.dialing);
  connections("closing", pool.closing);
  const Labels label{{"pool", pool.name}};
  families.gauge("opi_pool_min_connections", "Connections that the pool keeps open.", pool.min, label);
  families.gauge("opi_pool_max_connections", "Connections that the pool never exceeds.", pool.max, label);
  families.gauge("opi_pool_waiting", "Acquires that wait for a connection.", pool.waiting, label);
  families.gauge("opi_pool_available", "1 while the pool's server can be reached.", pool.available ? 1 : 0, label);
  families.gauge("opi_pool_paused", "1 while nothing is lent because the pool is paused.", pool.paused ? 1 : 0, label);
  for (const pg::PoolHost& host : pool.hosts) {
    const Labels of_host{{"pool", pool.name}, {"host", host.host}};
    families.gauge("opi_pool_host_connections", "Connections of a pool by host.", host.connections, of_host);
    families.gauge("opi_pool_host_available", "1 unless the last dial to the host failed for the host's sake.",
                   host.available ? 1 : 0, of_host);
    families.gauge("opi_pool_host_primary", "1 when the host was last seen as a primary, 0 as a standby, -1: not seen.",
                   host.role == pg::HostRole::primary   ? 1
                   : host.role == pg::HostRole::standby ? 0
                                                        : -1,
                   of_host);
  }
}

/// Where the time goes.
void add_pool_times(Families& families, const pg::PoolStats& pool) {
  const auto waited = [&](const char* phase, const pg::DurationHistogram& durations) {
    families.histogram("opi_pool_wait_seconds",
                       "Waiting for a connection, by what ended it: one that came back, a dial, a reset.", durations,
                       {{"pool", pool.name}, {"phase", phase}});
  };
  waited("queue", pool.waited_queue);
  waited("dial", pool.waited_dial);
  waited("reset", pool.waited_reset);
  const Labels label{{"pool", pool.name}};
  families.histogram("opi_pool_ping_seconds", "Checks of idle connections before they were lent.", pool.pings, label);
  families.histogram("opi_pool_dial_seconds", "Successful dials.", pool.dialed, label);
  families.histogram("opi_pool_use_seconds", "How long connections were lent; one lease in 64 is timed.", pool.used_for,
                     label);
}

void add_pool_counters(Families& families, const pg::PoolStats& pool) {
  const Labels label{{"pool", pool.name}};
  families.counter("opi_pool_acquired_total", "Connections that were lent.", pool.acquired, label);
  families.counter("opi_pool_acquired_waiting_total", "Of these, after a wait.", pool.acquired_waiting, label);
  const auto failed = [&](const char* reason, std::uint64_t count) {
    families.counter("opi_pool_acquire_failed_total", "Acquires that failed, by reason.", count,
                     {{"pool", pool.name}, {"reason", reason}});
  };
  failed("timed_out", pool.timed_out);
  failed("queue_full", pool.refused_full);
  failed("cancelled", pool.cancelled);
  failed("unavailable", pool.failed_unavailable);
  failed("deadlocked", pool.deadlocked);
  families.counter("opi_pool_dials_total", "Connections that were tried to open.", pool.dials, label);
  families.counter("opi_pool_dials_failed_total", "Of these, without success.", pool.dials_failed, label);
  const auto closed = [&](const char* reason, std::uint64_t count) {
    families.counter("opi_pool_closed_total", "Connections that were closed, by reason.", count,
                     {{"pool", pool.name}, {"reason", reason}});
  };
  closed("lifetime", pool.closed_lifetime);
  closed("idle", pool.closed_idle);
  closed("broken", pool.closed_broken);
  closed("uses", pool.closed_uses);
  closed("recycled", pool.closed_recycled);
  closed("surplus", pool.closed_surplus);
  closed("fenced", pool.closed_fenced);
  families.counter("opi_pool_fenced_total", "Times that a server was found in a role which will not do.", pool.fenced,
                   label);
  families.counter("opi_pool_detached_total", "Connections that left the pool.", pool.detached, label);
  families.counter("opi_pool_resets_total", "Sessions that were reset on return.", pool.resets, label);
  families.counter("opi_pool_leaks_total", "Connections that were held too long.", pool.leaks, label);
  families.counter("opi_pool_waited_seconds_total", "Time spent in waiting for connections.",
                   seconds_of(pool.waited_total), label);
  families.counter("opi_pool_used_seconds_total", "Time that connections were lent.", seconds_of(pool.used_total),
                   label);
}

/// Statements that shared a connection with others'.
void add_pool_execute(Families& families, const pg::PoolStats& pool) {
  const Labels label{{"pool", pool.name}};
  families.gauge("opi_pool_carrying_connections", "Connections that carry statements of many callers.", pool.carrying,
                 label);
  families.gauge("opi_pool_execute_pending", "Shared statements that wait for a connection.", pool.execute_pending,
                 label);
  families.gauge("opi_pool_execute_under_way", "Shared statements that have no answer yet.", pool.execute_under_way,
                 label);
  const auto ended = [&](const char* outcome, std::uint64_t count) {
    families.counter("opi_pool_execute_total",
                     "Shared statements, by what became of them: answered, never sent, left by the caller, lost.",
                     count, {{"pool", pool.name}, {"outcome", outcome}});
  };
  ended("answered", pool.executed);
  ended("refused", pool.execute_refused);
  ended("given_up", pool.execute_given_up);
  ended("lost", pool.execute_lost);
}

void add_git(Families& families, const GitStatus& git) {
  families.gauge("opi_git_monitor_enabled", "1 when a projects repository is configured.", git.enabled ? 1 : 0);
  if (!git.enabled) return;
  families.gauge("opi_git_monitor_running", "1 while the repository is followed.", git.running ? 1 : 0);
  families.counter("opi_git_polls_total", "Looks at the repository's head.", git.polls);
  families.counter("opi_git_polls_failed_total", "Of these, without success.", git.polls_failed);
  families.counter("opi_git_files_changed_total", "Project files seen added, changed or removed.", git.files_changed);
  if (git.last_success) {
    families.gauge("opi_git_last_success_timestamp_seconds", "When the head was last seen.",
                   seconds_of(*git.last_success));
  }
}

void add_repository(Families& families, const RepositoryStatus& repository, WallTime now) {
  const Labels label{{"repository", repository.name}};
  families.gauge("opi_git_repository_state", "1 for the state that a repository is in.", 1,
                 {{"repository", repository.name}, {"state", repository.state}});
  families.counter("opi_git_repository_checks_total", "Questions for a repository's heads.", repository.checks, label);
  families.counter("opi_git_repository_checks_failed_total", "Of these, without success.", repository.checks_failed,
                   label);
  families.counter("opi_git_repository_fetches_total", "Fetches of what had moved.", repository.fetches, label);
  families.gauge("opi_git_repository_files_waiting", "Files that wait to be acted on, or cannot be used.",
                 static_cast<double>(repository.waiting), label);
  if (repository.last_success) {
    families.gauge("opi_git_repository_last_success_timestamp_seconds", "When the heads were last read.",
                   seconds_of(*repository.last_success), label);
  }
  for (const auto& branch : repository.branches) {
    const Labels both{{"repository", repository.name}, {"branch", branch.branch}};
    families.gauge("opi_git_branch_lag_seconds", "For how long something of the branch has waited to be acted on.",
                   branch.behind_since ? seconds_of(now - *branch.behind_since) : 0, both);
    families.gauge("opi_git_branch_refused", "1 while the branch stands at a commit whose signature does not satisfy.",
                   branch.refused_commit.empty() ? 0 : 1, both);
    families.gauge("opi_git_branch_files", "Project files of the branch.", static_cast<double>(branch.files), both);
  }
}

void add_webhooks(Families& families, const WebhookStatus& webhooks) {
  const auto count = [&](const char* outcome, std::uint64_t number) {
    families.counter("opi_git_webhooks_total", "Webhooks that came in, by what became of them.", number,
                     {{"outcome", outcome}});
  };
  count("woken", webhooks.woken);
  count("ignored", webhooks.ignored);
  count("refused", webhooks.refused);
  count("invalid", webhooks.invalid);
}

void add_provision(Families& families, const StatusSnapshot& status) {
  const ProvisionCounters& counters = status.provision;
  families.counter("opi_provision_passes_total", "Passes over the project files.", counters.passes);
  families.counter("opi_provision_passes_failed_total", "Of these, with something failed.", counters.passes_failed);
  const auto deployments = [&](const char* result, std::uint64_t count) {
    families.counter("opi_provision_deployments_total", "Deployments that were worked on, by result.", count,
                     {{"result", result}});
  };
  deployments("changed", counters.deployments_changed);
  deployments("unchanged", counters.deployments_unchanged);
  deployments("failed", counters.deployments_failed);
  families.counter("opi_provision_actions_total", "Single changes that were applied.", counters.actions);
  families.gauge("opi_provision_last_pass_seconds", "How long the last pass took.", seconds_of(counters.last_pass));
  if (counters.last_pass_ended) {
    families.gauge("opi_provision_last_pass_timestamp_seconds", "When the last pass ended.",
                   seconds_of(*counters.last_pass_ended));
  }
  std::map<std::string, std::uint64_t> states;
  for (const auto& deployment : status.deployments) ++states[deployment.state];
  for (const auto& [state, count] : states) {
    families.gauge("opi_deployments", "Deployments of this cluster by state.", static_cast<double>(count),
                   {{"state", state}});
  }
  std::uint64_t broken = 0;
  for (const auto& project : status.projects) broken += project.error.empty() ? 0 : 1;
  families.gauge("opi_projects", "Project files.", static_cast<double>(status.projects.size()));
  families.gauge("opi_projects_broken", "Of these, not acted on because of an error.", static_cast<double>(broken));
}

void add_server(Families& families, const ServerStats& server) {
  families.gauge("opi_http_connections", "Open connections of the API.", server.connections);
  families.gauge("opi_http_requests_running", "Requests that are being answered.", server.requests_running);
  families.counter("opi_http_connections_accepted_total", "Connections that were accepted.",
                   server.connections_accepted);
  families.counter("opi_http_connections_refused_total", "Of these, turned away: too many.",
                   server.connections_refused);
  for (std::size_t i = 1; i < server.responses.size(); ++i) {
    families.counter("opi_http_responses_total", "Responses by class of status.", server.responses[i],
                     {{"class", fmt::format("{}xx", i)}});
  }
}

void add_process(Families& families, const ProcessStats& process) {
  families.counter("process_cpu_seconds_total", "User and system time.", process.cpu_seconds);
  families.gauge("process_resident_memory_bytes", "Resident memory.", static_cast<double>(process.resident_bytes));
  families.gauge("process_virtual_memory_bytes", "Virtual memory.", static_cast<double>(process.virtual_bytes));
  families.gauge("process_open_fds", "Open descriptors.", static_cast<double>(process.open_descriptors));
  families.gauge("process_max_fds", "Descriptors that may be open.", static_cast<double>(process.max_descriptors));
  families.gauge("process_threads", "Threads.", static_cast<double>(process.threads));
  families.gauge("process_start_time_seconds", "When the process was started.", process.start_time_seconds);
}

/// What the library's own collectors look like, over one input.
class Snapshot final : public prometheus::Collectable {
 public:
  explicit Snapshot(const MetricsInput& input) : input_(input) {}

  std::vector<MetricFamily> Collect() const override {
    Families families;
    const StatusSnapshot& status = input_.status;
    families.gauge("opi_build_info", "1, with what is running as labels.", 1,
                   {{"version", status.build.version}, {"commit", status.build.commit}});
    families.gauge("opi_boot_timestamp_seconds", "When the application booted.", seconds_of(status.booted));
    for (const auto& phase : status.lifespan.phases) {
      families.gauge("opi_lifespan_phase_start_seconds", "How long a phase took to start.",
                     seconds_of(phase.start_duration), {{"phase", phase.name}});
    }
    for (const auto& phase : status.lifespan.phases) {
      families.gauge("opi_lifespan_phase_state", "1 for the state that a phase is in.", 1,
                     {{"phase", phase.name}, {"state", std::string(to_string(phase.state))}});
    }
    for (const auto& pool : status.pools) add_pool_sizes(families, pool);
    for (const auto& pool : status.pools) add_pool_counters(families, pool);
    for (const auto& pool : status.pools) add_pool_execute(families, pool);
    for (const auto& pool : status.pools) add_pool_times(families, pool);
    add_git(families, status.git);
    const auto now = std::chrono::system_clock::now();
    for (const auto& repository : status.repositories) add_repository(families, repository, now);
    if (status.git.enabled) add_webhooks(families, status.webhooks);
    add_provision(families, status);
    add_server(families, input_.server);
    add_process(families, input_.process);
    return families.take();
  }

 private:
  const MetricsInput& input_;
};

Task<Response> metrics(const StatusSource* source, const Server* server) {
  const MetricsInput input{source->status(), server == nullptr ? ServerStats{} : server->stats(), process_stats()};
  co_return Response{.content_type = "text/plain; version=0.0.4; charset=utf-8", .body = metrics_text(input)};
}

}  // namespace

std::string metrics_text(const MetricsInput& input) {
  return prometheus::TextSerializer{}.Serialize(Snapshot{input}.Collect());
}

Route metrics_route(const StatusSource* source, const Server* const* server) {
  return {Method::get, "/metrics", Access::anyone, "counters and gauges for Prometheus",
          [source, server](Request) { return metrics(source, server == nullptr ? nullptr : *server); }};
}

}  // namespace opi::http
