// The texts of a failed acquire.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "pg/acquire_error.hpp"
#include "pg/duration_text.hpp"

namespace opi::pg {
namespace {

ErrorKind error_kind(AcquireErrorKind kind) noexcept {
  switch (kind) {
    case AcquireErrorKind::queue_full: return ErrorKind::exhausted;
    case AcquireErrorKind::timed_out: return ErrorKind::timed_out;
    case AcquireErrorKind::deadlocked: return ErrorKind::conflict;
    case AcquireErrorKind::unavailable: return ErrorKind::unavailable;
    case AcquireErrorKind::closed: return ErrorKind::closed;
    case AcquireErrorKind::cancelled: return ErrorKind::cancelled;
  }
  return ErrorKind::internal;
}

/// "3 held since 28.4 s, provision/database_manager.cpp:212, reconcile shop": one for each place and task, the oldest
/// first.
std::vector<std::string> holder_lines(const std::vector<Holder>& holders) {
  std::vector<std::pair<const Holder*, std::size_t>> groups;
  for (const Holder& holder : holders) {
    const auto same = std::ranges::find_if(groups, [&](const auto& group) {
      return group.first->place == holder.place && group.first->task == holder.task;
    });
    if (same != groups.end()) {
      ++same->second;
    } else {
      groups.emplace_back(&holder, 1);
    }
  }
  std::vector<std::string> lines;
  for (const auto& [holder, count] : groups) {
    std::string line = fmt::format("{} held since {}, {}", count, duration_text(holder->since), holder->place);
    if (!holder->task.empty()) line += ", " + holder->task;
    lines.push_back(std::move(line));
  }
  return lines;
}

std::string outage_text(const AcquireError& error) {
  std::string text = error.last_error.empty() ? "no connection" : error.last_error;
  if (error.attempt > 0)
    text += fmt::format(" (attempt {}, next in {})", error.attempt, duration_text(error.next_attempt_in));
  return text;
}

}  // namespace

std::string duration_text(std::chrono::nanoseconds duration) {
  const double seconds = std::chrono::duration<double>(duration).count();
  return seconds >= 1.0 ? fmt::format("{:.1f} s", seconds) : fmt::format("{:.1f} ms", seconds * 1e3);
}

std::string_view to_string(AcquireErrorKind kind) noexcept {
  switch (kind) {
    case AcquireErrorKind::queue_full: return "queue full";
    case AcquireErrorKind::timed_out: return "timed out";
    case AcquireErrorKind::deadlocked: return "deadlocked";
    case AcquireErrorKind::unavailable: return "unavailable";
    case AcquireErrorKind::closed: return "closed";
    case AcquireErrorKind::cancelled: return "cancelled";
  }
  return "unknown";
}

Error AcquireError::to_error() const {
  std::string text;
  switch (kind) {
    case AcquireErrorKind::timed_out:
      text = fmt::format("pool {}: acquire timed out after {}", pool, duration_text(waited));
      if (paused) text += ": the pool is paused";
      if (!holders.empty()) {
        text += fmt::format(": {} in use", holders.size());
      } else if (!last_error.empty()) {
        text += ": " + outage_text(*this);
      }
      break;
    case AcquireErrorKind::deadlocked:
      text = fmt::format("pool {}: everyone who holds a connection waits for another one", pool);
      break;
    case AcquireErrorKind::queue_full:
      text = fmt::format("pool {}: too many are waiting for a connection", pool);
      break;
    case AcquireErrorKind::unavailable: text = fmt::format("pool {}: unavailable: {}", pool, outage_text(*this)); break;
    case AcquireErrorKind::closed: text = fmt::format("pool {}: closed", pool); break;
    case AcquireErrorKind::cancelled:
      text = fmt::format("pool {}: acquire was cancelled after {}", pool, duration_text(waited));
      break;
  }
  Error error(error_kind(kind), std::move(text));
  error.code = sqlstate;
  error.causes = holder_lines(holders);
  return error;
}

}  // namespace opi::pg
