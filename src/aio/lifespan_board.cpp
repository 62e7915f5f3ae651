#include "aio/lifespan_board.hpp"

namespace opi::aio {

LifespanBoard::LifespanBoard(const std::vector<Phase>& phases) {
  status_.phases.reserve(phases.size());
  for (const auto& phase : phases) status_.phases.push_back(PhaseStatus{.name = phase.name});
}

LifespanStatus LifespanBoard::status() const {
  const std::scoped_lock lock(mutex_);
  return status_;
}

void LifespanBoard::set_state(LifespanState state) noexcept {
  const std::scoped_lock lock(mutex_);
  status_.state = state;
}

void LifespanBoard::begin_drain() noexcept {
  const std::scoped_lock lock(mutex_);
  if (status_.state != LifespanState::stopped) status_.state = LifespanState::draining;
}

void LifespanBoard::update(std::size_t phase, const std::function<void(PhaseStatus&)>& change) {
  const std::scoped_lock lock(mutex_);
  change(status_.phases.at(phase));
}

std::string_view to_string(PhaseState state) noexcept {
  switch (state) {
    case PhaseState::waiting: return "waiting";
    case PhaseState::starting: return "starting";
    case PhaseState::ready: return "ready";
    case PhaseState::degraded: return "degraded";
    case PhaseState::failed: return "failed";
    case PhaseState::stopping: return "stopping";
    case PhaseState::stopped: return "stopped";
  }
  return "failed";
}

std::string_view to_string(LifespanState state) noexcept {
  switch (state) {
    case LifespanState::created: return "created";
    case LifespanState::starting: return "starting";
    case LifespanState::serving: return "serving";
    case LifespanState::draining: return "draining";
    case LifespanState::stopped: return "stopped";
  }
  return "stopped";
}

}  // namespace opi::aio
