#include "store/clones.hpp"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "pg/sqlstate.hpp"
#include "store/durable.hpp"
#include "store/row_reader.hpp"

namespace opi::store {
namespace {

constexpr std::array<std::string_view, 4> state_names{"begun", "copied", "done", "discarded"};
constexpr std::string_view columns =
    "c.id, c.deployment_id, c.instruction, c.source, c.from_database, c.database_name, c.generation, c.replaces, "
    "c.state::text";

CloneRecord read_clone(pg::Row row) {
  RowReader reader(row);
  CloneRecord clone{.id = reader.next<std::int64_t>()};
  clone.deployment_id = reader.next<std::int64_t>();
  clone.instruction = reader.text();
  clone.source = reader.text();
  clone.from = reader.text();
  clone.database = reader.text();
  clone.generation = reader.next<int>();
  clone.replaces = reader.text();
  clone.state = enum_named<CloneState>(state_names, reader.text());
  return clone;
}

}  // namespace

std::string_view to_string(CloneState state) noexcept {
  return state_names[static_cast<std::size_t>(state)];
}

Task<Result<CloneRecord>> begin_clone(pg::Connection* connection, CloneRecord clone) {
  const auto rows = co_await connection->query(
      fmt::format("WITH {} INSERT INTO opi.clones AS c (deployment_id, instruction, source, from_database, "
                  "database_name, generation, replaces) SELECT $1, $2, $3, $4, $5, $6, $7 FROM durable RETURNING {}",
                  durable_cte, columns),
      {clone.deployment_id, clone.instruction, clone.source, clone.from, clone.database, clone.generation,
       clone.replaces});
  if (!rows) {
    if (rows.error().code != pg::sqlstate::unique_violation) co_return failure(rows.error());
    co_return failure(ErrorKind::conflict, "another clone of the deployment has begun and not ended");
  }
  co_return read_clone((*rows)[0]);
}

Task<Result<>> advance_clone(pg::Connection* connection, std::int64_t id, CloneState state) {
  const auto changed = co_await connection->query(
      fmt::format("WITH {} UPDATE opi.clones c SET state = $2::text::opi.clone_state, changed_at = now() FROM durable "
                  "WHERE c.id = $1 AND c.state <= $2::text::opi.clone_state",
                  durable_cte),
      {id, std::string(to_string(state))});
  if (!changed) co_return failure(changed.error());
  if (changed->affected() == 1) co_return Result<>{};
  co_return failure(ErrorKind::conflict,
                    fmt::format("clone {} is not there, or further than {}", id, to_string(state)));
}

Task<Result<std::vector<CloneRecord>>> load_clones(pg::Connection* connection, std::int64_t deployment_id) {
  const auto rows = co_await connection->query_prepared(
      fmt::format("SELECT DISTINCT ON (c.deployment_id) {} FROM opi.clones c WHERE c.state <> 'discarded' "
                  "AND ($1 = 0::bigint OR c.deployment_id = $1) ORDER BY c.deployment_id, c.id DESC",
                  columns),
      {deployment_id});
  if (!rows) co_return failure(rows.error());
  std::vector<CloneRecord> clones;
  for (const pg::Row row : *rows) clones.push_back(read_clone(row));
  co_return clones;
}

}  // namespace opi::store
