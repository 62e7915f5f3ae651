#pragma once
/// @file
/// How many connections we have to a server at once: the pool's, and beside them the short ones into databases.

#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <list>
#include <map>
#include <string>
#include <utility>

#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "pg/database_pool.hpp"

namespace opi::provision {

/// The most connections to each server, by the name of its pool. Plain values.
struct ConnectionLimits {
  std::map<std::string, std::uint32_t, std::less<>> all = {};  ///< the pool's included; a server that is not here: …
  std::uint32_t beside = 4;                                    ///< … so many beside the pool's
};

/// Hands out the room that a pool leaves: for looks into databases, proofs by login, copies and dumps. First come,
/// first served, for each server by itself.
///
/// Nobody waits for a lease of a pool while holding room, so that waiting for room under a lease cannot deadlock.
/// Ownership: outlives every Room. Threading: one executor's thread.
class ConnectionBudget {
 public:
  static constexpr std::uint32_t least = 2;  ///< a copy needs two; a smaller limit is taken for this

  explicit ConnectionBudget(ConnectionLimits limits) : limits_(std::move(limits)) {}
  ConnectionBudget(const ConnectionBudget&) = delete;
  ConnectionBudget& operator=(const ConnectionBudget&) = delete;

  class Room;
  /// Room for `count` (at most `least`) connections to `pool`'s server. Errors: exhausted (none by the deadline),
  /// cancelled.
  Task<Result<Room>> take(const pg::DatabasePool* pool, std::uint32_t count, SteadyTime deadline);

 private:
  struct Waiter;
  struct Server {
    std::uint32_t taken = 0;
    std::uint32_t most = 0;  ///< as it was at the last take: a pool's max can be changed
    std::list<Waiter*> waiting = {};
  };
  static void give_back(Server* server, std::uint32_t count) noexcept;
  static void serve(Server* server) noexcept;
  std::uint32_t most_beside(const pg::DatabasePool& pool) const;

  ConnectionLimits limits_;
  std::map<std::string, Server, std::less<>> servers_;
};

/// Held while the connections are open; given back by the destructor.
class [[nodiscard]] ConnectionBudget::Room {
 public:
  Room(Room&& other) noexcept : server_(std::exchange(other.server_, nullptr)), count_(other.count_) {}
  Room& operator=(Room&&) = delete;
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;
  ~Room() {
    if (server_ != nullptr) give_back(server_, count_);
  }

 private:
  friend class ConnectionBudget;
  Room(Server* server, std::uint32_t count) noexcept : server_(server), count_(count) {}
  Server* server_;
  std::uint32_t count_;
};

}  // namespace opi::provision
