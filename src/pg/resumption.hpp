#pragma once
/// @file
/// A suspended coroutine that somebody else resumes, once, on the coroutine's own executor.

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>

#include "aio/task.hpp"

namespace opi::pg {

/// Move-only and one-shot. Dropped without being resumed, the coroutine is destroyed with it.
/// Threading: may be resumed from any thread; the coroutine continues on its own executor, which `co_spawn` keeps
/// running until then.
class Resumption {
 public:
  Resumption() noexcept = default;
  /// Of a coroutine that is suspended: what Asio resumes it with, which is a pointer to it.
  template <class Handler>
    requires(!std::is_same_v<Handler, Resumption> && !std::is_reference_v<Handler>)
  explicit Resumption(Handler&& handler) noexcept : kind_(&kind_of<Handler>) {
    static_assert(sizeof(Handler) <= room && alignof(Handler) <= alignof(void*));
    static_assert(std::is_nothrow_move_constructible_v<Handler>);
    std::construct_at(place<Handler>(), std::move(handler));
  }
  Resumption(Resumption&& other) noexcept : kind_(std::exchange(other.kind_, nullptr)) {
    if (kind_ != nullptr) kind_->move(other, *this);
  }
  Resumption& operator=(Resumption&& other) noexcept {
    if (this == &other) return *this;
    drop();
    kind_ = std::exchange(other.kind_, nullptr);
    if (kind_ != nullptr) kind_->move(other, *this);
    return *this;
  }
  Resumption(const Resumption&) = delete;
  Resumption& operator=(const Resumption&) = delete;
  ~Resumption() { drop(); }

  explicit operator bool() const noexcept { return kind_ != nullptr; }
  /// Whether the coroutine's own executor is this one.
  bool is_on(const asio::any_io_executor& executor) const noexcept { return kind_->is_on(*this, executor); }

  /// Never on the caller's stack.
  void post() { std::exchange(kind_, nullptr)->post(*this); }
  /// At once when the caller is on the coroutine's executor; for completions that come from the event loop anyway.
  void dispatch() { std::exchange(kind_, nullptr)->dispatch(*this); }
  /// At once. The caller runs on the coroutine's executor, as a handler of its own. The object may be gone afterwards.
  void resume() { std::exchange(kind_, nullptr)->resume(*this); }

 private:
  /// What can be done with the handler that is in the room; all but `is_on` and `move`'s target leave it empty.
  struct Kind {
    void (*move)(Resumption& from, Resumption& to) noexcept;
    void (*destroy)(Resumption& of) noexcept;
    bool (*is_on)(const Resumption& of, const asio::any_io_executor& executor) noexcept;
    void (*post)(Resumption& of);
    void (*dispatch)(Resumption& of);
    void (*resume)(Resumption& of);
  };
  static constexpr std::size_t room = 2 * sizeof(void*);

  template <class Handler>
  Handler* place() noexcept {
    return reinterpret_cast<Handler*>(room_.data());
  }
  template <class Handler>
  const Handler* place() const noexcept {
    return reinterpret_cast<const Handler*>(room_.data());
  }
  template <class Handler>
  Handler take() noexcept {
    Handler handler = std::move(*place<Handler>());
    std::destroy_at(place<Handler>());
    return handler;
  }
  template <class Handler>
  static void move_it(Resumption& from, Resumption& to) noexcept {
    std::construct_at(to.place<Handler>(), std::move(*from.place<Handler>()));
    std::destroy_at(from.place<Handler>());
  }
  template <class Handler>
  static void destroy_it(Resumption& of) noexcept {
    std::destroy_at(of.place<Handler>());
  }
  template <class Handler>
  static bool it_is_on(const Resumption& of, const asio::any_io_executor& executor) noexcept {
    return asio::any_io_executor(asio::get_associated_executor(*of.place<Handler>())) == executor;
  }
  template <class Handler>
  static void post_it(Resumption& of) {
    Handler handler = of.take<Handler>();
    const auto executor = asio::get_associated_executor(handler);
    asio::post(executor, [next = std::move(handler)]() mutable { std::move(next)(); });
  }
  template <class Handler>
  static void dispatch_it(Resumption& of) {
    Handler handler = of.take<Handler>();
    const auto executor = asio::get_associated_executor(handler);
    asio::dispatch(executor, [next = std::move(handler)]() mutable { std::move(next)(); });
  }
  template <class Handler>
  static void resume_it(Resumption& of) {
    Handler handler = of.take<Handler>();
    std::move(handler)();
  }
  template <class Handler>
  static constexpr Kind kind_of = {.move = move_it<Handler>,
                                   .destroy = destroy_it<Handler>,
                                   .is_on = it_is_on<Handler>,
                                   .post = post_it<Handler>,
                                   .dispatch = dispatch_it<Handler>,
                                   .resume = resume_it<Handler>};
  void drop() noexcept {
    if (const Kind* const kind = std::exchange(kind_, nullptr)) kind->destroy(*this);
  }

  const Kind* kind_ = nullptr;
  alignas(void*) std::array<std::byte, room> room_;  ///< only the handler's bytes have a value
};

/// `co_await suspend(start)` suspends the caller, then calls `start(Resumption, cancellation_slot)`, which keeps the
/// resumption and may put a handler into the slot. `start` may resume at once, from any thread, by `post`.
template <class Start>
auto suspend(Start start) {
  return asio::async_initiate<const asio::deferred_t, void()>(
      [](auto handler, const Start& begin) {
        const auto slot = asio::get_associated_cancellation_slot(handler);
        begin(Resumption(std::move(handler)), slot);
      },
      asio::deferred, std::move(start));
}

}  // namespace opi::pg
