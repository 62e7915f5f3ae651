#pragma once
/// @file
/// Accepts TCP connections as byte streams.

#include <boost/asio/ip/tcp.hpp>
#include <cstdint>
#include <string>

#include "aio/byte_stream.hpp"

namespace opi::aio {

/// Ownership: closes its socket when destroyed. Threading: one executor's thread.
class TcpListener {
 public:
  /// Listens on `address` (a literal such as "127.0.0.1" or "::") and `port` (0: a free one, see `port()`).
  /// Errors: invalid (not an address), conflict (in use), denied (a privileged port), internal.
  static Result<TcpListener> open(const asio::any_io_executor& executor, const std::string& address,
                                  std::uint16_t port);

  /// The next connection. Errors: cancelled (also after close()), exhausted (no descriptors: wait, then try again),
  /// unavailable (that one was gone again: try again).
  Task<Result<StreamPtr>> accept();
  /// Ends a pending accept. Idempotent.
  void close() noexcept;

  std::uint16_t port() const noexcept { return port_; }
  /// "127.0.0.1:8080", "[::1]:8080".
  std::string address() const;

 private:
  TcpListener(asio::ip::tcp::acceptor acceptor, asio::ip::tcp::endpoint local)
      : acceptor_(std::move(acceptor)), local_(std::move(local)), port_(local_.port()) {}
  asio::ip::tcp::acceptor acceptor_;
  asio::ip::tcp::endpoint local_;
  std::uint16_t port_;
};

}  // namespace opi::aio
