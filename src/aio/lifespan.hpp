#pragma once
/// @file
/// The mechanism of the lifespan: phases as data, started in order, stopped in exact reverse, each bounded.

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "base/result.hpp"

namespace opi::aio {

/// What a phase's failure to start means.
enum class PhasePolicy {
  required,    ///< the start is over: what was started is stopped again, and start() fails
  degradable,  ///< logged and shown; the start goes on
};

/// What a phase says of its start beyond "ready".
struct PhaseOutcome {
  std::vector<std::string> degraded = {};  ///< names of what is missing; empty: all there
  std::string note = {};                   ///< one short remark for the log line
};

/// One phase. `start` and `stop` are plain functions that return a task; they capture only what outlives the Lifespan.
struct Phase {
  std::string name;
  PhasePolicy policy = PhasePolicy::required;
  std::chrono::milliseconds start_deadline{30'000};
  std::chrono::milliseconds stop_deadline{10'000};
  std::function<Task<Result<PhaseOutcome>>()> start;
  std::function<Task<Result<>>()> stop;
};

enum class PhaseState { waiting, starting, ready, degraded, failed, stopping, stopped };
std::string_view to_string(PhaseState state) noexcept;

/// What can be seen of a phase at any moment.
struct PhaseStatus {
  std::string name;
  PhaseState state = PhaseState::waiting;
  std::chrono::nanoseconds start_duration{0};
  std::chrono::nanoseconds stop_duration{0};
  std::vector<std::string> degraded = {};
  std::string error = {};  ///< of the last failure, one line
};

enum class LifespanState { created, starting, serving, draining, stopped };
std::string_view to_string(LifespanState state) noexcept;

/// A copy of everything at one moment.
struct LifespanStatus {
  LifespanState state = LifespanState::created;
  std::vector<PhaseStatus> phases;
};

class LifespanBoard;

/// Starts and stops phases; it knows nothing of what they start.
///
/// Ownership: the phases and what stands in them; destroy it after `stop()` returned.
/// Threading: start/stop on one executor's thread; `status()` and `begin_drain()` from any thread.
/// Cancellation: cancelling `start()` stops starting, then stops what was started; `stop()` is shielded.
/// Errors: a phase that throws, fails or passes its deadline is logged with its name and duration; in `stop()` that
/// never skips the next phase. A stop that does not even end when it is cancelled is left behind after a second more
/// (its error has abandoned_code as code). A start that fails leaves nothing behind by itself: its stop is not called.
class Lifespan {
 public:
  /// `log` should speak as room "lifespan": lines are ("starting", name), ("ready", name duration), ("failed", …),
  /// ("stopping", name) and ("stopped", name duration).
  Lifespan(std::vector<Phase> phases, Logger log);

  /// Starts the phases in order. On failure of a required phase everything started is stopped again in reverse.
  /// Errors: that phase's, with its name; cancelled; conflict when called twice.
  Task<Result<>> start();
  /// Stops what was started, in exact reverse. Always returns; the first error is the result. Idempotent: a later call
  /// finds nothing left to stop.
  Task<Result<>> stop();
  /// From any thread: new work is being refused.
  void begin_drain() noexcept;

  LifespanStatus status() const;

 private:
  Task<Result<>> start_phase(std::size_t index);
  Task<Result<>> stop_phase(std::size_t index);
  Task<Result<>> stop_started();

  std::vector<Phase> phases_;
  std::vector<std::size_t> started_;  ///< in order; the back is stopped next
  bool begun_ = false;
  Logger log_;
  std::shared_ptr<LifespanBoard> board_;
};

}  // namespace opi::aio
