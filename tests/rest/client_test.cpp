#include "rest/client.hpp"

#include <gmock/gmock.h>

#include "rest/scripted_server.hpp"
#include "rest/turns.hpp"
#include "support/in_time.hpp"
#include "support/run_coroutine.hpp"

namespace opi::rest {
namespace {

using test::in;

using ::testing::HasSubstr;
using testing::ok;
using testing::Script;
using testing::ScriptedServer;

class RestClientTest : public ::testing::Test {
 protected:
  void serve(std::deque<Script> scripts, std::uint32_t connections_max = 8) {
    server_ = std::make_unique<ScriptedServer>(context_, std::move(scripts));
    client_ = std::make_unique<Client>(
        ClientSettings{.host = "127.0.0.1", .port = server_->port(), .connections_max = connections_max}, blocking_);
  }
  Result<Response> send(Request request, std::chrono::milliseconds within = std::chrono::seconds(20)) {
    return test::run_coroutine(context_, client_->send(std::move(request), in(within)));
  }

  aio::BlockingPool blocking_{1};
  asio::io_context context_;
  std::unique_ptr<ScriptedServer> server_;
  std::unique_ptr<Client> client_;
};

TEST_F(RestClientTest, OneConnectionCarriesManyRequests) {
  serve({Script{.answers = {ok("one"), ok("two"), ok("three")}, .keep = true}});
  EXPECT_EQ(send({.target = "/1"}).value().body, "one");
  EXPECT_EQ(send({.target = "/2"}).value().body, "two");
  EXPECT_EQ(send({.target = "/3"}).value().body, "three");
  EXPECT_EQ(server_->connections(), 1U);
  EXPECT_EQ(client_->stats().connections_opened, 1U);
  EXPECT_EQ(client_->stats().idle, 1U);
}

TEST_F(RestClientTest, AKeptConnectionThatIsGoneIsReplacedWithoutAnErrorForWhatMayBeRepeated) {
  serve({Script{.answers = {ok("one")}}, Script{.answers = {ok("two")}, .keep = true}});
  EXPECT_EQ(send({.target = "/1"}).value().body, "one");
  EXPECT_EQ(send({.method = Method::put, .target = "/2", .body = "x"}).value().body, "two");
  EXPECT_EQ(client_->stats().repeated, 1U);
}

TEST_F(RestClientTest, WhatMayNotBeRepeatedIsSentOnce) {
  serve({Script{.answers = {ok("one")}}, Script{.answers = {ok("two")}, .keep = true}});
  EXPECT_TRUE(send({.target = "/1"}));
  const auto lost = send({.method = Method::post, .target = "/2", .body = "x", .repeatable = false});
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().kind, ErrorKind::unavailable);
  EXPECT_THAT(server_->requests(), ::testing::SizeIs(1));
}

TEST_F(RestClientTest, AnAnswerThatBrokeOffIsNeverRepeated) {
  serve({Script{.answers = {ok("one"), "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhal"}},
         Script{.answers = {ok("two")}, .keep = true}});
  EXPECT_TRUE(send({.target = "/1"}));
  const auto lost = send({.target = "/2"});
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().kind, ErrorKind::unavailable);
  EXPECT_EQ(client_->stats().repeated, 0U);
  EXPECT_EQ(send({.target = "/3"}).value().body, "two");
}

TEST_F(RestClientTest, AConnectionWhoseResponseWasNotReadToItsEndIsNotUsedAgain) {
  serve({Script{.answers = {"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhal"}, .keep = true},
         Script{.answers = {ok("two")}, .keep = true}});
  {
    const auto stream =
        test::run_coroutine(context_, client_->open({.target = "/watch"}, in(std::chrono::seconds(20))));
    ASSERT_TRUE(stream);
    EXPECT_EQ(stream->head().status, 200);
    EXPECT_EQ(client_->stats().connections, 1U);
  }
  EXPECT_EQ(client_->stats().connections, 0U);
  EXPECT_EQ(send({.target = "/2"}).value().body, "two");
}

TEST_F(RestClientTest, BytesBehindAResponseSpoilItsConnection) {
  serve({Script{.answers = {ok("one") + "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged"}, .keep = true},
         Script{.answers = {ok("two")}, .keep = true}});
  EXPECT_EQ(send({.target = "/1"}).value().body, "one");
  EXPECT_EQ(send({.target = "/2"}).value().body, "two");
  EXPECT_EQ(server_->connections(), 2U);
}

TEST_F(RestClientTest, AStreamGivesItsPiecesAsTheyComeAndThenItsEnd) {
  serve({Script{.answers = {"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n",
                            ok("next")},
                .keep = true}});
  auto stream = test::run_coroutine(context_, client_->open({.target = "/"}, in(std::chrono::seconds(20))));
  ASSERT_TRUE(stream);
  std::string body;
  for (;;) {
    const auto piece = test::run_coroutine(context_, stream->read(in(std::chrono::seconds(20))));
    ASSERT_TRUE(piece) << piece.error().to_string();
    if (piece->empty()) break;
    body += *piece;
  }
  EXPECT_EQ(body, "abcdefg");
  {
    const auto ended = std::move(*stream);
  }
  EXPECT_EQ(send({.target = "/next"}).value().body, "next");
  EXPECT_EQ(server_->connections(), 1U);
}

TEST_F(RestClientTest, ASilentServerCostsTheDeadlineAndItsConnection) {
  serve({Script{.answers = {}, .keep = true}});
  const auto silent = send({.target = "/"}, std::chrono::milliseconds(50));
  ASSERT_FALSE(silent);
  EXPECT_EQ(silent.error().kind, ErrorKind::timed_out);
  EXPECT_THAT(silent.error().to_string(), HasSubstr(client_->address()));
  EXPECT_EQ(client_->stats().connections, 0U);
}

TEST_F(RestClientTest, MoreRequestsThanConnectionsWaitTheirTurnInOrder) {
  serve({Script{.answers = {ok("1"), ok("2"), ok("3")}, .keep = true}}, 1);
  std::vector<std::string> order;
  const auto one = [](Client* client, std::string target, std::vector<std::string>* done) -> Task<> {
    auto response = co_await client->send({.target = target}, in(std::chrono::seconds(20)));
    done->push_back(target + "=" + (response ? response->body : response.error().to_string()));
  };
  for (const char* target : {"/a", "/b", "/c"})
    asio::co_spawn(context_, one(client_.get(), target, &order), [](const std::exception_ptr&) {});
  while (order.size() < 3) context_.run_one();
  EXPECT_THAT(order, ::testing::ElementsAre("/a=1", "/b=2", "/c=3"));
  EXPECT_EQ(client_->stats().connections_opened, 1U);
}

TEST_F(RestClientTest, ClosedItRefuses) {
  serve({});
  client_->close();
  EXPECT_EQ(send({.target = "/"}).error().kind, ErrorKind::closed);
}

TEST(RestTurns, ATurnThatComesWithTheCancellationIsPassedOn) {
  asio::io_context context;
  Turns turns(1);
  auto first = test::run_coroutine(context, turns.take(SteadyTime::max()));
  ASSERT_TRUE(first);
  asio::cancellation_signal cancel;
  std::optional<Result<Turns::Place>> second;
  std::optional<Result<Turns::Place>> third;
  const auto take = [](Turns* from, std::optional<Result<Turns::Place>>* into) -> Task<> {
    into->emplace(co_await from->take(SteadyTime::max()));
  };
  asio::co_spawn(context, take(&turns, &second),
                 asio::bind_cancellation_slot(cancel.slot(), [](const std::exception_ptr&) {}));
  asio::co_spawn(context, take(&turns, &third), [](const std::exception_ptr&) {});
  context.restart();
  context.poll();
  EXPECT_EQ(turns.waiting(), 2U);
  cancel.emit(asio::cancellation_type::terminal);    // under way to the second one …
  first = failure(ErrorKind::closed, "given back");  // … when its turn comes
  context.restart();
  context.poll();
  EXPECT_FALSE(second.has_value() && second->has_value());
  ASSERT_TRUE(third.has_value());
  EXPECT_TRUE(third->has_value());
}

TEST(RestTurns, AWaiterWhoseTimeIsUpLeavesTheQueue) {
  asio::io_context context;
  Turns turns(1);
  const auto first = test::run_coroutine(context, turns.take(SteadyTime::max()));
  const auto late = test::run_coroutine(context, turns.take(in(std::chrono::milliseconds(1))));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind, ErrorKind::timed_out);
  EXPECT_EQ(turns.waiting(), 0U);
}

}  // namespace
}  // namespace opi::rest
