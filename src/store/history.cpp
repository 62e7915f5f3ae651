#include "store/history.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "store/durable.hpp"
#include "store/json_rows.hpp"
#include "store/row_reader.hpp"

namespace opi::store {
namespace {

constexpr std::size_t text_bytes_max = 2048;
constexpr int rows_max = 1'000;
constexpr std::array<std::string_view, 4> outcome_names{"succeeded", "failed", "skipped", "started"};

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

/// The batch $1 as rows, in order. `from`: what else the statement names in FROM.
std::string insert_sql(std::string_view from) {
  std::string sql =
      "INSERT INTO opi.history (at, project, deployment, server, action, statement, cause_kind, cause_id, replica, "
      "outcome, sqlstate, message, duration_us) SELECT 'epoch'::timestamptz + at * interval '1 microsecond', project, "
      "deployment, server, action, statement, cause_kind, cause_id, replica, outcome, sqlstate, message, duration_us "
      "FROM ";
  sql.append(from).append("ROWS FROM (json_to_recordset($1::json) AS ");
  return sql.append(history_columns).append(") WITH ORDINALITY AS i ORDER BY ordinality");
}

JsonRows rows_of(const std::vector<HistoryEvent>& events) {
  JsonRows rows;
  rows.reserve(events.size());
  for (const HistoryEvent& event : events) rows.push_back(to_row(event));
  return rows;
}

}  // namespace

std::string_view to_string(Outcome outcome) noexcept {
  return outcome_names[static_cast<std::size_t>(outcome)];
}

Task<Result<>> append_history(pg::Connection* connection, std::vector<HistoryEvent> events) {
  if (events.empty()) co_return Result<>{};
  const auto appended = co_await connection->query(insert_sql(""), {rows_param(rows_of(events))});
  if (!appended) co_return failure(appended.error());
  co_return Result<>{};
}

Task<Result<std::vector<std::int64_t>>> begin_history(pg::Connection* connection, std::vector<HistoryEvent> events) {
  std::vector<std::int64_t> ids;
  if (events.empty()) co_return ids;
  for (HistoryEvent& event : events) event.outcome = Outcome::started;
  auto sql = fmt::format("WITH {} {} RETURNING id", durable_cte, insert_sql("durable, "));
  const auto begun = co_await connection->query(std::move(sql), {rows_param(rows_of(events))});
  if (!begun) co_return failure(begun.error());
  for (const pg::Row row : *begun) ids.push_back(row.get<std::int64_t>(0));
  std::ranges::sort(ids);
  co_return ids;
}

Task<Result<>> end_history(pg::Connection* connection, std::vector<HistoryEnd> ends) {
  if (ends.empty()) co_return Result<>{};
  JsonRows rows;
  rows.reserve(ends.size());
  for (const HistoryEnd& end : ends) {
    rows.push_back(JsonRow{{"id", end.id},
                           {"outcome", to_string(end.outcome)},
                           {"sqlstate", storable(end.sqlstate, text_bytes_max)},
                           {"message", storable(without_secrets(end.message), text_bytes_max)},
                           {"duration_us", end.duration.count()}});
  }
  const auto ended = co_await connection->query(
      "WITH " + std::string(relaxed_cte) +
          " UPDATE opi.history h SET outcome = i.outcome, sqlstate = i.sqlstate, message = i.message, "
          "duration_us = i.duration_us FROM durable, json_to_recordset($1::json) AS i(id bigint, outcome opi.outcome, "
          "sqlstate text, message text, duration_us bigint) WHERE h.id = i.id",
      {rows_param(rows)});
  if (!ended) co_return failure(ended.error());
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
