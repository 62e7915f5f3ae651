#include "aio/task_scope.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <cassert>
#include <exception>
#include <utility>
#include <vector>

#include "aio/with_deadline.hpp"

namespace opi::aio {

namespace {

struct Running {
  std::string name;
  asio::cancellation_signal stop;
};

/// Keeps a late cancellation from turning Asio's own last step (a post) into an exception out of run().
Task<> guarded(Task<> task) {
  std::exception_ptr exception = nullptr;
  try {
    co_await std::move(task);
  } catch (...) {
    exception = std::current_exception();
  }
  co_await asio::this_coro::throw_if_cancelled(false);
  if (exception) std::rethrow_exception(exception);
}

/// What `begin` throws is the task's exception.
Task<> begun(std::move_only_function<Task<>(TaskTag)> begin, TaskTag tag) {
  co_await begin(tag);
}

std::string describe(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "an exception of unknown type";
  }
}

}  // namespace

struct TaskScope::State {
  State(asio::any_io_executor on, Logger logger, std::string scope_name)
      : executor(std::move(on)), log(std::move(logger)), name(std::move(scope_name)), ended(executor) {
    ended.expires_at(SteadyTime::max());
  }

  static void start(const std::shared_ptr<State>& state, const std::shared_ptr<Running>& entry, Task<> task) {
    if (state->stopping) return state->end(entry, nullptr);
    asio::co_spawn(
        state->executor, guarded(std::move(task)),
        asio::bind_cancellation_slot(
            entry->stop.slot(), [state, entry](const std::exception_ptr& exception) { state->end(entry, exception); }));
  }

  void end(const std::shared_ptr<Running>& task, const std::exception_ptr& exception) {
    if (exception && !(stopping && detail::is_aborted(exception))) {
      ++failed;
      log.error(task->name, fmt::format("task failed in {}: {}", name, describe(exception)));
    }
    std::erase(running, task);
    ended.cancel();
  }

  asio::any_io_executor executor;
  Logger log;
  std::string name;
  std::vector<std::shared_ptr<Running>> running;
  asio::steady_timer ended;  ///< cancelled whenever a task ends
  bool stopping = false;
  std::uint64_t failed = 0;
};

TaskScope::TaskScope(asio::any_io_executor executor, Logger log, std::string name)
    : state_(std::make_shared<State>(std::move(executor), std::move(log), std::move(name))) {}

TaskScope::~TaskScope() {
  assert(state_->running.empty() && "a TaskScope was destroyed before join() returned");
  if (!state_->running.empty()) cancel();
}

bool TaskScope::spawn(std::string name, Task<> task) {
  if (state_->stopping) return false;
  auto entry = std::make_shared<Running>(std::move(name));
  state_->running.push_back(entry);
  asio::post(state_->executor, [state = state_, entry, task = std::move(task)]() mutable {
    State::start(state, entry, std::move(task));
  });
  return true;
}

bool TaskScope::spawn(std::string name, std::move_only_function<Task<>(TaskTag)> begin) {
  if (state_->stopping) return false;
  auto entry = std::make_shared<Running>(std::move(name));
  state_->running.push_back(entry);
  asio::post(state_->executor, [state = state_, entry, begin = std::move(begin)]() mutable {
    State::start(state, entry, begun(std::move(begin), {.id = entry.get(), .name = entry->name}));
  });
  return true;
}

void TaskScope::cancel() {
  if (state_->stopping) return;
  state_->stopping = true;
  // Through the executor, so that a signal is never emitted beside the task that it stops.
  asio::dispatch(state_->executor, [state = state_] {
    const auto asked = state->running;  // tasks may end, and leave the list, while they are asked
    for (const auto& task : asked) task->stop.emit(asio::cancellation_type::terminal);
  });
}

Task<> TaskScope::join() {
  const auto state = state_;
  const bool throwing = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  while (!state->running.empty())
    co_await state->ended.async_wait(asio::bind_cancellation_slot(asio::cancellation_slot(), as_result));
  co_await asio::this_coro::throw_if_cancelled(throwing);
}

std::size_t TaskScope::running() const noexcept {
  return state_->running.size();
}
std::uint64_t TaskScope::failed() const noexcept {
  return state_->failed;
}
asio::any_io_executor TaskScope::executor() const {
  return state_->executor;
}

}  // namespace opi::aio
