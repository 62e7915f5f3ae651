#include "http/server.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <list>
#include <optional>
#include <utility>

#include "aio/gate.hpp"
#include "aio/task_scope.hpp"
#include "aio/tcp_listener.hpp"
#include "aio/with_deadline.hpp"
#include "http/connection.hpp"

namespace opi::http {

struct Server::State {
  State(const asio::any_io_executor& executor, Router routes, ServerLimits limits, Logger log)
      : router(std::move(routes)),
        context{.router = &router, .limits = limits, .log = std::move(log)},
        scope(executor, context.log, "http"),
        gate(executor) {}

  class Listed;
  Task<> accept_connections();
  Task<> serve(aio::StreamPtr stream, Peer peer);
  bool make_room();
  void begin_drain();

  Router router;
  ConnectionContext context;
  std::optional<aio::TcpListener> listener;
  std::list<Connection*> connections;  ///< each lives in the frame of its own serve()
  aio::TaskScope scope;
  aio::Gate gate;  ///< a pass for each connection
};

namespace {

/// What a person reads who wanted to listen there.
Error explain(const Error& error, const ListenAddress& where) {
  Error result = error;
  const std::string setting = where.port_setting;
  switch (error.kind) {
    case ErrorKind::conflict:
      result.message = fmt::format("port {} is in use by another process", where.port);
      result.causes.clear();
      result.code.clear();
      result.remedy = fmt::format("set {} or stop it", setting);
      break;
    case ErrorKind::denied:
      result.remedy = fmt::format("set {} to 1024 or more, or grant CAP_NET_BIND_SERVICE", setting);
      break;
    default:
      result.remedy =
          fmt::format("set {}address to an address of this machine", setting.substr(0, setting.rfind('.') + 1));
      break;
  }
  return result;
}

}  // namespace

/// A connection is in the list, and counted, while this lives.
class Server::State::Listed {
 public:
  Listed(State& state, Connection* connection)
      : state_(state), position_(state.connections.insert(state.connections.end(), connection)) {
    ++state_.context.stats.connections;
  }
  ~Listed() {
    --state_.context.stats.connections;
    state_.connections.erase(position_);
  }
  Listed(const Listed&) = delete;
  Listed& operator=(const Listed&) = delete;

 private:
  State& state_;
  std::list<Connection*>::iterator position_;
};

/// When the limit is reached, the connection that idles longest makes place; false when none idles.
bool Server::State::make_room() {
  if (context.stats.connections < context.limits.connections) return true;
  Connection* oldest = nullptr;
  for (Connection* connection : connections) {
    if (connection->idle() && (oldest == nullptr || connection->idle_since() < oldest->idle_since()))
      oldest = connection;
  }
  if (oldest != nullptr) oldest->close();
  return oldest != nullptr;
}

Task<> Server::State::serve(aio::StreamPtr stream, Peer peer) {
  constexpr std::uint32_t turned_away_max = 64;  // beyond the limit, at the same time
  const auto pass = gate.enter();
  ++context.stats.connections_accepted;
  const bool room = pass && make_room();
  if (!room) ++context.stats.connections_refused;
  if (!pass || (!room && context.stats.connections >= context.limits.connections + turned_away_max)) co_return;
  Connection connection{std::move(stream), std::move(peer), context};
  const Listed listed{*this, &connection};
  if (room) {
    co_await connection.run();
  } else {
    co_await connection.turn_away();
  }
}

Task<> Server::State::accept_connections() {
  constexpr std::chrono::milliseconds pause{100};
  bool complained = false;
  for (;;) {
    auto stream = co_await listener->accept();
    if (stream) {
      complained = false;
      Peer peer = peer_of((*stream)->peer());
      scope.spawn("connection", serve(std::move(*stream), std::move(peer)));
      continue;
    }
    if (stream.error().kind == ErrorKind::cancelled) co_return;
    if (stream.error().kind == ErrorKind::unavailable) continue;  // that peer left while it waited
    // Out of descriptors or memory: the pending connection stays pending, so asking at once would spin.
    if (!std::exchange(complained, true)) context.log.error("accept", stream.error().to_string());
    if (!co_await aio::sleep_for(pause)) co_return;
  }
}

void Server::State::begin_drain() {
  context.draining = true;
  for (Connection* connection : connections) {
    if (connection->idle()) connection->close();
  }
}

Server::Server(asio::any_io_executor executor, Router router, ServerLimits limits, Logger log)
    : state_(std::make_unique<State>(std::move(executor), std::move(router), limits, std::move(log))) {}

Server::~Server() = default;

Result<std::uint16_t> Server::listen(const ListenAddress& where) {
  if (state_->context.draining) return failure(ErrorKind::closed, "the server is stopped");
  const std::string address = where.address == "localhost" ? "127.0.0.1" : where.address;
  auto listener = aio::TcpListener::open(state_->scope.executor(), address, where.port);
  if (!listener) return failure(explain(listener.error(), where));
  state_->listener.emplace(std::move(*listener));
  state_->scope.spawn("accept", state_->accept_connections());
  return state_->listener->port();
}

Task<> Server::serve(aio::StreamPtr stream, Peer peer) {
  return state_->serve(std::move(stream), std::move(peer));
}

void Server::begin_drain() {
  state_->begin_drain();
}

Task<Result<>> Server::stop(SteadyTime deadline) {
  if (state_->listener) state_->listener->close();
  state_->begin_drain();
  const bool drained = co_await aio::shielded(state_->gate.close(deadline));
  const std::size_t left = state_->gate.inside();
  state_->scope.cancel();
  for (Connection* connection : state_->connections) connection->close();
  co_await state_->scope.join();
  co_await aio::shielded(state_->gate.close(SteadyTime::max()));  // those that somebody else runs
  if (drained) co_return Result<>{};
  co_return failure(ErrorKind::timed_out, fmt::format("{} {} cut off at the deadline", left,
                                                      left == 1 ? "connection was" : "connections were"));
}

ServerStats Server::stats() const noexcept {
  return state_->context.stats;
}

}  // namespace opi::http
