#include "aio/gate.hpp"

#include <gtest/gtest.h>

#include "aio/task_scope.hpp"
#include "aio/with_deadline.hpp"
#include "support/in_time.hpp"
#include "support/run_coroutine.hpp"

namespace opi::aio {
namespace {

using namespace std::chrono_literals;
using test::in;
using test::run_coroutine;

TEST(Gate, an_empty_gate_closes_at_once) {
  asio::io_context context;
  Gate gate(context.get_executor());
  EXPECT_TRUE(run_coroutine(context, gate.close(in(1h))));
  EXPECT_TRUE(gate.closing());
}

TEST(Gate, close_refuses_new_work_and_waits_for_what_is_inside) {
  asio::io_context context;
  Gate gate(context.get_executor());
  auto first = gate.enter();
  auto second = gate.enter();
  ASSERT_TRUE(first && second);
  EXPECT_EQ(gate.inside(), 2U);
  asio::steady_timer timer(context, 10ms);
  timer.async_wait([&](auto) {
    EXPECT_FALSE(gate.enter()) << "closing";
    first.reset();
    second.reset();
  });
  EXPECT_TRUE(run_coroutine(context, gate.close(in(1h))));
  EXPECT_EQ(gate.inside(), 0U);
}

TEST(Gate, close_gives_up_at_its_deadline_and_may_be_called_again) {
  asio::io_context context;
  Gate gate(context.get_executor());
  auto pass = gate.enter();
  EXPECT_FALSE(run_coroutine(context, gate.close(in(5ms))));
  pass.reset();
  EXPECT_TRUE(run_coroutine(context, gate.close(in(5ms))));
}

Task<> close_into(Gate* gate, SteadyTime deadline, int* outcome) {
  *outcome = co_await gate->close(deadline) ? 1 : 0;
}

/// The pass goes when this one has its answer, whatever the clock says.
Task<> close_into_and_leave(Gate* gate, SteadyTime deadline, int* outcome, std::optional<Gate::Pass>* pass) {
  co_await close_into(gate, deadline, outcome);
  pass->reset();
}

TEST(Gate, several_closers_keep_their_own_deadlines) {
  asio::io_context context;
  Gate gate(context.get_executor());
  auto pass = gate.enter();
  TaskScope scope(context.get_executor(), Logger(), "test");
  int patient = -1, hasty = -1;
  scope.spawn("patient", close_into(&gate, in(1h), &patient));
  scope.spawn("hasty", close_into_and_leave(&gate, in(5ms), &hasty, &pass));
  run_coroutine(context, scope.join());
  EXPECT_EQ(hasty, 0);
  EXPECT_EQ(patient, 1);
}

TEST(Gate, a_moved_pass_counts_once) {
  asio::io_context context;
  Gate gate(context.get_executor());
  auto first = gate.enter();
  auto second = gate.enter();
  *first = std::move(*second);
  EXPECT_EQ(gate.inside(), 1U);
  second.reset();
  EXPECT_EQ(gate.inside(), 1U);
  first.reset();
  EXPECT_EQ(gate.inside(), 0U);
}

}  // namespace
}  // namespace opi::aio
