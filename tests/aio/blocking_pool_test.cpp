#include "aio/blocking_pool.hpp"

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <stdexcept>
#include <thread>

#include "aio/task_scope.hpp"
#include "support/run_coroutine.hpp"

namespace opi::aio {
namespace {

using namespace std::chrono_literals;
using test::run_coroutine;

TEST(BlockingPool, runs_beside_the_executor_and_resumes_on_it) {
  BlockingPool pool(2);
  struct Flow {
    static Task<bool> run(BlockingPool* pool) {
      const auto ours = std::this_thread::get_id();
      const auto theirs = co_await pool->run([] { return std::this_thread::get_id(); });
      co_return theirs != ours&& std::this_thread::get_id() == ours;
    }
  };
  EXPECT_TRUE(run_coroutine(Flow::run(&pool)));
}

TEST(BlockingPool, moves_only_types_in_and_out) {
  BlockingPool pool(1);
  auto function = [value = std::make_unique<int>(5)]() mutable { return std::move(value); };
  const auto result = run_coroutine(pool.run(std::move(function)));
  ASSERT_TRUE(result);
  EXPECT_EQ(*result, 5);
}

TEST(BlockingPool, an_exception_reaches_the_caller) {
  BlockingPool pool(1);
  EXPECT_THROW(run_coroutine(pool.run([]() -> void { throw std::invalid_argument("no"); })), std::invalid_argument);
}

TEST(BlockingPool, calls_that_nothing_bounds_leave_threads_for_the_others) {
  asio::io_context context;
  std::promise<void> release;
  BlockingPool pool(2);
  TaskScope scope(context.get_executor(), Logger(), "test");
  struct Hang {
    std::shared_future<void> until;
    bool operator()() const {
      until.wait();
      return true;
    }
  };
  struct Flow {
    static Task<> hang(BlockingPool* pool, Hang call, int* refused, int* done) {
      const auto ran = co_await pool->try_unbounded(std::move(call));
      ++*(ran ? done : refused);
    }
  };
  const Hang call{release.get_future().share()};
  int refused = 0;
  int done = 0;
  for (int number = 0; number < 3; ++number) scope.spawn("hangs", Flow::hang(&pool, call, &refused, &done));
  EXPECT_EQ(run_coroutine(context, pool.run([] { return 7; })), 7) << "a thread is free";
  EXPECT_EQ(refused, 2);
  release.set_value();
  run_coroutine(context, scope.join());
  EXPECT_EQ(done, 1);
  scope.spawn("again", Flow::hang(&pool, call, &refused, &done));
  run_coroutine(context, scope.join());
  EXPECT_EQ(done, 2) << "the place is free again";
}

Task<> note_the_end(Task<int> task, bool* aborted) {
  try {
    co_await std::move(task);
  } catch (const boost::system::system_error& error) {
    *aborted = error.code() == asio::error::operation_aborted;
  }
}

TEST(BlockingPool, a_cancelled_caller_of_an_abandonable_call_does_not_wait_for_it) {
  asio::io_context context;
  std::promise<void> release;
  BlockingPool pool(1);
  bool aborted = false;
  TaskScope scope(context.get_executor(), Logger(), "test");
  auto blocked = [until = release.get_future().share()] {
    until.wait();
    return 1;
  };
  scope.spawn("call", note_the_end(pool.run_abandonable(std::move(blocked)), &aborted));
  context.poll();
  scope.cancel();
  run_coroutine(context, scope.join());
  EXPECT_TRUE(aborted);
  release.set_value();
}

TEST(BlockingPool, a_cancelled_caller_of_an_ordinary_call_waits_for_it) {
  asio::io_context context;
  std::promise<void> release;
  BlockingPool pool(1);
  bool finished = false, aborted = false;
  TaskScope scope(context.get_executor(), Logger(), "test");
  auto blocked = [until = release.get_future().share(), &finished] {
    until.wait();
    finished = true;
    return 1;
  };
  scope.spawn("call", note_the_end(pool.run(std::move(blocked)), &aborted));
  context.poll();
  scope.cancel();
  context.restart();
  context.poll();
  EXPECT_EQ(scope.running(), 1U) << "what it borrowed is still in use";
  release.set_value();
  run_coroutine(context, scope.join());
  EXPECT_TRUE(finished);
}

TEST(BlockingPool, every_caller_hears_of_the_end_of_a_pool_that_goes_with_work_queued) {
  asio::io_context context;
  std::promise<void> begun, release;
  bool first_aborted = false, second_aborted = false;
  std::atomic<bool> second_ran = false;
  TaskScope scope(context.get_executor(), Logger(), "test");
  std::thread opener;
  {
    BlockingPool pool(1);
    auto blocked = [&begun, until = release.get_future().share()] {
      begun.set_value();
      until.wait();
      return 1;
    };
    auto queued = [&second_ran] {
      second_ran = true;
      return 2;
    };
    scope.spawn("running", note_the_end(pool.run(std::move(blocked)), &first_aborted));
    scope.spawn("queued", note_the_end(pool.run(std::move(queued)), &second_aborted));
    context.poll();
    begun.get_future().wait();
    opener = std::thread([&] { release.set_value(); });
  }
  opener.join();
  run_coroutine(context, scope.join());
  EXPECT_FALSE(first_aborted) << "what runs is waited for";
  EXPECT_NE(second_aborted, second_ran.load()) << "what is queued either runs or is refused, never both or neither";
}

}  // namespace
}  // namespace opi::aio
