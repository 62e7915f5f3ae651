#pragma once
/// @file
/// A TCP proxy between a client and a real server that misbehaves as a test asks.

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "aio/task.hpp"

namespace opi::test {

/// What happens to the bytes of one direction of one connection.
struct Faults {
  std::optional<std::size_t> cut_after = {};   ///< so many bytes pass, then both ends are closed
  std::optional<std::size_t> corrupt_at = {};  ///< the byte at this place arrives with all its bits turned
  std::size_t segment_max = 65'536;            ///< passed on in parts no larger
  std::chrono::microseconds pause{0};          ///< before each part; with segment_max a limit of bandwidth
};

/// Runs on a thread of its own. Threading: any. Ownership: ends its connections when destroyed.
class FaultProxy {
 public:
  /// To 127.0.0.1:`server_port`.
  explicit FaultProxy(std::uint16_t server_port);
  ~FaultProxy();
  FaultProxy(const FaultProxy&) = delete;
  FaultProxy& operator=(const FaultProxy&) = delete;

  std::uint16_t port() const noexcept { return port_; }

  /// For connections that are accepted from now on.
  void set(Faults to_server, Faults to_client);
  void heal() { set({}, {}); }
  /// Connections of today become half-open: nothing passes any more in either direction, and no end is told of the
  /// other's close, as when packets are dropped. Later connections are not concerned, unless `later_too`.
  void black_hole(bool later_too = false);

  /// What the proxy has seen.
  int connections() const noexcept { return connections_.load(); }
  /// Connections that the client ended by a reset instead of in order.
  int client_resets() const noexcept { return client_resets_.load(); }
  /// Those that the client ended in order.
  int client_goodbyes() const noexcept { return client_goodbyes_.load(); }
  std::uint64_t bytes_to_server() const noexcept { return bytes_to_server_.load(); }
  std::uint64_t bytes_to_client() const noexcept { return bytes_to_client_.load(); }

 private:
  struct Link;
  Task<> accept();
  Task<> connect(std::shared_ptr<Link> link, Faults to_server, Faults to_client);
  Task<> pump(std::shared_ptr<Link> link, bool to_server, Faults faults);

  asio::io_context io_;
  asio::ip::tcp::acceptor acceptor_;
  std::uint16_t server_port_;
  std::uint16_t port_ = 0;
  mutable std::mutex mutex_;
  Faults to_server_, to_client_;
  std::atomic<std::uint64_t> hole_before_ = 0;  ///< connections with a smaller number are half-open
  std::atomic<int> connections_ = 0, client_resets_ = 0, client_goodbyes_ = 0;
  std::atomic<std::uint64_t> bytes_to_server_ = 0, bytes_to_client_ = 0;
  std::thread thread_;
};

}  // namespace opi::test
