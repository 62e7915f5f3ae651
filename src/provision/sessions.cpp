#include "provision/sessions.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <utility>

#include "aio/with_deadline.hpp"
#include "base/backoff.hpp"
#include "pg/quote.hpp"
#include "provision/batch.hpp"

namespace opi::provision {
namespace {

constexpr BackoffLimits ending_limits{
    .first = std::chrono::milliseconds{5}, .most = std::chrono::milliseconds{200}, .jitter = 0.3};

/// Only names that nobody can shadow; the session's search path is pinned anyway.
std::string terminate(const std::string& login) {
  return fmt::format(
      "SELECT pg_catalog.pg_terminate_backend(a.pid) FROM pg_catalog.pg_stat_activity a "
      "WHERE a.usename = {} AND a.pid <> pg_catalog.pg_backend_pid()",
      pg::quote_literal(login));
}

Task<Result<>> terminate_as_login(pg::Connection* connection, const ServerFacts* facts, std::string login) {
  std::string text;
  const auto quoted = pg::quote_identifier(login);
  if (facts->version < 160000) text += fmt::format("GRANT {} TO {};\n", quoted, pg::quote_identifier(facts->admin));
  text += fmt::format("SET LOCAL ROLE {};\n{};\n", quoted, terminate(login));
  auto done = co_await begin_batch(connection, std::move(text));
  co_await rollback_batch(connection);
  co_return done;
}

}  // namespace

Task<Result<SessionCounts>> count_sessions(pg::Connection* connection, std::vector<std::string> logins) {
  SessionCounts counts;
  if (logins.empty()) co_return counts;
  for (const auto& login : logins) counts.emplace(login, 0);
  pg::Params params;
  params.emplace_back(std::move(logins));
  auto rows = co_await connection->query(
      "SELECT a.usename::text, pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a "
      "WHERE a.usename::text = ANY ($1::text[]) AND a.pid <> pg_catalog.pg_backend_pid() GROUP BY 1",
      std::move(params));
  if (!rows) co_return failure(std::move(rows.error()).while_doing("count the sessions of logins"));
  for (const auto& row : *rows) counts[std::string(row.text(0))] = row.get<std::int64_t>(1);
  co_return counts;
}

Task<Result<>> clear_database(pg::Connection* connection, ServerFacts facts, std::string database,
                              std::vector<std::string> logins) {
  if (facts.superuser) {
    co_return co_await run_alone(
        connection,
        "SELECT pg_catalog.pg_terminate_backend(a.pid) FROM pg_catalog.pg_stat_activity a WHERE a.datname = " +
            pg::quote_literal(database) + " AND a.pid <> pg_catalog.pg_backend_pid()");
  }
  auto counts = co_await count_sessions(connection, std::move(logins));
  if (!counts) co_return failure(std::move(counts.error()));
  for (const auto& [login, count] : *counts) {
    if (count == 0) continue;
    auto done = co_await terminate_as_login(connection, &facts, login);
    if (!done) co_return done;
  }
  co_return Result<>{};
}

Task<Result<>> end_sessions(pg::Connection* connection, ServerFacts facts, std::vector<std::string> logins,
                            SteadyTime deadline) {
  Backoff backoff(ending_limits, static_cast<std::uint64_t>(deadline.time_since_epoch().count()));
  for (;;) {
    auto counts = co_await count_sessions(connection, logins);
    if (!counts) co_return failure(std::move(counts.error()));
    std::erase_if(*counts, [](const auto& one) { return one.second == 0; });
    if (counts->empty()) co_return Result<>{};
    if (SystemClock().steady() > deadline) {
      co_return failure(ErrorKind::timed_out, fmt::format("sessions of {} do not end", counts->begin()->first));
    }
    for (const auto& [login, count] : *counts) {
      auto done = facts.superuser ? co_await run_alone(connection, terminate(login))
                                  : co_await terminate_as_login(connection, &facts, login);
      if (!done) co_return failure(std::move(done.error()).while_doing("end the sessions of " + login));
    }
    if (!co_await aio::sleep_for(backoff.next())) co_return failure(ErrorKind::cancelled, "cancelled");
  }
}

}  // namespace opi::provision
