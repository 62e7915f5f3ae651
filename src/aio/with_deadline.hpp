#pragma once
/// @file
/// Runs one operation with a deadline: exactly one outcome, nothing swallowed, nothing left behind.

#include <chrono>
#include <string>
#include <utility>

#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"

namespace opi::aio {

/// Runs `operation` and, at `deadline`, sends it terminal cancellation and waits for it to end.
/// The operation's own result is returned when it finished by itself, also when that happens at the same tick as the
/// deadline. When it was stopped by the deadline (it threw operation_aborted or returned ErrorKind::cancelled), the
/// result is ErrorKind::timed_out with `what` as message. Cancellation of the caller is passed on to the operation; an
/// operation that threw operation_aborted because of it gives ErrorKind::cancelled. Other exceptions of the operation
/// are rethrown. An operation that ignores cancellation is waited for: give what blocks a bound of its own.
template <class T>
Task<Result<T>> with_deadline(Task<Result<T>> operation, SteadyTime deadline, std::string what);

/// As with_deadline, for operations that may ignore cancellation: one that has not ended `patience` after it was asked
/// to is left running by itself and the result is ErrorKind::timed_out with `abandoned_code` as code. The operation
/// must therefore own, or share, everything it touches.
template <class T>
Task<Result<T>> with_hard_deadline(Task<Result<T>> operation, SteadyTime deadline, std::chrono::milliseconds patience,
                                   std::string what);
inline constexpr std::string_view abandoned_code = "abandoned";

/// Runs `operation` shielded from the caller's cancellation, which stays pending: the next suspension after it sees it.
/// For clean-up that awaits. Asio lets a coroutine that is cancelled already await nothing at all (every co_await
/// throws, this one included), so clean-up that may run then says first
///     co_await asio::this_coro::throw_if_cancelled(false);
/// and `true` again after it, or its callers would not see the cancellation.
template <class T>
Task<T> shielded(Task<T> operation);

/// Waits until `when`; false when cancelled (the caller decides what that means).
Task<bool> sleep_until(SteadyTime when);
Task<bool> sleep_for(std::chrono::nanoseconds duration);

}  // namespace opi::aio

#include "aio/with_deadline_impl.hpp"
