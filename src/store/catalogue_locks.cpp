#include "store/catalogue_locks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <random>
#include <utility>

#include "aio/with_deadline.hpp"
#include "base/backoff.hpp"
#include "pg/sqlstate.hpp"
#include "secrets/keyed_hash.hpp"
#include "store/row_reader.hpp"

namespace opi::store {
namespace {

using std::chrono::milliseconds;

// The server's own lock_timeout ends a wait; this is for a server that no longer answers.
constexpr std::chrono::seconds answer_grace{2};
constexpr BackoffLimits deadlock_limits{.first = milliseconds{20}, .most = milliseconds{500}, .jitter = 0.5};

/// Rows with their keys, in the order in which everybody takes them.
struct SortedRows {
  std::vector<CatalogueRow> rows;
  std::vector<std::int64_t> keys;
};

SortedRows sorted(std::vector<CatalogueRow> rows) {
  std::vector<std::pair<std::int64_t, CatalogueRow>> keyed;
  keyed.reserve(rows.size());
  for (CatalogueRow& row : rows) {
    const std::int64_t key = lock_key(row);
    keyed.emplace_back(key, std::move(row));
  }
  std::ranges::sort(keyed, {}, [](const auto& pair) { return pair.first; });
  const auto repeated = std::ranges::unique(keyed, {}, [](const auto& pair) { return pair.first; });
  keyed.erase(repeated.begin(), repeated.end());
  SortedRows result;
  for (auto& [key, row] : keyed) {
    result.keys.push_back(key);
    result.rows.push_back(std::move(row));
  }
  return result;
}

std::int64_t milliseconds_until(SteadyTime deadline) {
  const auto left = std::chrono::ceil<milliseconds>(deadline - SystemClock().steady()).count();
  return std::clamp<std::int64_t>(left, 1, 2'000'000'000);  // 0 would mean: for ever
}

/// What became of an attempt, and whether the session may still hold a lock that we do not know of.
struct Attempt {
  Result<> outcome;
  bool clean = true;  ///< the session holds none of ours when the outcome is an error
};

/// Gives `keys` back. Each was taken by this session; a false answer is a defect.
Task<Result<>> unlock(pg::Connection* connection, std::vector<std::int64_t> keys) {
  if (keys.empty()) co_return Result<>{};
  const auto rows = co_await connection->query(
      "SELECT coalesce(bool_and(pg_advisory_unlock(k)), true) FROM unnest($1::text[]::bigint[]) AS t(k)",
      {ids_param(keys)});
  if (!rows) co_return failure(rows.error());
  if (!(*rows)[0].get<bool>(0)) co_return failure(ErrorKind::internal, "a catalogue lock was not held when given back");
  co_return Result<>{};
}

/// Takes all that are free at once, and keeps those before the first one that is not: the number of them. Holding later
/// ones while waiting for an earlier one is how deadlocks are made.
Task<Result<std::size_t>> take_free(pg::Connection* connection, std::vector<std::int64_t> keys) {
  const auto rows = co_await connection->query(
      "SELECT pg_try_advisory_lock(k) FROM unnest($1::text[]::bigint[]) WITH ORDINALITY AS t(k, n) ORDER BY n",
      {ids_param(keys)});
  if (!rows) co_return failure(rows.error());
  std::size_t kept = 0;
  std::vector<std::int64_t> too_early;
  for (int i = 0; i < rows->size(); ++i) {
    const auto index = static_cast<std::size_t>(i);
    const bool taken = (*rows)[i].get<bool>(0);
    if (taken && kept == index) {
      ++kept;
    } else if (taken) {
      too_early.push_back(keys[index]);
    }
  }
  auto returned = co_await unlock(connection, std::move(too_early));
  if (!returned) co_return failure(std::move(returned.error()));
  co_return kept;
}

std::string describe(const CatalogueRow& row) {
  return row.server_id == 0 ? fmt::format("{} {}", to_string(row.kind), row.name)
                            : fmt::format("{} {} of server {}", to_string(row.kind), row.name, row.server_id);
}

/// Who has the lock; one line for people.
Task<Result<std::string>> holder_of(pg::Connection* connection, std::int64_t key) {
  const auto rows = co_await connection->query(
      "SELECT l.pid, coalesce(a.application_name, ''), coalesce(a.client_addr::text, 'local'), "
      "coalesce(extract(epoch FROM now() - a.state_change), 0)::float8 "
      "FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid "
      "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
      "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
      "AND (l.classid::bigint << 32 | l.objid::bigint) = $1::bigint LIMIT 1",
      {key});
  if (!rows) co_return failure(rows.error());
  if (rows->empty()) co_return std::string("it was given back just now");
  const pg::Row row = (*rows)[0];
  co_return fmt::format("held by backend {} ({}, {}), last active {:.1f} s ago", row.get<int>(0),
                        row.get<std::string>(1), row.get<std::string>(2), row.get<double>(3));
}

Task<Error> waited_in_vain(pg::Connection* connection, CatalogueRow row, std::int64_t key) {
  Error error(ErrorKind::timed_out, fmt::format("the lock on {} was not had in time", describe(row)));
  error.code = std::string(pg::sqlstate::lock_not_available);
  const auto holder = co_await holder_of(connection, key);
  if (holder) error.causes.push_back(*holder);
  co_return error;
}

/// In a transaction, so that its timeouts end with it; the locks are the session's and outlive it. Appends to `taken`
/// what it got.
Task<Result<>> wait_for(pg::Connection* connection, const SortedRows* all, SteadyTime deadline,
                        std::vector<std::int64_t>* taken) {
  auto begun = co_await connection->execute("BEGIN; SET LOCAL statement_timeout = 0");
  if (!begun) co_return failure(std::move(begun.error()));
  while (taken->size() < all->keys.size()) {
    const std::int64_t key = all->keys[taken->size()];
    auto limited =
        co_await connection->execute(fmt::format("SET LOCAL lock_timeout = {}", milliseconds_until(deadline)));
    if (!limited) co_return failure(std::move(limited.error()));
    auto locked = co_await connection->query("SELECT pg_advisory_lock($1::bigint)", {key});
    if (!locked) co_return failure(std::move(locked.error()));
    taken->push_back(key);
  }
  auto committed = co_await connection->execute("COMMIT");
  if (!committed) co_return failure(std::move(committed.error()));
  co_return Result<>{};
}

/// One try: what is free, then what is not, in order.
Task<Attempt> try_once(pg::Connection* connection, const SortedRows* all, SteadyTime deadline) {
  auto free = co_await take_free(connection, all->keys);
  if (!free) co_return Attempt{.outcome = failure(std::move(free.error())), .clean = false};
  if (*free == all->keys.size()) co_return Attempt{.outcome = Result<>{}};
  std::vector<std::int64_t> taken(all->keys.begin(), all->keys.begin() + static_cast<std::ptrdiff_t>(*free));
  auto waited = co_await wait_for(connection, all, deadline, &taken);
  if (waited) co_return Attempt{.outcome = Result<>{}};
  Error error = std::move(waited.error());
  if (connection->broken()) co_return Attempt{.outcome = failure(std::move(error)), .clean = false};
  const auto ended = co_await connection->execute("ROLLBACK");
  const std::size_t at = taken.size();
  const auto returned = co_await unlock(connection, std::move(taken));
  const bool clean = ended && returned;
  if (clean && error.code == pg::sqlstate::lock_not_available && at < all->keys.size()) {
    error = co_await waited_in_vain(connection, all->rows[at], all->keys[at]);
  }
  co_return Attempt{.outcome = failure(std::move(error)), .clean = clean && !connection->broken()};
}

/// Until had or the deadline. A deadlock (somebody else takes our keys in another order) is tried again from the start.
Task<Result<Attempt>> try_until(pg::Connection* connection, const SortedRows* all, SteadyTime deadline) {
  Backoff backoff(deadlock_limits, std::random_device{}());
  while (true) {
    auto attempt = co_await try_once(connection, all, deadline);
    const bool deadlock = !attempt.outcome && attempt.outcome.error().code == pg::sqlstate::deadlock_detected;
    if (!deadlock || !attempt.clean || SystemClock().steady() >= deadline) co_return attempt;
    if (!co_await aio::sleep_for(backoff.next())) {
      co_return Attempt{.outcome = failure(ErrorKind::cancelled, "cancelled while waiting for catalogue locks")};
    }
  }
}

Task<Attempt> take_all(pg::Connection* connection, const SortedRows* all, SteadyTime deadline) {
  if (all->keys.empty()) co_return Attempt{.outcome = Result<>{}};
  auto attempt = co_await aio::with_deadline(try_until(connection, all, deadline), deadline + answer_grace,
                                             "the server did not answer a request for catalogue locks");
  if (!attempt) co_return Attempt{.outcome = failure(std::move(attempt.error())), .clean = false};
  co_return std::move(*attempt);
}

}  // namespace

std::string_view to_string(RowKind kind) noexcept {
  switch (kind) {
    case RowKind::role: return "role";
    case RowKind::database: return "database";
    case RowKind::default_privileges: return "default privileges";
    case RowKind::deployment: return "deployment";
    case RowKind::project: return "project";
    case RowKind::schema_of_store: return "schema of the store";
  }
  return "row";
}

std::int64_t lock_key(const CatalogueRow& row) {
  // Lengths first: no two rows have one text. The kind goes in by its name, which does not change when enumerators are
  // added.
  const std::string text = fmt::format("opi catalogue row {} {}:{} {}:{}", row.server_id, to_string(row.kind).size(),
                                       to_string(row.kind), row.name.size(), row.name);
  const secrets::Digest digest = secrets::sha256(text);
  std::uint64_t key = 0;
  for (std::size_t i = 0; i < sizeof key; ++i) key = key << 8U | std::to_integer<std::uint64_t>(digest[i]);
  return static_cast<std::int64_t>(key);
}

CatalogueLocks::CatalogueLocks(pg::Connection* connection, std::vector<CatalogueRow> rows,
                               std::vector<std::int64_t> keys) noexcept
    : connection_(connection), rows_(std::move(rows)), keys_(std::move(keys)) {}

CatalogueLocks::CatalogueLocks(CatalogueLocks&& other) noexcept
    : connection_(std::exchange(other.connection_, nullptr)),
      rows_(std::move(other.rows_)),
      keys_(std::move(other.keys_)) {}

CatalogueLocks& CatalogueLocks::operator=(CatalogueLocks&& other) noexcept {
  connection_ = std::exchange(other.connection_, nullptr);
  rows_ = std::move(other.rows_);
  keys_ = std::move(other.keys_);
  return *this;
}

Task<Result<CatalogueLocks>> CatalogueLocks::acquire(pg::Connection* connection, std::vector<CatalogueRow> rows,
                                                     SteadyTime deadline) {
  SortedRows all = sorted(std::move(rows));
  const auto attempt = co_await take_all(connection, &all, deadline);
  if (!attempt.outcome) co_return failure(attempt.outcome.error());
  co_return CatalogueLocks(connection, std::move(all.rows), std::move(all.keys));
}

Task<Result<>> CatalogueLocks::release() {
  if (connection_ == nullptr) co_return Result<>{};
  pg::Connection* connection = std::exchange(connection_, nullptr);
  co_return co_await unlock(connection, std::exchange(keys_, {}));
}

LockedLease::LockedLease(pg::Lease lease, CatalogueLocks locks) noexcept
    : lease_(std::move(lease)), locks_(std::move(locks)) {}

LockedLease::LockedLease(LockedLease&& other) noexcept = default;

LockedLease& LockedLease::operator=(LockedLease&& other) noexcept {
  if (this != &other) {
    if (lease_) lease_.discard();
    lease_ = std::move(other.lease_);
    locks_ = std::move(other.locks_);
  }
  return *this;
}

LockedLease::~LockedLease() {
  if (lease_) lease_.discard();
}

Task<Result<LockedLease>> LockedLease::acquire(pg::Lease lease, std::vector<CatalogueRow> rows, SteadyTime deadline) {
  SortedRows all = sorted(std::move(rows));
  pg::Connection* connection = &*lease;
  // From here on whatever ends this coroutine, cancellation included, closes the session, and with it its locks.
  LockedLease locked(std::move(lease), CatalogueLocks(connection, {}, {}));
  const auto attempt = co_await take_all(connection, &all, deadline);
  if (attempt.outcome) {
    locked.locks_ = CatalogueLocks(connection, std::move(all.rows), std::move(all.keys));
    co_return locked;
  }
  if (attempt.clean) locked.lease_.release();
  co_return failure(attempt.outcome.error());
}

Task<Result<pg::Lease>> LockedLease::release(SteadyTime deadline) {
  auto outcome = co_await aio::shielded(
      aio::with_deadline(locks_.release(), deadline, "the server did not answer when catalogue locks were given back"));
  if (!outcome) {
    lease_.discard();
    co_return failure(std::move(outcome.error()));
  }
  co_return std::move(lease_);
}

}  // namespace opi::store
