#include "pg/socket_watch.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/detail/reactor.hpp>
#include <boost/asio/detail/reactor_op.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/query.hpp>
#include <boost/system/system_error.hpp>
#include <cerrno>
#include <mutex>

#include "pg/brief_mutex.hpp"
#include "pg/loop_turn.hpp"

namespace opi::pg {

namespace {

using Reactor = asio::detail::reactor;

}  // namespace

/// Asio's public wait asks epoll anew for each event, one system call an operation. Its reactor knows better: the
/// registration is edge-triggered and stays, and an operation that may start "speculatively" is only put on the list.
/// So this one goes to the reactor itself (Boost 1.81; `boost/asio/detail/reactive_descriptor_service.hpp` uses it in
/// the same way). The price: nobody tells us again of data that was left in the socket, so whoever may have left some
/// asks epoll as usual.
///
/// What waits on the reactor's lists keeps it. `mutex` guards everything: events come on the watch's executor, waits
/// from others.
struct SocketWatch::State : std::enable_shared_from_this<State> {
  explicit State(const asio::any_io_executor& on)
      : executor(on),
        runs_in_loop(on.target<asio::io_context::executor_type>() != nullptr),
        reactor(asio::use_service<Reactor>(asio::query(on, asio::execution::context))),
        for_read(Reactor::read_op),
        for_write(Reactor::write_op) {
    reactor.init_task();
  }
  ~State() { release(); }

  /// On one of the reactor's lists, or on its way from there to `event`, while `state` is set; once at most.
  struct Event final : asio::detail::reactor_op {
    explicit Event(int kind) noexcept : reactor_op({}, &Event::happened, &Event::completed), what(kind) {}
    static status happened(reactor_op* /*event*/) noexcept { return done_and_exhausted; }
    static void completed(void* owner, asio::detail::operation* base, const boost::system::error_code& /*unused*/,
                          std::size_t /*unused*/) {
      auto* const event = static_cast<Event*>(base);
      const bool success = !std::exchange(event->ec_, {});
      if (owner == nullptr) return drop(event);
      if (event->state->runs_in_loop) return event->state->event(event, success);
      const auto keep = event->state;
      asio::dispatch(keep->executor, ElsewhereEvent(event, success));
    }
    /// The event loop is being torn down: the coroutine that waits is dropped. It holds the connection that holds us,
    /// and nobody else would ever break the circle.
    static void drop(Event* event) noexcept {
      const auto keep = event->state->take(event);
      keep->drop_waiter();
    }

    const int what;
    std::shared_ptr<State> state = {};
  };

  /// On its way to an executor that is not the event loop's own.
  class ElsewhereEvent {
   public:
    ElsewhereEvent(Event* event, bool happened) noexcept : event_(event), happened_(happened) {}
    ElsewhereEvent(ElsewhereEvent&& other) noexcept
        : event_(std::exchange(other.event_, nullptr)), happened_(other.happened_) {}
    ElsewhereEvent& operator=(ElsewhereEvent&&) = delete;
    ElsewhereEvent(const ElsewhereEvent&) = delete;
    ElsewhereEvent& operator=(const ElsewhereEvent&) = delete;
    ~ElsewhereEvent() {
      if (event_ != nullptr) Event::drop(event_);
    }
    void operator()() {
      Event* const event = std::exchange(event_, nullptr);
      event->state->event(event, happened_);
    }

   private:
    Event* event_;
    bool happened_;
  };

  std::shared_ptr<State> take(Event* event) noexcept {
    const std::scoped_lock lock(mutex);
    return std::move(event->state);
  }

  boost::system::error_code open(int own) {
    if (const int error = reactor.register_descriptor(own, registration); error != 0) {
      reactor.cleanup_descriptor_data(registration);
      return {error, boost::system::system_category()};
    }
    descriptor = own;
    return {};
  }

  // With the lock held. `asks`: what is there already counts as well.
  void arm(Event& event, bool asks) {
    if (event.state || detached) return;
    event.state = shared_from_this();
    reactor.start_op(event.what, descriptor, registration, &event, false, !asks);
  }

  void drop_waiter() {
    Resumption dropped;
    const std::scoped_lock lock(mutex);
    dropped = std::exchange(waiter, {});
  }

  /// On our executor, called by the event loop.
  void event(Event* event, bool happened) {
    std::shared_ptr<State> keep;
    LoopTurn turn(executor);
    handle(event, happened, keep);
    turn.end();
  }

  void handle(Event* event, bool happened, std::shared_ptr<State>& keep) {
    Resumption woken;
    std::shared_ptr<const std::function<void()>> notify;
    {
      const std::scoped_lock lock(mutex);
      keep = std::move(event->state);
      const bool reading = event == &for_read;
      if (detached) return;
      if (waiter && (reading || waits_for_writing)) {
        woken = std::move(waiter);
        woken_by_event.store(true, std::memory_order_relaxed);
      } else if (reading && happened) {
        ready = true;
        if (!in_operation.load(std::memory_order_acquire)) notify = idle_handler;
      }
    }
    if (woken && woken.is_on(executor)) {
      woken.resume();
    } else if (woken) {
      woken.dispatch();
    }
    if (notify) (*notify)();
  }

  void begin_wait(Resumption&& resumption, asio::cancellation_slot slot, bool for_writing) {
    {
      const std::scoped_lock lock(mutex);
      if (!ready && !detached) {
        waiter = std::move(resumption);
        waits_for_writing = for_writing;
        woken_by_event.store(false, std::memory_order_relaxed);
        arm(for_read, true);  // a part of the answer has come, or the last wait was given up: there may be more
        if (for_writing) arm(for_write, true);
        ++waits;
        if (slot.is_connected()) {
          // The slot keeps this handler until the coroutine's next operation: it must not hit a later wait of somebody
          // else.
          slot.assign([weak = weak_from_this(), wait = waits](asio::cancellation_type) {
            if (const auto state = weak.lock()) state->cancel(wait);
          });
        }
        return;
      }
      ready = false;
      woken_by_event.store(!detached, std::memory_order_relaxed);
    }
    resumption.post();
  }

  void cancel(std::uint64_t wait) {
    Resumption woken;
    {
      const std::scoped_lock lock(mutex);
      if (wait != waits) return;
      woken = std::exchange(waiter, {});
    }
    if (woken) woken.post();
  }

  void release() noexcept {
    if (descriptor < 0) return;
    // Told to forget it: closing does not take it off the reactor, for another descriptor leads to the same socket.
    reactor.deregister_descriptor(descriptor, registration, false);
    reactor.cleanup_descriptor_data(registration);
    ::close(std::exchange(descriptor, -1));
  }

  const asio::any_io_executor executor;
  const bool runs_in_loop;  ///< the executor is the event loop's own: events come on it
  Reactor& reactor;
  BriefMutex mutex;
  int descriptor = -1;
  Reactor::per_descriptor_data registration = nullptr;
  Event for_read;
  Event for_write;
  Resumption waiter;
  std::shared_ptr<const std::function<void()>> idle_handler;
  std::uint64_t waits = 0;  ///< numbers the waits
  bool waits_for_writing = false;
  std::atomic<bool> woken_by_event = false;  ///< and not detached since; read without the lock
  std::atomic<bool> in_operation = false;
  bool ready = false;  ///< an event came while nobody waited
  bool detached = false;
};

SocketWatch::SocketWatch(const asio::any_io_executor& executor, int descriptor)
    : state_(std::make_shared<State>(executor)) {
  // A descriptor of our own: libpq closes its own when it finds the connection lost, and the number may be another
  // socket's by the time we hear of it.
  const int own = ::fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  if (own < 0) throw boost::system::system_error(errno, boost::system::system_category(), "watching a socket");
  if (const auto error = state_->open(own)) {
    ::close(own);
    throw boost::system::system_error(error, "watching a socket");
  }
  const std::scoped_lock lock(state_->mutex);
  state_->arm(state_->for_read, true);
}

SocketWatch& SocketWatch::operator=(SocketWatch&& other) noexcept {
  if (this != &other) {
    detach();
    state_ = std::move(other.state_);
  }
  return *this;
}

SocketWatch::~SocketWatch() {
  detach();
}

void SocketWatch::BeginWait::operator()(Resumption&& resumption, asio::cancellation_slot slot) const {
  state->begin_wait(std::move(resumption), slot, for_writing);
}

bool SocketWatch::woken_by_event() const {
  return state_->woken_by_event.load(std::memory_order_relaxed);
}

void SocketWatch::begin_operation() {
  state_->in_operation.store(true, std::memory_order_release);
}

void SocketWatch::rearm(bool asks) {
  const std::scoped_lock lock(state_->mutex);
  state_->ready = false;
  state_->in_operation.store(false, std::memory_order_relaxed);
  state_->arm(state_->for_read, asks);
}

void SocketWatch::on_idle_event(std::shared_ptr<const std::function<void()>> handler) {
  const std::scoped_lock lock(state_->mutex);
  std::swap(state_->idle_handler, handler);
}

void SocketWatch::detach() noexcept {
  if (!state_) return;
  Resumption woken;
  std::shared_ptr<const std::function<void()>> dropped;
  {
    const std::scoped_lock lock(state_->mutex);
    if (!state_->detached) {
      state_->detached = true;
      state_->woken_by_event.store(false, std::memory_order_relaxed);
      woken = std::exchange(state_->waiter, {});
      dropped = std::exchange(state_->idle_handler, nullptr);
      state_->release();
    }
  }
  if (woken) woken.post();
}

}  // namespace opi::pg
