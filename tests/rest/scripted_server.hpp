#pragma once
/// @file
/// A server on loopback that reads requests and answers with the bytes a test wrote down.

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <deque>
#include <string>
#include <vector>

#include "aio/tcp_listener.hpp"

namespace opi::rest::testing {

/// One accepted connection: for each entry, one request is read and the entry is sent. After the last one the
/// connection is closed, unless `keep` holds it open and silent.
struct Script {
  std::vector<std::string> answers;
  bool keep = false;
};

/// Ownership: outlives the run of its context. Requests without a body, or with Content-Length.
class ScriptedServer {
 public:
  explicit ScriptedServer(asio::io_context& context, std::deque<Script> scripts)
      : listener_(aio::TcpListener::open(context.get_executor(), "127.0.0.1", 0).value()),
        scripts_(std::move(scripts)) {
    asio::co_spawn(context, serve(this), [](const std::exception_ptr&) {});
  }

  std::uint16_t port() const { return listener_.port(); }
  const std::vector<std::string>& requests() const { return requests_; }
  std::size_t connections() const { return connections_; }
  /// Closes what `keep` holds open.
  void drop() { kept_.clear(); }

 private:
  static Task<> serve(ScriptedServer* self) {
    while (!self->scripts_.empty()) {
      auto stream = co_await self->listener_.accept();
      if (!stream) co_return;
      ++self->connections_;
      Script script = std::move(self->scripts_.front());
      self->scripts_.pop_front();
      asio::co_spawn(co_await asio::this_coro::executor, talk(self, std::move(*stream), std::move(script)),
                     [](const std::exception_ptr&) {});
    }
  }

  static std::size_t length_of(const std::string& request) {
    const auto end = request.find("\r\n\r\n");
    if (end == std::string::npos) return std::string::npos;
    const auto length = request.find("content-length: ");
    return end + 4 + (length < end ? std::stoul(request.substr(length + 16)) : 0);
  }

  static Task<> talk(ScriptedServer* self, aio::StreamPtr stream, Script script) {
    std::string pending;
    std::array<std::byte, 4096> chunk{};
    for (const auto& answer : script.answers) {
      while (pending.size() < length_of(pending)) {
        const auto got = co_await stream->read_some(chunk);
        if (!got || *got == 0) co_return;
        pending.append(reinterpret_cast<const char*>(chunk.data()), *got);
      }
      self->requests_.push_back(pending.substr(0, length_of(pending)));
      pending.erase(0, length_of(pending));
      if (!co_await stream->write_all(aio::bytes_of(answer))) co_return;
    }
    if (script.keep) self->kept_.push_back(std::move(stream));
  }

  aio::TcpListener listener_;
  std::deque<Script> scripts_;
  std::vector<std::string> requests_;
  std::vector<aio::StreamPtr> kept_;
  std::size_t connections_ = 0;
};

inline std::string ok(std::string_view body) {
  return "HTTP/1.1 200 OK\r\ncontent-length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

}  // namespace opi::rest::testing
