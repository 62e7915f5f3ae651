#pragma once
/// @file
/// The audit trail: every statement and decision, who or what caused it, and how it ended.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "pg/connection.hpp"

namespace opi::store {

/// Who or what made it happen.
struct Cause {
  std::string kind;     ///< "commit", "api_key", "command", "drift", "schedule"
  std::string id;       ///< commit id, the key's name, the command line's user …
  std::string replica;  ///< "host/pid" of the process that did it
};

/// How it ended. `started` is written before it is done and stays when whoever did it died: then nobody knows.
enum class Outcome { succeeded, failed, skipped, started };
std::string_view to_string(Outcome outcome) noexcept;

/// One thing that was done.
struct HistoryEvent {
  WallTime at{};  ///< when it began
  std::string project;
  std::string deployment;  ///< empty: of the project as a whole
  std::string server;      ///< pool name; empty: none
  std::string action;      ///< "create role", "publish secret" …: the plan's word for it
  std::string statement;   ///< SQL with secrets removed; `append_history` removes what it recognises once more
  Cause cause;
  Outcome outcome = Outcome::succeeded;
  std::string sqlstate;
  std::string message;  ///< of the failure, one line
  std::chrono::microseconds duration{0};
};

struct HistoryRecord {
  std::int64_t id = 0;
  HistoryEvent event;
};

/// SQL text fit to be kept: literals after PASSWORD, SCRAM verifiers, md5 hashes and age identities are replaced by
/// '***'. Cut at 8 KiB. Pure.
std::string without_secrets(std::string_view sql);

/// Appends all of them with one statement, in order.
Task<Result<>> append_history(pg::Connection* connection, std::vector<HistoryEvent> events);

/// Writes down what is about to be done, whatever `outcome` says as `started`; on disk when this returns. One
/// statement. The ids are in the order of the events.
Task<Result<std::vector<std::int64_t>>> begin_history(pg::Connection* connection, std::vector<HistoryEvent> events);

/// How one of them ended.
struct HistoryEnd {
  std::int64_t id = 0;
  Outcome outcome = Outcome::succeeded;
  std::string sqlstate = {};
  std::string message = {};
  std::chrono::microseconds duration{0};
};
/// Records the ends of what was begun, soon on disk; one statement. An id that is gone (trimmed) is passed over.
Task<Result<>> end_history(pg::Connection* connection, std::vector<HistoryEnd> ends);

/// What to read; newest first.
struct HistoryQuery {
  std::optional<std::string> project = {};
  std::optional<std::string> deployment = {};
  std::optional<std::int64_t> before_id = {};  ///< the next page: the last id of the page before
  int limit = 100;                             ///< at most 1 000
};
Task<Result<std::vector<HistoryRecord>>> read_history(pg::Connection* connection, HistoryQuery query);

/// Deletes what is older than `age`, at most `limit` rows, and says how many went; call again while it says `limit`.
Task<Result<std::int64_t>> trim_history(pg::Connection* connection, std::chrono::seconds age, int limit = 10'000);

}  // namespace opi::store
