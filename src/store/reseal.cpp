#include "store/reseal.hpp"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "pg/transaction.hpp"
#include "secrets/base64.hpp"
#include "store/durable.hpp"
#include "store/json_rows.hpp"
#include "store/row_reader.hpp"

namespace opi::store {
namespace {

constexpr const char* batch = "500";

/// One table whose rows hold something sealed; `id` is its key as text.
struct Table {
  const char* name;
  const char* id;
};
constexpr Table tables[] = {{.name = "opi.control_keys", .id = "name"},
                            {.name = "opi.credentials", .id = "id::text"},
                            {.name = "opi.project_keys", .id = "id::text"}};

struct SealedRow {
  std::string id;
  std::string sealed;
  std::string sealed_to;
};

/// The rows behind `after` in the order of their keys, locked.
Task<Result<std::vector<SealedRow>>> load(pg::Transaction* transaction, Table table, std::string recipient,
                                          std::string after) {
  const auto rows = co_await transaction->query(
      fmt::format("SELECT {1}, sealed, sealed_to FROM {0} WHERE sealed_to <> $1 AND sealed <> ''::bytea AND {1} > $2 "
                  "ORDER BY {1} LIMIT {2} FOR UPDATE",
                  table.name, table.id, batch),
      {recipient, after});
  if (!rows) co_return failure(rows.error());
  std::vector<SealedRow> loaded;
  for (const pg::Row row : *rows) {
    RowReader reader(row);
    SealedRow& sealed = loaded.emplace_back();
    sealed.id = reader.text();
    sealed.sealed = reader.bytes();
    sealed.sealed_to = reader.text();
  }
  co_return loaded;
}

/// The same secret, sealed to the first identity; proven to open to the same bytes.
Result<std::string> seal_anew(const secrets::PlatformKey& key, Table table, const SealedRow& row) {
  const auto opened = key.open(row.sealed);
  if (!opened) {
    return failure(
        Error(opened.error())
            .while_doing(fmt::format("{} {} does not open; it is sealed to {}", table.name, row.id, row.sealed_to))
            .with_remedy("put the key that it is sealed to below the new one, and run this again"));
  }
  auto sealed = key.seal(opened->reveal());
  if (!sealed) return sealed;
  const auto again = key.open(*sealed);
  if (!again || !(*again == *opened)) {
    return failure(ErrorKind::internal, fmt::format("{} {}: what was sealed anew does not open", table.name, row.id));
  }
  return sealed;
}

Task<Result<>> store_rows(pg::Transaction* transaction, Table table, std::string recipient, JsonRows rows) {
  const auto written = co_await transaction->query(
      fmt::format("WITH {2} UPDATE {0} t SET sealed = decode(r.sealed, 'base64'), sealed_to = $2 "
                  "FROM json_to_recordset($1::json) AS r(id text, sealed text), durable WHERE t.{1} = r.id",
                  table.name, table.id, durable_cte),
      {rows_param(rows), recipient});
  if (!written) co_return failure(written.error());
  co_return Result<>{};
}

Task<Result<>> reseal_table(pg::Transaction* transaction, const secrets::PlatformKey* key, Table table, bool dry_run,
                            ResealReport* report) {
  const std::string recipient = key->recipient().to_string();
  std::string after;
  while (true) {
    const auto rows = co_await load(transaction, table, recipient, after);
    if (!rows) co_return failure(rows.error());
    if (rows->empty()) break;
    JsonRows anew;
    for (const SealedRow& row : *rows) {
      const auto sealed = seal_anew(*key, table, row);
      if (!sealed) co_return failure(sealed.error());
      anew.push_back(JsonRow{{"id", row.id}, {"sealed", secrets::base64_encode(*sealed)}});
      ++report->resealed[row.sealed_to];
      after = row.id;
    }
    if (dry_run) continue;
    if (auto stored = co_await store_rows(transaction, table, recipient, std::move(anew)); !stored) {
      co_return failure(std::move(stored.error()));
    }
  }
  co_return Result<>{};
}

}  // namespace

std::size_t ResealReport::total() const {
  std::size_t sum = 0;
  for (const auto& [recipient, count] : resealed) sum += count;
  return sum;
}

Task<Result<ResealReport>> reseal(pg::Connection* connection, const secrets::PlatformKey* key, bool dry_run) {
  auto transaction = co_await pg::Transaction::begin(*connection);
  if (!transaction) co_return failure(std::move(transaction.error()));
  ResealReport report;
  const std::string recipient = key->recipient().to_string();
  for (const Table table : tables) {
    const auto current = co_await transaction->query(
        fmt::format("SELECT count(*) FROM {} WHERE sealed_to = $1 AND sealed <> ''::bytea", table.name), {recipient});
    if (!current) co_return failure(current.error());
    report.current += static_cast<std::size_t>((*current)[0].get<std::int64_t>(0));
    if (auto done = co_await reseal_table(&*transaction, key, table, dry_run, &report); !done) {
      co_return failure(std::move(done.error()));
    }
  }
  const auto ended = dry_run ? co_await transaction->rollback() : co_await transaction->commit();
  if (!ended) co_return failure(ended.error());
  co_return report;
}

}  // namespace opi::store
