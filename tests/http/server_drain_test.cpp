// How the server ends: nothing that runs is cut short before the deadline, nothing stays after it.
#include <gtest/gtest.h>

#include "http/server_fixture.hpp"

namespace opi::http::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class ServerDrainTest : public ServerTest {
 protected:
  /// Starts to stop; `stopped_` has the result when it is done.
  void begin_stop(SteadyTime deadline) {
    asio::co_spawn(context_, server().stop(deadline), [this](const std::exception_ptr& error, Result<> result) {
      EXPECT_FALSE(error);
      stopped_ = std::move(result);
    });
  }
  std::optional<Result<>> stopped_;
};

TEST_F(ServerDrainTest, StopWithoutConnectionsReturnsAtOnceAndAgain) {
  EXPECT_TRUE(test::run_coroutine(context_, server().stop(system_clock().steady() + seconds{10})).has_value());
  EXPECT_TRUE(test::run_coroutine(context_, server().stop(system_clock().steady() + seconds{10})).has_value());
  const auto listening = server().listen({});
  ASSERT_FALSE(listening.has_value());
  EXPECT_EQ(listening.error().kind, ErrorKind::closed);
}

TEST_F(ServerDrainTest, ARunningRequestFinishesAndItsConnectionEnds) {
  const auto stream = connect();
  const std::string wait = "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n";
  (void)test::run_coroutine(context_, write_pieces(stream.get(), {wait}));
  test::run_coroutine(context_, wait_for(&begun_));
  begin_stop(system_clock().steady() + seconds{30});
  context_.poll();
  EXPECT_FALSE(stopped_.has_value()) << "stop must wait for the request";
  release_.set();
  const auto answers = answers_in(test::run_coroutine(context_, send_and_end(stream.get(), {})));
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].body, "waited");
  EXPECT_EQ(answers[0].headers.at("connection"), "close");
  context_.poll();
  ASSERT_TRUE(stopped_.has_value());
  EXPECT_TRUE(stopped_->has_value());
}

TEST_F(ServerDrainTest, IdleConnectionsAreClosedAtOnce) {
  const auto stream = connect();
  (void)test::run_coroutine(context_, write_pieces(stream.get(), {"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"}));
  (void)test::run_coroutine(context_, read_until(stream.get(), "hello"));
  EXPECT_TRUE(test::run_coroutine(context_, server().stop(system_clock().steady() + seconds{30})).has_value());
  EXPECT_EQ(test::run_coroutine(context_, read_to_end(stream.get())), "");
}

TEST_F(ServerDrainTest, ARequestThatHadBegunIsAnswered503) {
  const auto stream = connect();
  (void)test::run_coroutine(context_, write_pieces(stream.get(), {"GET /hello HTT"}));
  context_.poll();
  server().begin_drain();
  const auto answers =
      answers_in(test::run_coroutine(context_, send_and_end(stream.get(), {"P/1.1\r\nHost: a\r\n\r\n"})));
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].status, 503);
  EXPECT_EQ(answers[0].headers.at("connection"), "close");
}

TEST_F(ServerDrainTest, AtTheDeadlineWhatIsLeftIsCutOffAndCounted) {
  const auto first = connect();
  (void)test::run_coroutine(context_, write_pieces(first.get(), {"GET /hello HTT"}));
  const auto second = connect();
  (void)test::run_coroutine(
      context_, write_pieces(second.get(), {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"}));
  context_.poll();
  const auto stopped = test::run_coroutine(context_, server().stop(system_clock().steady() + milliseconds{50}));
  ASSERT_FALSE(stopped.has_value());
  EXPECT_EQ(stopped.error().kind, ErrorKind::timed_out);
  EXPECT_EQ(stopped.error().message, "2 connections were cut off at the deadline");
  EXPECT_EQ(server().stats().connections, 0U);
}

}  // namespace
}  // namespace opi::http::testing
