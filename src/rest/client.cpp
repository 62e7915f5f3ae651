#include "rest/client.hpp"

#include <fmt/format.h>

#include <array>
#include <cassert>
#include <optional>
#include <utility>
#include <vector>

#include "aio/with_deadline.hpp"
#include "base/clock.hpp"
#include "rest/turns.hpp"
#include "rest/wire.hpp"

namespace opi::rest {

namespace {

std::string host_of(const ClientSettings& settings) {
  const std::string_view name = settings.tls_name.empty() ? settings.host : settings.tls_name;
  const std::string host = name.contains(':') ? fmt::format("[{}]", name) : std::string(name);
  const std::uint16_t usual = settings.tls ? 443 : 80;
  return settings.port == usual ? host : fmt::format("{}:{}", host, settings.port);
}

std::string address_of(const ClientSettings& settings) {
  const std::string host = settings.host.contains(':') ? fmt::format("[{}]", settings.host) : settings.host;
  return fmt::format("{}://{}:{}", settings.tls ? "https" : "http", host, settings.port);
}

/// A buffer that holds secrets and is wiped however it goes.
struct Wiped {
  std::string bytes;
  explicit Wiped(std::string text) : bytes(std::move(text)) {}
  Wiped(const Wiped&) = delete;
  Wiped& operator=(const Wiped&) = delete;
  ~Wiped() { wipe(bytes); }
};

}  // namespace

struct Client::State {
  State(ClientSettings given, aio::BlockingPool& pool)
      : settings(std::move(given)),
        names(pool),
        host(host_of(settings)),
        address(address_of(settings)),
        turns(settings.connections_max) {}

  struct Idle {
    aio::StreamPtr stream;
    SteadyTime since;
  };

  /// The connection that was used last and may still stand.
  aio::StreamPtr take_idle() {
    const SteadyTime oldest = steady_now() - settings.idle_max;
    std::erase_if(idle, [oldest](const Idle& entry) { return entry.since < oldest; });
    if (idle.empty()) return nullptr;
    aio::StreamPtr stream = std::move(idle.back().stream);
    idle.pop_back();
    return stream;
  }

  Task<Result<aio::StreamPtr>> dial(SteadyTime deadline);

  ClientSettings settings;
  aio::BlockingPool& names;
  const std::string host;
  const std::string address;
  Turns turns;
  std::vector<Idle> idle;
  ClientStats counted = {};
  std::uint32_t busy = 0;
  std::uint64_t generation = 0;  ///< of the TLS settings
  bool closed = false;
};

/// One request on one connection, from its turn to the end of its response.
struct ResponseStream::Exchange {
  Exchange(Client::State& state, Turns::Place turn, bool head)
      : client(state),
        place(std::move(turn)),
        to_head(head),
        parser(head, state.settings.header_bytes_max, state.settings.body_bytes_max) {
    ++client.busy;
  }
  ~Exchange() {
    --client.busy;
    const bool reusable = stream && parser.keep_alive() && pending.empty() && !client.closed;
    if (reusable && generation == client.generation)
      client.idle.push_back({.stream = std::move(stream), .since = steady_now()});
  }
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  Task<Result<>> send(Request request, SteadyTime deadline);
  Task<Result<>> send_once(const Request* request, SteadyTime deadline);
  Task<Result<>> read_until(ResponseParser::State wanted, SteadyTime deadline);
  Task<Result<>> read_more(SteadyTime deadline);
  void take() { pending.erase(0, parser.feed(pending)); }
  Error about(Error error) const { return std::move(error).while_doing(client.address); }

  Client::State& client;
  Turns::Place place;
  const bool to_head;
  aio::StreamPtr stream;
  ResponseParser parser;
  std::string pending;  ///< read and not yet consumed
  std::array<std::byte, 16384> chunk{};
  std::uint64_t generation = 0;
};

Task<Result<aio::StreamPtr>> Client::State::dial(SteadyTime deadline) {
  deadline = std::min(deadline, steady_now() + settings.connect_timeout);
  ++counted.connections_opened;
  auto stream = co_await aio::connect_tcp(&names, settings.host, settings.port, deadline);
  if (!stream || !settings.tls) co_return stream;
  co_return co_await aio::tls_connect(std::move(*stream), settings.tls,
                                      settings.tls_name.empty() ? settings.host : settings.tls_name, deadline);
}

/// Until the head of the response is there. A kept connection that is gone before any answer is replaced.
Task<Result<>> ResponseStream::Exchange::send(Request request, SteadyTime deadline) {
  for (;;) {
    stream = client.take_idle();
    const bool kept = static_cast<bool>(stream);
    generation = client.generation;
    if (!stream) {
      auto dialed = co_await client.dial(deadline);
      if (!dialed) co_return failure(about(std::move(dialed).error()));
      stream = std::move(*dialed);
    }
    auto sent = co_await send_once(&request, deadline);
    if (sent) break;
    stream.reset();
    const bool gone = sent.error().kind == ErrorKind::unavailable && !parser.begun();
    if (!kept || !gone || !request.repeatable) {
      wipe(request.body);
      co_return failure(about(std::move(sent).error()));
    }
    ++client.counted.repeated;
    parser = ResponseParser(to_head, client.settings.header_bytes_max, client.settings.body_bytes_max);
    pending.clear();
  }
  wipe(request.body);
  co_return Result<>{};
}

Task<Result<>> ResponseStream::Exchange::send_once(const Request* request, SteadyTime deadline) {
  auto bytes = to_bytes(*request, client.host);
  if (!bytes) co_return failure(std::move(bytes).error());
  Wiped wiped(std::move(*bytes));
  ++client.counted.requests;
  auto written = co_await aio::with_deadline(stream->write_all(aio::bytes_of(wiped.bytes)), deadline,
                                             "the request could not be sent in time");
  // A server may answer without reading everything, and close: its answer says why.
  if (!written && written.error().kind != ErrorKind::unavailable) co_return written;
  auto read = co_await read_until(ResponseParser::State::body, deadline);
  if (!read && !written) co_return written;
  co_return read;
}

Task<Result<>> ResponseStream::Exchange::read_until(ResponseParser::State wanted, SteadyTime deadline) {
  for (;;) {
    take();
    if (parser.state() == ResponseParser::State::failed) co_return failure(parser.error());
    if (parser.state() >= wanted) co_return Result<>{};
    auto read = co_await read_more(deadline);
    if (!read) co_return read;
  }
}

Task<Result<>> ResponseStream::Exchange::read_more(SteadyTime deadline) {
  auto got = co_await aio::with_deadline(stream->read_some(chunk), deadline, "no answer in time");
  if (!got) co_return failure(std::move(got).error());
  if (*got == 0) {
    parser.feed_end();
    // What is left belongs to no response.
    pending.clear();
    if (parser.state() == ResponseParser::State::failed) co_return failure(parser.error());
    co_return Result<>{};
  }
  pending.append(reinterpret_cast<const char*>(chunk.data()), *got);
  co_return Result<>{};
}

ResponseStream::ResponseStream(std::unique_ptr<Exchange> exchange) noexcept : exchange_(std::move(exchange)) {}
ResponseStream::ResponseStream(ResponseStream&&) noexcept = default;
ResponseStream& ResponseStream::operator=(ResponseStream&&) noexcept = default;
ResponseStream::~ResponseStream() = default;

const Response& ResponseStream::head() const noexcept {
  return exchange_->parser.head();
}

Task<Result<std::string>> ResponseStream::read(SteadyTime deadline) {
  Exchange& self = *exchange_;
  for (;;) {
    self.take();
    if (self.parser.state() == ResponseParser::State::failed) {
      self.stream.reset();
      co_return failure(self.about(self.parser.error()));
    }
    if (std::string piece = self.parser.take_body(); !piece.empty()) co_return piece;
    if (self.parser.state() == ResponseParser::State::done) co_return std::string{};
    if (!self.stream) co_return failure(ErrorKind::closed, self.client.address + ": the stream is closed");
    auto read = co_await self.read_more(deadline);
    if (!read) {
      self.stream.reset();
      co_return failure(self.about(std::move(read).error()));
    }
  }
}

Client::Client(ClientSettings settings, aio::BlockingPool& names)
    : state_(std::make_unique<State>(std::move(settings), names)) {}

Client::~Client() {
  assert(state_->busy == 0 && "a rest::Client was destroyed while a request was under way");
}

Task<Result<ResponseStream>> Client::open(Request request, SteadyTime deadline) {
  if (state_->closed) co_return failure(ErrorKind::closed, state_->address + ": the client is closed");
  auto turn = co_await state_->turns.take(deadline);
  if (!turn) co_return failure(std::move(turn).error().while_doing(state_->address));
  auto exchange = std::make_unique<ResponseStream::Exchange>(*state_, std::move(*turn), request.method == Method::head);
  auto sent = co_await exchange->send(std::move(request), deadline);
  if (!sent) co_return failure(std::move(sent).error());
  co_return ResponseStream(std::move(exchange));
}

Task<Result<Response>> Client::send(Request request, SteadyTime deadline) {
  auto stream = co_await open(std::move(request), deadline);
  if (!stream) co_return failure(std::move(stream).error());
  auto read = co_await stream->exchange_->read_until(ResponseParser::State::done, deadline);
  if (!read) {
    stream->exchange_->stream.reset();
    co_return failure(stream->exchange_->about(std::move(read).error()));
  }
  Response response = stream->head();
  response.body = stream->exchange_->parser.take_body();
  co_return response;
}

void Client::use_tls(aio::TlsContextPtr tls) {
  state_->settings.tls = std::move(tls);
  ++state_->generation;
  state_->idle.clear();
}

void Client::close() noexcept {
  state_->closed = true;
  state_->idle.clear();
}

ClientStats Client::stats() const noexcept {
  ClientStats stats = state_->counted;
  stats.idle = static_cast<std::uint32_t>(state_->idle.size());
  stats.waiting = state_->turns.waiting();
  stats.connections = state_->busy + stats.idle;
  return stats;
}

const std::string& Client::address() const noexcept {
  return state_->address;
}

}  // namespace opi::rest
