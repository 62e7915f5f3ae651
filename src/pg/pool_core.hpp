#pragma once
/// @file
/// The pool's decisions: a state machine under one mutex, without I/O, timers or coroutines. Time comes in as an
/// argument.

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "base/backoff.hpp"
#include "pg/brief_mutex.hpp"
#include "pg/dial_governor.hpp"
#include "pg/pool_slot.hpp"
#include "pg/pool_stats.hpp"
#include "pg/settings.hpp"

namespace opi::pg {

/// What the core wants done, once its lock is free.
struct PoolActions {
  struct Leak {
    Holder holder;
    bool returned = false;  ///< it was reported before and is back now
  };
  PoolWaiters wake;               ///< answered, on executors of their own: resume them
  bool drain = false;             ///< others were answered: `take_ready` on the pool's executor
  std::vector<PoolSlot*> dial;    ///< then `dialed` or `dial_failed`
  std::vector<PoolSlot*> close;   ///< then `closed`
  std::vector<PoolSlot*> clean;   ///< then `cleaned`
  std::vector<PoolSlot*> recall;  ///< carriers: no further statements, then back
  std::vector<Leak> leaks;
  std::vector<Resumption> observers;  ///< something changed that they look at
  std::optional<bool> availability;
  bool gave_up = false;
  bool rearm = false;  ///< `next_event` is earlier than the driver was told

  PoolActions() = default;
  PoolActions(PoolActions&& other) noexcept = default;
  PoolActions& operator=(PoolActions&&) = delete;
  PoolActions(const PoolActions&) = delete;
  PoolActions& operator=(const PoolActions&) = delete;
  ~PoolActions() = default;

  bool for_background() const noexcept {
    return rearm || !dial.empty() || !close.empty() || !clean.empty() || !recall.empty() || !leaks.empty() ||
           availability || gave_up;
  }
  bool empty() const noexcept { return wake.empty() && !drain && observers.empty() && !for_background(); }
};

/// How a connection comes back.
enum class Returned {
  clean,
  needs_cleaning,
  broken,
  lost_server,
  wrong_role,  ///< `role_seen` said that its server will not do any more
};

/// Threading: every member from any thread. Invariant at every unlocked moment: idle + used + dialing + closing <= max
/// (after a shrink: as soon as what is lent came back), and nobody waits while a connection is idle, unless paused.
class PoolCore {
 public:
  /// Without a governor it has one of its own, whose outages follow `backoff`.
  PoolCore(PoolConfig config, std::uint64_t seed, BackoffLimits backoff = {},
           std::shared_ptr<DialGovernor> governor = {});
  /// Before anything else: `wake` is called when the governor may have changed its mind, under locks; it sees to a
  /// `tick`.
  void on_wake(std::function<void()> wake);

  /// Begins: dials `min` connections, at least one.
  void open(SteadyTime now, PoolActions& actions);

  // ---- taking. Times are coarse unless it says otherwise.
  struct Taken {
    PoolSlot* slot = nullptr;  ///< null: enqueue
    bool ready = false;        ///< neither of the next two
    bool needs_ping = false;
    bool forget_statements = false;
    bool stale = false;  ///< no slot because the next one has expired: `evict_stale`, then again
  };
  /// The uncontended acquire: an idle connection. `clock` is asked for the coarse time when there is one, and for the
  /// precise time of one lease in 64.
  Taken try_take(const Borrower& borrower, const Clock& clock);
  void evict_stale(SteadyTime now, PoolActions& actions);
  /// For a taker that does not wait: dials one more, unless enough are being dialled.
  void dial_for_taker(SteadyTime now, PoolActions& actions);
  /// Joins the queue, or answers at once: a connection came back meanwhile, closed, known down, queue full. `now` is
  /// precise. The waiter stays where it is until it was answered or abandoned.
  void enqueue(PoolWaiter& waiter, SteadyTime now, PoolActions& actions);
  /// Takes it from the queue; nothing when it was answered before: the answer stands. `now` is precise.
  void cancel(PoolWaiter& waiter, SteadyTime now, PoolActions& actions);
  /// A waiter whose coroutine was destroyed.
  void abandon(PoolWaiter& waiter) noexcept;
  /// A connection was taken or handed over, but its acquire did not succeed: it failed its ping, or the cancellation
  /// came after the answer. Not counted as acquired; give it back as usual.
  void refused(const Borrower& borrower, bool waited, bool cancelled) noexcept;
  /// Those of the pool's own executor that were answered since, in their order.
  void take_ready(PoolWaiters& ready);

  // ---- carriers: connections that carry statements of many callers (Borrower::carries). Taken as any other and in the
  // same queue; each counts as used. PoolActions::recall says when one is to come back.
  /// One was taken: false when it is wanted back already, so that it carries what is waiting now and no more.
  bool keep_carrier(PoolSlot* slot, SteadyTime now);

  // ---- giving back
  struct Handed {
    bool done = false;           ///< false: nothing happened, `release` it
    bool look = false;           ///< not done: nobody waits for it, and an idle one has to be looked at
    bool drain = false;          ///< as PoolActions::drain
    PoolWaiter* wake = nullptr;  ///< handed to this one, on an executor of its own: resume it
  };
  /// The common return of a clean connection: to the idle ones, or to who waits longest. `precise` is asked only when
  /// somebody waits or the lease is timed. Without `looked` it does not become idle.
  Handed hand_back(PoolSlot* slot, SteadyTime now, const Clock& precise, bool looked = true);
  /// True: this was the last lease of an orphaned pool.
  bool release(PoolSlot* slot, Returned how, SteadyTime now, PoolActions& actions);
  /// The connection was moved out of the slot and leaves the pool. As `release`.
  bool detach(PoolSlot* slot, SteadyTime now, PoolActions& actions);
  enum class Cleaned { untouched, reset, unusable };
  void cleaned(PoolSlot* slot, Cleaned how, SteadyTime now, PoolActions& actions);
  /// The socket is closed; the slot is free.
  void closed(PoolSlot* slot, SteadyTime now, PoolActions& actions);

  // ---- dialing. Of a dial: `target`, until it has a connection `host_reached` or `host_failed`, while `try_next_host`
  // says that there is one more, `target` again; at the end `dialed` or `dial_failed`.
  HostPort target(const PoolSlot* slot) const;
  /// The host let us in and is this. `second_best`: keep the connection and try on; without a better one it is used,
  /// with `use_second_best`.
  Fit host_reached(PoolSlot* slot, HostRole role, SteadyTime now);
  void host_failed(PoolSlot* slot, const Error& error, SteadyTime now);
  bool try_next_host(PoolSlot* slot, SteadyTime now);
  void use_second_best(PoolSlot* slot) noexcept;
  void dialed(PoolSlot* slot, std::string server_version, SteadyTime now, PoolActions& actions);
  void dial_failed(PoolSlot* slot, const Error& error, std::string peer, SteadyTime now, PoolActions& actions);
  /// Dials now instead of at the next backoff.
  void retry_now(SteadyTime now, PoolActions& actions);

  // ---- roles
  /// Whether it matters to this pool what its servers are.
  bool looks_at_roles() const noexcept { return target_.load(std::memory_order_relaxed) != SessionTarget::any; }
  bool role_fits(HostRole role) const noexcept {
    return fit_of(target_.load(std::memory_order_relaxed), role) != Fit::none;
  }
  /// A server that one of our connections goes to was asked, or told. False: it will not do any more, and everyone else
  /// who has connections to it knows.
  bool role_seen(PoolSlot* slot, HostRole role, SteadyTime now);

  // ---- the server spoke, or is suspected
  /// The server spoke on this slot. True: it was idle and is now the caller's to inspect; then `inspected`.
  bool take_for_inspection(PoolSlot* slot, SteadyTime now);
  void inspected(PoolSlot* slot, bool alive, SteadyTime now, PoolActions& actions);
  /// An idle connection turned out to be dead: the others are pinged before they are used again.
  void suspect_idle(SteadyTime now);
  void pinged(std::chrono::nanoseconds took) noexcept;

  // ---- upkeep
  /// Deadlines of waiters, idle and lifetime limits, leaks, the next dial. `now` is precise.
  void tick(SteadyTime now, PoolActions& actions);
  /// When to `tick` next; the driver sets its timer to it.
  SteadyTime arm(SteadyTime now);

  // ---- changes while running
  /// New limits. Above a smaller max: idle ones are closed now, lent ones when they return.
  void resize(PoolSettings settings, SteadyTime now, PoolActions& actions);
  /// Every connection of today is closed: idle ones now, lent ones when they return.
  void recycle(SteadyTime now, PoolActions& actions);
  /// Prepared statements of today are forgotten before a connection is lent again.
  void forget_statements(SteadyTime now, PoolActions& actions);
  /// Paused, nothing is lent: acquires wait. What is lent may be used and come back.
  void pause(bool paused, SteadyTime now, PoolActions& actions);
  /// Refuses and fails everyone, closes what is idle.
  void begin_close(SteadyTime now, PoolActions& actions);
  /// The pool's owner is gone. True while leases are out: the last one's `release` says so.
  bool orphan() noexcept;

  /// `resumption` is resumed as soon as `version()` differs from `seen`.
  void observe(std::uint64_t id, std::uint64_t seen, Resumption resumption, PoolActions& actions);
  void stop_observing(std::uint64_t id, PoolActions& actions);
  std::uint64_t version() const;

  // ---- telling
  bool closing() const;
  /// No connection, and all hosts are known to be down, by our dials or by others'.
  bool unreachable() const;
  /// Connections that exist or are being made or closed; and those that are lent.
  std::uint32_t total() const;
  std::uint32_t lent() const;
  PoolStats stats() const;
  std::vector<Holder> holders(SteadyTime now) const;
  std::string describe(SteadyTime now) const;
  AcquireError error_now(AcquireErrorKind kind, std::chrono::nanoseconds waited, SteadyTime now) const;
  PoolConfig config() const;
  /// For later dials.
  void redirect(ServerSettings server);
  const std::string& name() const noexcept { return name_; }

 private:
  using WaitedFor = DurationHistogram PoolStats::*;

  // All of these with the lock held.
  void enter(PoolSlot* slot, PoolSlot::State state, SteadyTime now) noexcept;
  std::uint32_t& counter(PoolSlot::State state) noexcept;
  std::uint32_t open_count() const noexcept { return idle_count_ + used_count_; }
  std::uint32_t total_count() const noexcept { return idle_count_ + used_count_ + dialing_count_ + closing_count_; }
  bool surplus() const noexcept { return open_count() + dialing_count_ > settings_.max; }
  bool known_down() const;
  void lend(PoolSlot* slot, const Borrower& borrower, SteadyTime now, const Clock* precise) noexcept;
  void take_back(PoolSlot* slot, SteadyTime now, const Clock* precise) noexcept;
  bool fenced(const PoolSlot& slot) const noexcept { return looks_at_roles() && slot.fenced(); }
  bool outdated(const PoolSlot& slot) const noexcept {
    return slot.epoch != epoch_ || (settings_.max_uses != 0 && slot.uses >= settings_.max_uses) || fenced(slot);
  }
  PoolSlot* pop_idle() noexcept;
  void put_idle(PoolSlot* slot, SteadyTime now);
  bool close_if_unwanted(PoolSlot* slot, SteadyTime now, PoolActions& actions);
  void deliver(PoolSlot* slot, WaitedFor phase, SteadyTime now, PoolActions& actions);
  bool hand_over(PoolWaiter& waiter, PoolSlot* slot, WaitedFor phase, SteadyTime precise_now) noexcept;
  bool deadlocked(const Borrower& newcomer) const;
  bool last_of_orphan() const noexcept { return orphaned_ && lent_count_ == 0; }
  void start_closing(PoolSlot* slot, SteadyTime now, PoolActions& actions);
  void settle(SteadyTime now, PoolActions& actions);
  bool wanted_back(const PoolSlot& slot, SteadyTime now) const noexcept;
  std::uint32_t waiting_alone(std::uint32_t most) const noexcept;
  void recall_carriers(SteadyTime now, PoolActions& actions);
  std::uint32_t wanted_dials(SteadyTime now) const noexcept;
  bool start_dial(SteadyTime now, PoolActions& actions);
  void use_hosts();
  void use_limits();
  std::vector<std::uint32_t> host_loads() const;
  std::vector<std::uint8_t> make_route(SteadyTime now);
  bool enter_route(PoolSlot* slot, std::vector<std::uint8_t> route, SteadyTime now);
  void note_known_down(SteadyTime now);
  /// What the hosts' gates say of an outage.
  HostStatus worst_host() const;
  void remove_idle(PoolSlot* slot) noexcept;
  void close_fenced(SteadyTime now, PoolActions& actions);
  void close_idle(std::uint64_t PoolStats::* counter, SteadyTime now, PoolActions& actions);
  void answer(PoolWaiter& waiter, AcquireErrorKind kind, SteadyTime now, PoolActions& actions);
  void wake(PoolWaiter& waiter, PoolActions& actions);
  bool make_ready(PoolWaiter& waiter) noexcept;
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
  std::vector<PoolHost> list_hosts() const;

  const std::string name_;

  mutable BriefMutex mutex_;
  // What the uncontended path touches.
  bool held_back_ = false;  ///< closing or paused
  std::uint32_t epoch_ = 0;
  std::uint32_t schema_epoch_ = 0;
  std::uint32_t idle_count_ = 0, used_count_ = 0, dialing_count_ = 0, closing_count_ = 0;
  std::uint32_t lent_count_ = 0;
  std::uint32_t carrying_count_ = 0;  ///< of those lent
  std::uint32_t recalled_count_ = 0;  ///< of these
  std::uint32_t sampled_ = 0;
  std::chrono::nanoseconds ping_after_{std::chrono::nanoseconds::max()};
  SteadyTime suspect_before_{};  ///< idle connections older than this are pinged
  std::vector<PoolSlot*> idle_;  ///< the last one is the most recently used
  PoolWaiters waiters_;
  PoolWaiters ready_;  ///< answered, at home, not resumed yet
  PoolSettings settings_;
  ServerSettings server_;
  PoolStats counters_;  ///< its counters, texts and totals; gauges are filled in by `stats`

  std::vector<std::unique_ptr<PoolSlot>> slots_;
  std::vector<PoolSlot*> free_;
  std::chrono::nanoseconds period_;  ///< upkeep at least this often
  Backoff backoff_;
  Backoff slow_backoff_;
  std::minstd_rand random_;
  std::uint32_t failures_ = 0;  ///< failed dials in a row; volleys count once
  bool failure_is_transient_ = false;
  bool failure_is_hosts_ = false;  ///< the governor says when to try again
  std::shared_ptr<DialGovernor> governor_;
  std::shared_ptr<DialMember> member_;
  std::vector<std::shared_ptr<HostGate>> gates_;  ///< of the server's hosts, in their order
  std::atomic<SessionTarget> target_ = SessionTarget::any;
  SteadyTime blocked_until_ = SteadyTime::max();  ///< a dial is wanted, and the governor allows none before
  bool gave_up_ = false;
  std::uint32_t dial_window_ = 1;  ///< dials at once for waiters: 1, 2, 4 … while they wait
  SteadyTime next_attempt_{};
  SteadyTime failing_since_{};
  SteadyTime earliest_deadline_ = SteadyTime::max();  ///< of a waiter; may be too early, never too late
  SteadyTime armed_until_ = SteadyTime::max();

  bool opened_ = false;
  bool paused_ = false;
  bool closing_ = false;
  bool orphaned_ = false;
  bool drain_asked_ = false;
  bool available_ = false;
  std::string last_peer_;
  std::uint64_t version_ = 0;
  std::vector<std::pair<std::uint64_t, Resumption>> observers_;
};

}  // namespace opi::pg
