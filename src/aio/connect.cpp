#include <fmt/format.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/this_coro.hpp>
#include <vector>

#include "aio/blocking_pool.hpp"
#include "aio/byte_stream.hpp"
#include "aio/io_error.hpp"
#include "aio/socket_stream.hpp"
#include "aio/with_deadline.hpp"

namespace opi::aio {

namespace {

using asio::ip::tcp;

/// The blocking lookup. It has a resolver and a context of its own, so that it touches nothing of the caller's.
struct Lookup {
  std::string host;
  std::uint16_t port;

  Result<std::vector<tcp::endpoint>> operator()() const {
    asio::io_context context;
    tcp::resolver resolver(context);
    boost::system::error_code ec;
    const auto found = resolver.resolve(host, std::to_string(port),
                                        tcp::resolver::numeric_service | tcp::resolver::address_configured, ec);
    if (ec) return failure(io_error("looking up " + host, ec));
    std::vector<tcp::endpoint> endpoints;
    for (const auto& entry : found) endpoints.push_back(entry.endpoint());
    return endpoints;
  }
};

Task<Result<std::vector<tcp::endpoint>>> look_up(BlockingPool* names, std::string host, std::uint16_t port) {
  boost::system::error_code not_literal;
  const auto address = asio::ip::make_address(host, not_literal);
  if (!not_literal) co_return std::vector{tcp::endpoint(address, port)};
  if (names == nullptr)
    co_return failure(ErrorKind::invalid, host + " is not an address, and names cannot be looked up");
  // A lookup cannot be interrupted: at the deadline it is left to end by itself.
  co_return co_await names->run_abandonable(Lookup{.host = std::move(host), .port = port});
}

template <class Protocol>
Task<Result<StreamPtr>> connect_one(typename Protocol::endpoint endpoint, std::string peer) {
  typename Protocol::socket socket(co_await asio::this_coro::executor);
  const auto [ec] = co_await socket.async_connect(endpoint, as_result);
  if (ec) co_return failure(io_error("connecting to " + peer, ec));
  co_return make_stream(std::move(socket), std::move(peer));
}

}  // namespace

Task<Result<StreamPtr>> connect_tcp(BlockingPool* names, std::string host, std::uint16_t port, SteadyTime deadline) {
  auto endpoints =
      co_await with_deadline(look_up(names, host, port), deadline, fmt::format("looking up {} took too long", host));
  if (!endpoints) co_return failure(std::move(endpoints).error());
  Error last(ErrorKind::not_found, fmt::format("{} has no address", host));
  auto left = static_cast<std::chrono::nanoseconds::rep>(endpoints->size());
  for (const auto& endpoint : *endpoints) {
    const auto now = std::chrono::steady_clock::now();
    const auto share = now + std::max(deadline - now, SteadyTime::duration::zero()) / left--;
    const std::string peer = to_string(endpoint);
    auto stream =
        co_await with_deadline(connect_one<tcp>(endpoint, peer), share, fmt::format("{} did not answer in time", peer));
    if (stream) co_return stream;
    if (stream.error().kind == ErrorKind::cancelled) co_return stream;
    last = std::move(stream).error();
  }
  co_return failure(std::move(last));
}

Task<Result<StreamPtr>> connect_unix(std::string path, SteadyTime deadline) {
  using Local = asio::local::stream_protocol;
  if (path.size() >= sizeof(sockaddr_un::sun_path))
    co_return failure(ErrorKind::invalid, fmt::format("the path of a unix socket is too long: {}", path));
  auto what = fmt::format("{} did not answer in time", path);
  co_return co_await with_deadline(connect_one<Local>(Local::endpoint(path), "unix:" + path), deadline,
                                   std::move(what));
}

}  // namespace opi::aio
