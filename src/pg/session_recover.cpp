// How a session whose operation was abandoned half-way becomes usable again.
#include <fmt/format.h>

#include <utility>

#include "aio/with_deadline.hpp"
#include "pg/cancel_request.hpp"
#include "pg/server_error.hpp"
#include "pg/session.hpp"

namespace opi::pg {
namespace {

Task<Result<>> cancel_through(CancelBackend cancel, int backend_pid) {
  co_return co_await cancel(backend_pid);
}

}  // namespace

/// Takes what a COPY has left; false when more must come, or be written, first.
bool Session::end_copy(ExecStatusType status) {
  if (status == PGRES_COPY_IN) {
    unsent_ = true;
    return PQputCopyEnd(handle_.get(), "the copy was abandoned") != 0;
  }
  for (;;) {
    char* chunk = nullptr;
    const int read = PQgetCopyData(handle_.get(), &chunk, 1);
    PQfreemem(chunk);
    if (read == 0) return false;
    if (read < 0) return true;  // its end, or an error: the next result says which
  }
}

/// Drops the answers that are here. Ready::result when there are no more, or the session is lost.
Session::Ready Session::drain_now() {
  for (int nothings = 0;;) {
    const Ready now = ready();
    if (PQstatus(handle_.get()) == CONNECTION_BAD) end_ = End::server;
    if (end_ == End::server) return Ready::result;
    if (now != Ready::result) return now;
    const ResultSet result(PQgetResult(handle_.get()));
    if (!result.native()) {
      if (syncs_pending_ == 0) return Ready::result;
      if (++nothings == 3) {  // libpq expects nothing more
        end_ = End::server;
        return Ready::result;
      }
      continue;
    }
    nothings = 0;
    const ExecStatusType status = PQresultStatus(result.native());
    if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT) {
      if (!end_copy(status)) return unsent_ && PQflush(handle_.get()) == 1 ? Ready::output : Ready::input;
    } else if (status == PGRES_COPY_BOTH) {
      end_ = End::server;  // nobody asked for replication
    } else if (status == PGRES_PIPELINE_SYNC) {
      --syncs_pending_;
    } else if (ends_session(result.native())) {
      end_ = End::server;
    }
  }
}

Task<Result<>> Session::drain() {
  for (Ready now = drain_now(); now != Ready::result; now = drain_now()) {
    co_await watch_.suspend_until_event(now == Ready::output);
    if (!watch_.woken_by_event()) co_return failure(ErrorKind::cancelled, "draining a session");
    if (PQconsumeInput(handle_.get()) == 0) end_ = End::server;
  }
  co_return Result<>{};
}

/// Asks the server to stop, again and again, for a request that comes before its statement has begun is lost; until all
/// answers have come.
Task<Result<>> Session::stop_statement(SteadyTime deadline, CancelBackend cancel) {
  const CancelRequest request(handle_.get());
  constexpr std::chrono::milliseconds first_pause{20};
  for (auto pause = first_pause;; pause *= 2) {
    const SteadyTime begun = std::chrono::steady_clock::now();
    if (begun >= deadline) co_return failure(ErrorKind::timed_out, "the statement did not stop in time");
    if (cancel || request.possible()) {
      // Until it is over the session is nobody's: the request must not hit the next statement.
      auto sent = cancel ? co_await aio::with_deadline(cancel_through(cancel, PQbackendPID(handle_.get())), deadline,
                                                       "cancelling through another session took too long")
                         : co_await request.send(blocking_, deadline);
      if (!sent) co_return sent;
    } else if (pause != first_pause) {
      co_return failure(ErrorKind::unsupported, "an encrypted session cannot be asked to stop");
    }
    const auto drained =
        co_await aio::with_deadline(drain(), std::min(deadline, std::chrono::steady_clock::now() + pause), "draining");
    if (drained) co_return Result<>{};
    if (drained.error().kind != ErrorKind::timed_out) co_return drained;
  }
}

/// Until the session waits for statements again; its transaction stays as it is.
Task<Result<>> Session::settle(SteadyTime deadline, CancelBackend cancel) {
  if (!recoverable()) co_return failure(ErrorKind::closed, fmt::format("the connection to {} is closed", peer_));
  if (running_) co_return failure(ErrorKind::internal, "a connection runs one operation at a time");
  Operation operation(this);
  unsent_ = true;
  const bool pipelined = PQpipelineStatus(handle_.get()) != PQ_PIPELINE_OFF;
  if (pipelined && !send_sync()) co_return failure(lost());  // one may be missing
  if (drain_now() != Ready::result) {
    if (auto stopped = co_await stop_statement(deadline, std::move(cancel)); !stopped) co_return stopped;
  }
  if (end_ == End::server) co_return failure(lost());
  if (pipelined && PQexitPipelineMode(handle_.get()) == 0) co_return failure(lost());
  // Nobody knows whether the server has it; the next reset asks for no statement at all.
  if (std::exchange(preparing_, false)) statements_unknown_ = true;
  deliver_notifications();
  end_ = End::none;
  operation.done();
  co_return Result<>{};
}

Task<Result<>> Session::recover(SteadyTime deadline, CancelBackend cancel) {
  if (auto settled = co_await settle(deadline, std::move(cancel)); !settled) co_return settled;
  if (!transaction_is_open()) co_return Result<>{};
  auto rolled_back = co_await aio::with_deadline(run_own("ROLLBACK"), deadline, "rolling back took too long");
  if (!rolled_back) co_return failure(std::move(rolled_back.error()));
  co_return Result<>{};
}

}  // namespace opi::pg
