#pragma once
/// @file
/// The work on one deployment that nobody declares any more: becoming a tombstone, and going for good.

#include <optional>
#include <string>
#include <vector>

#include "aio/task.hpp"
#include "base/clock.hpp"
#include "provision/deployment_flow.hpp"
#include "provision/deployment_report.hpp"
#include "provision/final_dump.hpp"
#include "provision/removal.hpp"
#include "store/inventory.hpp"

namespace opi::provision {

/// What is to be done with one deployment, as it was decided without locks.
struct RemovalOrder {
  store::InventoryEntry entry;
  RemovalStep step = RemovalStep::rest;
  std::string reason;
  std::optional<ApprovedEffects> approved = {};  ///< only databases that somebody approved to drop are dropped
};

/// One deployment, once. Under the same locks as DeploymentFlow; what has changed since the decision (it was declared
/// again, it went already) is seen by looking again, and then nothing is done.
///
/// Order of a removal: recorded → logins disabled → sessions ended → last dump → DROP DATABASE (FORCE) → DROP OWNED in
/// the databases that pg_shdepend names, and nowhere else → DROP ROLE → forgotten. Former generations, which copies
/// have replaced, go with the database in use. Each step is safe to repeat and in the history before it is done. What
/// is not ours any more (another stamp on a role, another owner of the database) ends it, untouched.
///
/// Ownership and cancellation: as DeploymentFlow. Threading: one executor.
class RemovalFlow {
 public:
  RemovalFlow(const FlowTools* tools, RemovalOrder order, RemovalRules rules, DumpRules dump, store::Cause cause,
              SteadyTime deadline);

  /// Call once. Failures are in the report; exceptions are those of the step hook and of broken invariants.
  Task<DeploymentReport> run();

 private:
  struct Leftover {
    std::string role;
    std::string database;  ///< empty: on shared objects
    bool owns_database = false;
  };

  Task<Result<>> take_leases();
  Task<Result<>> work();
  Task<Result<bool>> look();
  std::optional<Error> not_ours() const;
  Task<Result<>> bury();
  Task<Result<>> disable();
  Task<Result<>> remove();
  Task<Result<>> dump();
  Task<Result<>> drop_databases();
  Task<Result<>> drop_database(std::string name);
  Task<Result<>> drop_roles();
  Task<Result<std::vector<Leftover>>> leftovers();
  Task<Result<>> drop_owned(std::vector<Leftover> left);
  Task<Result<>> drop_owned_in(std::string database, std::vector<std::string> roles);
  Task<Result<>> run(std::string action, pg::Connection* connection, std::string statements, bool alone = false);
  Task<> finish(Result<>* outcome);
  Task<> write_down(Result<>* outcome);

  pg::DatabasePool& pool() const { return *pool_; }
  pg::Connection* control() const { return control_->connection(); }
  pg::Connection* server() const { return further_ ? &**further_ : control(); }
  const store::DeploymentRecord& record() const { return order_.entry.deployment; }
  std::string title() const { return record().key.project + "/" + record().key.deployment; }
  std::vector<std::string> present_roles() const;
  /// Those that are there and belong to our owner role; the one in use in any case.
  std::vector<std::string> present_databases() const;
  void step(std::string_view name) const;
  Task<Result<>> write_ahead(std::string action, std::string statement);
  void note_end(const std::string& action, const Result<>& outcome, SteadyTime began);

  const FlowTools* tools_;
  RemovalOrder order_;
  RemovalRules rules_;
  DumpRules dump_;
  AuditTrail audit_;
  SteadyTime deadline_;

  pg::DatabasePool* pool_ = nullptr;
  std::optional<store::LockedLease> control_;
  std::optional<pg::Lease> further_;
  ObservedServer observed_;
  std::optional<Error> refusal_;
  std::size_t actions_done_ = 0;
  DeploymentOutcome done_ = DeploymentOutcome::unchanged;
};

}  // namespace opi::provision
