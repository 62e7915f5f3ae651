#pragma once
/// @file
/// A server in memory with routes that echo, fail and wait.

#include <gmock/gmock.h>

#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <stdexcept>

#include "aio/with_deadline.hpp"
#include "http/conversation.hpp"

namespace opi::http::testing {

inline Task<Response> hello(Request) {
  co_return Response{.body = "hello"};
}
inline Task<Response> echo(Request request) {
  co_return Response{.body = request.body};
}
inline Task<Response> fail(Request) {
  throw std::runtime_error("kaputt");
  co_return Response{};
}
inline Task<Response> describe(Request request) {
  boost::json::object query;
  for (const auto& [name, value] : request.query) query[name] = value;
  co_return json_response(
      boost::json::object{{"thing", request.parameter("thing")}, {"query", query}, {"peer", request.peer.address}});
}
/// Something that happens once and can be waited for, before or after.
struct Event {
  explicit Event(asio::io_context& context) : timer(context, SteadyTime::max()) {}
  void set() {
    happened = true;
    timer.cancel();
  }
  bool happened = false;
  asio::steady_timer timer;
};
inline Task<> wait_for(Event* event) {
  while (!event->happened) co_await event->timer.async_wait(as_result);
}
/// A handler that says that it has begun and ends when it is released.
inline Task<Response> wait(Event* begun, Event* release) {
  begun->set();
  co_await wait_for(release);
  co_return Response{.body = "waited"};
}

class ServerTest : public ::testing::Test {
 protected:
  ~ServerTest() override {
    if (!server_) return;
    release_.set();
    (void)test::run_coroutine(context_, server_->stop(system_clock().steady()));
    EXPECT_EQ(server_->stats().connections, 0U);
    EXPECT_EQ(server_->stats().requests_running, 0U);
  }

  Router routes() {
    std::vector<Route> list;
    list.push_back({Method::get, "/hello", Access::anyone, "", hello});
    list.push_back({Method::post, "/echo", Access::anyone, "", echo});
    list.push_back({Method::get, "/fail", Access::anyone, "", fail});
    list.push_back({Method::get, "/local", Access::loopback, "", hello});
    list.push_back({Method::get, "/things/{thing}", Access::anyone, "", describe});
    list.push_back({Method::get, "/wait", Access::anyone, "", [this](Request) { return wait(&begun_, &release_); }});
    return Router{std::move(list)};
  }

  Server& server() {
    if (!server_) server_ = std::make_unique<Server>(context_.get_executor(), routes(), limits_, Logger{});
    return *server_;
  }

  /// A new connection; the server serves it from the next run of the context on.
  aio::StreamPtr connect(Peer peer = {"memory", true}, std::size_t capacity = 1U << 16U) {
    auto [ours, theirs] = aio::make_memory_streams(context_.get_executor(), capacity);
    asio::co_spawn(context_, server().serve(std::move(theirs), std::move(peer)), [](const std::exception_ptr& error) {
      if (error) ADD_FAILURE() << "an exception left serve()";
    });
    return std::move(ours);
  }

  std::string talk(std::vector<std::string> pieces) {
    const auto stream = connect();
    return test::run_coroutine(context_, send_and_end(stream.get(), std::move(pieces)));
  }
  std::vector<Answer> ask(std::string text) { return answers_in(talk({std::move(text)})); }

  /// The one answer to `text`, whose body must be a problem of that status.
  void expect_problem(const std::string& text, int status, const std::string& detail) {
    const auto answers = ask(text);
    ASSERT_EQ(answers.size(), 1U) << text;
    EXPECT_EQ(answers[0].status, status) << text;
    EXPECT_EQ(answers[0].headers.at("content-type"), "application/problem+json");
    const auto body = boost::json::parse(answers[0].body).as_object();
    EXPECT_EQ(body.at("status").as_int64(), status);
    EXPECT_EQ(body.at("title").as_string(), reason(status));
    EXPECT_THAT(std::string(body.at("detail").as_string()), ::testing::HasSubstr(detail)) << text;
  }

  asio::io_context context_;
  Event begun_{context_};
  Event release_{context_};
  ServerLimits limits_;
  std::unique_ptr<Server> server_;
};

}  // namespace opi::http::testing
