#include "store/suspensions.hpp"

#include <utility>

#include "store/json_rows.hpp"
#include "store/row_reader.hpp"

namespace opi::store {

namespace {

constexpr std::size_t reason_bytes_max = 1'024;

std::string text_of(SuspendedKind kind) {
  return kind == SuspendedKind::repository ? "repository" : "project";
}

}  // namespace

Task<Result<std::vector<Suspension>>> load_suspensions(pg::Connection* connection) {
  const auto rows = co_await connection->query("SELECT kind, name, reason, " + microseconds("since") +
                                               " FROM opi.suspensions ORDER BY kind, name COLLATE \"C\"");
  if (!rows) co_return failure(rows.error());
  std::vector<Suspension> all;
  for (const pg::Row row : *rows) {
    RowReader reader(row);
    Suspension one;
    one.kind = reader.text() == "repository" ? SuspendedKind::repository : SuspendedKind::project;
    one.name = reader.text();
    one.reason = reader.text();
    one.since = reader.time_or_null();
    all.push_back(std::move(one));
  }
  co_return all;
}

Task<Result<>> suspend(pg::Connection* connection, SuspendedKind kind, std::string name, std::string reason) {
  const auto done = co_await connection->query(
      "INSERT INTO opi.suspensions (kind, name, reason) VALUES ($1, $2, $3) "
      "ON CONFLICT (kind, name) DO UPDATE SET reason = excluded.reason",
      {text_of(kind), name, storable(reason, reason_bytes_max)});
  if (!done) co_return failure(done.error());
  co_return Result<>{};
}

Task<Result<>> resume(pg::Connection* connection, SuspendedKind kind, std::string name) {
  const auto done =
      co_await connection->query("DELETE FROM opi.suspensions WHERE kind = $1 AND name = $2", {text_of(kind), name});
  if (!done) co_return failure(done.error());
  co_return Result<>{};
}

}  // namespace opi::store
