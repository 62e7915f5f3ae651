#include "http/request_parser.hpp"

#include <gtest/gtest.h>

namespace opi::http {
namespace {

using State = RequestParser::State;

TEST(RequestParser, StopsAfterTheHeadersSoThatTheBodyCanBeRefused) {
  RequestParser parser{1'024, 100};
  const std::string text = "POST /a?b=c HTTP/1.1\r\nHost: h\r\nX-One: 1\r\nContent-Length: 4\r\n\r\nbodyrest";
  const std::size_t head = parser.feed(text);
  EXPECT_EQ(parser.state(), State::body);
  EXPECT_EQ(text.substr(head), "bodyrest");
  EXPECT_EQ(parser.request().method, Method::post);
  EXPECT_EQ(parser.request().path, "/a");
  EXPECT_EQ(parser.request().header("x-one"), "1");
  EXPECT_EQ(parser.request().header("x-two"), "");
  EXPECT_TRUE(parser.keep_alive());
  EXPECT_EQ(parser.feed(text.substr(head)), 4U);
  EXPECT_EQ(parser.state(), State::done);
  EXPECT_EQ(parser.take().body, "body");
}

TEST(RequestParser, ConsumesNothingBehindTheEnd) {
  RequestParser parser{1'024, 100};
  const std::string text = "GET / HTTP/1.1\r\nHost: h\r\n\r\nGET /next";
  EXPECT_EQ(text.substr(parser.feed(text)), "GET /next");
  EXPECT_EQ(parser.state(), State::done);
  EXPECT_EQ(parser.feed("GET /next"), 0U);
}

TEST(RequestParser, TakesOneByteAtATime) {
  const std::string text =
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: x\r\n\r\n";
  RequestParser parser{1'024, 100};
  std::string pending;
  for (const char c : text) {
    EXPECT_NE(parser.state(), State::done) << "done before the last byte";
    pending += c;
    pending.erase(0, parser.feed(pending));
  }
  ASSERT_EQ(parser.state(), State::done) << parser.detail();
  EXPECT_EQ(parser.take().body, "abc");
}

TEST(RequestParser, HasBegunOnlyWithMoreThanLineBreaks) {
  RequestParser parser{1'024, 100};
  EXPECT_FALSE(parser.begun());
  EXPECT_EQ(parser.feed("\r\n"), 2U);
  EXPECT_FALSE(parser.begun());
  parser.feed("G");
  EXPECT_TRUE(parser.begun());
}

TEST(RequestParser, AStreamOfLineBreaksIsRefused) {
  RequestParser parser{1'024, 100};
  std::string pending(3'000, '\n');
  pending.erase(0, parser.feed(pending));
  EXPECT_EQ(parser.state(), State::failed);
}

TEST(RequestParser, AFailedParserConsumesNothingMore) {
  RequestParser parser{1'024, 100};
  parser.feed("nonsense\r\n\r\n");
  ASSERT_EQ(parser.state(), State::failed);
  EXPECT_EQ(parser.status(), 400);
  EXPECT_EQ(parser.feed("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), 0U);
  EXPECT_EQ(parser.state(), State::failed);
}

}  // namespace
}  // namespace opi::http
