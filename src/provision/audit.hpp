#pragma once
/// @file
/// The audit trail of one flow: each statement is written down before it is run, and again when it has ended.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "aio/task.hpp"
#include "base/result.hpp"
#include "pg/connection.hpp"
#include "provision/statements.hpp"
#include "store/history.hpp"

namespace opi::provision {

/// Collects what a flow does and keeps it in the control database.
///
/// A statement that was run is in the history whatever happens to the process: what stays `started` was begun by one
/// that died. Its duration is that of the batch it was sent in. Secrets are never given to it: the verifier is "***".
/// Ownership: a plain value. Threading: one flow's.
class AuditTrail {
 public:
  AuditTrail(store::Cause cause, std::string project, std::string deployment, std::string server);

  /// What is going to be done; actions that are waiting for their end already are not added again.
  void add(const std::vector<Action>& actions, const StatementContext& context);
  /// A statement or program that is no action's: "clone" and the program's arguments.
  void add(std::string action, std::string statement);
  /// Writes down everything that was added since; no statement when there is nothing. Errors: those of Connection; then
  /// nothing may be run.
  Task<Result<>> write_ahead(pg::Connection* control);

  /// These have ended.
  void ended(const std::vector<Action>& actions, const Result<>& outcome, std::chrono::microseconds duration);
  void ended(const std::string& action, const Result<>& outcome, std::chrono::microseconds duration);
  /// Records all ends; what has none was not run: skipped. One statement, none when nothing was added.
  Task<Result<>> close(pg::Connection* control);

 private:
  struct Entry {
    std::string key;  ///< of the action; empty once it has ended
    store::HistoryEvent event;
    std::optional<std::int64_t> id = {};
    std::optional<store::HistoryEnd> end = {};
  };
  bool pending(const std::string& key) const;
  void add_entry(std::string key, std::string action, std::string statement);
  void end(const std::string& key, const Result<>& outcome, std::chrono::microseconds duration);

  store::Cause cause_;
  std::string project_;
  std::string deployment_;
  std::string server_;
  std::vector<Entry> entries_;
};

}  // namespace opi::provision
