#include "rest/wire.hpp"

#include <gmock/gmock.h>

namespace opi::rest {
namespace {

using State = ResponseParser::State;
using ::testing::HasSubstr;

ResponseParser parser(bool to_head = false, std::uint64_t body_max = 1000) {
  return {to_head, 1024, body_max};
}

/// Feeds all of it in pieces of `step` bytes and returns the body.
std::string feed(ResponseParser& parser, std::string_view bytes, std::size_t step = 1) {
  std::string body;
  std::string pending;
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    pending += bytes.substr(at, step);
    pending.erase(0, parser.feed(pending));
    if (parser.state() >= State::body && parser.state() != State::failed) body += parser.take_body();
  }
  return body;
}

TEST(RequestBytes, HaveHostHeadersAndLength) {
  Request request{.method = Method::patch,
                  .target = "/api/v1/namespaces/a?force=true",
                  .headers = {{"accept", "application/json"}},
                  .authorization = SecretString("Bearer t0ken"),
                  .body = "{}"};
  EXPECT_EQ(to_bytes(request, "k8s:6443").value(),
            "PATCH /api/v1/namespaces/a?force=true HTTP/1.1\r\nhost: k8s:6443\r\naccept: application/json\r\n"
            "authorization: Bearer t0ken\r\ncontent-length: 2\r\n\r\n{}");
}

TEST(RequestBytes, AGetHasNoLengthAndAPostAlwaysOne) {
  EXPECT_THAT(to_bytes(Request{.target = "/"}, "h").value(), ::testing::Not(HasSubstr("content-length")));
  EXPECT_THAT(to_bytes(Request{.method = Method::post, .target = "/"}, "h").value(), HasSubstr("content-length: 0"));
}

TEST(RequestBytes, WhatWouldBreakOutOfItsLineIsRefused) {
  EXPECT_FALSE(to_bytes(Request{.method = Method::other, .target = "/"}, "h"));
  EXPECT_FALSE(to_bytes(Request{.target = "/a b"}, "h"));
  EXPECT_FALSE(to_bytes(Request{.target = "/a\r\nx: y"}, "h"));
  EXPECT_FALSE(to_bytes(Request{.target = "http://elsewhere/"}, "h"));
  EXPECT_FALSE(to_bytes(Request{.target = "/", .headers = {{"a", "b\r\nc: d"}}}, "h"));
  EXPECT_FALSE(to_bytes(Request{.target = "/", .headers = {{"a: b", "c"}}}, "h"));
  const auto refused = to_bytes(Request{.target = "/", .authorization = SecretString("Bearer a\nb")}, "h");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().to_string(), ::testing::Not(HasSubstr("Bearer")));
}

TEST(ResponseParserTest, ReadsABodyWithLengthInAnyPieces) {
  for (const std::size_t step : {1UL, 3UL, 1000UL}) {
    auto parsing = parser();
    EXPECT_EQ(feed(parsing, "HTTP/1.1 201 Created\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello", step), "hello");
    EXPECT_EQ(parsing.state(), State::done);
    EXPECT_EQ(parsing.head().status, 201);
    EXPECT_EQ(parsing.head().header("x-a"), "b");
    EXPECT_TRUE(parsing.keep_alive());
  }
}

TEST(ResponseParserTest, ReadsChunksAsTheyComeAndLeavesWhatFollows) {
  auto parsing = parser();
  const std::string bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
  EXPECT_EQ(feed(parsing, bytes), "abcde");
  EXPECT_EQ(parsing.state(), State::done);
  auto other = parser();
  std::size_t consumed = 0;
  for (int i = 0; i < 10; ++i) consumed += other.feed((bytes + "HTTP/1.1").substr(consumed));
  EXPECT_EQ(consumed, bytes.size());
}

TEST(ResponseParserTest, PassesOverInterimResponses) {
  auto parsing = parser();
  EXPECT_EQ(feed(parsing,
                 "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
                 "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"),
            "x");
  EXPECT_EQ(parsing.head().status, 200);
}

TEST(ResponseParserTest, ABodyWithoutLengthEndsWithTheStreamAndTheConnection) {
  auto parsing = parser();
  EXPECT_EQ(feed(parsing, "HTTP/1.1 200 OK\r\n\r\nhello"), "hello");
  EXPECT_EQ(parsing.state(), State::body);
  parsing.feed_end();
  EXPECT_EQ(parsing.state(), State::done);
  EXPECT_FALSE(parsing.keep_alive());
}

TEST(ResponseParserTest, TheAnswerToHeadHasNoBody) {
  auto parsing = parser(true);
  feed(parsing, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
  EXPECT_EQ(parsing.state(), State::done);
}

TEST(ResponseParserTest, ConnectionCloseIsHeeded) {
  auto parsing = parser();
  feed(parsing, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(parsing.state(), State::done);
  EXPECT_FALSE(parsing.keep_alive());
}

TEST(ResponseParserTest, AnEarlyEndIsUnavailable) {
  for (const std::string bytes : {"", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
                                  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"}) {
    auto parsing = parser();
    feed(parsing, bytes);
    parsing.feed_end();
    ASSERT_EQ(parsing.state(), State::failed) << bytes;
    EXPECT_EQ(parsing.error().kind, ErrorKind::unavailable) << bytes;
    EXPECT_EQ(parsing.begun(), !bytes.empty());
  }
}

TEST(ResponseParserTest, WhatIsNoHttpOrHasTwoLengthsOrGrowsTooLargeFails) {
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n";
  for (const std::string& bytes :
       {std::string("SSH-2.0-OpenSSH\r\n\r\n"), chunked + "Content-Length: 3\r\n\r\nabc", chunked + "\r\nzz\r\n",
        std::string("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nab"),
        "HTTP/1.1 200 OK\r\nx: " + std::string(2000, 'x'), chunked + "\r\n" + std::string(2000, '1')}) {
    auto parsing = parser();
    feed(parsing, bytes, 4096);
    EXPECT_EQ(parsing.state(), State::failed) << bytes.substr(0, 80);
  }
  auto parsing = parser(false, 10);
  parsing.feed("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n");
  parsing.feed(std::string(20, 'x'));
  ASSERT_EQ(parsing.state(), State::failed);
  EXPECT_EQ(parsing.error().kind, ErrorKind::exhausted);
}

TEST(ResponseParserTest, TheBodyLimitIsOfWhatIsHeldNotOfWhatEverCame) {
  auto parsing = parser(false, 10);
  parsing.feed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  std::size_t received = 0;
  std::string pending;
  for (int i = 0; i < 50; ++i) {
    pending += "8\r\n12345678\r\n";
    for (int round = 0; round < 5 && !pending.empty(); ++round) pending.erase(0, parsing.feed(pending));
    received += parsing.take_body().size();
    ASSERT_EQ(parsing.state(), State::body);
  }
  EXPECT_EQ(received, 400U);
}

}  // namespace
}  // namespace opi::rest
