#include "pg/socket_watch.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/system/system_error.hpp>
#include <cerrno>
#include <mutex>
#include <optional>

#include "pg/loop_turn.hpp"

namespace opi::pg {

/// The handlers of pending waits share it. `mutex` guards everything: events come on the watch's executor, waits from
/// others.
struct SocketWatch::State : std::enable_shared_from_this<State> {
  explicit State(const asio::any_io_executor& on) : executor(on), descriptor(on) {}
  ~State() { release(); }

  using Wait = asio::posix::stream_descriptor::wait_type;

  // With the lock held.
  void arm(Wait what) {
    bool& armed = what == Wait::wait_read ? read_armed : write_armed;
    if (armed || detached) return;
    armed = true;
    descriptor.async_wait(what, PendingEvent(shared_from_this(), what));
  }

  /// On the reactor's list. Destroyed there without having run (the event loop is being torn down), it drops the
  /// coroutine that waits: the coroutine holds the connection that holds us, and nobody else would ever break that
  /// circle.
  class PendingEvent {
   public:
    PendingEvent(std::shared_ptr<State> state, Wait what) noexcept : state_(std::move(state)), what_(what) {}
    PendingEvent(PendingEvent&&) noexcept = default;
    PendingEvent& operator=(PendingEvent&&) = delete;
    PendingEvent(const PendingEvent&) = delete;
    PendingEvent& operator=(const PendingEvent&) = delete;
    ~PendingEvent() {
      if (state_) state_->drop_waiter();
    }
    void operator()(const boost::system::error_code& error) { std::exchange(state_, nullptr)->event(what_, !error); }

   private:
    std::shared_ptr<State> state_;
    Wait what_;
  };

  void drop_waiter() {
    Resumption dropped;
    const std::scoped_lock lock(mutex);
    dropped = std::exchange(waiter, {});
  }

  /// On our executor, called by the event loop.
  void event(Wait what, bool happened) {
    const auto keep = shared_from_this();
    LoopTurn turn(executor);
    handle(what, happened);
    turn.end();
  }

  void handle(Wait what, bool happened) {
    Resumption woken;
    std::shared_ptr<const std::function<void()>> notify;
    {
      const std::scoped_lock lock(mutex);
      const bool reading = what == Wait::wait_read;
      (reading ? read_armed : write_armed) = false;
      if (detached) return;
      if (waiter && (reading || waits_for_writing)) {
        woken = std::exchange(waiter, {});
        woken_by_event = true;
      } else if (reading && happened) {
        ready = true;
        if (!in_operation) notify = idle_handler;
      }
    }
    if (woken && woken.executor() == executor) {
      woken.resume();  // on the executor it wants
    } else if (woken) {
      woken.dispatch();
    }
    if (notify) (*notify)();
  }

  void begin_wait(Resumption resumption, asio::cancellation_slot slot, bool for_writing) {
    {
      const std::scoped_lock lock(mutex);
      if (!ready && !detached) {
        waiter = std::move(resumption);
        waits_for_writing = for_writing;
        woken_by_event = false;
        arm(Wait::wait_read);
        if (for_writing) arm(Wait::wait_write);
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
      woken_by_event = !detached;
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
    if (!descriptor.is_open()) return;
    const int own = descriptor.native_handle();
    try {
      // Not `close`: that leaves it to the system to take the descriptor off the reactor, which the system does only
      // when no other descriptor leads to the same socket.
      descriptor.release();
    } catch (const std::exception&) {
      // The reactor has forgotten it already.
    }
    ::close(own);
  }

  const asio::any_io_executor executor;
  std::mutex mutex;
  asio::posix::stream_descriptor descriptor;
  Resumption waiter;
  std::shared_ptr<const std::function<void()>> idle_handler;
  std::uint64_t waits = 0;  ///< numbers the waits
  bool waits_for_writing = false;
  bool woken_by_event = false;
  bool read_armed = false;
  bool write_armed = false;
  bool in_operation = false;
  bool ready = false;  ///< an event came while nobody waited
  bool detached = false;
};

SocketWatch::SocketWatch(const asio::any_io_executor& executor, int descriptor)
    : state_(std::make_shared<State>(executor)) {
  // A descriptor of our own: libpq closes its own when it finds the connection lost, and the number may be another
  // socket's by the time we hear of it.
  const int own = ::fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  if (own < 0) throw boost::system::system_error(errno, boost::system::system_category(), "watching a socket");
  boost::system::error_code error;
  state_->descriptor.assign(own, error);
  if (error) {
    ::close(own);
    throw boost::system::system_error(error, "watching a socket");
  }
  const std::scoped_lock lock(state_->mutex);
  state_->arm(State::Wait::wait_read);
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

void SocketWatch::BeginWait::operator()(Resumption resumption, asio::cancellation_slot slot) const {
  state->begin_wait(std::move(resumption), slot, for_writing);
}

bool SocketWatch::woken_by_event() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->woken_by_event && !state_->detached;
}

void SocketWatch::begin_operation() {
  const std::scoped_lock lock(state_->mutex);
  state_->in_operation = true;
}

void SocketWatch::rearm() {
  std::shared_ptr<State> state = state_;
  const std::scoped_lock lock(state->mutex);
  state->ready = state->in_operation = false;
  state->arm(State::Wait::wait_read);
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
      state_->woken_by_event = false;
      woken = std::exchange(state_->waiter, {});
      dropped = std::exchange(state_->idle_handler, nullptr);
      state_->release();
    }
  }
  if (woken) woken.post();
}

}  // namespace opi::pg
