#pragma once
/// @file
/// A suspended coroutine that somebody else resumes, once, on the coroutine's own executor.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <functional>
#include <utility>

#include "aio/task.hpp"

namespace opi::pg {

/// Move-only and one-shot. Dropped without being resumed, the coroutine is destroyed with it.
/// Threading: may be resumed from any thread; the coroutine continues on its own executor, which `co_spawn` keeps
/// running until then.
class Resumption {
 public:
  Resumption() = default;
  template <class Handler>
  explicit Resumption(Handler handler)
      : executor_(asio::get_associated_executor(handler)), resume_(std::move(handler)) {}

  explicit operator bool() const noexcept { return static_cast<bool>(resume_); }
  const asio::any_io_executor& executor() const noexcept { return executor_; }

  /// Never on the caller's stack.
  void post() {
    auto executor = std::move(executor_);
    asio::post(executor, std::exchange(resume_, nullptr));
  }
  /// At once when the caller is on the coroutine's executor; for completions that come from the event loop anyway.
  void dispatch() {
    auto executor = std::move(executor_);
    asio::dispatch(executor, std::exchange(resume_, nullptr));
  }
  /// At once. The caller runs on the coroutine's executor, as a handler of its own.
  void resume() { std::exchange(resume_, nullptr)(); }

 private:
  asio::any_io_executor executor_;
  std::move_only_function<void()> resume_;
};

/// `co_await suspend(start)` suspends the caller, then calls `start(Resumption, cancellation_slot)`, which keeps the
/// resumption and may put a handler into the slot. `start` may resume at once, from any thread, by `post`.
template <class Start>
auto suspend(Start start) {
  return asio::async_initiate<const asio::deferred_t, void()>(
      [](auto handler, const Start& begin) {
        const auto slot = asio::get_associated_cancellation_slot(handler);
        begin(Resumption(std::move(handler)), slot);
      },
      asio::deferred, std::move(start));
}

}  // namespace opi::pg
