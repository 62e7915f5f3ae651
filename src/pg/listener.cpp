#include "pg/listener.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <cassert>

#include "aio/with_deadline.hpp"
#include "base/clock.hpp"
#include "pg/dial_outcome.hpp"
#include "pg/quote.hpp"

namespace opi::pg {
namespace {

constexpr std::size_t channel_bytes_max = 63;  // NAMEDATALEN - 1: the server would cut it
constexpr std::chrono::seconds subscribe_timeout{10};

Result<> check_channel(std::string_view channel) {
  if (channel.empty() || channel.size() > channel_bytes_max || channel.contains('\0')) {
    return failure(ErrorKind::invalid, fmt::format("a channel has 1 to {} bytes and no NUL byte", channel_bytes_max));
  }
  return {};
}

Task<Result<>> execute(Connection* connection, std::string sql) {
  auto done = co_await connection->execute(std::move(sql));
  if (!done) co_return failure(std::move(done.error()));
  co_return Result<>{};
}

}  // namespace

void Listener::Signal::raise() {
  raised_ = true;
  timer_.cancel();
}

Task<bool> Listener::Signal::wait_until(SteadyTime when) {
  if (!raised_) {
    timer_.expires_at(when);
    (void)co_await timer_.async_wait(as_result);
  }
  co_return std::exchange(raised_, false);
}

Listener::Listener(asio::any_io_executor executor, ListenerSettings settings, aio::BlockingPool& blocking, Logger log,
                   std::shared_ptr<DialGovernor> governor)
    : executor_(std::move(executor)),
      settings_(std::move(settings)),
      blocking_(blocking),
      log_(std::move(log)),
      governor_(governor ? std::move(governor) : std::make_shared<DialGovernor>()),
      work_(std::make_shared<Signal>(executor_)),
      arrived_(std::make_shared<Signal>(executor_)),
      changed_(executor_, SteadyTime::max()),
      member_(std::make_shared<DialMember>([weak = std::weak_ptr<Signal>(work_), on = executor_] {
        asio::post(on, [weak] {
          if (const auto work = weak.lock()) work->raise();
        });
      })),
      scope_(executor_, log_, "listener"),
      backoff_(settings_.backoff, static_cast<std::uint64_t>(steady_now().time_since_epoch().count())) {
  for (const HostPort& host : settings_.server.hosts) gates_.push_back(governor_->gate(host));
}

Listener::~Listener() {
  assert((closed_ || !started_) && "a Listener was destroyed before close() returned");
}

// ---- events --------------------------------------------------------------------------------------------------------

void Listener::push_gap(NotificationGap gap) {
  ++stats_.gaps;
  queue_.emplace_back(gap);
  arrived_->raise();
}

void Listener::push(Notification notification) {
  ++stats_.notifications;
  if (queue_.size() < settings_.queue_max) {
    queue_.emplace_back(std::move(notification));
    return arrived_->raise();
  }
  ++stats_.dropped;
  auto* const last = queue_.empty() ? nullptr : std::get_if<NotificationGap>(&queue_.back());
  if (last == nullptr) return push_gap({.reason = NotificationGap::Reason::overflow, .dropped = 1});
  ++last->dropped;
}

Task<Result<ListenerEvent>> Listener::next() {
  for (;;) {
    if (!queue_.empty()) {
      ListenerEvent event = std::move(queue_.front());
      queue_.pop_front();
      co_return event;
    }
    if (closing_) co_return failure(ErrorKind::closed, "the listener is closed");
    if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none) {
      co_return failure(ErrorKind::cancelled, "waiting for a notification was cancelled");
    }
    co_await asio::this_coro::throw_if_cancelled(false);
    (void)co_await arrived_->wait_until(SteadyTime::max());
  }
}

// ---- channels ------------------------------------------------------------------------------------------------------

Task<Result<>> Listener::wait_for_channels(std::vector<std::string> channels) {
  const auto applied = [this](const std::string& channel) { return applied_.contains(channel); };
  while (!stats_.connected || !std::ranges::all_of(channels, applied)) {
    if (closing_) co_return failure(ErrorKind::closed, "the listener is closed");
    (void)co_await changed_.async_wait(as_result);
    if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none) {
      co_return failure(ErrorKind::cancelled, "waiting for a channel was cancelled");
    }
  }
  co_return Result<>{};
}

Task<Result<>> Listener::await_channels(std::vector<std::string> channels, SteadyTime deadline) {
  auto waited = co_await aio::with_deadline(wait_for_channels(std::move(channels)), deadline,
                                            "not listening yet; it goes on in the background");
  if (!waited && !stats_.last_error.empty()) waited.error().causes.push_back(stats_.last_error);
  co_return waited;
}

Task<Result<>> Listener::start(std::vector<std::string> channels, SteadyTime deadline) {
  if (started_) co_return failure(ErrorKind::internal, "the listener was started before");
  if (auto valid = validate(settings_.server); !valid) co_return valid;
  for (const std::string& channel : channels) {
    if (auto valid = check_channel(channel); !valid) co_return valid;
  }
  wanted_.insert(channels.begin(), channels.end());
  started_ = true;
  scope_.spawn("listen", run());
  co_return co_await await_channels(std::move(channels), deadline);
}

Task<Result<>> Listener::listen(std::string channel, SteadyTime deadline) {
  if (auto valid = check_channel(channel); !valid) co_return valid;
  wanted_.insert(channel);
  work_->raise();
  std::vector<std::string> channels;
  channels.push_back(std::move(channel));
  co_return co_await await_channels(std::move(channels), deadline);
}

void Listener::unlisten(std::string_view channel) {
  if (const auto found = wanted_.find(channel); found != wanted_.end()) wanted_.erase(found);
  work_->raise();
}

// ---- the connection ------------------------------------------------------------------------------------------------

/// Each host that the governor admits us to, once. `next` is when it may be worth trying again.
Task<Result<Connection>> Listener::try_hosts(SteadyTime* next) {
  DialErrors errors(settings_.server.target);
  bool host_blamed = true;
  for (const auto& gate : gates_) {
    HostGate::Admission admission = gate->admit(member_, steady_now());
    if (!admission.permit) {
      *next = std::min(*next, admission.next);
      continue;
    }
    const SteadyTime until = steady_now() + settings_.server.connect_timeout;
    auto connection = co_await Connection::connect_host(executor_, settings_.server, gate->host(), blocking_, until);
    if (!connection) {
      admission.permit.failed(connection.error(), steady_now());
      host_blamed = host_blamed && blames_host(connection.error());
      errors.add(std::move(connection.error()));
      *next = std::min(*next, gate->status().next_attempt);
      continue;
    }
    admission.permit.succeeded(steady_now());
    if (settings_.server.target == SessionTarget::any) co_return connection;
    const auto role = co_await role_of(&*connection, until);
    if (role) gate->note_role(*role, steady_now());
    if (role && fit_of(settings_.server.target, *role) != Fit::none) co_return connection;
    host_blamed = false;
    errors.add(role ? wrong_role(connection->peer(), *role) : role.error());
    co_await connection->close(until);
  }
  if (errors.empty()) {  // others have found out, or are about to
    const std::string known = gates_.front()->status().last_error;
    co_return failure(ErrorKind::unavailable, known.empty() ? stats_.last_error : known);
  }
  if (!host_blamed) *next = steady_now() + backoff_.next();
  co_return failure(errors.take());
}

Task<Result<Connection>> Listener::dial() {
  for (;;) {
    SteadyTime next = SteadyTime::max();
    auto connection = co_await try_hosts(&next);
    if (connection || closing_) co_return connection;
    lost(connection.error());
    (void)co_await work_->wait_until(next);
    if (closing_) co_return failure(ErrorKind::closed, "the listener is closed");
  }
}

void Listener::lost(const Error& error) {
  stats_.connected = false;
  applied_.clear();
  const std::string text = error.to_string();
  if (text != stats_.last_error) log_.warn("listener", text + "; it goes on trying");
  stats_.last_error = text;
}

/// LISTEN and UNLISTEN until the server has what is wanted.
Task<Result<>> Listener::subscribe() {
  while (applied_ != wanted_) {
    const auto wanted = wanted_;
    std::string sql;
    for (const std::string& channel : wanted) {
      if (!applied_.contains(channel)) sql += "LISTEN " + quote_identifier(channel) + ";";
    }
    for (const std::string& channel : applied_) {
      if (!wanted.contains(channel)) sql += "UNLISTEN " + quote_identifier(channel) + ";";
    }
    auto done = co_await aio::with_deadline(execute(&*connection_, std::move(sql)), steady_now() + subscribe_timeout,
                                            "no answer to LISTEN");
    if (!done) co_return done;
    applied_ = wanted;
  }
  stats_.connected = true;
  changed_.cancel();
  co_return Result<>{};
}

/// Until the connection is lost.
Task<Result<>> Listener::serve() {
  if (stats_.connects++ > 0) push_gap({.reason = NotificationGap::Reason::reconnected});
  connection_->on_notification([this](const Notification& notification) { push(notification); });
  connection_->on_idle_event(std::make_shared<const std::function<void()>>([weak = std::weak_ptr<Signal>(work_)] {
    if (const auto work = weak.lock()) work->raise();
  }));
  for (;;) {
    if (auto done = co_await subscribe(); !done) co_return done;
    stats_.last_error.clear();
    backoff_.reset();
    const bool woken = co_await work_->wait_until(steady_now() + settings_.ping_interval);
    if (closing_) co_return Result<>{};
    if (!woken) {
      if (auto alive = co_await connection_->ping(steady_now() + settings_.ping_timeout); !alive) co_return alive;
    } else if (!connection_->check_idle()) {
      co_return failure(ErrorKind::unavailable, fmt::format("the connection to {} was lost", connection_->peer()));
    }
  }
}

Task<> Listener::run() {
  while (!closing_) {
    auto connection = co_await dial();
    if (!connection) co_return;
    connection_.emplace(std::move(*connection));
    const auto served = co_await serve();
    if (closing_) co_return;
    if (!served) lost(served.error());
    co_await connection_->close(steady_now());
    connection_.reset();
  }
}

Task<> Listener::close(SteadyTime deadline) {
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  closing_ = true;
  stats_.connected = false;
  work_->raise();
  arrived_->raise();
  changed_.cancel();
  scope_.cancel();
  co_await scope_.join();
  if (connection_) {
    Connection connection = std::move(*connection_);
    connection_.reset();
    connection.on_notification(nullptr);
    co_await connection.close(deadline);
  }
  closed_ = true;
}

ListenerStats Listener::stats() const {
  ListenerStats stats = stats_;
  stats.queued = queue_.size();
  return stats;
}

}  // namespace opi::pg
