#include "provision/audit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/clock.hpp"

namespace opi::provision {

AuditTrail::AuditTrail(store::Cause cause, std::string project, std::string deployment, std::string server)
    : cause_(std::move(cause)),
      project_(std::move(project)),
      deployment_(std::move(deployment)),
      server_(std::move(server)) {}

bool AuditTrail::pending(const std::string& key) const {
  return std::ranges::find(entries_, key, &Entry::key) != entries_.end();
}

void AuditTrail::add_entry(std::string key, std::string action, std::string statement) {
  store::HistoryEvent event{.at = SystemClock().wall(), .project = project_, .deployment = deployment_};
  event.server = server_;
  event.action = std::move(action);
  event.statement = std::move(statement);
  event.cause = cause_;
  entries_.push_back({.key = std::move(key), .event = std::move(event)});
}

void AuditTrail::add(const std::vector<Action>& actions, const StatementContext& context) {
  auto masked = context;
  masked.verifiers.clear();
  for (const auto& action : actions) {
    const auto key = action.effect();
    if (pending(key)) continue;
    auto statements = statements_for(action, masked);
    if (statements.empty()) statements.push_back(action.detail);
    for (auto& statement : statements) add_entry(key, std::string(to_string(action.kind)), std::move(statement));
  }
}

void AuditTrail::add(std::string action, std::string statement) {
  if (pending(action)) return;
  auto key = action;
  add_entry(std::move(key), std::move(action), std::move(statement));
}

Task<Result<>> AuditTrail::write_ahead(pg::Connection* control) {
  std::vector<store::HistoryEvent> events;
  for (const auto& entry : entries_) {
    if (!entry.id) events.push_back(entry.event);
  }
  if (events.empty()) co_return Result<>{};
  const auto ids = co_await store::begin_history(control, std::move(events));
  if (!ids) co_return failure(Error(ids.error()).while_doing("write the history"));
  std::size_t next = 0;
  for (auto& entry : entries_) {
    if (!entry.id) entry.id = ids->at(next++);
  }
  co_return Result<>{};
}

void AuditTrail::end(const std::string& key, const Result<>& outcome, std::chrono::microseconds duration) {
  for (auto& entry : entries_) {
    if (entry.key != key) continue;
    entry.key.clear();
    store::HistoryEnd end{.outcome = outcome ? store::Outcome::succeeded : store::Outcome::failed};
    if (!outcome) {
      end.sqlstate = outcome.error().code;
      end.message = outcome.error().message;
    }
    end.duration = duration;
    entry.end = std::move(end);
  }
}

void AuditTrail::ended(const std::vector<Action>& actions, const Result<>& outcome,
                       std::chrono::microseconds duration) {
  for (const auto& action : actions) end(action.effect(), outcome, duration);
}

void AuditTrail::ended(const std::string& action, const Result<>& outcome, std::chrono::microseconds duration) {
  end(action, outcome, duration);
}

Task<Result<>> AuditTrail::close(pg::Connection* control) {
  std::vector<store::HistoryEnd> ends;
  for (auto& entry : entries_) {
    if (!entry.id) continue;
    auto end = entry.end.value_or(store::HistoryEnd{.outcome = store::Outcome::skipped});
    end.id = *entry.id;
    ends.push_back(std::move(end));
  }
  entries_.clear();
  co_return co_await store::end_history(control, std::move(ends));
}

}  // namespace opi::provision
