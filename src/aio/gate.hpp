#pragma once
/// @file
/// Counts work in flight, refuses new work once closed, and waits for the rest.

#include <boost/asio/steady_timer.hpp>
#include <cstddef>
#include <optional>

#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"

namespace opi::aio {

/// Ownership: outlives every Pass; destroying it while passes are out breaks an invariant (asserted).
/// Threading: one executor's thread.
class Gate {
 public:
  /// Held while the work runs; leaving is the destructor's job.
  class Pass {
   public:
    Pass(Pass&& other) noexcept;
    Pass& operator=(Pass&& other) noexcept;
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;
    ~Pass();

   private:
    friend class Gate;
    explicit Pass(Gate& gate) noexcept : gate_(&gate) {}
    Gate* gate_;
  };

  explicit Gate(const asio::any_io_executor& executor);
  ~Gate();
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  /// Empty once the gate is closing.
  std::optional<Pass> enter() noexcept;
  /// Refuses new work at once and returns when the last Pass is gone (true), or at the deadline or when cancelled
  /// (false). Idempotent; several may wait, each with its own deadline.
  Task<bool> close(SteadyTime deadline);

  bool closing() const noexcept { return closing_; }
  std::size_t inside() const noexcept { return inside_; }

 private:
  void leave() noexcept;
  Task<Result<>> wait_empty();
  asio::steady_timer emptied_;  ///< cancelled when the last one leaves a closing gate
  std::size_t inside_ = 0;
  bool closing_ = false;
};

}  // namespace opi::aio
