#pragma once
/// @file
/// What the pool's core keeps of each connection and of everyone who waits for one.

#include <algorithm>
#include <array>
#include <boost/intrusive/list.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <source_location>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "pg/acquire_error.hpp"
#include "pg/connection.hpp"
#include "pg/dial_governor.hpp"
#include "pg/resumption.hpp"

namespace opi::pg {

/// Who takes a connection, kept without allocating.
struct Borrower {
  std::source_location where;
  const void* owner = nullptr;
  bool carries = false;  ///< it is to carry statements of many callers: see Carriers

  Borrower() = default;
  explicit Borrower(std::source_location place) noexcept : where(place) {}
  Borrower(std::source_location place, std::string_view name, const void* holder_tag = nullptr) noexcept
      : where(place), owner(holder_tag) {
    set_task(name);
  }
  Borrower(const Borrower& other) noexcept : where(other.where), owner(other.owner), carries(other.carries) {
    set_task(other.task());
  }
  Borrower& operator=(const Borrower& other) noexcept {
    where = other.where;
    owner = other.owner;
    carries = other.carries;
    set_task(other.task());
    return *this;
  }
  ~Borrower() = default;
  std::string_view task() const noexcept { return {task_.data(), task_size_}; }
  Holder holder(std::chrono::nanoseconds since) const;

 private:
  void set_task(std::string_view name) noexcept {
    task_size_ = static_cast<std::uint8_t>(std::min(name.size(), task_.size()));
    if (task_size_ > 0) std::copy_n(name.begin(), task_size_, task_.begin());
  }

  std::uint8_t task_size_ = 0;
  std::array<char, 64> task_;  ///< only its first task_size_ bytes have a value
};

struct PoolState;

/// One place for a connection. Owned by the core; whoever a slot was handed to (a lease, a task) has it alone until it
/// is given back.
struct PoolSlot {
  enum class State : std::uint8_t { free, dialing, idle, used, cleaning, closing };
  State state = State::free;
  bool lent = false;   ///< used by a lease, not by an inspection of ours
  bool timed = false;  ///< this lease goes into the histogram: `taken_at` holds
  bool leak_reported = false;
  bool role_in_doubt = false;      ///< 25006 came: its server is asked before it is lent again
  bool recalled = false;           ///< it carries statements and is to come back as soon as they are answered
  bool event_pending = false;      ///< the server said something while it was lent and quiet
  std::uint32_t epoch = 0;         ///< of the configuration it was dialled with
  std::uint32_t schema_epoch = 0;  ///< its prepared statements are no older
  std::uint64_t uses = 0;
  SteadyTime since{};  ///< entered its state; coarse
  SteadyTime expires = SteadyTime::max();
  SteadyTime taken_at{};
  Borrower borrower;
  PoolState* pool = nullptr;             ///< to whom a lease gives it back; set with the connection
  std::optional<Connection> connection;  ///< empty in tests of the core
  // Where it is, or is being dialled.
  std::shared_ptr<HostGate> gate;
  std::uint32_t role_epoch = 0;           ///< of the host, when its role was looked at
  DialPermit permit;                      ///< while its host has not answered
  std::vector<std::uint8_t> route;        ///< hosts that this dial may still try, the next one last
  std::shared_ptr<HostGate> second_best;  ///< where this dial has a connection that will do if nothing better comes
  bool met_wrong_role = false;            ///< this dial

  /// Its host has another role by now than when it was looked at.
  bool fenced() const noexcept { return gate && gate->role_epoch() != role_epoch; }
};

/// Someone in the queue. Lives in the coroutine that waits.
struct PoolWaiter : boost::intrusive::list_base_hook<> {
  Borrower borrower;
  SteadyTime since{};
  SteadyTime deadline{};
  Resumption resumption;
  bool at_home = false;  ///< resumes on the pool's own executor
  bool queued = false;
  bool forget_statements = false;
  // The answer, written under the core's lock before the waiter is woken: a slot, or an error.
  PoolSlot* slot = nullptr;
  std::unique_ptr<AcquireError> error;
};
using PoolWaiters = boost::intrusive::list<PoolWaiter>;

}  // namespace opi::pg
