// How a single connection finds its host.
#include <algorithm>
#include <random>
#include <utility>

#include "pg/dial_outcome.hpp"
#include "pg/session.hpp"

namespace opi::pg {

Task<Result<Connection>> Connection::connect(asio::any_io_executor executor, const ServerSettings& server,
                                             aio::BlockingPool& blocking, SteadyTime deadline) {
  return connect_owning(std::move(executor), server, &blocking, deadline);
}

Task<Result<Connection>> Connection::connect_host(asio::any_io_executor executor, const ServerSettings& server,
                                                  const HostPort& host, aio::BlockingPool& blocking,
                                                  SteadyTime deadline) {
  return dial_one(std::move(executor), server, host, &blocking, deadline);
}

Task<Result<Connection>> Connection::dial_one(asio::any_io_executor executor, ServerSettings server, HostPort host,
                                              aio::BlockingPool* blocking, SteadyTime deadline) {
  auto dialed = co_await dial(executor, std::move(server), std::move(host), blocking, deadline);
  if (!dialed) co_return failure(std::move(dialed.error()));
  co_return Connection(std::make_shared<Session>(std::move(executor), std::move(*dialed), blocking));
}

Task<Result<Connection>> Connection::connect_owning(asio::any_io_executor executor, ServerSettings server,
                                                    aio::BlockingPool* blocking, SteadyTime deadline) {
  if (auto valid = validate(server); !valid) co_return failure(std::move(valid.error()));
  if (server.host_order == HostOrder::balanced) {
    std::minstd_rand random(std::random_device{}());
    std::ranges::shuffle(server.hosts, random);
  }
  DialErrors errors(server.target);
  Connection second_best;
  for (std::size_t index = 0; index < server.hosts.size(); ++index) {
    const SteadyTime now = std::chrono::steady_clock::now();
    const SteadyTime until = now + (deadline - now) / static_cast<std::int64_t>(server.hosts.size() - index);
    auto connection = co_await dial_one(executor, server, server.hosts[index], blocking, until);
    if (!connection) {
      const bool over = ends_search(connection.error());
      errors.add(std::move(connection.error()));
      if (over) break;
      continue;
    }
    if (server.target == SessionTarget::any) co_return connection;
    const auto role = co_await role_of(&*connection, until);
    if (!role) {
      errors.add(role.error());
      continue;
    }
    const Fit fit = fit_of(server.target, *role);
    if (fit == Fit::good) co_return connection;
    if (fit == Fit::second_best) {
      second_best = std::move(*connection);
    } else {
      errors.add(wrong_role(connection->peer(), *role));
      co_await connection->close(until);
    }
  }
  if (!second_best.broken()) co_return second_best;
  co_return failure(errors.take());
}

}  // namespace opi::pg
