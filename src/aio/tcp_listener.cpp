#include "aio/tcp_listener.hpp"

#include <boost/asio/this_coro.hpp>

#include "aio/io_error.hpp"
#include "aio/socket_stream.hpp"

namespace opi::aio {

using asio::ip::tcp;

Result<TcpListener> TcpListener::open(const asio::any_io_executor& executor, const std::string& address,
                                      std::uint16_t port) {
  boost::system::error_code ec;
  const auto parsed = asio::ip::make_address(address, ec);
  if (ec) return failure(ErrorKind::invalid, "\"" + address + "\" is not an IP address");
  const tcp::endpoint wanted(parsed, port);
  const std::string what = "cannot listen on " + to_string(wanted);
  tcp::acceptor acceptor(executor);
  acceptor.open(wanted.protocol(), ec);
  if (!ec) acceptor.set_option(asio::socket_base::reuse_address(true), ec);
  if (!ec) acceptor.bind(wanted, ec);
  if (!ec) acceptor.listen(asio::socket_base::max_listen_connections, ec);
  if (ec) return failure(io_error(what, ec));
  const auto local = acceptor.local_endpoint(ec);
  if (ec) return failure(io_error(what, ec));
  return TcpListener(std::move(acceptor), local);
}

Task<Result<StreamPtr>> TcpListener::accept() {
  if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none)
    co_return cancelled_before("accepting connections");
  tcp::socket socket(acceptor_.get_executor());
  tcp::endpoint peer;
  const auto [ec] = co_await acceptor_.async_accept(socket, peer, as_result);
  if (ec == asio::error::bad_descriptor) co_return cancelled_before("accepting connections");
  if (ec) co_return failure(io_error("accepting a connection", ec));
  co_return make_stream(std::move(socket), to_string(peer));
}

void TcpListener::close() noexcept {
  boost::system::error_code ignored;
  acceptor_.close(ignored);
}

std::string TcpListener::address() const {
  return to_string(local_);
}

}  // namespace opi::aio
