#pragma once
/// @file
/// One connection of the server, from its first byte to its last.

#include <array>
#include <cstddef>
#include <optional>
#include <string>

#include "aio/byte_stream.hpp"
#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "http/request_parser.hpp"
#include "http/router.hpp"
#include "http/server.hpp"

namespace opi::http {

/// What every connection of a server shares; outlives them.
struct ConnectionContext {
  const Router* router = nullptr;
  ServerLimits limits;
  Logger log;
  bool draining = false;
  ServerStats stats = {};
};

/// Ownership: owns the stream, borrows the context. Threading: one executor's thread.
class Connection {
 public:
  Connection(aio::StreamPtr stream, Peer peer, ConnectionContext& context);

  /// Serves request after request until either side has enough. Never throws on what the peer does.
  Task<> run();
  /// Says 503 and closes: there is no room.
  Task<> turn_away();

  /// Waiting for the first byte of a request.
  bool idle() const noexcept { return idle_; }
  SteadyTime idle_since() const noexcept { return idle_since_; }
  /// Ends `run` at its next read or write. Only for one that idles, or at the deadline of a drain.
  void close() noexcept { stream_->close(); }

 private:
  enum class Read { more, ended, late, broken };

  Task<bool> serve_one(std::uint32_t number);
  Task<bool> await_request(RequestParser* parser, std::uint32_t number);
  Task<std::optional<Response>> await_body(RequestParser* parser);
  Task<Response> answer(RequestParser* parser);
  Task<Response> run_handler(const Route* route, Request request);
  Task<Read> read_more(SteadyTime deadline);
  Task<bool> respond(Response response, Method method, bool keep_alive);
  Task<bool> write(std::string bytes);
  Task<bool> refuse_parse(const RequestParser* parser);
  Task<> linger();
  void take(RequestParser* parser);

  aio::StreamPtr stream_;
  Peer peer_;
  ConnectionContext& context_;
  std::string pending_;  ///< read and not yet consumed; the next requests of a pipelining client
  std::array<std::byte, 4096> chunk_{};
  SteadyTime idle_since_{};
  bool idle_ = false;
};

}  // namespace opi::http
