#pragma once
/// @file
/// Listens to NOTIFY on a connection of its own, and says when it may have missed something.

#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "aio/blocking_pool.hpp"
#include "aio/task_scope.hpp"
#include "base/log.hpp"
#include "pg/connection.hpp"
#include "pg/dial_governor.hpp"

namespace opi::pg {

struct ListenerSettings {
  ServerSettings server;
  std::size_t queue_max = 1'024;  ///< notifications that wait for `next`; those beyond are dropped, and a gap says so
  std::chrono::milliseconds ping_interval{30'000};  ///< a quiet connection is checked so often
  std::chrono::milliseconds ping_timeout{5'000};
  BackoffLimits backoff = {};  ///< between dials that fail for another reason than the host's
};

/// At this place of the stream notifications may be missing: read again what they would have told.
struct NotificationGap {
  enum class Reason {
    reconnected,  ///< nobody knows what was sent while the connection was away
    overflow,     ///< `next` was not called often enough
  };
  Reason reason = Reason::reconnected;
  std::uint64_t dropped = 0;  ///< overflow: how many
};

using ListenerEvent = std::variant<Notification, NotificationGap>;

struct ListenerStats {
  bool connected = false;  ///< and listening to every channel that was asked for
  std::size_t queued = 0;
  std::uint64_t connects = 0;  ///< successful ones
  std::uint64_t notifications = 0, dropped = 0;
  std::uint64_t gaps = 0;
  std::string last_error = {};  ///< of the last dial or the last loss; "" while connected
};

/// Its connection is dialled through the governor, comes back by itself and listens again to the same channels.
///
/// Ownership: the executor's context and the blocking pool outlive it; `close` it before it is destroyed (asserted).
/// Threading: every member on the executor, which runs one thing at a time.
/// Cancellation: of `next` loses no event; of `start` and `listen` leaves the wish standing.
class Listener {
 public:
  Listener(asio::any_io_executor executor, ListenerSettings settings, aio::BlockingPool& blocking, Logger log,
           std::shared_ptr<DialGovernor> governor = {});
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  /// Begins, and returns once it listens to the channels: what is sent from then on is an event, or within a gap.
  ///
  /// Errors: invalid (the settings; a channel that is empty, has a NUL byte or more than 63 bytes), timed_out with the
  /// last error (it goes on in the background), closed.
  Task<Result<>> start(std::vector<std::string> channels, SteadyTime deadline);
  /// One more channel, or one less. As `start`; `unlisten` returns at once.
  Task<Result<>> listen(std::string channel, SteadyTime deadline);
  void unlisten(std::string_view channel);

  /// The next event, in the order of the server. One caller at a time. Errors: cancelled, closed.
  Task<Result<ListenerEvent>> next();

  /// Who waits is told `closed`; the connection says goodbye, bounded by the deadline. Idempotent.
  Task<> close(SteadyTime deadline);

  ListenerStats stats() const;

 private:
  /// A flag that a coroutine waits for.
  class Signal {
   public:
    explicit Signal(const asio::any_io_executor& executor) : timer_(executor) {}
    void raise();
    /// Lowers it. False: the time came first, or the wait was cancelled.
    Task<bool> wait_until(SteadyTime when);

   private:
    asio::steady_timer timer_;
    bool raised_ = false;
  };

  Task<> run();
  Task<Result<Connection>> dial();
  Task<Result<Connection>> try_hosts(SteadyTime* next);
  Task<Result<>> serve();
  Task<Result<>> subscribe();
  Task<Result<>> wait_for_channels(std::vector<std::string> channels);
  Task<Result<>> await_channels(std::vector<std::string> channels, SteadyTime deadline);
  void push(Notification notification);
  void push_gap(NotificationGap gap);
  void lost(const Error& error);

  asio::any_io_executor executor_;
  const ListenerSettings settings_;
  aio::BlockingPool& blocking_;
  Logger log_;
  std::shared_ptr<DialGovernor> governor_;
  std::vector<std::shared_ptr<HostGate>> gates_;
  std::shared_ptr<Signal> work_;     ///< for `run`
  std::shared_ptr<Signal> arrived_;  ///< for `next`
  asio::steady_timer changed_;       ///< cancelled when channels were subscribed, or it closed
  std::shared_ptr<DialMember> member_;
  aio::TaskScope scope_;
  Backoff backoff_;
  std::optional<Connection> connection_;
  std::set<std::string, std::less<>> wanted_;
  std::set<std::string, std::less<>> applied_;  ///< of the present connection
  std::deque<ListenerEvent> queue_;
  ListenerStats stats_;
  bool started_ = false;
  bool closing_ = false;
  bool closed_ = false;
};

}  // namespace opi::pg
