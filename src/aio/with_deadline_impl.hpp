#pragma once
/// @file
/// The bodies of with_deadline.hpp's templates; include that one.

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>
#include <exception>
#include <memory>
#include <optional>

#include "aio/with_deadline.hpp"

namespace opi::aio::detail {

/// Who asked the operation to stop, first.
enum class Stopped { not_asked, by_deadline, by_caller };

/// What the timer, the caller's cancellation and the operation share; each holds a reference, so none outlives it.
struct DeadlineState {
  explicit DeadlineState(const asio::any_io_executor& executor) : alarm(executor), ended(executor) {
    ended.expires_at(SteadyTime::max());
  }
  asio::cancellation_signal stop;
  asio::steady_timer alarm;
  asio::steady_timer ended;  ///< cancelled when the operation has ended
  Stopped stopped = Stopped::not_asked;
  bool finished = false;
  std::exception_ptr exception = nullptr;

  void ask_to_stop(Stopped by);
};

/// Arms the alarm; its handler holds the state, not the coroutine's frame.
void arm(const std::shared_ptr<DeadlineState>& state, SteadyTime deadline);
/// Passes the caller's cancellation on while this lives.
class PassOn {
 public:
  PassOn(asio::cancellation_slot slot, std::shared_ptr<DeadlineState> state);
  ~PassOn();
  PassOn(const PassOn&) = delete;
  PassOn& operator=(const PassOn&) = delete;

 private:
  asio::cancellation_slot slot_;
};

bool is_aborted(const std::exception_ptr& exception) noexcept;
Error stopped_error(Stopped by, std::string what);

/// The operation as a coroutine of its own: never throws, and (Asio 1.26) never leaves the completion to a suspension
/// that a late cancellation could turn into an exception.
template <class T, class Shared>
Task<> run_into(Task<T> operation, std::shared_ptr<Shared> state) {
  try {
    if constexpr (std::is_void_v<T>) {
      co_await std::move(operation);
      state->value.emplace();
    } else {
      state->value.emplace(co_await std::move(operation));
    }
  } catch (...) {
    state->exception = std::current_exception();
  }
  state->finished = true;
  co_await asio::this_coro::throw_if_cancelled(false);
}

template <class T>
struct DeadlineOutcome : DeadlineState {
  using DeadlineState::DeadlineState;
  std::optional<Result<T>> value;
};

/// The rules of with_deadline, once the operation has ended.
template <class T>
Result<T> settle(DeadlineOutcome<T>& state, std::string what) {
  if (state.value) {
    if (!*state.value && state.value->error().kind == ErrorKind::cancelled && state.stopped == Stopped::by_deadline)
      return failure(stopped_error(state.stopped, std::move(what)));
    return std::move(*state.value);
  }
  if (state.exception && !(state.stopped != Stopped::not_asked && is_aborted(state.exception)))
    std::rethrow_exception(state.exception);
  // No value and no exception: it was cancelled before its first step.
  return failure(stopped_error(state.stopped, std::move(what)));
}

}  // namespace opi::aio::detail

namespace opi::aio {

template <class T>
Task<Result<T>> with_deadline(Task<Result<T>> operation, SteadyTime deadline, std::string what) {
  auto caller = co_await asio::this_coro::cancellation_state;
  if (caller.cancelled() != asio::cancellation_type::none)
    co_return failure(detail::stopped_error(detail::Stopped::by_caller, std::move(what)));
  const auto executor = co_await asio::this_coro::executor;
  auto state = std::make_shared<detail::DeadlineOutcome<T>>(executor);
  detail::arm(state, deadline);
  {
    const detail::PassOn pass_on(caller.slot(), state);
    co_await asio::co_spawn(executor, detail::run_into(std::move(operation), state),
                            asio::bind_cancellation_slot(state->stop.slot(), as_result));
  }
  state->finished = true;
  state->alarm.cancel();
  co_return detail::settle(*state, std::move(what));
}

template <class T>
Task<Result<T>> with_hard_deadline(Task<Result<T>> operation, SteadyTime deadline, std::chrono::milliseconds patience,
                                   std::string what) {
  auto caller = co_await asio::this_coro::cancellation_state;
  if (caller.cancelled() != asio::cancellation_type::none)
    co_return failure(detail::stopped_error(detail::Stopped::by_caller, std::move(what)));
  const auto executor = co_await asio::this_coro::executor;
  auto state = std::make_shared<detail::DeadlineOutcome<T>>(executor);
  detail::arm(state, deadline);
  {
    const detail::PassOn pass_on(caller.slot(), state);
    asio::co_spawn(executor, detail::run_into(std::move(operation), state),
                   asio::bind_cancellation_slot(state->stop.slot(), [state](const std::exception_ptr&) {
                     state->finished = true;
                     state->ended.cancel();
                   }));
    while (!state->finished && state->stopped == detail::Stopped::not_asked)
      co_await state->ended.async_wait(asio::bind_cancellation_slot(asio::cancellation_slot(), as_result));
  }
  // The caller may be cancelled by now; what follows must still wait.
  const bool throwing = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  const SteadyTime last = std::chrono::steady_clock::now() + patience;
  if (!state->finished) state->ended.expires_at(last);
  while (!state->finished && std::chrono::steady_clock::now() < last)
    co_await state->ended.async_wait(asio::bind_cancellation_slot(asio::cancellation_slot(), as_result));
  co_await asio::this_coro::throw_if_cancelled(throwing);
  state->alarm.cancel();
  if (!state->finished)
    co_return failure(Error(ErrorKind::timed_out, std::move(what)).with_code(std::string(abandoned_code)));
  co_return detail::settle(*state, std::move(what));
}

namespace detail {

template <class T>
struct ShieldedOutcome {
  std::optional<std::conditional_t<std::is_void_v<T>, char, T>> value;
  std::exception_ptr exception = nullptr;
  bool finished = false;
};

}  // namespace detail

template <class T>
Task<T> shielded(Task<T> operation) {
  const auto executor = co_await asio::this_coro::executor;
  const bool throwing = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  auto state = std::make_shared<detail::ShieldedOutcome<T>>();
  co_await asio::co_spawn(executor, detail::run_into(std::move(operation), state),
                          asio::bind_cancellation_slot(asio::cancellation_slot(), as_result));
  co_await asio::this_coro::throw_if_cancelled(throwing);
  if (state->exception) std::rethrow_exception(state->exception);
  if constexpr (!std::is_void_v<T>) co_return std::move(*state->value);
}

}  // namespace opi::aio
