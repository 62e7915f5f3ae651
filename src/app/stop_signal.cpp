#include "app/stop_signal.hpp"

#include <signal.h>
#include <unistd.h>

#include <string>

namespace opi::app {

StopSignal::StopSignal(asio::any_io_executor executor, Logger log)
    : signals_(executor, SIGINT, SIGTERM, SIGHUP), asked_(executor, SteadyTime::max()), log_(log.named("lifespan")) {}

Task<> StopSignal::listen(std::function<void()> reload) {
  for (;;) {
    const auto [ec, signal] = co_await signals_.async_wait(as_result);
    if (ec) co_return;
    if (signal == SIGHUP) {
      reload();
      continue;
    }
    if (stopping_) {
      // Whoever asks twice does not want to wait: children end with us (PR_SET_PDEATHSIG), PostgreSQL rolls back.
      log_.warn("aborted", "by a second signal");
      log_.sink().flush();
      ::_exit(128 + signal);
    }
    signal_ = signal;
    log_.info("draining", std::string("by ") + (signal == SIGINT ? "SIGINT" : "SIGTERM"));
    request();
  }
}

Task<> StopSignal::wait() {
  while (!stopping_) {
    (void)co_await asked_.async_wait(as_result);
    if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none) co_return;
  }
}

void StopSignal::request() {
  stopping_ = true;
  asked_.cancel();
}

}  // namespace opi::app
