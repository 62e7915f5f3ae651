#include "pg/cancel_request.hpp"

#include <libpq-fe.h>

#include <array>

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

/// On the blocking pool.
struct SendBlocking {
  std::shared_ptr<void> request;
  bool operator()() const { return send_blocking(request.get()); }
};

Task<Result<>> send_on(aio::BlockingPool* blocking, std::shared_ptr<void> request) {
  if (co_await blocking->run_abandonable(SendBlocking{std::move(request)})) co_return Result<>{};
  co_return failure(ErrorKind::unavailable, "the server did not take a cancel request");
}

}  // namespace

CancelRequest::CancelRequest(pg_conn* session) : request_(make_request(session)) {}

Task<Result<>> CancelRequest::send(aio::BlockingPool* blocking, SteadyTime deadline) const {
  return aio::with_deadline(send_on(blocking, request_), deadline, "a cancel request took too long");
}

}  // namespace opi::pg
