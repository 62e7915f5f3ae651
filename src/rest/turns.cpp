#include "rest/turns.hpp"

#include <boost/asio/this_coro.hpp>

namespace opi::rest {

/// A waiter's entry in the queue while it waits. One that leaves with its turn unused passes it on.
class Turns::Queued {
 public:
  Queued(Turns* turns, Waiter* waiter) : turns_(turns), waiter_(waiter) { turns_->waiters_.push_back(waiter); }
  ~Queued() {
    if (!waiter_->has_turn) turns_->waiters_.remove(waiter_);
    if (waiter_->has_turn && !used_) turns_->leave();
  }
  Queued(const Queued&) = delete;
  Queued& operator=(const Queued&) = delete;
  Place use() noexcept {
    used_ = true;
    return Place(*turns_);
  }

 private:
  Turns* turns_;
  Waiter* waiter_;
  bool used_ = false;
};

Task<Result<Turns::Place>> Turns::take(SteadyTime deadline) {
  if (free_ > 0 && waiters_.empty()) {
    --free_;
    co_return Place(*this);
  }
  Waiter waiter{.called = asio::steady_timer(co_await asio::this_coro::executor, deadline)};
  Queued queued(this, &waiter);
  co_await waiter.called.async_wait(as_result);
  const auto cancellation = co_await asio::this_coro::cancellation_state;
  if (cancellation.cancelled() != asio::cancellation_type::none)
    co_return failure(ErrorKind::cancelled, "waiting for a connection was cancelled");
  if (waiter.has_turn) co_return queued.use();
  co_return failure(ErrorKind::timed_out, "every connection was in use until the deadline");
}

void Turns::leave() noexcept {
  if (waiters_.empty()) {
    ++free_;
    return;
  }
  Waiter* next = waiters_.front();
  waiters_.pop_front();
  next->has_turn = true;
  next->called.cancel();
}

}  // namespace opi::rest
