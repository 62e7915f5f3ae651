#pragma once
/// @file
/// Sockets as byte streams; the inside of connect_tcp, connect_unix and TcpListener.

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <string>

#include "aio/byte_stream.hpp"

namespace opi::aio {

/// Takes over a connected socket. `peer` is what ByteStream::peer() says.
StreamPtr make_stream(asio::ip::tcp::socket socket, std::string peer);
StreamPtr make_stream(asio::local::stream_protocol::socket socket, std::string peer);

/// "127.0.0.1:5432", "[::1]:5432".
std::string to_string(const asio::ip::tcp::endpoint& endpoint);

}  // namespace opi::aio
