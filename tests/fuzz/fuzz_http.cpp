// The whole HTTP server on any bytes, over a stream in memory: it always comes to its end, and what it says is HTTP.
// The first byte says how the rest is cut into pieces.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aio/byte_stream.hpp"
#include "http/server.hpp"

namespace {

using opi::Task;
using opi::http::Access;
using opi::http::Method;
using opi::http::Request;
using opi::http::Response;
using opi::http::Route;

void demand(bool condition) {
  if (!condition) std::abort();
}

void rethrow(const std::exception_ptr& error) {
  demand(error == nullptr);
}

Task<Response> echo(Request request) {
  co_return Response{.body = request.body + std::string(request.parameter("name")) + request.path};
}

/// Sends everything while it reads nothing: the pipes are large enough for both directions.
Task<> talk(opi::aio::ByteStream* stream, std::string text, std::size_t piece, std::string* answer) {
  for (std::size_t at = 0; at < text.size(); at += piece) {
    const auto sent = co_await stream->write_all(opi::aio::bytes_of(std::string_view(text).substr(at, piece)));
    if (!sent) break;
  }
  (void)co_await stream->shutdown();
  std::vector<std::byte> buffer(64U << 10U);
  for (;;) {
    const auto got = co_await stream->read_some(buffer);
    if (!got || *got == 0) break;
    answer->append(reinterpret_cast<const char*>(buffer.data()), *got);
  }
  stream->close();
}

Task<> stop(opi::http::Server* server) {
  demand((co_await server->stop(opi::SteadyTime::max())).has_value());
}

/// Every response has a status line, headers, and as many bytes as it says. A HEAD's has none, so its length is not
/// looked at.
void check(std::string_view answer, bool heads) {
  constexpr std::string_view length_name = "\r\ncontent-length: ";
  while (!answer.empty()) {
    demand(answer.starts_with("HTTP/1.1 "));
    const auto end = answer.find("\r\n\r\n");
    demand(end != std::string_view::npos);
    const std::string_view head = answer.substr(0, end);
    answer.remove_prefix(end + 4);
    const auto length = head.find(length_name);
    if (heads) return;
    if (length == std::string_view::npos) continue;
    const std::size_t size = std::stoul(std::string(head.substr(length + length_name.size(), 10)));
    demand(size <= answer.size());
    answer.remove_prefix(size);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t piece = std::size_t{1} + data[0];
  std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
  const bool heads = text.find("HEAD") != std::string::npos;

  boost::asio::io_context context;
  std::vector<Route> routes;
  routes.push_back({Method::get, "/a/{name}", Access::anyone, "", echo});
  routes.push_back({Method::post, "/b", Access::loopback, "", echo});
  opi::http::Server server{context.get_executor(),
                           opi::http::Router{std::move(routes)},
                           {.header_bytes = 2'048, .body_bytes = 4'096, .requests_per_connection = 20},
                           opi::Logger{}};
  auto [ours, theirs] = opi::aio::make_memory_streams(context.get_executor(), std::size_t{1} << 20U);
  std::string answer;
  boost::asio::co_spawn(context, server.serve(std::move(theirs), opi::http::peer_of("127.0.0.1:1")), rethrow);
  boost::asio::co_spawn(context, talk(ours.get(), std::move(text), piece, &answer), rethrow);
  context.run();
  check(answer, heads);
  demand(server.stats().connections == 0 && server.stats().requests_running == 0);
  context.restart();
  boost::asio::co_spawn(context, stop(&server), rethrow);
  context.run();
  return 0;
}
