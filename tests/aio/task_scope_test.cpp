#include "aio/task_scope.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <mutex>
#include <stdexcept>
#include <utility>
#include <vector>

#include "aio/with_deadline.hpp"
#include "support/run_coroutine.hpp"

namespace opi::aio {
namespace {

using namespace std::chrono_literals;
using test::run_coroutine;

class Recorder final : public LogSink {
 public:
  bool wants(LogLevel) const noexcept override { return true; }
  void write(const LogRecord& record) noexcept override {
    lines.push_back(std::string(record.subject) + ": " + std::string(record.message));
  }
  void flush() noexcept override {}
  std::vector<std::string> lines;
};

Task<> count_after(std::chrono::milliseconds duration, int* counter) {
  if (co_await sleep_for(duration)) ++*counter;
}

Task<> fail_after_a_turn() {
  co_await sleep_for(1ms);
  throw std::runtime_error("it broke");
}

Task<> wait_forever() {
  asio::steady_timer timer(co_await asio::this_coro::executor, 1h);
  co_await timer.async_wait(asio::use_awaitable);
}

Task<> cancel_the_scope(TaskScope* scope) {
  scope->cancel();
  co_return;
}

TEST(TaskScope, join_waits_for_every_task) {
  asio::io_context context;
  TaskScope scope(context.get_executor(), Logger(), "test");
  int counter = 0;
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(scope.spawn("count", count_after(std::chrono::milliseconds(i), &counter)));
  EXPECT_EQ(scope.running(), 10U);
  EXPECT_EQ(counter, 0) << "tasks begin on the executor, not inside spawn";
  run_coroutine(context, scope.join());
  EXPECT_EQ(counter, 10);
  EXPECT_EQ(scope.running(), 0U);
  EXPECT_EQ(scope.failed(), 0U);
}

Task<> keep_tag(TaskTag tag, std::vector<std::pair<const void*, std::string>>* tags) {
  tags->emplace_back(tag.id, tag.name);
  co_await sleep_for(1ms);
  tags->emplace_back(tag.id, tag.name);
}

TEST(TaskScope, tasks_that_run_at_once_have_tags_of_their_own) {
  asio::io_context context;
  TaskScope scope(context.get_executor(), Logger(), "test");
  std::vector<std::pair<const void*, std::string>> tags;
  for (const char* name : {"one", "two"}) {
    EXPECT_TRUE(scope.spawn(name, [&tags](TaskTag tag) { return keep_tag(tag, &tags); }));
  }
  EXPECT_TRUE(tags.empty()) << "tasks begin on the executor, not inside spawn";
  run_coroutine(context, scope.join());
  ASSERT_EQ(tags.size(), 4U);
  EXPECT_EQ(tags[0].second, "one");
  EXPECT_EQ(tags[1].second, "two");
  EXPECT_NE(tags[0].first, nullptr);
  EXPECT_NE(tags[0].first, tags[1].first);
  EXPECT_EQ(std::ranges::count(tags, tags[0]), 2) << "it stays what it was";
}

TEST(TaskScope, a_task_that_cannot_be_made_is_a_failed_task) {
  asio::io_context context;
  TaskScope scope(context.get_executor(), Logger(), "test");
  EXPECT_TRUE(scope.spawn("none", [](TaskTag) -> Task<> { throw std::runtime_error("it cannot be made"); }));
  run_coroutine(context, scope.join());
  EXPECT_EQ(scope.failed(), 1U);
}

TEST(TaskScope, cancel_ends_running_tasks_and_refuses_new_ones) {
  asio::io_context context;
  Recorder recorder;
  TaskScope scope(context.get_executor(), Logger(recorder, "test"), "test");
  scope.spawn("forever", wait_forever());
  scope.spawn("forever", wait_forever());
  run_coroutine(context, sleep_for(1ms));
  scope.cancel();
  int counter = 0;
  EXPECT_FALSE(scope.spawn("late", count_after(0ms, &counter)));
  run_coroutine(context, scope.join());
  EXPECT_EQ(counter, 0);
  EXPECT_EQ(scope.failed(), 0U) << "ending because of cancel() is no failure";
  EXPECT_TRUE(recorder.lines.empty());
}

TEST(TaskScope, a_task_that_had_not_begun_when_cancelled_never_runs) {
  asio::io_context context;
  TaskScope scope(context.get_executor(), Logger(), "test");
  int counter = 0;
  scope.spawn("late", count_after(0ms, &counter));
  scope.cancel();
  run_coroutine(context, scope.join());
  EXPECT_EQ(counter, 0);
}

TEST(TaskScope, an_exception_is_logged_with_the_tasks_name_and_ends_only_that_task) {
  asio::io_context context;
  Recorder recorder;
  TaskScope scope(context.get_executor(), Logger(recorder, "test"), "nursery");
  int counter = 0;
  scope.spawn("bad one", fail_after_a_turn());
  scope.spawn("good one", count_after(5ms, &counter));
  run_coroutine(context, scope.join());
  EXPECT_EQ(scope.failed(), 1U);
  EXPECT_EQ(counter, 1);
  ASSERT_EQ(recorder.lines.size(), 1U);
  EXPECT_EQ(recorder.lines[0], "bad one: task failed in nursery: it broke");
}

TEST(TaskScope, an_exception_after_cancel_is_still_a_failure) {
  asio::io_context context;
  TaskScope scope(context.get_executor(), Logger(), "test");
  scope.spawn("bad one", fail_after_a_turn());
  context.restart();
  context.poll();
  scope.cancel();
  run_coroutine(context, scope.join());
  EXPECT_EQ(scope.failed(), 1U);
}

TEST(TaskScope, a_task_may_cancel_its_own_scope) {
  asio::io_context context;
  TaskScope scope(context.get_executor(), Logger(), "test");
  scope.spawn("forever", wait_forever());
  scope.spawn("ender", cancel_the_scope(&scope));
  run_coroutine(context, scope.join());
  EXPECT_EQ(scope.running(), 0U);
  EXPECT_EQ(scope.failed(), 0U);
}

TEST(TaskScope, what_is_spawned_from_a_task_is_joined_as_well) {
  asio::io_context context;
  TaskScope scope(context.get_executor(), Logger(), "test");
  int counter = 0;
  struct Spawner {
    static Task<> run(TaskScope* scope, int* counter) {
      co_await sleep_for(1ms);
      scope->spawn("child", count_after(5ms, counter));
    }
  };
  scope.spawn("parent", Spawner::run(&scope, &counter));
  run_coroutine(context, scope.join());
  EXPECT_EQ(counter, 1);
}

}  // namespace
}  // namespace opi::aio
