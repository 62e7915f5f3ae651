// What the server answers to well-behaved clients.
#include <gtest/gtest.h>

#include "http/server_fixture.hpp"

namespace opi::http::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(ServerTest, AnswersAGetWithLengthDateAndSecurityHeaders) {
  const auto answers = ask("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].status, 200);
  EXPECT_EQ(answers[0].body, "hello");
  EXPECT_EQ(answers[0].headers.at("content-type"), "text/plain; charset=utf-8");
  EXPECT_EQ(answers[0].headers.at("content-length"), "5");
  EXPECT_EQ(answers[0].headers.at("connection"), "keep-alive");
  EXPECT_EQ(answers[0].headers.at("x-content-type-options"), "nosniff");
  EXPECT_EQ(answers[0].headers.at("cache-control"), "no-store");
  EXPECT_EQ(answers[0].headers.at("content-security-policy"), "default-src 'none'; frame-ancestors 'none'");
  EXPECT_THAT(answers[0].headers.at("date"), ::testing::MatchesRegex("[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} "
                                                                     "[0-9]{2}:[0-9]{2}:[0-9]{2} GMT"));
}

TEST_F(ServerTest, AnswersPipelinedRequestsInOrderHoweverTheBytesAreCut) {
  const std::string text =
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none"
      "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
      "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\ntwo\r\n2\r\n!!\r\n0\r\n\r\n";
  for (const std::size_t size : {std::size_t{1}, std::size_t{2}, std::size_t{7}, std::size_t{64}, text.size()}) {
    std::vector<std::string> pieces;
    for (std::size_t at = 0; at < text.size(); at += size) pieces.push_back(text.substr(at, size));
    const auto answers = answers_in(talk(pieces));
    ASSERT_EQ(answers.size(), 3U) << "pieces of " << size;
    EXPECT_EQ(answers[0].body, "one");
    EXPECT_EQ(answers[1].body, "hello");
    EXPECT_EQ(answers[2].body, "two!!");
  }
}

TEST_F(ServerTest, HeadHasTheHeadersOfGetAndNoBody) {
  const std::string text = talk({"HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n"});
  EXPECT_TRUE(text.ends_with("\r\n\r\n"));
  const auto answers = answers_in(text, true);
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].status, 200);
  EXPECT_EQ(answers[0].headers.at("content-length"), "5");
}

TEST_F(ServerTest, HeadOfAMissingPathHasNoBodyEither) {
  EXPECT_TRUE(talk({"HEAD /nothing HTTP/1.1\r\nHost: a\r\n\r\n"}).ends_with("\r\n\r\n"));
}

TEST_F(ServerTest, OptionsNamesTheMethodsOfThePath) {
  for (const auto& [target, allow] : {std::pair{"/hello", "GET, HEAD, OPTIONS"}, std::pair{"/echo", "POST, OPTIONS"},
                                      std::pair{"*", "GET, HEAD, OPTIONS"}}) {
    const auto answers = ask(std::string("OPTIONS ") + target + " HTTP/1.1\r\nHost: a\r\n\r\n");
    ASSERT_EQ(answers.size(), 1U);
    EXPECT_EQ(answers[0].status, 204);
    EXPECT_EQ(answers[0].headers.at("allow"), allow);
    EXPECT_FALSE(answers[0].headers.contains("content-length"));
  }
}

TEST_F(ServerTest, AWrongMethodIsToldTheRightOnes) {
  const auto answers = ask("DELETE /hello HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].status, 405);
  EXPECT_EQ(answers[0].headers.at("allow"), "GET, HEAD, OPTIONS");
}

TEST_F(ServerTest, UnknownPathsAndMethodsAreProblems) {
  expect_problem("GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", 404, "nothing at this path");
  expect_problem("GET /hello/ HTTP/1.1\r\nHost: a\r\n\r\n", 404, "nothing at this path");
  expect_problem("BREW /hello HTTP/1.1\r\nHost: a\r\n\r\n", 501, "not known");
  expect_problem("TRACE /hello HTTP/1.1\r\nHost: a\r\n\r\n", 501, "not known");
}

TEST_F(ServerTest, ParametersAndQueryAreDecoded) {
  const auto answers = ask("GET /things/a%2Fb%20c?x=1%262&y HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_EQ(answers.size(), 1U);
  const auto body = boost::json::parse(answers[0].body).as_object();
  EXPECT_EQ(body.at("thing").as_string(), "a/b c");
  EXPECT_EQ(body.at("query").at("x").as_string(), "1&2");
  EXPECT_EQ(body.at("query").at("y").as_string(), "");
  EXPECT_EQ(body.at("peer").as_string(), "memory");
}

TEST_F(ServerTest, AnAbsoluteTargetIsTakenByItsPath) {
  EXPECT_EQ(ask("GET http://a/hello HTTP/1.1\r\nHost: a\r\n\r\n").at(0).body, "hello");
}

TEST_F(ServerTest, AnExceptionOfAHandlerIs500AndTheConnectionGoesOn) {
  const auto answers = ask("GET /fail HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers[0].status, 500);
  EXPECT_THAT(answers[0].body, Not(HasSubstr("kaputt")));
  EXPECT_EQ(answers[1].body, "hello");
}

TEST_F(ServerTest, ConnectionCloseAndHttp10EndTheConnection) {
  for (const char* head :
       {"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET /hello HTTP/1.0\r\n\r\n"}) {
    const auto stream = connect();
    const std::string text = test::run_coroutine(context_, send_and_stay(stream.get(), {head, head}));
    const auto answers = answers_in(text);
    ASSERT_EQ(answers.size(), 1U);
    EXPECT_EQ(answers[0].status, 200);
    EXPECT_EQ(answers[0].headers.at("connection"), "close");
  }
}

TEST_F(ServerTest, Http10MayAskToKeepTheConnection) {
  const std::string head = "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
  const auto answers = ask(head + head);
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers[0].headers.at("connection"), "keep-alive");
}

TEST_F(ServerTest, ABlankLineBeforeARequestIsIgnored) {
  EXPECT_EQ(ask("\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n").size(), 2U);
}

TEST_F(ServerTest, AClientThatExpectsContinueIsToldToGoOnBeforeItsBody) {
  const auto stream = connect();
  (void)test::run_coroutine(
      context_, write_pieces(stream.get(),
                             {"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"}));
  EXPECT_EQ(test::run_coroutine(context_, read_until(stream.get(), "\r\n\r\n")), "HTTP/1.1 100 Continue\r\n\r\n");
  const auto answers = answers_in(test::run_coroutine(context_, send_and_end(stream.get(), {"body"})));
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].body, "body");
}

TEST_F(ServerTest, AClientThatExpectsContinueIsRefusedBeforeItsBody) {
  const auto stream = connect();
  const auto answers = answers_in(test::run_coroutine(
      context_, send_and_stay(stream.get(), {"POST /nothing HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                                             "Content-Length: 4\r\n\r\n"})));
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].status, 404);
  EXPECT_EQ(answers[0].headers.at("connection"), "close");
}

TEST_F(ServerTest, ALoopbackRouteIsClosedToOthersToProxiesAndToForeignPages) {
  struct Case {
    Peer peer;
    const char* headers;
    int status;
  };
  const Case cases[] = {{peer_of("127.0.0.1:1"), "Host: localhost:8080\r\n", 200},
                        {peer_of("[::1]:1"), "Host: [::1]:8080\r\n", 200},
                        {peer_of("[::ffff:127.0.0.1]:1"), "Host: 127.0.0.1\r\n", 200},
                        {peer_of("10.0.0.1:1"), "Host: localhost\r\n", 403},
                        {peer_of("127.0.0.1:1"), "Host: evil.example\r\n", 403},
                        {peer_of("127.0.0.1:1"), "Host: 127.0.0.1.evil.example\r\n", 403},
                        {peer_of("127.0.0.1:1"), "Host: localhost\r\nX-Forwarded-For: 10.0.0.1\r\n", 403},
                        {peer_of("127.0.0.1:1"), "Host: localhost\r\nForwarded: for=10.0.0.1\r\n", 403}};
  for (const Case& one : cases) {
    const auto stream = connect(one.peer);
    const std::string request = std::string("GET /local HTTP/1.1\r\n") + one.headers + "\r\n";
    const auto answers = answers_in(test::run_coroutine(context_, send_and_end(stream.get(), {request})));
    ASSERT_EQ(answers.size(), 1U);
    EXPECT_EQ(answers[0].status, one.status) << one.peer.address << " " << one.headers;
  }
}

TEST_F(ServerTest, CountsConnectionsAndResponsesByClass) {
  (void)ask("GET /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /nothing HTTP/1.1\r\nHost: a\r\n\r\n");
  (void)ask("GET /fail HTTP/1.1\r\nHost: a\r\n\r\n");
  const ServerStats stats = server().stats();
  EXPECT_EQ(stats.connections_accepted, 2U);
  EXPECT_EQ(stats.responses[2], 1U);
  EXPECT_EQ(stats.responses[4], 1U);
  EXPECT_EQ(stats.responses[5], 1U);
}

}  // namespace
}  // namespace opi::http::testing
