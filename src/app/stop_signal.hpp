#pragma once
/// @file
/// SIGINT and SIGTERM as something a coroutine can wait for; the second one ends the process.

#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <optional>

#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"

namespace opi::app {

/// Threading: one executor's thread. Ownership: outlives whoever waits. One per process.
class StopSignal {
 public:
  StopSignal(asio::any_io_executor executor, Logger log);

  /// Starts listening: SIGINT and SIGTERM ask to stop, SIGHUP calls `reload`. Runs until cancelled: spawn it.
  Task<> listen(std::function<void()> reload);
  /// Returns when a stop was asked for, by a signal or by `request`.
  Task<> wait();
  /// Asks from inside.
  void request();

  /// The signal that came; empty before, and for `request`.
  std::optional<int> signal() const noexcept { return signal_; }

 private:
  asio::signal_set signals_;
  asio::steady_timer asked_;
  Logger log_;
  bool stopping_ = false;
  std::optional<int> signal_;
};

}  // namespace opi::app
