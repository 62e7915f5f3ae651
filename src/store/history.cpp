#include "store/history.hpp"

#include <algorithm>
#include <array>

#include "store/json_rows.hpp"
#include "store/row_reader.hpp"

namespace opi::store {
namespace {

constexpr std::size_t text_bytes_max = 2048;
constexpr int rows_max = 1'000;
constexpr std::array<std::string_view, 3> outcome_names{"succeeded", "failed", "skipped"};

constexpr const char* history_columns =
    "(at bigint, project text, deployment text, server text, action text, statement text, cause_kind text, cause_id "
    "text, "
    "replica text, outcome opi.outcome, sqlstate text, message text, duration_us bigint)";

JsonRow to_row(const HistoryEvent& event) {
  const auto text = [](std::string_view value) { return boost::json::value(storable(value, text_bytes_max)); };
  return JsonRow{
      {"at", to_microseconds(event.at)},      {"project", text(event.project)},
      {"deployment", text(event.deployment)}, {"server", text(event.server)},
      {"action", text(event.action)},         {"statement", without_secrets(event.statement)},
      {"cause_kind", text(event.cause.kind)}, {"cause_id", text(event.cause.id)},
      {"replica", text(event.cause.replica)}, {"outcome", to_string(event.outcome)},
      {"sqlstate", text(event.sqlstate)},     {"message", storable(without_secrets(event.message), text_bytes_max)},
      {"duration_us", event.duration.count()}};
}

HistoryRecord read_record(pg::Row row) {
  RowReader reader(row);
  HistoryRecord record;
  record.id = reader.next<std::int64_t>();
  record.event.at = reader.time();
  record.event.project = reader.text();
  record.event.deployment = reader.text();
  record.event.server = reader.text();
  record.event.action = reader.text();
  record.event.statement = reader.text();
  record.event.cause.kind = reader.text();
  record.event.cause.id = reader.text();
  record.event.cause.replica = reader.text();
  record.event.outcome = enum_named<Outcome>(outcome_names, reader.text());
  record.event.sqlstate = reader.text();
  record.event.message = reader.text();
  record.event.duration = std::chrono::microseconds(reader.next<std::int64_t>());
  return record;
}

}  // namespace

std::string_view to_string(Outcome outcome) noexcept {
  return outcome_names[static_cast<std::size_t>(outcome)];
}

Task<Result<>> append_history(pg::Connection* connection, std::vector<HistoryEvent> events) {
  if (events.empty()) co_return Result<>{};
  JsonRows rows;
  rows.reserve(events.size());
  for (const HistoryEvent& event : events) rows.push_back(to_row(event));
  std::string sql =
      "INSERT INTO opi.history (at, project, deployment, server, action, statement, cause_kind, cause_id, replica, "
      "outcome, "
      "sqlstate, message, duration_us) SELECT 'epoch'::timestamptz + at * interval '1 microsecond', project, "
      "deployment, "
      "server, action, statement, cause_kind, cause_id, replica, outcome, sqlstate, message, duration_us "
      "FROM ROWS FROM (json_to_recordset($1::json) AS ";
  sql.append(history_columns).append(") WITH ORDINALITY AS i ORDER BY ordinality");
  const auto appended = co_await connection->query(std::move(sql), {rows_param(rows)});
  if (!appended) co_return failure(appended.error());
  co_return Result<>{};
}

Task<Result<std::vector<HistoryRecord>>> read_history(pg::Connection* connection, HistoryQuery query) {
  const auto rows = co_await connection->query(
      "SELECT id, " + microseconds("at") +
          ", project, deployment, server, action, statement, cause_kind, cause_id, replica, outcome::text, sqlstate, "
          "message, "
          "duration_us FROM opi.history WHERE ($1::text IS NULL OR project = $1) AND ($2::text IS NULL OR deployment = "
          "$2) "
          "AND ($3::bigint IS NULL OR id < $3) ORDER BY id DESC LIMIT $4::integer",
      {query.project, query.deployment, query.before_id, std::clamp(query.limit, 1, rows_max)});
  if (!rows) co_return failure(rows.error());
  std::vector<HistoryRecord> records;
  records.reserve(static_cast<std::size_t>(rows->size()));
  for (const pg::Row row : *rows) records.push_back(read_record(row));
  co_return records;
}

Task<Result<std::int64_t>> trim_history(pg::Connection* connection, std::chrono::seconds age, int limit) {
  const auto gone = co_await connection->query(
      "DELETE FROM opi.history WHERE id IN (SELECT id FROM opi.history WHERE at < now() - $1::bigint * interval '1 "
      "second' "
      "ORDER BY at LIMIT $2::integer)",
      {std::int64_t{age.count()}, std::max(limit, 1)});
  if (!gone) co_return failure(gone.error());
  co_return gone->affected();
}

}  // namespace opi::store
