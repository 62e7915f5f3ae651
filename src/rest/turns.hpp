#pragma once
/// @file
/// A bounded number of places, given out first come, first served.

#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <list>
#include <utility>

#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"

namespace opi::rest {

/// Ownership: outlives its places and waiters. Threading: one executor's thread.
class Turns {
 public:
  /// One place, given back by its destructor.
  class Place {
   public:
    explicit Place(Turns& turns) noexcept : turns_(&turns) {}
    Place(Place&& other) noexcept : turns_(std::exchange(other.turns_, nullptr)) {}
    Place& operator=(Place&& other) noexcept {
      if (this != &other) {
        give_back();
        turns_ = std::exchange(other.turns_, nullptr);
      }
      return *this;
    }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place() { give_back(); }

   private:
    void give_back() noexcept {
      if (auto* turns = std::exchange(turns_, nullptr)) turns->leave();
    }
    Turns* turns_;
  };

  explicit Turns(std::uint32_t places) noexcept : free_(places) {}
  Turns(const Turns&) = delete;
  Turns& operator=(const Turns&) = delete;

  /// Errors: timed_out, cancelled.
  Task<Result<Place>> take(SteadyTime deadline);
  std::uint32_t waiting() const noexcept { return static_cast<std::uint32_t>(waiters_.size()); }

 private:
  struct Waiter {
    asio::steady_timer called;  ///< cancelled when its turn comes
    bool has_turn = false;
  };
  class Queued;
  void leave() noexcept;

  std::uint32_t free_;
  std::list<Waiter*> waiters_;
};

}  // namespace opi::rest
