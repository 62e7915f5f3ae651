#pragma once
/// @file
/// What can be seen of a Lifespan from any thread: the locked part, in a file without coroutines.

#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "aio/lifespan.hpp"

namespace opi::aio {

/// Threading: every member from any thread. Ownership: shared by the Lifespan only.
class LifespanBoard {
 public:
  explicit LifespanBoard(const std::vector<Phase>& phases);

  LifespanStatus status() const;
  void set_state(LifespanState state) noexcept;
  /// Only from serving or starting; later states stay.
  void begin_drain() noexcept;
  /// Changes one phase's status under the lock; `change` must be short and must not call back.
  void update(std::size_t phase, const std::function<void(PhaseStatus&)>& change);

 private:
  mutable std::mutex mutex_;
  LifespanStatus status_;
};

}  // namespace opi::aio
