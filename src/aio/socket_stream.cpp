#include "aio/socket_stream.hpp"

#include <fmt/format.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/write.hpp>

#include "aio/io_error.hpp"

namespace opi::aio {

namespace {

/// The coroutines below copy what they need before they suspend and touch only the socket afterwards, never in a stream
/// that was destroyed: Asio ends the operation with operation_aborted first, and `peer` is a local then.
template <class Socket>
class SocketStream final : public ByteStream {
 public:
  SocketStream(Socket socket, std::string peer) : socket_(std::move(socket)), peer_(std::move(peer)) {}

  Task<Result<std::size_t>> read_some(std::span<std::byte> into) override {
    const std::string peer = peer_;
    if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none)
      co_return cancelled_before(peer);
    const auto [ec, size] = co_await socket_.async_read_some(asio::buffer(into.data(), into.size()), as_result);
    if (ec == asio::error::eof) co_return std::size_t{0};
    if (ec) co_return failure(io_error("reading from " + peer, ec));
    co_return size;
  }

  Task<Result<>> write_all(std::span<const std::byte> bytes) override {
    const std::string peer = peer_;
    if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none)
      co_return cancelled_before(peer);
    const auto [ec, size] = co_await asio::async_write(socket_, asio::buffer(bytes.data(), bytes.size()), as_result);
    if (ec) co_return failure(io_error("writing to " + peer, ec));
    co_return Result<>{};
  }

  Task<Result<>> shutdown() override {
    boost::system::error_code ec;
    socket_.shutdown(Socket::shutdown_send, ec);
    if (ec && ec != asio::error::not_connected) co_return failure(io_error("ending the stream to " + peer_, ec));
    co_return Result<>{};
  }

  void close() noexcept override {
    boost::system::error_code ignored;
    socket_.close(ignored);
  }

  std::string peer() const override { return peer_; }

 private:
  Socket socket_;
  std::string peer_;
};

}  // namespace

StreamPtr make_stream(asio::ip::tcp::socket socket, std::string peer) {
  boost::system::error_code ignored;  // a socket that is gone again says so on first use
  socket.set_option(asio::ip::tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  return std::make_unique<SocketStream<asio::ip::tcp::socket>>(std::move(socket), std::move(peer));
}

StreamPtr make_stream(asio::local::stream_protocol::socket socket, std::string peer) {
  return std::make_unique<SocketStream<asio::local::stream_protocol::socket>>(std::move(socket), std::move(peer));
}

std::string to_string(const asio::ip::tcp::endpoint& endpoint) {
  const auto address = endpoint.address();
  return fmt::format(fmt::runtime(address.is_v6() ? "[{}]:{}" : "{}:{}"), address.to_string(), endpoint.port());
}

}  // namespace opi::aio
