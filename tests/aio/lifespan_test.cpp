#include "aio/lifespan.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

#include "aio/task_scope.hpp"
#include "aio/with_deadline.hpp"
#include "support/run_coroutine.hpp"

namespace opi::aio {
namespace {

using namespace std::chrono_literals;
using test::run_coroutine;
using testing::ElementsAre;

/// What happened, in order, and the log lines.
struct Diary final : LogSink {
  bool wants(LogLevel) const noexcept override { return true; }
  void write(const LogRecord& record) noexcept override {
    lines.push_back(std::string(record.room) + " " + std::string(record.subject) + " " + std::string(record.message));
  }
  void flush() noexcept override {}
  std::vector<std::string> events;
  std::vector<std::string> lines;
};

Task<Result<PhaseOutcome>> start_well(Diary* diary, std::string name) {
  diary->events.push_back("+" + name);
  co_return PhaseOutcome{};
}
Task<Result<>> stop_well(Diary* diary, std::string name) {
  co_await sleep_for(1ms);
  diary->events.push_back("-" + name);
  co_return Result<>{};
}
Task<Result<PhaseOutcome>> start_badly() {
  co_return failure(ErrorKind::unavailable, "nobody there");
}
Task<Result<PhaseOutcome>> start_by_throwing() {
  co_await sleep_for(1ms);
  throw std::runtime_error("thrown");
}
Task<Result<PhaseOutcome>> start_slowly() {
  if (!co_await sleep_for(1h)) co_return failure(ErrorKind::cancelled, "cancelled");
  co_return PhaseOutcome{};
}
Task<Result<>> stop_badly() {
  co_return failure(ErrorKind::internal, "cannot");
}
Task<Result<>> stop_by_throwing() {
  co_await sleep_for(1ms);
  throw std::runtime_error("thrown");
}
/// Ignores every cancellation.
Task<Result<>> stop_never() {
  for (;;) co_await shielded(sleep_for(20ms));
}

Phase phase(Diary* diary, std::string name) {
  return Phase{.name = name,
               .start = [diary, name] { return start_well(diary, name); },
               .stop = [diary, name] { return stop_well(diary, name); }};
}

std::vector<PhaseState> states(const Lifespan& lifespan) {
  std::vector<PhaseState> out;
  for (const auto& status : lifespan.status().phases) out.push_back(status.state);
  return out;
}

TEST(Lifespan, starts_in_order_and_stops_in_exact_reverse) {
  Diary diary;
  Lifespan lifespan({phase(&diary, "a"), phase(&diary, "b"), phase(&diary, "c")}, Logger(diary, "lifespan"));
  EXPECT_EQ(lifespan.status().state, LifespanState::created);
  EXPECT_TRUE(run_coroutine(lifespan.start()));
  EXPECT_EQ(lifespan.status().state, LifespanState::serving);
  EXPECT_THAT(states(lifespan), ElementsAre(PhaseState::ready, PhaseState::ready, PhaseState::ready));
  EXPECT_TRUE(run_coroutine(lifespan.stop()));
  EXPECT_EQ(lifespan.status().state, LifespanState::stopped);
  EXPECT_THAT(diary.events, ElementsAre("+a", "+b", "+c", "-c", "-b", "-a"));
  EXPECT_TRUE(run_coroutine(lifespan.stop())) << "a second stop finds nothing to do";
  EXPECT_EQ(diary.events.size(), 6U);
}

TEST(Lifespan, every_phase_is_in_the_log_with_its_duration) {
  Diary diary;
  auto pools = phase(&diary, "database_pools");
  pools.start = [] -> Task<Result<PhaseOutcome>> { co_return PhaseOutcome{.degraded = {"analytics"}}; };
  Lifespan lifespan({std::move(pools)}, Logger(diary, "lifespan"));
  EXPECT_TRUE(run_coroutine(lifespan.start()));
  EXPECT_TRUE(run_coroutine(lifespan.stop()));
  ASSERT_EQ(diary.lines.size(), 4U);
  EXPECT_EQ(diary.lines[0], "lifespan starting database_pools");
  EXPECT_THAT(diary.lines[1], testing::MatchesRegex("lifespan ready database_pools  +[0-9.]+ ms  \\(1 degraded\\)"));
  EXPECT_EQ(diary.lines[2], "lifespan stopping database_pools");
  EXPECT_THAT(diary.lines[3], testing::MatchesRegex("lifespan stopped database_pools  +[0-9.]+ ms"));
  EXPECT_EQ(lifespan.status().phases[0].degraded, std::vector<std::string>{"analytics"});
}

TEST(Lifespan, a_required_phase_that_fails_unwinds_what_was_started) {
  Diary diary;
  auto broken = phase(&diary, "b");
  broken.start = start_badly;
  Lifespan lifespan({phase(&diary, "a"), std::move(broken), phase(&diary, "c")}, Logger(diary, "lifespan"));
  const auto result = run_coroutine(lifespan.start());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::unavailable);
  EXPECT_EQ(result.error().message, "phase b did not start");
  EXPECT_THAT(diary.events, ElementsAre("+a", "-a"));
  EXPECT_THAT(states(lifespan), ElementsAre(PhaseState::stopped, PhaseState::failed, PhaseState::waiting));
  EXPECT_EQ(lifespan.status().state, LifespanState::stopped);
}

TEST(Lifespan, a_degradable_phase_that_fails_is_shown_and_the_start_goes_on) {
  Diary diary;
  auto broken = phase(&diary, "b");
  broken.start = start_badly;
  broken.policy = PhasePolicy::degradable;
  Lifespan lifespan({phase(&diary, "a"), std::move(broken), phase(&diary, "c")}, Logger(diary, "lifespan"));
  EXPECT_TRUE(run_coroutine(lifespan.start()));
  EXPECT_THAT(states(lifespan), ElementsAre(PhaseState::ready, PhaseState::failed, PhaseState::ready));
  EXPECT_THAT(lifespan.status().phases[1].error, testing::HasSubstr("nobody there"));
  EXPECT_TRUE(run_coroutine(lifespan.stop()));
  EXPECT_THAT(diary.events, ElementsAre("+a", "+c", "-c", "-a"));
}

TEST(Lifespan, a_phase_that_throws_or_passes_its_deadline_fails_like_any_other) {
  for (const bool throws : {true, false}) {
    Diary diary;
    auto broken = phase(&diary, "b");
    if (throws)
      broken.start = start_by_throwing;
    else
      broken.start = start_slowly;
    broken.start_deadline = throws ? 10'000ms : 10ms;
    Lifespan lifespan({phase(&diary, "a"), std::move(broken)}, Logger(diary, "lifespan"));
    const auto result = run_coroutine(lifespan.start());
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, throws ? ErrorKind::internal : ErrorKind::timed_out);
    EXPECT_THAT(diary.events, ElementsAre("+a", "-a"));
  }
}

TEST(Lifespan, a_stop_that_fails_throws_or_hangs_never_skips_the_next) {
  Diary diary;
  auto failing = phase(&diary, "b");
  failing.stop = stop_badly;
  auto throwing = phase(&diary, "c");
  throwing.stop = stop_by_throwing;
  auto hanging = phase(&diary, "d");
  hanging.stop = stop_never;
  hanging.stop_deadline = 10ms;
  asio::io_context context;
  Lifespan lifespan(
      {phase(&diary, "a"), std::move(failing), std::move(throwing), std::move(hanging), phase(&diary, "e")},
      Logger(diary, "lifespan"));
  EXPECT_TRUE(run_coroutine(context, lifespan.start()));
  const auto result = run_coroutine(context, lifespan.stop());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message, "phase d did not stop cleanly") << "the first error of the way down";
  EXPECT_THAT(diary.events, ElementsAre("+a", "+b", "+c", "+d", "+e", "-e", "-a"));
  EXPECT_THAT(states(lifespan), ElementsAre(PhaseState::stopped, PhaseState::failed, PhaseState::failed,
                                            PhaseState::failed, PhaseState::stopped));
}

Task<> keep_start(Lifespan* lifespan, std::optional<Result<>>* into) {
  *into = co_await lifespan->start();
}

TEST(Lifespan, cancelling_the_start_stops_what_was_started) {
  Diary diary;
  auto slow = phase(&diary, "b");
  slow.start = start_slowly;
  slow.policy = PhasePolicy::degradable;
  Lifespan lifespan({phase(&diary, "a"), std::move(slow), phase(&diary, "c")}, Logger(diary, "lifespan"));
  asio::io_context context;
  TaskScope scope(context.get_executor(), Logger(), "test");
  std::optional<Result<>> result;
  scope.spawn("start", keep_start(&lifespan, &result));
  run_coroutine(context, sleep_for(5ms));
  scope.cancel();
  run_coroutine(context, scope.join());
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result->error().kind, ErrorKind::cancelled);
  EXPECT_THAT(diary.events, ElementsAre("+a", "-a"));
}

TEST(Lifespan, status_can_be_read_from_another_thread_all_the_time) {
  Diary diary;
  std::vector<Phase> phases;
  for (int i = 0; i < 20; ++i) phases.push_back(phase(&diary, "phase" + std::to_string(i)));
  Lifespan lifespan(std::move(phases), Logger());
  std::atomic<bool> done = false;
  std::size_t seen = 0;
  std::thread reader([&] {
    do seen = std::max(seen, lifespan.status().phases.size());
    while (!done);
  });
  EXPECT_TRUE(run_coroutine(lifespan.start()));
  lifespan.begin_drain();
  EXPECT_EQ(lifespan.status().state, LifespanState::draining);
  EXPECT_TRUE(run_coroutine(lifespan.stop()));
  done = true;
  reader.join();
  EXPECT_EQ(seen, 20U);
}

}  // namespace
}  // namespace opi::aio
