#pragma once
/// @file
/// An HTTP/1.1 client of one server: keep-alive, bounded connections, deadlines, whole responses and streamed ones.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "aio/blocking_pool.hpp"
#include "aio/byte_stream.hpp"
#include "aio/task.hpp"
#include "aio/tls.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "rest/message.hpp"

namespace opi::rest {

/// Which server, and the bounds of what it may make us do.
struct ClientSettings {
  std::string host;  ///< name or address to connect to
  std::uint16_t port = 443;
  aio::TlsContextPtr tls = nullptr;   ///< null: plain text
  std::string tls_name = {};          ///< what the certificate must be for; empty: `host`
  std::uint32_t connections_max = 8;  ///< open ones, streams included; a request beyond it waits its turn
  std::uint32_t header_bytes_max = 64 << 10;
  std::uint64_t body_bytes_max = 64 << 20;  ///< of a whole response, and of one piece of a stream
  std::chrono::milliseconds connect_timeout{10'000};
  /// An idle connection older than this is not used again: many servers and what stands before them close silently.
  std::chrono::milliseconds idle_max{60'000};
};

/// Counters and gauges at one moment.
struct ClientStats {
  std::uint32_t connections = 0;  ///< open or being opened
  std::uint32_t idle = 0;
  std::uint32_t waiting = 0;  ///< requests that wait for their turn
  std::uint64_t connections_opened = 0;
  std::uint64_t requests = 0;  ///< sent, repetitions included
  std::uint64_t repeated = 0;  ///< sent a second time, for a kept connection was gone
};

/// A response whose body comes in pieces for as long as the server likes. Move-only; destruction closes its
/// connection, unless the body was read to its end. The client outlives it.
class ResponseStream {
 public:
  ResponseStream(ResponseStream&&) noexcept;
  ResponseStream& operator=(ResponseStream&&) noexcept;
  ~ResponseStream();

  /// Status and headers; no body.
  const Response& head() const noexcept;
  /// The next piece, empty at the end of the body. Errors: timed_out (the stream is closed then), unavailable,
  /// exhausted, cancelled.
  Task<Result<std::string>> read(SteadyTime deadline);

 private:
  friend class Client;
  struct Exchange;
  explicit ResponseStream(std::unique_ptr<Exchange> exchange) noexcept;
  std::unique_ptr<Exchange> exchange_;
};

/// The client.
///
/// Ownership: owns its idle connections; outlives its requests and streams. The blocking pool outlives it.
/// Threading: every member on one executor's thread.
/// Cancellation: terminal cancellation ends a request with ErrorKind::cancelled and closes its connection.
/// Errors: a status of the server is a value, whatever it is. unavailable (not reached, or lost before the response was
/// complete), not_found (no such host), denied (TLS: not trusted), timed_out (also while waiting for a turn),
/// exhausted (a response beyond its bounds), internal (not HTTP), invalid (a request that cannot be sent), closed.
class Client {
 public:
  Client(ClientSettings settings, aio::BlockingPool& names);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// The whole response.
  Task<Result<Response>> send(Request request, SteadyTime deadline);
  /// Status and headers, by the deadline; then the body as it comes.
  Task<Result<ResponseStream>> open(Request request, SteadyTime deadline);

  /// New connections use `tls` from now on; idle ones of before are closed.
  void use_tls(aio::TlsContextPtr tls);
  /// Closes what is idle and refuses new requests.
  void close() noexcept;

  ClientStats stats() const noexcept;
  /// "https://host:port", for messages.
  const std::string& address() const noexcept;

 private:
  friend class ResponseStream;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace opi::rest
