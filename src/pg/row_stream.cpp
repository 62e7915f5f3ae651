#include "pg/row_stream.hpp"

#include <utility>

#include "pg/bound_params.hpp"
#include "pg/server_error.hpp"
#include "pg/session.hpp"
#include "pg/session_hold.hpp"

namespace opi::pg {

struct RowStream::State {
  explicit State(Session& session) : hold(session) {}
  SessionHold hold;
  std::optional<Error> error = {};
  bool ended = false;
};

RowStream::RowStream(std::shared_ptr<State> state) noexcept : state_(std::move(state)) {}
RowStream::RowStream(RowStream&&) noexcept = default;
RowStream& RowStream::operator=(RowStream&&) noexcept = default;
RowStream::~RowStream() = default;

Task<Result<RowStream>> RowStream::begin(std::shared_ptr<Session> session, std::string sql, Params params,
                                         Format results) {
  if (!session) co_return failure(ErrorKind::closed, "there is no connection");
  if (auto usable = session->check_usable(sql, &params); !usable) co_return failure(std::move(usable.error()));
  session->note_effects(effects_of(sql));
  auto state = std::make_shared<State>(*session);
  const BoundParams bound(params);
  if (PQsendQueryParams(session->native(), sql.c_str(), bound.size(), bound.types(), bound.values(), bound.lengths(),
                        bound.formats(), static_cast<int>(results)) == 0 ||
      PQsetSingleRowMode(session->native()) == 0) {
    co_return failure(session->lost());
  }
  session->expect_flush();
  co_return RowStream(std::move(state));
}

Task<Result<RowBlock>> RowStream::next() {
  return next_of(state_);
}

Task<Result<RowBlock>> RowStream::next_of(std::shared_ptr<State> state) {
  RowBlock block;
  if (!state->ended) {
    const auto session = state->hold.session();
    if (!session || session->broken()) co_return failure(ErrorKind::closed, "the rows' connection is closed");
    while (block.size() < rows_max) {
      if (!block.empty() && session->ready() != Session::Ready::result) co_return block;
      if (auto waited = co_await session->await_result(); !waited) co_return failure(std::move(waited.error()));
      ResultSet result(PQgetResult(session->native()));
      if (result.native() == nullptr) {
        state->ended = true;
        if (!session->still_connected() && !state->error) state->error = session->lost();
        state->hold.finish();
        break;
      }
      const ExecStatusType status = PQresultStatus(result.native());
      if (status == PGRES_SINGLE_TUPLE) {
        block.rows_.push_back(std::move(result));
      } else if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
        co_return failure(ErrorKind::unsupported, "COPY through a stream of rows");
      } else if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK && status != PGRES_EMPTY_QUERY) {
        session->note_failure(result.native());
        state->error = error_of_result(result.native(), session->peer());
        if (session->broken()) {
          state->ended = true;
          state->hold.finish();
          break;
        }
      }
    }
  }
  if (block.empty() && state->error) co_return failure(*std::exchange(state->error, std::nullopt));
  co_return block;
}

}  // namespace opi::pg
