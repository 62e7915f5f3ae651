#pragma once
/// @file
/// A connection that a pool has lent, and what is asked for to get one.

#include <expected>
#include <optional>
#include <string_view>
#include <utility>

#include "base/clock.hpp"
#include "pg/acquire_error.hpp"
#include "pg/connection.hpp"

namespace opi::pg {

struct PoolSlot;
struct PoolState;

/// Options of one acquire.
struct AcquireOptions {
  /// Absolute; none: now + PoolSettings::acquire_timeout. One in the past fails without touching the pool.
  std::optional<SteadyTime> deadline = {};
  /// What the holder is doing; shown in timeouts and leak reports.
  std::string_view task = {};
  /// Names a sequential flow that may hold one connection and ask for another, by any address of its own: a task's is
  /// aio::TaskTag::id. When all connections are held by such flows and all of them wait, the last one fails with
  /// `deadlocked` instead of hanging. Nothing is claimed of acquires without it.
  const void* owner = nullptr;
};

/// A connection that was lent. Move-only; destruction gives it back, without blocking and without traffic.
/// Threading: whoever holds it. A lease may outlive the pool's close(): the connection is then closed on return.
class Lease {
 public:
  Lease() noexcept = default;
  Lease(Lease&& other) noexcept : slot_(std::exchange(other.slot_, nullptr)) {}
  Lease& operator=(Lease&& other) noexcept {
    if (this != &other) {
      release();
      slot_ = std::exchange(other.slot_, nullptr);
    }
    return *this;
  }
  ~Lease() { release(); }

  explicit operator bool() const noexcept { return slot_ != nullptr; }
  Connection& operator*() const noexcept;
  Connection* operator->() const noexcept;

  /// Gives it back now. Nothing when it was given back before.
  void release() noexcept {
    if (slot_ != nullptr) give_back(false);
  }
  /// Gives it back to be closed, never used again: for a session that holds something only its end releases.
  void discard() noexcept {
    if (slot_ != nullptr) give_back(true);
  }
  /// Takes the connection out of the pool for good: its place is free at once, and its session is the caller's.
  Connection detach() noexcept;

 private:
  friend class Acquiring;
  friend class Carriers;
  friend class DatabasePool;
  friend struct PoolState;
  explicit Lease(PoolSlot* slot) noexcept : slot_(slot) {}
  void give_back(bool discard) noexcept;
  PoolSlot* slot_ = nullptr;  ///< of the pool's state, which stays until its last lease is back
};

/// What an acquire answers with.
using Acquired = std::expected<Lease, AcquireError>;

}  // namespace opi::pg
