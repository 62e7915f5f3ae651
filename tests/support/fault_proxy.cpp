#include "support/fault_proxy.hpp"

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <exception>
#include <limits>

namespace opi::test {

using asio::ip::tcp;

struct FaultProxy::Link {
  explicit Link(tcp::socket accepted, std::uint64_t its_number)
      : client(std::move(accepted)), server(client.get_executor()), number(its_number) {}
  void close() {
    boost::system::error_code ignored;
    client.close(ignored);
    server.close(ignored);
  }
  tcp::socket client;
  tcp::socket server;
  std::uint64_t number;
};

namespace {

/// Coroutines of the proxy end with their sockets; nobody asks how.
void ended(const std::exception_ptr& /*exception*/) {}

}  // namespace

FaultProxy::FaultProxy(std::uint16_t server_port)
    : acceptor_(io_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)), server_port_(server_port) {
  port_ = acceptor_.local_endpoint().port();
  asio::co_spawn(io_, accept(), ended);
  thread_ = std::thread([this] { io_.run(); });
}

FaultProxy::~FaultProxy() {
  io_.stop();
  thread_.join();
}

void FaultProxy::set(Faults to_server, Faults to_client) {
  const std::scoped_lock lock(mutex_);
  to_server_ = to_server;
  to_client_ = to_client;
}

void FaultProxy::black_hole(bool later_too) {
  hole_before_ =
      later_too ? std::numeric_limits<std::uint64_t>::max() : static_cast<std::uint64_t>(connections_.load());
}

Task<> FaultProxy::accept() {
  for (;;) {
    auto [error, socket] = co_await acceptor_.async_accept(as_result);
    if (error) co_return;
    socket.set_option(tcp::no_delay(true));
    auto link = std::make_shared<Link>(std::move(socket), static_cast<std::uint64_t>(connections_++));
    Faults to_server;
    Faults to_client;
    {
      const std::scoped_lock lock(mutex_);
      to_server = to_server_;
      to_client = to_client_;
    }
    asio::co_spawn(io_, connect(std::move(link), to_server, to_client), ended);
  }
}

Task<> FaultProxy::connect(std::shared_ptr<Link> link, Faults to_server, Faults to_client) {
  if (link->number >= hole_before_) {
    const auto [error] =
        co_await link->server.async_connect({asio::ip::address_v4::loopback(), server_port_}, as_result);
    if (error) {
      link->close();
      co_return;
    }
    link->server.set_option(tcp::no_delay(true));
    asio::co_spawn(io_, pump(link, false, to_client), ended);
  }
  asio::co_spawn(io_, pump(link, true, to_server), ended);
}

Task<> FaultProxy::pump(std::shared_ptr<Link> link, bool to_server, Faults faults) {
  tcp::socket& from = to_server ? link->client : link->server;
  tcp::socket& to = to_server ? link->server : link->client;
  std::array<char, 65'536> buffer{};
  asio::steady_timer timer(io_);
  std::size_t passed = 0;
  for (;;) {
    if (faults.cut_after && passed >= *faults.cut_after) {
      link->close();
      co_return;
    }
    std::size_t room = std::min(buffer.size(), faults.segment_max);
    if (faults.cut_after) room = std::min(room, *faults.cut_after - passed);
    const auto [error, read] = co_await from.async_read_some(asio::buffer(buffer.data(), room), as_result);
    const bool lost = link->number < hole_before_;
    if (error) {
      if (to_server && error == asio::error::connection_reset) ++client_resets_;
      if (to_server && error == asio::error::eof) ++client_goodbyes_;
      boost::system::error_code ignored;
      if (lost) {
        from.close(ignored);
      } else if (error == asio::error::eof) {
        to.shutdown(tcp::socket::shutdown_send, ignored);
      } else {
        link->close();
      }
      co_return;
    }
    if (lost) continue;
    if (faults.corrupt_at && *faults.corrupt_at >= passed && *faults.corrupt_at < passed + read) {
      char& byte = buffer.at(*faults.corrupt_at - passed);
      byte = static_cast<char>(~byte);
    }
    if (faults.pause.count() > 0) {
      timer.expires_after(faults.pause);
      (void)co_await timer.async_wait(as_result);
    }
    passed += read;
    (to_server ? bytes_to_server_ : bytes_to_client_) += read;
    const auto [failed, written] = co_await asio::async_write(to, asio::buffer(buffer.data(), read), as_result);
    if (failed) {
      link->close();
      co_return;
    }
  }
}

}  // namespace opi::test
