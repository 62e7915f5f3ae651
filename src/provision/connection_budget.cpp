#include "provision/connection_budget.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <utility>

namespace opi::provision {

/// Stands in line until it is served or its frame is left.
struct ConnectionBudget::Waiter {
  Waiter(const asio::any_io_executor& executor, SteadyTime deadline, Server* of, std::uint32_t wanted)
      : turn(executor, deadline), server(of), count(wanted) {
    server->waiting.push_back(this);
  }
  ~Waiter() {
    if (handed) return;
    if (served) {
      give_back(server, count);
    } else {
      server->waiting.remove(this);
      serve(server);  // whoever stood behind may fit
    }
  }
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  asio::steady_timer turn;  ///< cancelled when it is served
  Server* server;
  std::uint32_t count;
  bool served = false;
  bool handed = false;  ///< to whoever waited, whose Room gives it back
};

void ConnectionBudget::serve(Server* server) noexcept {
  while (!server->waiting.empty() && server->taken + server->waiting.front()->count <= server->most) {
    auto* next = server->waiting.front();
    server->waiting.pop_front();
    server->taken += next->count;
    next->served = true;
    next->turn.cancel();
  }
}

void ConnectionBudget::give_back(Server* server, std::uint32_t count) noexcept {
  server->taken -= count;
  serve(server);
}

std::uint32_t ConnectionBudget::most_beside(const pg::DatabasePool& pool) const {
  const auto config = pool.config();
  const auto found = limits_.all.find(config.name);
  const auto all = found == limits_.all.end() ? 0U : found->second;
  if (all == 0) return std::max(least, limits_.beside);
  return std::max(least, all - std::min(all, config.pool.max));
}

Task<Result<ConnectionBudget::Room>> ConnectionBudget::take(const pg::DatabasePool* pool, std::uint32_t count,
                                                            SteadyTime deadline) {
  auto& server = servers_[pool->config().name];
  server.most = most_beside(*pool);
  const auto executor = co_await asio::this_coro::executor;
  Waiter waiter(executor, deadline, &server, std::min(count, least));
  serve(&server);
  if (!waiter.served) static_cast<void>(co_await waiter.turn.async_wait(as_result));
  if (waiter.served) {
    waiter.handed = true;
    co_return Room(&server, waiter.count);
  }
  if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none)
    co_return failure(ErrorKind::cancelled, "waiting for a connection: cancelled");
  co_return failure(
      Error(ErrorKind::exhausted, fmt::format("all {} connections that pool \"{}\" leaves on its server are in use",
                                              server.most, pool->config().name))
          .with_remedy(fmt::format("raise databases.{}.connections", pool->config().name)));
}

}  // namespace opi::provision
