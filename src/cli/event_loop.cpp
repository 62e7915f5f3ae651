#include "cli/event_loop.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <csignal>
#include <exception>
#include <iostream>

#include "cli/arguments.hpp"

namespace opi::cli {

struct EventLoop::Loop {
  asio::io_context context{1};
};

EventLoop::EventLoop() : loop_(std::make_unique<Loop>()) {
  std::signal(SIGPIPE, SIG_IGN);  // a peer that goes away is an error value
}

EventLoop::~EventLoop() = default;

asio::any_io_executor EventLoop::executor() const {
  return loop_->context.get_executor();
}

int EventLoop::run(CommandTask command) {
  int code = exit_failed;
  std::exception_ptr defect;
  bool ended = false;
  asio::co_spawn(loop_->context, std::move(command), [&](std::exception_ptr thrown, int result) {
    defect = std::move(thrown);
    code = result;
    ended = true;
  });
  while (!ended && loop_->context.run_one() != 0) {
  }
  if (!defect) return code;
  try {
    std::rethrow_exception(defect);
  } catch (const std::exception& problem) {
    std::cerr << "opi: internal error: " << problem.what() << '\n';
  }
  return exit_failed;
}

}  // namespace opi::cli
