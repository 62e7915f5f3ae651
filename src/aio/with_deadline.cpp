#include "aio/with_deadline.hpp"

namespace opi::aio {

namespace detail {

void DeadlineState::ask_to_stop(Stopped by) {
  if (finished || stopped != Stopped::not_asked) return;
  stopped = by;
  stop.emit(asio::cancellation_type::terminal);
  ended.cancel();
}

void arm(const std::shared_ptr<DeadlineState>& state, SteadyTime deadline) {
  if (deadline == SteadyTime::max()) return;
  state->alarm.expires_at(deadline);
  state->alarm.async_wait([state](const boost::system::error_code& ec) {
    if (!ec) state->ask_to_stop(Stopped::by_deadline);
  });
}

PassOn::PassOn(asio::cancellation_slot slot, std::shared_ptr<DeadlineState> state) : slot_(slot) {
  if (!slot_.is_connected()) return;
  slot_.assign([state = std::move(state)](asio::cancellation_type type) {
    if (type == asio::cancellation_type::none) return;
    const auto kept = state;  // NOLINT(performance-unnecessary-copy-initialization): the emission may end this handler
    kept->ask_to_stop(Stopped::by_caller);
  });
}

PassOn::~PassOn() {
  if (slot_.is_connected()) slot_.clear();
}

bool is_aborted(const std::exception_ptr& exception) noexcept {
  try {
    std::rethrow_exception(exception);
  } catch (const boost::system::system_error& error) {
    return error.code() == asio::error::operation_aborted;
  } catch (...) {
    return false;
  }
}

Error stopped_error(Stopped by, std::string what) {
  return {by == Stopped::by_deadline ? ErrorKind::timed_out : ErrorKind::cancelled, std::move(what)};
}

}  // namespace detail

Task<bool> sleep_until(SteadyTime when) {
  if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none) co_return false;
  asio::steady_timer timer(co_await asio::this_coro::executor, when);
  const auto [ec] = co_await timer.async_wait(as_result);
  co_return !ec;
}

Task<bool> sleep_for(std::chrono::nanoseconds duration) {
  return sleep_until(std::chrono::steady_clock::now() + std::chrono::duration_cast<SteadyTime::duration>(duration));
}

}  // namespace opi::aio
