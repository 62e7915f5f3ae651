#include "aio/lifespan.hpp"

#include <fmt/format.h>

#include <boost/asio/this_coro.hpp>
#include <exception>
#include <utility>

#include "aio/lifespan_board.hpp"
#include "aio/with_deadline.hpp"

namespace opi::aio {

namespace {

constexpr std::chrono::milliseconds stop_patience{1'000};  ///< for a stop that was cancelled at its deadline

double milliseconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

/// "database_pools       13.2 ms  (1 degraded)"
std::string timed_line(std::string_view name, std::chrono::nanoseconds duration, std::string_view remark) {
  std::string line = fmt::format("{:<18} {:>6.1f} ms", name, milliseconds(duration));
  if (!remark.empty()) line += fmt::format("  ({})", remark);
  return line;
}

LogFields timed_fields(const Phase& phase, std::chrono::nanoseconds duration) {
  return {{"phase", phase.name}, {"duration_ms", fmt::format("{:.3f}", milliseconds(duration))}};
}

std::string remark_of(const PhaseOutcome& outcome) {
  std::string remark = outcome.degraded.empty() ? std::string() : fmt::format("{} degraded", outcome.degraded.size());
  if (!outcome.note.empty()) remark += (remark.empty() ? "" : ", ") + outcome.note;
  return remark;
}

Error thrown(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& error) {
    return {ErrorKind::internal, error.what()};
  } catch (...) {
    return {ErrorKind::internal, "an exception of unknown type"};
  }
}

/// Calls a phase's function with its deadline; whatever happens comes back as a value. The function is copied into the
/// frame, because it may be a lambda whose captures the task still uses.
template <class T>
Task<Result<T>> call(std::function<Task<Result<T>>()> function) {
  if (!function) co_return Result<T>{};
  try {
    co_return co_await function();
  } catch (const boost::system::system_error& error) {
    if (error.code() == asio::error::operation_aborted) co_return failure(ErrorKind::cancelled, "cancelled");
    co_return failure(ErrorKind::internal, error.what());
  } catch (...) {
    co_return failure(thrown(std::current_exception()));
  }
}

std::string deadline_text(std::chrono::milliseconds deadline) {
  return fmt::format("passed its deadline of {:.1f} s", milliseconds(deadline) / 1'000);
}

}  // namespace

Lifespan::Lifespan(std::vector<Phase> phases, Logger log)
    : phases_(std::move(phases)), log_(std::move(log)), board_(std::make_shared<LifespanBoard>(phases_)) {}

LifespanStatus Lifespan::status() const {
  return board_->status();
}

void Lifespan::begin_drain() noexcept {
  board_->begin_drain();
}

Task<Result<>> Lifespan::start() {
  if (std::exchange(begun_, true)) co_return failure(ErrorKind::conflict, "the lifespan was started before");
  board_->set_state(LifespanState::starting);
  for (std::size_t index = 0; index < phases_.size(); ++index) {
    auto result = co_await start_phase(index);
    if (result) continue;
    co_await asio::this_coro::throw_if_cancelled(false);  // we may be cancelled by now, and still clean up
    (void)co_await shielded(stop_started());
    co_await asio::this_coro::throw_if_cancelled(true);
    co_return result;
  }
  board_->set_state(LifespanState::serving);
  co_return Result<>{};
}

Task<Result<>> Lifespan::start_phase(std::size_t index) {
  const Phase& phase = phases_[index];
  log_.info("starting", phase.name, {{"phase", phase.name}});
  board_->update(index, [](PhaseStatus& status) { status.state = PhaseState::starting; });
  const auto began = std::chrono::steady_clock::now();
  auto outcome =
      co_await with_deadline(call(phase.start), began + phase.start_deadline, deadline_text(phase.start_deadline));
  const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - began;
  const bool cancelled = (co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none;
  if (outcome) {
    started_.push_back(index);
    board_->update(index, [&](PhaseStatus& status) {
      status.state = outcome->degraded.empty() ? PhaseState::ready : PhaseState::degraded;
      status.start_duration = took;
      status.degraded = outcome->degraded;
    });
    log_.info("ready", timed_line(phase.name, took, remark_of(*outcome)), timed_fields(phase, took));
    if (cancelled) co_return failure(ErrorKind::cancelled, "the start was cancelled");
    co_return Result<>{};
  }
  const std::string text = outcome.error().to_string();
  board_->update(index, [&](PhaseStatus& status) {
    status.state = PhaseState::failed;
    status.start_duration = took;
    status.error = text;
  });
  const bool tolerated = phase.policy == PhasePolicy::degradable && !cancelled;
  log_.write(tolerated ? LogLevel::warn : LogLevel::error, "failed", timed_line(phase.name, took, text),
             timed_fields(phase, took));
  if (tolerated) co_return Result<>{};
  co_return failure(std::move(outcome).error().while_doing(fmt::format("phase {} did not start", phase.name)));
}

Task<Result<>> Lifespan::stop() {
  return shielded(stop_started());
}

Task<Result<>> Lifespan::stop_started() {
  board_->begin_drain();
  Result<> first;
  while (!started_.empty()) {
    const std::size_t index = started_.back();
    started_.pop_back();
    auto result = co_await stop_phase(index);
    if (!result && first) first = std::move(result);
  }
  board_->set_state(LifespanState::stopped);
  co_return first;
}

Task<Result<>> Lifespan::stop_phase(std::size_t index) {
  const Phase& phase = phases_[index];
  log_.info("stopping", phase.name, {{"phase", phase.name}});
  board_->update(index, [](PhaseStatus& status) { status.state = PhaseState::stopping; });
  const auto began = std::chrono::steady_clock::now();
  auto result = co_await with_hard_deadline(call(phase.stop), began + phase.stop_deadline, stop_patience,
                                            deadline_text(phase.stop_deadline));
  const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - began;
  const std::string text = result ? std::string() : result.error().to_string();
  board_->update(index, [&](PhaseStatus& status) {
    status.state = result ? PhaseState::stopped : PhaseState::failed;
    status.stop_duration = took;
    if (!result) status.error = text;
  });
  log_.write(result ? LogLevel::info : LogLevel::error, result ? "stopped" : "failed",
             timed_line(phase.name, took, result ? text : "stopping: " + text), timed_fields(phase, took));
  if (result) co_return result;
  co_return failure(std::move(result).error().while_doing(fmt::format("phase {} did not stop cleanly", phase.name)));
}

}  // namespace opi::aio
