#pragma once
/// @file
/// Runs one command's coroutine to its end on this thread.

#include <memory>

#include "aio/task.hpp"

namespace opi::cli {

/// A command as a coroutine: given the executor it runs on, ends with its exit code.
using CommandTask = Task<int>;

/// An event loop for one command. Threading: the thread that made it; children that the command starts end with that
/// thread.
class EventLoop {
 public:
  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  asio::any_io_executor executor() const;
  /// Runs until `command` has ended; its exit code. An exception that leaves it is a defect: it is printed as one line,
  /// and the code is 1.
  int run(CommandTask command);

 private:
  struct Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace opi::cli
