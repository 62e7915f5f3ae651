#include "aio/with_deadline.hpp"

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <stdexcept>

#include "support/in_time.hpp"
#include "support/run_coroutine.hpp"

namespace opi::aio {
namespace {

using namespace std::chrono_literals;
using test::in;
using test::run_coroutine;

Task<Result<int>> give(int value) {
  co_return value;
}

Task<Result<int>> give_after(std::chrono::milliseconds duration, int value) {
  if (!co_await sleep_for(duration)) co_return failure(ErrorKind::cancelled, "slept badly");
  co_return value;
}

Task<Result<int>> throw_after_a_turn() {
  co_await asio::post(asio::use_awaitable);
  throw std::logic_error("broken");
}

Task<Result<int>> wait_by_exception(bool* unwound) {
  struct Note {
    bool* to;
    ~Note() { *to = true; }
  };
  const Note note{unwound};
  asio::steady_timer timer(co_await asio::this_coro::executor, 1h);
  co_await timer.async_wait(asio::use_awaitable);
  co_return 1;
}

/// Ignores cancellation, ends when `gate` is cancelled.
Task<Result<int>> stubborn(asio::steady_timer* gate, int value) {
  co_await gate->async_wait(asio::bind_cancellation_slot(asio::cancellation_slot(), as_result));
  co_return value;
}

TEST(WithDeadline, gives_the_operations_own_value) {
  const auto result = run_coroutine(with_deadline(give(7), in(1min), "never"));
  ASSERT_TRUE(result);
  EXPECT_EQ(*result, 7);
}

TEST(WithDeadline, a_deadline_in_the_past_still_lets_a_finished_operation_win) {
  const auto result = run_coroutine(with_deadline(give(7), in(-1min), "late"));
  ASSERT_TRUE(result);
  EXPECT_EQ(*result, 7);
}

TEST(WithDeadline, an_operation_that_returns_cancelled_at_the_deadline_is_timed_out) {
  const auto began = std::chrono::steady_clock::now();
  const auto result = run_coroutine(with_deadline(give_after(1h, 7), in(20ms), "the answer did not come"));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::timed_out);
  EXPECT_EQ(result.error().message, "the answer did not come");
  EXPECT_GE(std::chrono::steady_clock::now() - began, 20ms);
}

TEST(WithDeadline, an_operation_that_throws_aborted_at_the_deadline_is_timed_out_and_unwound) {
  bool unwound = false;
  const auto result = run_coroutine(with_deadline(wait_by_exception(&unwound), in(5ms), "late"));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::timed_out);
  EXPECT_TRUE(unwound);
}

TEST(WithDeadline, an_exception_of_the_operation_reaches_the_caller) {
  EXPECT_THROW((void)run_coroutine(with_deadline(throw_after_a_turn(), in(1min), "never")), std::logic_error);
}

TEST(WithDeadline, a_value_that_comes_after_the_deadline_is_still_the_value) {
  asio::io_context context;
  asio::steady_timer gate(context, 1h);
  asio::steady_timer opener(context, 30ms);
  opener.async_wait([&](auto) { gate.cancel(); });
  const auto result = run_coroutine(context, with_deadline(stubborn(&gate, 9), in(5ms), "late"));
  ASSERT_TRUE(result);
  EXPECT_EQ(*result, 9);
}

TEST(WithDeadline, value_and_deadline_at_the_same_tick_give_exactly_one_outcome) {
  for (int round = 0; round < 200; ++round) {
    const auto result = run_coroutine(with_deadline(give_after(1ms, round), in(1ms), "late"));
    if (result)
      EXPECT_EQ(*result, round);
    else
      EXPECT_EQ(result.error().kind, ErrorKind::timed_out);
  }
}

Task<> keep(Task<Result<int>> operation, std::optional<Result<int>>* into) {
  *into = co_await std::move(operation);
}

/// Runs `operation` and cancels it after `after`.
std::optional<Result<int>> cancelled_after(Task<Result<int>> operation, std::chrono::milliseconds after) {
  asio::io_context context;
  asio::cancellation_signal signal;
  std::optional<Result<int>> result;
  asio::co_spawn(context, keep(std::move(operation), &result),
                 asio::bind_cancellation_slot(signal.slot(), [](const std::exception_ptr&) {}));
  asio::steady_timer timer(context, after);
  timer.async_wait([&](auto) { signal.emit(asio::cancellation_type::terminal); });
  context.run_for(60s);
  return result;
}

TEST(WithDeadline, cancelling_the_caller_cancels_the_operation) {
  bool unwound = false;
  const auto thrown = cancelled_after(with_deadline(wait_by_exception(&unwound), in(1h), "late"), 5ms);
  ASSERT_TRUE(thrown.has_value());
  EXPECT_TRUE(unwound);
  EXPECT_EQ(thrown->error().kind, ErrorKind::cancelled);
  const auto returned = cancelled_after(with_deadline(give_after(1h, 1), in(1h), "late"), 5ms);
  ASSERT_TRUE(returned.has_value());
  EXPECT_EQ(returned->error().kind, ErrorKind::cancelled);
}

TEST(WithDeadline, nested_deadlines_name_the_one_that_passed) {
  auto inner = with_deadline(give_after(1h, 1), in(10ms), "inner");
  const auto first = run_coroutine(with_deadline(std::move(inner), in(1h), "outer"));
  EXPECT_EQ(first.error().message, "inner");
  auto late = with_deadline(give_after(1h, 1), in(1h), "inner");
  const auto second = run_coroutine(with_deadline(std::move(late), in(10ms), "outer"));
  EXPECT_EQ(second.error().kind, ErrorKind::timed_out);
  EXPECT_EQ(second.error().message, "outer");
}

TEST(WithHardDeadline, an_operation_that_ignores_cancellation_is_left_behind) {
  asio::io_context context;
  asio::steady_timer gate(context, 1h);
  const auto result = run_coroutine(context, with_hard_deadline(stubborn(&gate, 9), in(5ms), 10ms, "stuck"));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::timed_out);
  EXPECT_EQ(result.error().code, abandoned_code);
  gate.cancel();
  context.restart();
  context.run_for(10s);
}

TEST(WithHardDeadline, an_operation_that_ends_when_asked_is_an_ordinary_time_out) {
  const auto result = run_coroutine(with_hard_deadline(give_after(1h, 1), in(5ms), 10s, "late"));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::timed_out);
  EXPECT_TRUE(result.error().code.empty());
}

TEST(WithHardDeadline, gives_the_operations_own_value) {
  const auto result = run_coroutine(with_hard_deadline(give_after(1ms, 3), in(1min), 1s, "late"));
  ASSERT_TRUE(result);
  EXPECT_EQ(*result, 3);
}

Task<Result<int>> shield_then_wait(bool* slept_through) {
  *slept_through = co_await shielded(sleep_for(40ms));
  bool seen = false;
  try {
    co_await sleep_for(1h);
  } catch (const boost::system::system_error& error) {
    seen = error.code() == asio::error::operation_aborted;
  }
  co_return failure(seen ? ErrorKind::cancelled : ErrorKind::internal, "after the shield");
}

TEST(Shielded, cancellation_waits_until_the_shield_is_down) {
  bool slept_through = false;
  const auto result = cancelled_after(shield_then_wait(&slept_through), 5ms);
  ASSERT_TRUE(result.has_value());
  EXPECT_TRUE(slept_through);
  EXPECT_EQ(result->error().kind, ErrorKind::cancelled);
}

Task<Result<int>> clean_up_when_cancelled(bool* cleaned) {
  if (co_await sleep_for(1h)) co_return 1;
  co_await asio::this_coro::throw_if_cancelled(false);
  *cleaned = co_await shielded(sleep_for(5ms));
  co_await asio::this_coro::throw_if_cancelled(true);
  co_return failure(ErrorKind::cancelled, "cleaned up");
}

TEST(Shielded, clean_up_can_wait_in_a_coroutine_that_is_cancelled_already) {
  bool cleaned = false;
  const auto result = cancelled_after(clean_up_when_cancelled(&cleaned), 5ms);
  ASSERT_TRUE(result.has_value());
  EXPECT_TRUE(cleaned);
}

Task<> throw_logic_error() {
  co_await asio::post(asio::use_awaitable);
  throw std::logic_error("broken");
}

TEST(Shielded, passes_exceptions_on) {
  EXPECT_THROW(run_coroutine(shielded(throw_logic_error())), std::logic_error);
}

TEST(Sleep, wakes_at_its_time) {
  const auto began = std::chrono::steady_clock::now();
  EXPECT_TRUE(run_coroutine(sleep_for(15ms)));
  EXPECT_GE(std::chrono::steady_clock::now() - began, 15ms);
}

}  // namespace
}  // namespace opi::aio
