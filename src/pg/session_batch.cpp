// How a batch is run: sent piece by piece, its answers taken while it is sent.
#include <algorithm>
#include <utility>

#include "pg/bound_params.hpp"
#include "pg/server_error.hpp"
#include "pg/session.hpp"
#include "pg/sqlstate.hpp"

namespace opi::pg {

/// A batch on its way.
struct Session::BatchRun {
  struct Sent {
    std::string name = {};  ///< of the prepared statement
    bool prepares = false;
    bool prepared = false;
    bool prepare_ended = false;
  };
  const Batch* batch;
  std::vector<Sent> sent = {};
  std::vector<std::pair<std::string, Error>> failed_prepares = {};
  BatchResults results = {};
  std::size_t answered = 0;  ///< statements whose answers are complete
  ResultSet last = {};
  std::optional<Error> error = {};
  int syncs_ignored = 0;
  int nothings = 0;
  bool all_sent() const noexcept { return sent.size() == batch->items().size(); }
};

bool Session::send_item(BatchRun& run, const Batch::Item& item) {
  BatchRun::Sent sent;
  bool put = true;
  if (item.prepared) {
    const StatementCache::Entry* known = statements_.find(item.statement, item.params);
    if (known != nullptr) {
      sent.name = known->name;
    } else {
      StatementCache::Entry fresh = statements_.make(item.statement, item.params);
      sent.name = fresh.name;
      sent.prepares = true;
      put = PQsendPrepare(handle_.get(), fresh.name.c_str(), fresh.statement.sql().c_str(),
                          static_cast<int>(fresh.types.size()), fresh.types.data()) != 0;
      statements_.add(std::move(fresh));  // those that follow may use it at once
    }
    put = put && send_prepared(sent.name.c_str(), item.params, item.statement.results());
  } else {
    const BoundParams bound(item.params);
    put = PQsendQueryParams(handle_.get(), item.statement.sql().c_str(), bound.size(), bound.types(), bound.values(),
                            bound.lengths(), bound.formats(), static_cast<int>(item.statement.results())) != 0;
  }
  run.sent.push_back(std::move(sent));
  if (put && (run.batch->scope() == BatchScope::each || run.all_sent())) put = send_sync();
  return put;
}

/// As much as the socket takes: libpq must not hold all of a large batch.
bool Session::send_more(BatchRun& run) {
  constexpr std::size_t flush_bytes = 32 * 1024;
  std::size_t held = 0;
  while (!run.all_sent() && !unsent_) {
    const Batch::Item& item = run.batch->items()[run.sent.size()];
    held += item.statement.sql().size();
    for (const Param& param : item.params) held += param.size();
    if (!send_item(run, item)) return false;
    if (held >= flush_bytes || run.all_sent()) {
      held = 0;
      unsent_ = PQflush(handle_.get()) == 1;
    }
  }
  return true;
}

void Session::answer(BatchRun& run) {
  const BatchRun::Sent& sent = run.sent[run.answered];
  if (sent.prepares && !sent.prepared) {
    statements_.remove(sent.name);
    if (run.error) run.failed_prepares.emplace_back(sent.name, *run.error);
  }
  if (run.error && run.error->code == sqlstate::invalid_statement_name) {
    // What the statement before it could not prepare; say why instead.
    const auto failed = std::ranges::find(run.failed_prepares, sent.name, &std::pair<std::string, Error>::first);
    if (failed != run.failed_prepares.end()) run.error = failed->second;
  }
  if (run.error) {
    run.results.emplace_back(failure(*std::exchange(run.error, std::nullopt)));
  } else {
    run.results.emplace_back(std::exchange(run.last, ResultSet()));
  }
  ++run.answered;
}

/// Takes one answer; false when it was the last.
bool Session::take(BatchRun& run, PGresult* raw) {
  if (raw == nullptr) {
    ++run.nothings;
    // The answers to one command have ended; a prepare is followed by those to its statement.
    if (run.nothings > 1) return run.nothings < 3;
    if (run.syncs_ignored > 0 || run.answered == run.sent.size()) return true;
    BatchRun::Sent& sent = run.sent[run.answered];
    if (sent.prepares && !std::exchange(sent.prepare_ended, true)) {
      if (!run.error) sent.prepared = true;
      return true;
    }
    answer(run);
    return true;
  }
  run.nothings = 0;
  ResultSet result(raw);
  switch (PQresultStatus(raw)) {
    case PGRES_PIPELINE_SYNC:
      if (run.syncs_ignored > 0) --run.syncs_ignored;
      --syncs_pending_;
      return syncs_pending_ > 0 || !run.all_sent();
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_EMPTY_QUERY:
      if (run.syncs_ignored == 0) run.last = std::move(result);
      return true;
    case PGRES_PIPELINE_ABORTED:
      if (!run.error) run.error.emplace(ErrorKind::conflict, "not run: an earlier statement of the batch failed");
      return true;
    default: break;
  }
  note_failure(raw);
  if (run.syncs_ignored == 0 && !run.error) run.error = error_of_result(raw, peer_);
  return true;
}

Task<Result<BatchResults>> Session::run_batch(Batch batch) {
  if (auto usable = check_usable({}, nullptr); !usable) co_return failure(std::move(usable.error()));
  for (const Batch::Item& item : batch.items()) {
    if (auto sound = check_parameters(item.params); !sound) co_return failure(std::move(sound.error()));
    if (item.statement.contains_nul()) {
      co_return failure(ErrorKind::invalid, "a statement must not contain a NUL byte");
    }
    note_effects(item.statement.effects());
  }
  if (batch.items().empty()) co_return BatchResults();
  Operation operation(this);
  BatchRun run{.batch = &batch};
  unsent_ = false;
  preparing_ = true;
  if (PQenterPipelineMode(handle_.get()) == 0 || !send_deallocations(run.syncs_ignored)) co_return failure(lost());
  for (bool more = true; more;) {
    if (!send_more(run)) co_return failure(lost());
    const Ready now = ready();
    if (!still_connected()) {
      Error error = lost();
      co_return failure(run.error ? std::move(*run.error) : std::move(error));
    }
    if (now == Ready::result) {
      more = take(run, PQgetResult(handle_.get()));
      continue;
    }
    if (auto waited = co_await wait(now); !waited) co_return failure(std::move(waited.error()));
  }
  if (run.answered != batch.items().size() || syncs_pending_ > 0 || PQexitPipelineMode(handle_.get()) == 0) {
    co_return failure(ErrorKind::internal, "the answers to a batch do not match its statements");
  }
  preparing_ = false;
  operation.done();
  deliver_notifications();
  co_return std::move(run.results);
}

}  // namespace opi::pg
