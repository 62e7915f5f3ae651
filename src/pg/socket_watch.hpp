#pragma once
/// @file
/// Tells when libpq's socket can be read or written, through a descriptor of its own.

#include <functional>
#include <memory>

#include "aio/task.hpp"
#include "pg/resumption.hpp"

namespace opi::pg {

/// Watches one connected socket until it is detached. One readiness event is always asked for, also between operations:
/// a server that ends an idle session is noticed at once, and taking or giving back a connection costs no system call.
///
/// Ownership: a duplicate of the descriptor, until `detach()` or destruction; the socket stays open as long.
///
/// Errors: the constructor throws boost::system::system_error when the process has no descriptors left.
///
/// Threading: one user at a time, on any executor; the waiting coroutine resumes on its own.
///
/// Cancellation: of a wait, any type.
class SocketWatch {
 public:
  SocketWatch(const asio::any_io_executor& executor, int descriptor);
  SocketWatch(SocketWatch&&) noexcept = default;
  SocketWatch& operator=(SocketWatch&& other) noexcept;
  ~SocketWatch();

  /// To `co_await`: goes on when the socket may be readable, or (when asked for) writable; spuriously too, or because
  /// the wait was cancelled.
  auto suspend_until_event(bool for_writing) { return suspend(BeginWait{.state = state_, .for_writing = for_writing}); }
  /// Of the last wait: false when it ended by cancellation or `detach()`.
  bool woken_by_event() const;
  /// Before an operation: what arrives from now on is its answer.
  void begin_operation();
  /// After an operation: the next event goes to the idle handler. `asks`: so does what may have been left in the
  /// socket, which costs a system call.
  void rearm(bool asks);
  /// Called when the socket becomes readable while nobody waits, on the watch's executor or while `rearm` runs; null:
  /// nobody. The handler is copied before it is called, so one call may still come after it was replaced.
  void on_idle_event(std::shared_ptr<const std::function<void()>> handler);
  void detach() noexcept;

 private:
  struct State;
  /// What `suspend` starts.
  struct BeginWait {
    std::shared_ptr<State> state;
    bool for_writing;
    void operator()(Resumption&& resumption, asio::cancellation_slot slot) const;
  };
  std::shared_ptr<State> state_;
};

}  // namespace opi::pg
