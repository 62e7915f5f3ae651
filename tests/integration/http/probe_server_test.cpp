// The probes, from outside, over real sockets.
#include "http/probe_server.hpp"

#include <gmock/gmock.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <future>
#include <thread>

#include "tcp_client.hpp"

namespace opi::http::testing {
namespace {

using std::chrono::seconds;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Readiness ready_when(bool ready) {
  pg::PoolStats main;
  main.name = "main";
  main.available = ready;
  return readiness_of({aio::LifespanState::serving, {}}, {main});
}

SteadyTime in_a_while() {
  return system_clock().steady() + seconds{10};
}

TEST(ProbeServer, LivezIsAlways200AndReadyzFollowsTheApplication) {
  std::atomic<bool> ready{false};
  ProbeServer probes{{}, {"0.1.0", "4f2c1e9"}, [&ready] { return ready_when(ready); }, Logger{}};
  const auto port = probes.start();
  ASSERT_TRUE(port.has_value()) << port.error().to_string();
  EXPECT_THAT(TcpClient::get(*port, "/livez"),
              ::testing::AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), EndsWith("\r\n\r\nok\n")));
  EXPECT_THAT(TcpClient::get(*port, "/readyz"), StartsWith("HTTP/1.1 503 Service Unavailable\r\n"));
  ready = true;
  const std::string answer = TcpClient::get(*port, "/readyz");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  const auto json = boost::json::parse(answer.substr(answer.find("\r\n\r\n") + 4)).as_object();
  EXPECT_EQ(json.at("state").as_string(), "ready");
  EXPECT_EQ(json.at("pools").at(0).at("name").as_string(), "main");
  const std::string health = TcpClient::get(*port, "/healthz");
  EXPECT_THAT(health, EndsWith("{\"status\":\"ok\",\"version\":\"0.1.0\",\"commit\":\"4f2c1e9\"}\n"));
  probes.stop(in_a_while());
}

TEST(ProbeServer, AnswersWhileTheThreadThatStartedItIsBlocked) {
  ProbeServer probes{{}, {}, [] { return ready_when(true); }, Logger{}};
  const auto port = probes.start();
  ASSERT_TRUE(port.has_value());
  auto answer = std::async(std::launch::async, [port] { return TcpClient::get(*port, "/livez"); });
  EXPECT_THAT(answer.get(), StartsWith("HTTP/1.1 200 OK\r\n"));  // get() blocks this thread
  probes.stop(in_a_while());
}

TEST(ProbeServer, APortInUseIsRefusedWithWhatToDo) {
  asio::io_context context;
  asio::ip::tcp::acceptor taken{context, {asio::ip::make_address("127.0.0.1"), 0}};
  const std::uint16_t port = taken.local_endpoint().port();
  ProbeServer probes{{"127.0.0.1", port, "probes.port"}, {}, [] { return Readiness{}; }, Logger{}};
  const auto started = probes.start();
  ASSERT_FALSE(started.has_value());
  EXPECT_EQ(started.error().kind, ErrorKind::conflict);
  EXPECT_EQ(started.error().to_string(),
            "port " + std::to_string(port) + " is in use by another process; set probes.port or stop it");
}

TEST(ProbeServer, AnAddressOfAnotherMachineIsRefusedWithWhatToDo) {
  ProbeServer probes{{"192.0.2.1", 0, "probes.port"}, {}, [] { return Readiness{}; }, Logger{}};
  const auto started = probes.start();
  ASSERT_FALSE(started.has_value());
  EXPECT_EQ(started.error().remedy, "set probes.address to an address of this machine");
}

TEST(ProbeServer, StartingTwiceIsRefusedAndStoppingTwiceIsNot) {
  ProbeServer probes{{}, {}, [] { return Readiness{}; }, Logger{}};
  ASSERT_TRUE(probes.start().has_value());
  EXPECT_EQ(probes.start().error().kind, ErrorKind::conflict);
  probes.stop(in_a_while());
  probes.stop(in_a_while());
}

TEST(ProbeServer, StoppingIsBoundedThoughAClientHoldsItsConnection) {
  ProbeServer probes{{}, {}, [] { return Readiness{}; }, Logger{}};
  const auto port = probes.start();
  ASSERT_TRUE(port.has_value());
  const TcpClient idle{*port};
  ASSERT_TRUE(idle.connected());
  const TcpClient slow{*port};
  ASSERT_TRUE(slow.send("GET /livez HTTP/1.1\r\n"));
  EXPECT_THAT(TcpClient::get(*port, "/livez"), StartsWith("HTTP/1.1 200"));  // so both were accepted before
  const auto before = system_clock().steady();
  probes.stop(before + std::chrono::milliseconds{100});
  EXPECT_LT(system_clock().steady() - before, seconds{5});
  EXPECT_EQ(idle.read_all(), "");
  const TcpClient late{*port};
  EXPECT_FALSE(late.connected());
}

TEST(ProbeServer, ThePortIsFreeAgainAfterTheStop) {
  std::uint16_t port = 0;
  for (int i = 0; i < 3; ++i) {
    ProbeServer probes{{"127.0.0.1", port, "probes.port"}, {}, [] { return Readiness{}; }, Logger{}};
    const auto started = probes.start();
    ASSERT_TRUE(started.has_value()) << started.error().to_string();
    port = *started;
    EXPECT_THAT(TcpClient::get(port, "/livez"), HasSubstr("ok"));
    probes.stop(in_a_while());
  }
}

}  // namespace
}  // namespace opi::http::testing
