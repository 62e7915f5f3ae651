#pragma once
/// @file
/// The hands behind DatabasePool::execute: connections that carry the statements of many callers at once.

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>
#include <source_location>
#include <vector>

#include "aio/task_scope.hpp"
#include "pg/carrier.hpp"
#include "pg/loop_turn.hpp"
#include "pg/pool_core.hpp"

namespace opi::pg {

/// A carrier is a connection that was taken as any lease is, in the same queue, and is given back as soon as it carries
/// nothing, or is recalled by the core (somebody waits for a connection of their own, the pool is paused, closing …):
/// it then ends what it carries and takes nothing more. What waits while there is no carrier stands behind one place in
/// the pool's queue, so neither starves the other.
///
/// Threading: everything on the pool's executor, except `execute` and `report`.
class Carriers final : private LoopTurn::Work {
 public:
  explicit Carriers(PoolState& pool);
  ~Carriers();
  Carriers(const Carriers&) = delete;
  Carriers& operator=(const Carriers&) = delete;

  /// A multiplexable statement; otherwise as DatabasePool::execute. The pool outlives the call.
  Task<Result<ResultSet>> execute(Statement statement, Params params, std::optional<SteadyTime> deadline,
                                  std::source_location where);

  /// No further statements on this one.
  void recall(PoolSlot* slot);
  /// Refuses everything; what is under way has until shortly before the deadline, so that the server can still be asked
  /// to stop it.
  void begin_close(SteadyTime deadline);
  /// After begin_close: gives up what is left.
  Task<> end();

  /// Fills in what `execute` counts; any thread.
  void report(PoolStats& stats) const noexcept;

 private:
  struct Join;
  class Arrival;
  class Drain;
  using Calls = boost::intrusive::list<ExecuteCall>;
  /// Written by the executor alone.
  struct Counter {
    std::atomic<std::uint64_t> count{0};
    void add() noexcept { count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed); }
    void set(std::uint64_t to) noexcept { count.store(to, std::memory_order_relaxed); }
    std::uint64_t get() const noexcept { return count.load(std::memory_order_relaxed); }
  };

  SteadyTime moment();
  void submit(ExecuteCall& call);
  void dispatch();
  Carrier* next_carrier();
  Carrier* take_idle();
  void queue_for_one(Lease lease, PoolCore::Taken taken);
  Task<> await_one(Lease lease, PoolCore::Taken taken, Borrower borrower);
  Carrier& open(Lease lease);
  void send(Carrier& carrier, ExecuteCall& call);
  void answered(Carrier& carrier, std::uint32_t seat, Result<ResultSet> result);
  void finish(ExecuteCall& call, Result<ResultSet> result);
  void refuse(ExecuteCall& call, Error error);
  void refuse_all(const AcquireError& why);
  void leave(ExecuteCall& call, Error error);
  void cancel(ExecuteCall& call, asio::cancellation_type type);
  void cancel_number(std::uint64_t number, asio::cancellation_type type);
  void give_up(Carrier& carrier);
  void sweep();
  void schedule_drain();
  void at_end_of_turn() override { drain(); }
  void in_a_later_turn() noexcept override { post_drain(); }
  void post_drain() noexcept;
  void drain();
  void drop_answered() noexcept;
  void watch_deadline(SteadyTime deadline);
  void on_time();
  SteadyTime expire(SteadyTime now);
  Borrower borrower() const;

  PoolState& pool_;
  Calls pending_;   ///< not sent, in the order of coming
  Calls answered_;  ///< at home, not resumed yet
  std::vector<std::unique_ptr<Carrier>> carriers_;
  std::vector<std::unique_ptr<Carrier>> spare_;
  CarrierPacking packing_;
  bool queued_ = false;         ///< a task of ours waits for a connection
  bool tried_another_ = false;  ///< in vain, in this turn of the loop
  bool drain_asked_ = false;
  std::optional<SteadyTime> moment_;  ///< of this turn
  bool closing_ = false;
  asio::steady_timer timer_;
  SteadyTime armed_for_ = SteadyTime::max();
  aio::TaskScope tasks_;
  std::atomic<std::uint64_t> numbers_{0};
  Counter waiting_, under_way_, executed_, refused_, given_up_, lost_;
};

}  // namespace opi::pg
