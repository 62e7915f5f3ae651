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
/// deadline. When it was stopped by the deadline (it threw operation_aborted or returned ErrorKind::cancelled), the result
/// is ErrorKind::timed_out with `what` as message. Cancellation of the caller is passed on to the operation.
/// Other exceptions of the operation are rethrown. An operation that ignores cancellation is waited for: give what blocks
/// a bound of its own.
template <class T>
Task<Result<T>> with_deadline(Task<Result<T>> operation, SteadyTime deadline, std::string what);

/// Waits until `when`; false when cancelled (the caller decides what that means).
Task<bool> sleep_until(SteadyTime when);
Task<bool> sleep_for(std::chrono::nanoseconds duration);

}  // namespace opi::aio
