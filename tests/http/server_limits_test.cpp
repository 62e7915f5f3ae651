// What the server does with clients that send too much, too slowly, or nonsense.
#include <gtest/gtest.h>

#include "http/server_fixture.hpp"

namespace opi::http::testing {
namespace {

using std::chrono::milliseconds;

class ServerLimitsTest : public ServerTest {
 protected:
  std::vector<Answer> stay(std::vector<std::string> pieces) {
    const auto stream = connect();
    return answers_in(test::run_coroutine(context_, send_and_stay(stream.get(), std::move(pieces))));
  }
};

TEST_F(ServerLimitsTest, BadRequestsAreRefusedAndTheConnectionEnds) {
  struct Case {
    const char* text;
    int status;
    const char* detail;
  };
  const Case cases[] = {
      {"nonsense\r\n\r\n", 400, "not an HTTP request"},
      {"GET /hello\r\n\r\n", 400, "not an HTTP request"},
      {"GET /hello HTTP/1.1\nHost: a\n\n", 505, "HTTP/1.1"},
      {"GET /hello HTTP/2.0\r\nHost: a\r\n\r\n", 505, "HTTP/1.1"},
      {"GET /hello HTTP/1.7\r\nHost: a\r\n\r\n", 505, "HTTP/1.1"},
      {"GET /hello HTTP/1.1\r\n\r\n", 400, "exactly one Host"},
      {"GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "exactly one Host"},
      {"GET /hello HTTP/1.1\r\nHost : a\r\n\r\n", 400, "not an HTTP request"},
      {"GET hello HTTP/1.1\r\nHost: a\r\n\r\n", 400, "not a path"},
      {"GET ftp://a/hello HTTP/1.1\r\nHost: a\r\n\r\n", 400, "not a path"},
      {"GET /a%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400, "not a path"},
      {"GET /hello HTTP/1.1\r\nHost: a\r\nX: a\x01z\r\n\r\n", 400, "not an HTTP request"},
      {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, ""},
      {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400, ""},
      {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400, "Content-Length"},
      {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400, ""},
      {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc", 400, ""},
      {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400, ""},
      {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc", 400, ""},
      {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400, ""},
      {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "chunked"},
      {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", 501, "chunked"},
      {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501, "chunked"},
      {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400, ""},
      {"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "needs HTTP/1.1"},
      {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400, ""},
      {"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: more\r\nContent-Length: 1\r\n\r\na", 400, "Expect"},
  };
  for (const Case& one : cases) {
    const auto before = server().stats().connections_accepted;
    expect_problem(one.text, one.status, one.detail);
    EXPECT_EQ(ask(std::string(one.text) + "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").size(), 1U)
        << "nothing behind a bad request may be answered: " << one.text;
    EXPECT_EQ(server().stats().connections_accepted, before + 2);
  }
}

TEST_F(ServerLimitsTest, ABodyThatEndsEarlyIs400) {
  expect_problem("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc", 400, "ended early");
}

TEST_F(ServerLimitsTest, HeadersUpToTheLimitAreReadAndBeyondItAre431) {
  limits_.header_bytes = 1'024;
  const std::string start = "GET /hello HTTP/1.1\r\nHost: a\r\nX: ";
  const std::string end = "\r\n\r\n";
  EXPECT_EQ(ask(start + std::string(1'000 - start.size() - end.size(), 'x') + end).at(0).status, 200);
  expect_problem(start + std::string(1'100 - start.size() - end.size(), 'x') + end, 431, "too long");
  expect_problem("GET /" + std::string(2'000, 'a'), 431, "too long");
}

TEST_F(ServerLimitsTest, HeadersWithoutEndAreCutOffAtTheLimit) {
  limits_.header_bytes = 1'024;
  std::vector<std::string> pieces{"GET /hello HTTP/1.1\r\nHost: a\r\n"};
  for (int i = 0; i < 100; ++i) pieces.push_back("X-" + std::to_string(i) + ": " + std::string(20, 'x') + "\r\n");
  const auto answers = stay(pieces);
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].status, 431);
}

TEST_F(ServerLimitsTest, BodiesUpToTheLimitAreReadAndBeyondItAre413) {
  limits_.body_bytes = 100;
  const std::string start = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: ";
  EXPECT_EQ(ask(start + "100\r\n\r\n" + std::string(100, 'x')).at(0).body, std::string(100, 'x'));
  expect_problem(start + "101\r\n\r\n" + std::string(101, 'x'), 413, "too long");
  expect_problem(start + "1000000000000\r\n\r\n", 413, "too long");
  const std::string chunked = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(ask(chunked + "64\r\n" + std::string(100, 'x') + "\r\n0\r\n\r\n").at(0).status, 200);
  expect_problem(chunked + "32\r\n" + std::string(50, 'x') + "\r\n33\r\n" + std::string(51, 'x') + "\r\n0\r\n\r\n", 413,
                 "too long");
}

TEST_F(ServerLimitsTest, AChunkLineWithoutEndIsCutOff) {
  limits_.header_bytes = 1'024;
  expect_problem("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;" + std::string(20'000, 'x'),
                 400, "");
}

TEST_F(ServerLimitsTest, ASlowHeaderIs408HoweverItTrickles) {
  limits_.header_time = milliseconds{60};
  limits_.idle_time = milliseconds{60'000};
  const auto answers = stay({"GET /hello HTTP/1.1\r\n", "Host: a\r\n"});
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].status, 408);
  EXPECT_EQ(answers[0].headers.at("connection"), "close");
}

TEST_F(ServerLimitsTest, ASlowHeaderOfALaterRequestIs408Too) {
  limits_.header_time = milliseconds{60};
  const auto answers = stay({"GET /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /he"});
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers[0].status, 200);
  EXPECT_EQ(answers[1].status, 408);
}

TEST_F(ServerLimitsTest, AConnectionThatSaysNothingIsClosedWithoutAWord) {
  limits_.header_time = milliseconds{40};
  EXPECT_TRUE(stay({}).empty());
  EXPECT_TRUE(stay({"\r\n"}).empty());
}

TEST_F(ServerLimitsTest, AnIdleConnectionIsClosedWithoutAWord) {
  limits_.idle_time = milliseconds{40};
  EXPECT_EQ(stay({"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"}).size(), 1U);
  EXPECT_EQ(stay({"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n\r\n"}).size(), 1U);
}

TEST_F(ServerLimitsTest, ASlowBodyIs408) {
  limits_.body_time = milliseconds{40};
  const auto answers = stay({"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab"});
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].status, 408);
}

TEST_F(ServerLimitsTest, AClientThatDoesNotTakeItsResponseIsCutOff) {
  limits_.write_time = milliseconds{40};
  limits_.body_bytes = 1U << 20U;
  const auto stream = connect({"memory", true}, 1'000);  // the pipe holds less than the response
  const std::string body(50'000, 'x');
  const auto sent = test::run_coroutine(
      context_, write_pieces(stream.get(), {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n" + body}));
  ASSERT_TRUE(sent.has_value());
  const auto deadline = system_clock().steady() + std::chrono::seconds{10};
  while (server().stats().connections != 0 && system_clock().steady() < deadline) {
    context_.restart();
    context_.run_one_until(deadline);
  }
  EXPECT_EQ(server().stats().connections, 0U);
}

TEST_F(ServerLimitsTest, AfterItsShareOfRequestsAConnectionIsClosed) {
  limits_.requests_per_connection = 3;
  const std::string one = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
  const auto answers = stay({one + one + one + one});
  ASSERT_EQ(answers.size(), 3U);
  EXPECT_EQ(answers[1].headers.at("connection"), "keep-alive");
  EXPECT_EQ(answers[2].headers.at("connection"), "close");
}

TEST_F(ServerLimitsTest, BeyondTheLimitTheLongestIdleConnectionMakesPlace) {
  limits_.connections = 2;
  const std::string one = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
  const auto first = connect();
  (void)test::run_coroutine(context_, write_pieces(first.get(), {one}));
  (void)test::run_coroutine(context_, read_until(first.get(), "hello"));
  const auto second = connect();
  (void)test::run_coroutine(context_, write_pieces(second.get(), {one}));
  (void)test::run_coroutine(context_, read_until(second.get(), "hello"));
  EXPECT_EQ(ask(one).at(0).status, 200);
  EXPECT_EQ(test::run_coroutine(context_, read_to_end(first.get())), "") << "the older one was closed";
  EXPECT_EQ(answers_in(test::run_coroutine(context_, send_and_end(second.get(), {one}))).at(0).status, 200);
  EXPECT_EQ(server().stats().connections_refused, 0U);
}

TEST_F(ServerLimitsTest, BeyondTheLimitWithNobodyIdleAClientIsToldToComeBack) {
  limits_.connections = 1;
  const auto busy = connect();
  (void)test::run_coroutine(context_, write_pieces(busy.get(), {"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n"}));
  test::run_coroutine(context_, wait_for(&begun_));
  const auto answers = ask("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].status, 503);
  EXPECT_EQ(answers[0].headers.at("retry-after"), "1");
  EXPECT_EQ(server().stats().connections_refused, 1U);
  release_.set();
  EXPECT_EQ(answers_in(test::run_coroutine(context_, send_and_end(busy.get(), {}))).at(0).body, "waited");
}

}  // namespace
}  // namespace opi::http::testing
