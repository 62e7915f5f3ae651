#include "aio/gate.hpp"

#include <cassert>
#include <utility>

#include "aio/with_deadline.hpp"

namespace opi::aio {

Gate::Pass::Pass(Pass&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}

Gate::Pass& Gate::Pass::operator=(Pass&& other) noexcept {
  if (this != &other) {
    if (gate_ != nullptr) gate_->leave();
    gate_ = std::exchange(other.gate_, nullptr);
  }
  return *this;
}

Gate::Pass::~Pass() {
  if (gate_ != nullptr) gate_->leave();
}

Gate::Gate(const asio::any_io_executor& executor) : emptied_(executor) {
  emptied_.expires_at(SteadyTime::max());
}

Gate::~Gate() {
  assert(inside_ == 0 && "a Gate was destroyed while work was inside");
}

std::optional<Gate::Pass> Gate::enter() noexcept {
  if (closing_) return std::nullopt;
  ++inside_;
  return Pass(*this);
}

void Gate::leave() noexcept {
  --inside_;
  if (inside_ == 0 && closing_) emptied_.cancel();
}

Task<Result<>> Gate::wait_empty() {
  while (inside_ > 0) co_await emptied_.async_wait(as_result);
  co_return Result<>{};
}

Task<bool> Gate::close(SteadyTime deadline) {
  closing_ = true;
  if (inside_ == 0) co_return true;
  const auto emptied = co_await with_deadline(wait_empty(), deadline, "waiting for work in flight");
  co_return emptied.has_value() || inside_ == 0;
}

}  // namespace opi::aio
