#pragma once
/// @file
/// One writer per catalogue row: session advisory locks in the control database.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "pg/connection.hpp"
#include "pg/database_pool.hpp"

namespace opi::store {

/// What sort of row is written.
enum class RowKind { role, database, default_privileges, deployment, project, schema_of_store };
std::string_view to_string(RowKind kind) noexcept;

/// One row of one server's catalogue (or a thing of ours that has one writer): what a lock stands for.
/// PostgreSQL does not queue writers of one catalogue row, it fails them with XX000; so everybody who writes it takes
/// this first.
struct CatalogueRow {
  std::int64_t server_id = 0;  ///< store::ServerRecord::id; 0: not of a server
  RowKind kind = RowKind::role;
  std::string name;
  friend bool operator==(const CatalogueRow&, const CatalogueRow&) = default;
};

/// The 64-bit key of a row: the first bytes of a SHA-256 of all three fields, length-prefixed. Stable across versions.
std::int64_t lock_key(const CatalogueRow& row);

/// Locks held by one session. Move-only; does not own the connection and releases nothing when destroyed: prefer
/// LockedLease.
class CatalogueLocks {
 public:
  /// Takes all of `rows`, sorted by key (nobody can deadlock with us), or none. Free ones cost one statement together.
  /// A busy one is waited for in the server's queue, first come first served.
  /// Errors: timed_out (by the deadline; names the row and who holds it), cancelled, and those of Connection. After an
  /// error the session holds none of them, or is broken().
  static Task<Result<CatalogueLocks>> acquire(pg::Connection* connection, std::vector<CatalogueRow> rows,
                                              SteadyTime deadline);

  CatalogueLocks(CatalogueLocks&& other) noexcept;
  CatalogueLocks& operator=(CatalogueLocks&& other) noexcept;
  CatalogueLocks(const CatalogueLocks&) = delete;
  CatalogueLocks& operator=(const CatalogueLocks&) = delete;
  ~CatalogueLocks() = default;

  /// Gives all of them back; one statement. Errors: internal (the session did not hold one: a defect), those of
  /// Connection; after an error the connection must not be used again.
  Task<Result<>> release();
  bool held() const noexcept { return connection_ != nullptr; }
  const std::vector<CatalogueRow>& rows() const noexcept { return rows_; }

 private:
  friend class LockedLease;
  CatalogueLocks(pg::Connection* connection, std::vector<CatalogueRow> rows, std::vector<std::int64_t> keys) noexcept;
  pg::Connection* connection_ = nullptr;
  std::vector<CatalogueRow> rows_;
  std::vector<std::int64_t> keys_;  ///< sorted, unique
};

/// A lease with its locks: the one connection that carries lock, journal and SQL of a flow.
/// Ownership: owns the lease. Dropped without `release()` (an error, a cancellation), the session is closed, which is
/// what frees the locks; a connection that might still hold one never goes back to the pool. Threading: as Lease.
class LockedLease {
 public:
  /// On failure the lease goes back to its pool (or is discarded when the session is broken).
  static Task<Result<LockedLease>> acquire(pg::Lease lease, std::vector<CatalogueRow> rows, SteadyTime deadline);

  LockedLease(LockedLease&& other) noexcept;
  LockedLease& operator=(LockedLease&& other) noexcept;
  LockedLease(const LockedLease&) = delete;
  LockedLease& operator=(const LockedLease&) = delete;
  ~LockedLease();

  pg::Connection* connection() const noexcept { return &*lease_; }
  const std::vector<CatalogueRow>& rows() const noexcept { return locks_.rows(); }
  /// Unlocks and hands the lease on; on failure the lease is discarded. Shielded from cancellation, bounded by the
  /// deadline.
  Task<Result<pg::Lease>> release(SteadyTime deadline);

 private:
  LockedLease(pg::Lease lease, CatalogueLocks locks) noexcept;
  pg::Lease lease_;
  CatalogueLocks locks_;
};

}  // namespace opi::store
