#pragma once
/// @file
/// The pool's decisions: a state machine under one mutex, without I/O, timers or coroutines. Time comes in as an
/// argument.

#include <array>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

#include "base/backoff.hpp"
#include "pg/connection.hpp"
#include "pg/database_pool.hpp"
#include "pg/resumption.hpp"

namespace opi::pg {

/// Who takes a connection, kept without allocating.
struct Borrower {
  std::source_location where;
  std::array<char, 64> task{};
  std::uint8_t task_size = 0;

  Borrower() = default;
  Borrower(std::source_location place, std::string_view name) noexcept;
  Holder holder(std::chrono::nanoseconds since) const;
};

/// One place for a connection. Owned by the core; whoever a slot was handed to (a lease, a task) has it alone until it
/// is given back.
struct PoolSlot {
  enum class State : std::uint8_t { free, dialing, idle, used, cleaning, closing };
  State state = State::free;
  bool leak_reported = false;
  bool event_pending = false;  ///< the server said something while it was lent and quiet
  bool lent = false;           ///< used by a lease, not by an inspection of ours
  SteadyTime since{};          ///< entered its state
  SteadyTime expires = SteadyTime::max();
  Borrower borrower;
  std::optional<Connection> connection;  ///< empty in tests of the core
};

/// Someone in the queue; shared between the queue and the coroutine that waits.
struct PoolWaiter {
  Borrower borrower;
  SteadyTime since{};
  SteadyTime deadline{};
  Resumption resumption;
  // The answer, written under the core's lock before the waiter is woken: a slot, or an error.
  PoolSlot* slot = nullptr;
  std::optional<AcquireError> error;

  virtual ~PoolWaiter() = default;

 private:
  friend class PoolCore;
  std::list<std::shared_ptr<PoolWaiter>>::iterator position{};
  bool queued = false;
};

/// What the core wants done, once its lock is free.
struct PoolActions {
  struct Leak {
    Holder holder;
    bool returned = false;  ///< it was reported before and is back now
  };
  std::vector<std::shared_ptr<PoolWaiter>> wake;  ///< answered: resume them
  std::vector<PoolSlot*> dial;                    ///< then `dialed` or `dial_failed`
  std::vector<PoolSlot*> close;                   ///< then `closed`
  std::vector<PoolSlot*> clean;                   ///< then `cleaned`
  std::vector<Leak> leaks;
  std::vector<Resumption> observers;  ///< something changed that they look at
  std::optional<bool> availability;
  bool rearm = false;  ///< `next_event` is earlier than the driver was told

  bool for_background() const noexcept {
    return !dial.empty() || !close.empty() || !clean.empty() || !leaks.empty() || availability || rearm;
  }
  bool empty() const noexcept { return wake.empty() && observers.empty() && !for_background(); }
};

/// How a connection comes back.
enum class Returned { clean, needs_cleaning, broken, lost_server };

/// Threading: every member from any thread. Invariant at every unlocked moment: idle + used + dialing + closing <= max,
/// and nobody waits while a connection is idle.
class PoolCore {
 public:
  PoolCore(std::string name, PoolSettings settings, std::uint64_t seed, BackoffLimits backoff = {});

  /// Begins: dials `min` connections, at least one.
  void open(SteadyTime now, PoolActions& actions);

  struct Taken {
    PoolSlot* slot = nullptr;  ///< null: enqueue
    bool needs_ping = false;
  };
  /// The uncontended acquire: an idle connection, the most recently used one first.
  Taken try_take(const Borrower& borrower, SteadyTime now, PoolActions& actions);
  /// Joins the queue, or answers at once: a connection came back meanwhile, closed, known down, queue full.
  void enqueue(std::shared_ptr<PoolWaiter> waiter, SteadyTime now, PoolActions& actions);
  /// Takes it from the queue; nothing when it was answered before: the answer stands.
  void cancel(PoolWaiter& waiter, SteadyTime now, PoolActions& actions);
  /// A connection was taken or handed over, but its acquire did not succeed: it failed its ping, or the cancellation
  /// came after the answer. Not counted as acquired; give it back as usual.
  void refused(bool waited, bool cancelled) noexcept;

  void release(PoolSlot* slot, Returned how, SteadyTime now, PoolActions& actions);
  enum class Cleaned { untouched, reset, unusable };
  void cleaned(PoolSlot* slot, Cleaned how, SteadyTime now, PoolActions& actions);
  void dialed(PoolSlot* slot, std::string server_version, SteadyTime now, PoolActions& actions);
  void dial_failed(PoolSlot* slot, const Error& error, std::string peer, SteadyTime now, PoolActions& actions);
  /// The socket is closed; the slot is free.
  void closed(PoolSlot* slot, SteadyTime now, PoolActions& actions);

  /// The server spoke on this slot. True: it was idle and is now the caller's to inspect; then `inspected`.
  bool take_for_inspection(PoolSlot* slot, SteadyTime now);
  void inspected(PoolSlot* slot, bool alive, SteadyTime now, PoolActions& actions);
  /// An idle connection turned out to be dead: the others are pinged before they are used again.
  void suspect_idle(SteadyTime now);

  /// Upkeep: deadlines of waiters, idle and lifetime limits, leaks, the next dial.
  void tick(SteadyTime now, PoolActions& actions);
  /// When to `tick` next; the driver sets its timer to it.
  SteadyTime arm(SteadyTime now);
  /// Dials now instead of at the next backoff.
  void retry_now(SteadyTime now, PoolActions& actions);

  /// Refuses and fails everyone, closes what is idle.
  void begin_close(SteadyTime now, PoolActions& actions);

  /// `resumption` is resumed as soon as `version()` differs from `seen`.
  void observe(std::uint64_t id, std::uint64_t seen, Resumption resumption, PoolActions& actions);
  void stop_observing(std::uint64_t id, PoolActions& actions);
  std::uint64_t version() const;

  bool closing() const;
  /// Connections that exist or are being made or closed; and those that are lent.
  std::uint32_t total() const;
  std::uint32_t lent() const;
  PoolStats stats() const;
  std::vector<Holder> holders(SteadyTime now) const;
  std::string describe(SteadyTime now) const;
  AcquireError error_now(AcquireErrorKind kind, std::chrono::nanoseconds waited, SteadyTime now) const;

  const PoolSettings& settings() const noexcept { return settings_; }
  const std::string& name() const noexcept { return name_; }

 private:
  // All of these with the lock held.
  void enter(PoolSlot* slot, PoolSlot::State state, SteadyTime now) noexcept;
  std::uint32_t& counter(PoolSlot::State state) noexcept;
  std::uint32_t open_count() const noexcept { return idle_count_ + used_count_; }
  std::uint32_t total_count() const noexcept { return idle_count_ + used_count_ + dialing_count_ + closing_count_; }
  bool known_down() const noexcept;
  void lend(PoolSlot* slot, const Borrower& borrower, SteadyTime now) noexcept;
  void deliver(PoolSlot* slot, SteadyTime now, PoolActions& actions);
  void start_closing(PoolSlot* slot, SteadyTime now, PoolActions& actions);
  void settle(SteadyTime now, PoolActions& actions);
  std::uint32_t wanted_dials(SteadyTime now) const noexcept;
  void start_dial(SteadyTime now, PoolActions& actions);
  void remove_idle(PoolSlot* slot) noexcept;
  void answer(PoolWaiter& waiter, AcquireErrorKind kind, SteadyTime now, PoolActions& actions);
  std::shared_ptr<PoolWaiter> unqueue(PoolWaiter& waiter);
  void expire_waiters(SteadyTime now, PoolActions& actions);
  void expire_idle(SteadyTime now, PoolActions& actions);
  void report_leaks(SteadyTime now, PoolActions& actions);
  void changed(PoolActions& actions);
  void set_available(bool available, PoolActions& actions);
  SteadyTime lifetime_end(SteadyTime now);
  SteadyTime next_event(SteadyTime now) const noexcept;
  void want_event(SteadyTime when, PoolActions& actions) noexcept;
  AcquireError make_error(AcquireErrorKind kind, std::chrono::nanoseconds waited, SteadyTime now) const;
  std::vector<Holder> list_holders(SteadyTime now) const;
  bool expired(const PoolSlot& slot, SteadyTime now) const noexcept { return now >= slot.expires; }

  const std::string name_;
  const PoolSettings settings_;
  const std::chrono::nanoseconds period_;  ///< upkeep at least this often

  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<PoolSlot>> slots_;
  std::vector<PoolSlot*> free_;
  std::vector<PoolSlot*> idle_;  ///< a stack: the last one is the most recently used
  std::list<std::shared_ptr<PoolWaiter>> waiters_;
  std::uint32_t idle_count_ = 0, used_count_ = 0, dialing_count_ = 0, closing_count_ = 0;

  Backoff backoff_;
  Backoff slow_backoff_;
  std::minstd_rand random_;
  std::uint32_t failures_ = 0;  ///< failed dials in a row; volleys count once
  bool failure_is_transient_ = false;
  bool recovering_ = false;        ///< after an outage: the refill ramps up too
  std::uint32_t dial_window_ = 1;  ///< dials at once for waiters: 1, 2, 4 … while they wait
  SteadyTime next_attempt_{};
  SteadyTime suspect_before_{};                       ///< idle connections older than this are pinged
  SteadyTime earliest_deadline_ = SteadyTime::max();  ///< of a waiter; may be too early, never too late
  SteadyTime armed_until_ = SteadyTime::max();

  bool opened_ = false;
  bool closing_ = false;
  bool available_ = false;
  std::string last_peer_;
  PoolStats counters_;  ///< its counters, texts and totals; gauges are filled in by `stats`
  std::uint64_t version_ = 0;
  std::vector<std::pair<std::uint64_t, Resumption>> observers_;
};

}  // namespace opi::pg
