#include "pg/cancel_request.hpp"

#include <libpq-fe.h>

#include <array>
#include <optional>

#include "aio/with_deadline.hpp"

namespace opi::pg {
namespace {

#ifdef LIBPQ_HAS_ASYNC_CANCEL

std::shared_ptr<void> make_request(pg_conn* session) {
  return {PQcancelCreate(session), [](void* request) { PQcancelFinish(static_cast<PGcancelConn*>(request)); }};
}

bool send_blocking(void* request) {
  auto* const cancel = static_cast<PGcancelConn*>(request);
  PQcancelReset(cancel);
  return PQcancelBlocking(cancel) != 0;
}

#else

std::shared_ptr<void> make_request(pg_conn* session) {
  if (PQsslInUse(session) != 0) return nullptr;
  return {PQgetCancel(session), [](void* request) { PQfreeCancel(static_cast<PGcancel*>(request)); }};
}

bool send_blocking(void* request) {
  std::array<char, 256> text{};
  return PQcancel(static_cast<PGcancel*>(request), text.data(), static_cast<int>(text.size())) != 0;
}

#endif

/// On the blocking pool. Before version 17 nothing bounds libpq's call: it waits for the server to close the socket.
struct SendBlocking {
  std::shared_ptr<void> request;
  bool operator()() const { return send_blocking(request.get()); }
};

Task<Result<>> send_on(aio::BlockingPool* blocking, std::shared_ptr<void> request) {
  constexpr std::chrono::milliseconds turn{5};
  for (;;) {
    const std::optional<bool> sent = co_await blocking->try_unbounded(SendBlocking{request});
    if (sent && *sent) co_return Result<>{};
    if (sent) co_return failure(ErrorKind::unavailable, "the server did not take a cancel request");
    // Others are being sent, or hang. Threads are left for dials, so this one waits for its turn.
    if (!co_await aio::sleep_for(turn)) co_return failure(ErrorKind::cancelled, "a cancel request");
  }
}

}  // namespace

CancelRequest::CancelRequest(pg_conn* session) : request_(make_request(session)) {}

Task<Result<>> CancelRequest::send(aio::BlockingPool* blocking, SteadyTime deadline) const {
  return aio::with_deadline(send_on(blocking, request_), deadline, "a cancel request took too long");
}

}  // namespace opi::pg
