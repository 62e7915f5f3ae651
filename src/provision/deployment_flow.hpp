#pragma once
/// @file
/// The work on one deployment, from its lease to its report: lock, look, plan, journal, SQL, proof, record.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aio/blocking_pool.hpp"
#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "pg/database_pools.hpp"
#include "provision/approval.hpp"
#include "provision/audit.hpp"
#include "provision/clone.hpp"
#include "provision/connection_budget.hpp"
#include "provision/deployment_report.hpp"
#include "provision/desired_state.hpp"
#include "provision/plan.hpp"
#include "provision/rotation.hpp"
#include "provision/secret_publisher.hpp"
#include "provision/statements.hpp"
#include "secrets/platform_key.hpp"
#include "store/catalogue_locks.hpp"
#include "store/credential_journal.hpp"
#include "store/history.hpp"
#include "store/inventory.hpp"

namespace opi::provision {

/// Called after each step of a flow with its name, on the flow's executor. What it throws ends the flow as if the
/// process had died there; that is what it is for.
using StepHook = std::function<void(std::string_view step)>;

/// What flows share. All pointers are borrowed and outlive the flows.
struct FlowTools {
  pg::DatabasePool* main = nullptr;
  pg::DatabasePools* pools = nullptr;  ///< further servers; null: there are none
  const secrets::PlatformKey* key = nullptr;
  aio::BlockingPool* blocking = nullptr;
  ConnectionBudget* budget = nullptr;  ///< for connections beside the pools'
  ProvisionStats* stats = nullptr;
  std::map<std::string, std::int64_t, std::less<>>* server_ids = nullptr;  ///< by pool, filled as they are asked for
  CloneTools clone = {};
  ApprovalPolicy approval = {};  ///< what is only done when it was approved
  std::string cluster;
  const FollowedRepositories* repositories = nullptr;
  Logger log;
  StepHook on_step = {};
  SecretPublisher* publisher = nullptr;  ///< null: the control database is where credentials are read from
  RotationRules rotation = {};
  DriftPolicies drift = {};
};

/// How one deployment is to be worked on.
struct FlowOrder {
  bool look_deep = false;                        ///< the inside of the database is looked at though nothing asks for it
  std::optional<RotationPace> rotation = {};     ///< the other login takes over, with a new password
  std::optional<ApprovedEffects> approved = {};  ///< only these are done
  bool landed = false;  ///< the second run of one whose credentials were handed over later: nothing new is begun
};

/// One deployment, once.
///
/// Everything on the server happens on one lease of `main` (and one of the further server, taken after it) under locks
/// on the rows that are written; what another has done meanwhile is seen by looking again after locking. Ownership:
/// owns its leases; dropped half-way, its sessions are closed, which frees the locks and rolls back. Cancellation: ends
/// it at the next suspension; what was done is continued by the next flow. Threading: one executor.
class DeploymentFlow {
 public:
  DeploymentFlow(const FlowTools* tools, DesiredDeployment desired, store::Cause cause, SteadyTime deadline,
                 FlowOrder order = {});

  /// Call once. Failures are in the report; exceptions are those of the step hook and of broken invariants.
  Task<DeploymentReport> run();

 private:
  Task<Result<>> take_leases();
  Task<Result<std::int64_t>> server_id(pg::Connection* main, pg::Connection* server);
  Task<Result<>> work();
  Task<Result<>> settle();
  Task<Result<>> attempt();
  Task<Result<>> look();
  Task<Result<>> look_at_logins();
  Task<Result<>> rotate(RotationPace pace);
  Task<Result<>> make_way(RotationPace pace);
  Task<Result<>> end_now();
  Task<Result<>> journal();
  Task<Result<>> write_journal();
  Task<Result<>> look_at_clone();
  Task<Result<>> discard_copy();
  Task<Result<>> begin_copy();
  Task<Result<>> copy();
  Task<Result<CopyEnd>> copy_end(std::int64_t deployment_id, std::string role, std::string database);
  Task<Result<>> finish_copy(pg::Connection* inside);
  bool cloning() const noexcept { return clone_ && clone_->make; }
  /// The copy is still to be made, by PostgreSQL from its source as a template.
  bool copies_by_template() const noexcept {
    return cloning() && clone_->make->state < store::CloneState::copied && desired_.clone &&
           desired_.clone->by_template;
  }
  Task<Result<>> check_template();
  Task<Result<>> copy_template(std::string statement);
  Task<Result<>> take_over(std::string title);
  Task<Result<>> take_over_inside(pg::Connection* inside);
  Task<Result<>> dump_and_restore(std::string title);
  Task<Result<pg::Connection>> enter(std::string database);
  Task<Result<>> do_server_part();
  Task<Result<>> do_inside_part();
  Task<Result<>> work_inside(pg::Connection* inside);
  Task<Result<>> do_inside_batch(pg::Connection* inside);
  Task<Result<ObservedInside>> see_inside(pg::Connection* inside);
  Task<Result<>> record_inside_drift(std::vector<Drift> drifts);
  Task<Result<>> check_inside(pg::Connection* inside);
  Task<Result<>> do_login_part();
  Task<Result<>> prove();
  Task<Result<>> prove_reader();
  Task<Result<>> set_journaled_password(std::string login);
  Task<Result<>> record();
  Task<Result<>> publish();
  Task<Result<>> journal_intent(store::LoginSlot slot, std::optional<store::Credential>* to);
  Task<Result<>> hand_over();
  Task<Result<>> do_endings();
  Task<Result<>> end_login(store::CredentialSummary ending, std::vector<Action> actions);
  Task<> finish(Result<>* outcome);
  Task<> write_down(Result<>* outcome);

  Task<Result<>> run_stage(pg::Connection* connection, Stage stage, std::vector<Action> actions);
  Task<Result<>> open_stage(pg::Connection* connection, std::vector<Action> actions);
  Task<Result<>> commit_stage(pg::Connection* connection, std::string_view step);
  Task<Result<>> check_closed_to_public();
  Task<Result<>> create_database(std::vector<Action> actions);

  PlanInput input() const;
  StatementContext statement_context() const;
  std::map<std::string, std::string, std::less<>> verifiers() const;
  pg::DatabasePool& pool() const;
  pg::Connection* control() const;
  pg::Connection* server() const;
  std::string session_settings() const;
  store::DeploymentRecord* deployment();
  void step(std::string_view name) const;
  Task<Result<>> write_ahead(std::vector<Action> actions);
  void note_end(const std::vector<Action>& actions, const Result<>& outcome, SteadyTime began);
  static Action login_proof(const std::string& login);
  bool forbidden(const std::vector<Action>& actions);
  bool refused(DeploymentPlan plan);

  const FlowTools* tools_;
  DesiredDeployment desired_;
  SteadyTime deadline_;
  FlowOrder order_;
  AuditTrail audit_;

  pg::DatabasePool* pool_ = nullptr;
  std::optional<store::LockedLease> control_;
  std::optional<pg::Lease> further_;
  std::int64_t server_id_ = 0;
  std::uint64_t control_began_ = 0;  ///< statements that the sessions had run before
  std::uint64_t further_began_ = 0;

  ObservedServer observed_;
  std::optional<store::InventoryEntry> known_;
  std::optional<store::InventoryEntry> source_;  ///< of a clone
  std::optional<CloneDecision> clone_;
  std::optional<store::Credential> credential_;  ///< the one that is coming in, else the published one
  std::optional<store::Credential> reader_;      ///< the reader's, while it is coming in
  bool looked_inside_ = false;
  bool first_time_ = false;
  std::vector<Action> foreseen_;  ///< the plan that the work began with
  bool handed_later_ = false;
  std::vector<std::string> notes_;
  std::size_t actions_done_ = 0;
  std::optional<Error> refusal_;
};

}  // namespace opi::provision
