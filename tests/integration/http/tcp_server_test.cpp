// The API server over real sockets: listening, refusing, many clients, end.
#include <gmock/gmock.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <future>
#include <thread>
#include <vector>

#include "http/metrics.hpp"
#include "http/server.hpp"
#include "http/status_routes.hpp"
#include "tcp_client.hpp"

namespace opi::http::testing {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class Source final : public StatusSource {
 public:
  StatusSnapshot status() const override {
    StatusSnapshot status;
    status.build = {"0.1.0", "4f2c1e9"};
    return status;
  }
};

Task<Response> big(Request) {
  co_return Response{.body = std::string(3'000'000, 'x')};
}

/// The server with the routes of the program, on a thread of its own.
class TcpServerTest : public ::testing::Test {
 protected:
  TcpServerTest() {
    std::vector<Route> routes;
    routes.push_back(status_route(&source_));
    routes.push_back(metrics_route(&source_, &self_));
    routes.push_back({Method::get, "/big", Access::anyone, "", big});
    server_ = std::make_unique<Server>(context_.get_executor(), Router{with_landing(std::move(routes))}, ServerLimits{},
                                       Logger{});
    self_ = server_.get();
    const auto port = server_->listen({"localhost", 0, "http.port"});
    EXPECT_TRUE(port.has_value());
    port_ = port.value_or(0);
    thread_ = std::thread([this] { context_.run(); });
  }
  ~TcpServerTest() override {
    EXPECT_TRUE(stop().has_value());
    work_.reset();
    thread_.join();
  }

  Result<> stop() {
    std::promise<Result<>> done;
    auto result = done.get_future();
    asio::co_spawn(context_, server_->stop(system_clock().steady() + seconds{10}),
                   [&done](const std::exception_ptr&, Result<> value) { done.set_value(std::move(value)); });
    return result.get();
  }

  Source source_;
  asio::io_context context_;
  asio::executor_work_guard<asio::io_context::executor_type> work_{context_.get_executor()};  // also after a stop
  std::unique_ptr<Server> server_;
  const Server* self_ = nullptr;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

TEST_F(TcpServerTest, ServesTheStatusTheMetricsAndTheLandingPage) {
  EXPECT_THAT(TcpClient::get(port_, "/api/v1/status"), HasSubstr("\"version\":\"0.1.0\""));
  EXPECT_THAT(TcpClient::get(port_, "/metrics"), HasSubstr("\nopi_http_requests_running 1\n"));
  EXPECT_THAT(TcpClient::get(port_, "/"), HasSubstr("GET /api/v1/status"));
}

TEST_F(TcpServerTest, ALargeResponseArrivesWhole) {
  const std::string answer = TcpClient::get(port_, "/big");
  EXPECT_THAT(answer.substr(0, 200), StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_EQ(answer.size() - (answer.find("\r\n\r\n") + 4), 3'000'000U);
}

TEST_F(TcpServerTest, ARefusalArrivesThoughTheClientIsStillSending) {
  const TcpClient client{port_};
  const std::string head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n";
  ASSERT_TRUE(client.send(head + std::string(200'000, 'x')));
  EXPECT_THAT(client.read_all(), StartsWith("HTTP/1.1 413 Content Too Large\r\n"));
}

TEST_F(TcpServerTest, ServesManyClientsAtTheSameTime) {
  std::vector<std::future<std::string>> answers;
  for (int i = 0; i < 50; ++i) {
    answers.push_back(std::async(std::launch::async, [this] { return TcpClient::get(port_, "/api/v1/status"); }));
  }
  for (auto& answer : answers) EXPECT_THAT(answer.get(), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST_F(TcpServerTest, APortInUseIsRefusedWithWhatToDo) {
  asio::io_context context;
  Server second{context.get_executor(), Router{{}}, {}, Logger{}};
  const auto listening = second.listen({"127.0.0.1", port_, "http.port"});
  ASSERT_FALSE(listening.has_value());
  EXPECT_EQ(listening.error().to_string(),
            "port " + std::to_string(port_) + " is in use by another process; set http.port or stop it");
}

TEST_F(TcpServerTest, AfterTheStopNobodyListens) {
  EXPECT_TRUE(stop().has_value());
  EXPECT_FALSE(TcpClient{port_}.connected());
}

}  // namespace
}  // namespace opi::http::testing
