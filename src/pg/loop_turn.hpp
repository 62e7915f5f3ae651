#pragma once
/// @file
/// What is to happen once an event has been handled, on the same turn of the event loop.

#include <array>
#include <cstddef>
#include <memory>
#include <utility>

#include "aio/task.hpp"

namespace opi::pg {

/// Lives while an event is handled; made by whoever the event loop calls first. Work that is put off to its end needs
/// no entry in the loop's queue and no further look for events, and yet runs on nobody's stack: those whom the event
/// resumed have suspended again by then.
/// Threading: each thread has turns of its own.
class LoopTurn {
 public:
  class Work {
   public:
    /// Not within a call of anybody; may throw what a coroutine threw, and may put off more.
    virtual void at_end_of_turn() = 0;
    /// Instead of it: the turn ends with an exception.
    virtual void in_a_later_turn() noexcept = 0;

   protected:
    Work() = default;
    ~Work() = default;
    Work(const Work&) = default;
    Work& operator=(const Work&) = default;
  };

  /// `executor`: the one that the event is handled on; it stays until the end. Within another turn this one has no work
  /// of its own.
  explicit LoopTurn(const asio::any_io_executor& executor) noexcept
      : executor_(&executor), outer_(std::exchange(current_, current_ != nullptr ? current_ : this)) {}
  ~LoopTurn() {
    if (outer_ != nullptr) return;
    current_ = nullptr;
    while (count_ > 0) take()->in_a_later_turn();
  }
  LoopTurn(const LoopTurn&) = delete;
  LoopTurn& operator=(const LoopTurn&) = delete;

  /// The event has been handled.
  void end() {
    while (outer_ == nullptr && count_ > 0) take()->at_end_of_turn();
  }

  /// False: this thread is in no turn of that executor; post it instead.
  static bool put_off(const std::shared_ptr<Work>& work, const asio::any_io_executor& executor) noexcept {
    if (current_ == nullptr || current_->count_ == room || *current_->executor_ != executor) return false;
    current_->works_[current_->count_++] = work;
    return true;
  }

 private:
  static constexpr std::size_t room = 4;
  std::shared_ptr<Work> take() noexcept {
    std::shared_ptr<Work> first = std::move(works_[0]);
    std::move(works_.begin() + 1, works_.end(), works_.begin());
    --count_;
    return first;
  }

  static inline thread_local LoopTurn* current_ = nullptr;
  const asio::any_io_executor* executor_;
  LoopTurn* outer_;
  std::size_t count_ = 0;
  std::array<std::shared_ptr<Work>, room> works_;
};

}  // namespace opi::pg
