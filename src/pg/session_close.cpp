// How a session ends: a request to stop what it still runs, a goodbye, and the server's goodbye.
#include <fcntl.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/this_coro.hpp>

#include "aio/with_deadline.hpp"
#include "pg/cancel_request.hpp"
#include "pg/session.hpp"

namespace opi::pg {
namespace {

/// Reads until the server closes its end: its backend is gone then, and no unread data turns our close into a reset.
Task<Result<>> read_to_the_end(std::shared_ptr<asio::posix::stream_descriptor> socket) {
  std::array<char, 4'096> buffer{};
  for (;;) {
    const auto [error, read] = co_await socket->async_read_some(asio::buffer(buffer), as_result);
    if (error == asio::error::operation_aborted) co_return failure(ErrorKind::cancelled, "closing");
    if (error) co_return Result<>{};
  }
}

/// Returns when the server has closed its end, or at the deadline. A cancel request that comes before its statement has
/// begun is lost, and a request says nothing of what it did: it is sent until the session ends.
Task<> await_end(std::shared_ptr<asio::posix::stream_descriptor> socket, std::optional<CancelRequest> cancel,
                 aio::BlockingPool* blocking, SteadyTime deadline) {
  constexpr std::chrono::milliseconds first_pause{20};
  const auto now = [] { return std::chrono::steady_clock::now(); };
  for (auto pause = first_pause; now() < deadline; pause *= 2) {
    const SteadyTime until = cancel ? std::min(deadline, now() + pause) : deadline;
    if (co_await aio::with_deadline(read_to_the_end(socket), until, "closing")) co_return;
    if (cancel) (void)co_await cancel->send(blocking, deadline);
  }
}

}  // namespace

Task<> Session::close(SteadyTime deadline) {
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  if (!handle_) co_return;
  const bool abandoned = end_ == End::abandoned && PQtransactionStatus(handle_.get()) == PQTRANS_ACTIVE;
  // Without it the server would go on with a statement that nobody waits for.
  std::optional<CancelRequest> cancel;
  if (abandoned) cancel.emplace(handle_.get());
  if (cancel && !cancel->possible()) cancel.reset();
  if (cancel) (void)co_await cancel->send(blocking_, deadline);
  watch_.detach();
  auto twin = std::make_shared<asio::posix::stream_descriptor>(executor_);
  if (end_ == End::none || cancel) {
    const int descriptor = ::fcntl(PQsocket(handle_.get()), F_DUPFD_CLOEXEC, 0);
    if (descriptor >= 0) twin->assign(descriptor);
  }
  handle_.reset();  // says goodbye
  if (twin->is_open()) co_await await_end(std::move(twin), std::move(cancel), blocking_, deadline);
}

}  // namespace opi::pg
