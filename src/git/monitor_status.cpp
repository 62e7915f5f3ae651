#include "git/monitor_status.hpp"

#include <utility>

namespace opi::git {

std::string_view to_string(MonitorState state) noexcept {
  switch (state) {
    case MonitorState::created: return "created";
    case MonitorState::starting: return "starting";
    case MonitorState::following: return "following";
    case MonitorState::empty: return "empty";
    case MonitorState::unreachable: return "unreachable";
    case MonitorState::suspended: return "suspended";
    case MonitorState::stopped: return "stopped";
  }
  return "stopped";
}

MonitorBoard::MonitorBoard(std::string name) {
  status_.name = std::move(name);
}

MonitorStatus MonitorBoard::status() const {
  const std::scoped_lock lock(mutex_);
  return status_;
}

void MonitorBoard::update(const std::function<void(MonitorStatus&)>& change) {
  const std::scoped_lock lock(mutex_);
  change(status_);
}

}  // namespace opi::git
