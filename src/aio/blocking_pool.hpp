#pragma once
/// @file
/// Threads for calls that block: name lookup, scrypt, file trees, libpq's blocking calls.

#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/system/system_error.hpp>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "aio/task.hpp"
#include "aio/with_deadline.hpp"

namespace opi::aio {

/// Ownership: joins its threads when destroyed, before the executors of its callers are; a call that has not begun by
/// then ends with operation_aborted. Two coroutines may use it at once.
/// Threading: `run` from any executor; the function runs on one of the pool's threads and the caller resumes on its own
/// executor. Cancellation: a call that has started cannot be interrupted; the coroutine that awaits `run` waits for it
/// (one that is cancelled before the call throws operation_aborted). Give every call a bound.
/// Errors: an exception of the function is rethrown to the caller.
class BlockingPool {
 public:
  explicit BlockingPool(std::size_t threads);
  ~BlockingPool();
  BlockingPool(const BlockingPool&) = delete;
  BlockingPool& operator=(const BlockingPool&) = delete;

  /// Runs `function` (moved into the pool) on a pool thread and returns what it returned.
  template <class Function>
  Task<std::invoke_result_t<Function>> run(Function function);

  /// As `run`, but a cancelled caller does not wait: it gets operation_aborted at once, and the function goes on by
  /// itself and its result is dropped. The function must own, or share, everything it touches.
  template <class Function>
  Task<std::invoke_result_t<Function>> run_abandonable(Function function);

  /// As `run_abandonable`, for calls that nothing bounds in time. At most half of the threads run such at once (one of
  /// one), so that calls that hang leave threads for the others. Nothing: they all hang, and the call was not begun.
  template <class Function>
  Task<std::optional<std::invoke_result_t<Function>>> try_unbounded(Function function);

 private:
  template <class Function>
  struct Call;

  /// One of the places for calls that nothing bounds; shared, for a call may be dropped after the pool is gone.
  class Place {
   public:
    explicit Place(std::shared_ptr<std::atomic<std::size_t>> free) noexcept : free_(std::move(free)) {}
    Place(Place&&) noexcept = default;
    Place& operator=(Place&&) = delete;
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place() {
      if (free_) ++*free_;
    }

   private:
    std::shared_ptr<std::atomic<std::size_t>> free_;
  };
  std::optional<Place> take_place() noexcept;

  std::shared_ptr<std::atomic<std::size_t>> places_;
  asio::thread_pool threads_;
};

/// One call: the function, its outcome, and the timer that wakes the caller on the caller's executor.
template <class Function>
struct BlockingPool::Call {
  using Value = std::invoke_result_t<Function>;

  Call(Function f, const asio::any_io_executor& executor) : function(std::move(f)), done(executor) {
    done.expires_at(std::chrono::steady_clock::time_point::max());
  }

  void work() {
    try {
      if constexpr (std::is_void_v<Value>) {
        (*function)();
        value.emplace();
      } else {
        value.emplace((*function)());
      }
    } catch (...) {
      exception = std::current_exception();
    }
    function.reset();  // what it captured goes before the caller continues
  }
  /// Wakes the caller. The reference goes along: were it dropped here, on the pool's thread, the timer could go after
  /// the caller's executor has.
  static void finish(std::shared_ptr<Call> call) {
    const auto executor = call->done.get_executor();
    asio::post(executor, [call = std::move(call)] {
      call->finished = true;
      call->done.cancel();
    });
  }

  /// On the pool's queue: when it is dropped there unrun, the caller still hears of it.
  struct Job {
    explicit Job(std::shared_ptr<Call> c) : call(std::move(c)) {}
    Job(Job&&) noexcept = default;
    Job& operator=(Job&&) = delete;
    Job(const Job&) = delete;
    Job& operator=(const Job&) = delete;
    ~Job() {
      if (call) finish(std::move(call));
    }
    void operator()() { call->work(); }
    std::shared_ptr<Call> call;
  };

  std::optional<Function> function;
  asio::steady_timer done;
  std::optional<std::conditional_t<std::is_void_v<Value>, char, Value>> value;
  std::exception_ptr exception = nullptr;
  bool finished = false;
};

template <class Function>
Task<std::invoke_result_t<Function>> BlockingPool::run_abandonable(Function function) {
  auto call = std::make_shared<Call<Function>>(std::move(function), co_await asio::this_coro::executor);
  asio::post(threads_, typename Call<Function>::Job(call));
  while (!call->finished) co_await call->done.async_wait(as_result);
  if (call->exception) std::rethrow_exception(call->exception);
  if (!call->value) throw boost::system::system_error(asio::error::operation_aborted, "blocking pool");
  if constexpr (!std::is_void_v<std::invoke_result_t<Function>>) co_return std::move(*call->value);
}

template <class Function>
Task<std::optional<std::invoke_result_t<Function>>> BlockingPool::try_unbounded(Function function) {
  struct InItsPlace {
    Function function;
    Place place;
    std::invoke_result_t<Function> operator()() { return function(); }
  };
  std::optional<Place> place = take_place();
  if (!place) co_return std::nullopt;
  co_return co_await run_abandonable(InItsPlace{.function = std::move(function), .place = std::move(*place)});
}

template <class Function>
Task<std::invoke_result_t<Function>> BlockingPool::run(Function function) {
  if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none)
    throw boost::system::system_error(asio::error::operation_aborted, "blocking pool");
  co_return co_await shielded(run_abandonable(std::move(function)));
}

}  // namespace opi::aio
