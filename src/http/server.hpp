#pragma once
/// @file
/// An HTTP/1.1 server over byte streams: bounded in every direction, drained without cutting a request short.

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "aio/byte_stream.hpp"
#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "http/message.hpp"
#include "http/router.hpp"

namespace opi::http {

/// Bounds on what clients may make us do. Every one is enforced for every connection.
struct ServerLimits {
  std::uint32_t header_bytes = 16U << 10U;  ///< request line and headers; more: 431
  std::uint32_t body_bytes = 1U << 20U;     ///< decoded body; more: 413
  std::chrono::milliseconds header_time{
      10'000};  ///< from the first byte (or the connection) to the end of the headers; 408
  std::chrono::milliseconds body_time{30'000};    ///< from there to the end of the body; 408
  std::chrono::milliseconds write_time{30'000};   ///< for the client to take a response; then it is cut off
  std::chrono::milliseconds idle_time{60'000};    ///< between requests; closed without a word
  std::uint32_t requests_per_connection = 1'000;  ///< then `Connection: close`
  std::uint32_t connections =
      512;  ///< one more takes the place of the longest idle one; when none idles: 503, and far beyond: closed
};

/// Where to listen, and what the settings call it in messages ("http.port").
struct ListenAddress {
  std::string address = "127.0.0.1";  ///< a literal, or "localhost"
  std::uint16_t port = 0;             ///< 0: any free one
  std::string port_setting = "http.port";
};

/// Counters and gauges at one moment.
struct ServerStats {
  std::uint32_t connections = 0;       ///< open now
  std::uint32_t requests_running = 0;  ///< between their first byte and the end of the response
  std::uint64_t connections_accepted = 0;
  std::uint64_t connections_refused = 0;        ///< over the limit
  std::array<std::uint64_t, 6> responses = {};  ///< by class: [2] counts 2xx
};

/// The server.
///
/// Ownership: owns its connections; destroy it after `stop()` returned. Router and everything its handlers hold live
/// until then. Threading: every member on the executor's thread. Cancellation: `serve` ends its connection; `stop` is
/// shielded. Errors: a peer's mistakes are answered and counted, never thrown.
class Server {
 public:
  Server(asio::any_io_executor executor, Router router, ServerLimits limits, Logger log);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Binds, listens and starts to accept; returns the port. Synchronous: no name lookup.
  /// Errors: conflict ("port 8080 is in use by another process; set http.port or stop it"), invalid (no address of this
  /// machine), denied (a privileged port), closed (after stop()).
  Result<std::uint16_t> listen(const ListenAddress& where);

  /// Serves one connected stream to its end; what `listen` does with each connection, and tests with memory streams.
  Task<> serve(aio::StreamPtr stream, Peer peer);

  /// From now on: idle connections are closed, each request that still comes is answered 503, running ones finish.
  void begin_drain();

  /// Stops accepting, drains, and waits for running requests; what is left at the deadline is cut off. The error
  /// (timed_out) says how many that were. Idempotent.
  Task<Result<>> stop(SteadyTime deadline);

  ServerStats stats() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace opi::http
