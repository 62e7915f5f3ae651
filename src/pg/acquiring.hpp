#pragma once
/// @file
/// An acquire that has not begun: Asio's awaitable for this one result, which suspends nobody while a connection is at
/// hand.

#include <boost/asio/awaitable.hpp>
#include <source_location>
#include <utility>

#include "aio/task.hpp"
#include "pg/lease.hpp"

namespace opi::pg {

/// Who asks whom, and what was had without waiting. Small: it is moved on the way.
class Acquiring {
 public:
  Acquiring() noexcept = default;
  /// The pool outlives the call.
  Acquiring(PoolState* pool, std::source_location where) noexcept : pool_(pool), where_(where) {}

  bool valid() const noexcept { return pool_ != nullptr; }
  /// True: `take` the lease. False: the task is what is left to do.
  bool begin(Task<Acquired>& rest);
  Lease take() noexcept { return std::move(lease_); }

 private:
  PoolState* pool_ = nullptr;
  std::source_location where_;
  Lease lease_;
};

}  // namespace opi::pg

/// `Task<Acquired>`. Of a coroutine it is what the general one is. What DatabasePool::acquire makes has no coroutine
/// until it is awaited and no connection is ready: a frame, its way onto the stack and off again cost more than all
/// that the pool does. A specialisation, for Asio's coroutines can await nothing else without suspending first.
/// Threading and use as of the general one (Boost 1.81, `boost/asio/awaitable.hpp`): move-only, awaited once.
template <>
class [[nodiscard]] boost::asio::awaitable<opi::pg::Acquired, boost::asio::any_io_executor> {
 public:
  using value_type = opi::pg::Acquired;
  using executor_type = any_io_executor;

  constexpr awaitable() noexcept = default;
  explicit awaitable(opi::pg::Acquiring acquiring) noexcept : acquiring_(std::move(acquiring)) {}
  awaitable(awaitable&& other) noexcept
      : frame_(std::exchange(other.frame_, nullptr)), acquiring_(std::move(other.acquiring_)) {}
  awaitable& operator=(awaitable&& other) noexcept {
    std::swap(frame_, other.frame_);
    std::swap(acquiring_, other.acquiring_);
    return *this;
  }
  awaitable(const awaitable&) = delete;
  awaitable& operator=(const awaitable&) = delete;
  ~awaitable() {
    if (frame_ != nullptr) frame_->destroy();
  }

  bool valid() const noexcept { return frame_ != nullptr || acquiring_.valid(); }

  bool await_ready() { return frame_ == nullptr && acquiring_.begin(*this); }
  template <class U>
  void await_suspend(detail::coroutine_handle<detail::awaitable_frame<U, any_io_executor>> caller) {
    frame_->push_frame(&caller.promise());
  }
  opi::pg::Acquired await_resume() {
    if (frame_ == nullptr) return acquiring_.take();
    const awaitable ended(std::move(*this));
    return ended.frame_->get();
  }

 private:
  template <typename>
  friend class detail::awaitable_thread;
  template <typename, typename>
  friend class detail::awaitable_frame;
  using Frame = detail::awaitable_frame<opi::pg::Acquired, any_io_executor>;

  explicit awaitable(Frame* frame) noexcept : frame_(frame) {}
  Frame* frame_ = nullptr;
  opi::pg::Acquiring acquiring_;
};
