#pragma once
/// @file
/// Makes the database resources of deployments true: observe, plan, apply, on one leased connection of `main`.

#include <chrono>
#include <cstdint>
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
#include "base/result.hpp"
#include "pg/database_pools.hpp"
#include "provision/adopt.hpp"
#include "provision/approval.hpp"
#include "provision/connection_budget.hpp"
#include "provision/credentials.hpp"
#include "provision/deployment_flow.hpp"
#include "provision/deployment_report.hpp"
#include "provision/final_dump.hpp"
#include "provision/plan.hpp"
#include "provision/project_manager.hpp"
#include "provision/removal.hpp"
#include "provision/removal_flow.hpp"
#include "secrets/platform_key.hpp"
#include "store/history.hpp"

namespace opi::provision {

/// What the operator decides. Plain values.
struct ManagerSettings {
  DesiredRules rules = {};
  FollowedRepositories repositories = {};  ///< for the inventory
  std::uint32_t parallelism = 4;           ///< deployments worked on at the same time, each on its own lease
  /// To each server at most, by its pool, whose own are included; one that is not here: `parallelism` beside the
  /// pool's.
  std::map<std::string, std::uint32_t, std::less<>> connections = {};
  std::chrono::milliseconds deadline{
      120'000};  ///< of one deployment's flow, its waiting for a lease and for locks included
  /// The inside of each database is looked at that often though nothing asks for it, spread over a fifth of the time;
  /// 0: never.
  std::chrono::milliseconds deep_interval{std::chrono::hours{24}};
  std::chrono::milliseconds plan_deadline{60'000};     ///< of observing everything
  std::chrono::milliseconds progress_interval{5'000};  ///< so often a long pass logs how far it has come
  CloneTools clone = {};                               ///< what copies databases
  ApprovalPolicy approval = {};                        ///< what is only done in a plan that somebody approved
  RotationRules rotation = {};
  DriftPolicies drift = {};
  RemovalRules removal = {};
  DumpRules dump = {};  ///< of databases that are removed
};

class ClusterManager;

/// What the manager works with. Everything is borrowed and outlives it.
struct ManagerTools {
  pg::DatabasePools* pools = nullptr;         ///< further servers; null: there are none
  const secrets::PlatformKey* key = nullptr;  ///< seals and opens the journal
  aio::BlockingPool* blocking = nullptr;
  Logger log = {};
  StepHook on_step = {};              ///< for tests: see StepHook
  ClusterManager* cluster = nullptr;  ///< null: no cluster is looked after
};

/// A deployment that is in the inventory and that nobody declares.
struct UndeclaredDeployment {
  std::string project;
  std::string deployment;
  std::string database;
  std::string pool;
  store::DeploymentState state = store::DeploymentState::ready;
  RemovalStep step = RemovalStep::keep;       ///< what the next pass does
  std::string reason;                         ///< why
  std::optional<WallTime> remove_after = {};  ///< of a tombstone

  std::string title() const { return project + "/" + deployment; }
};

/// Which deployments; what is empty is all.
struct Selection {
  std::string project = {};
  std::string deployment = {};
  std::vector<std::string> files = {};  ///< project files, as the ProjectManager knows them

  bool everything() const noexcept { return project.empty() && deployment.empty() && files.empty(); }
};

/// The manager of database resources. The control database of `main` must be prepared (store::prepare_control_store).
///
/// Ownership: borrows project manager and pools; owns nothing but counters, so that it can be dropped when no call is
/// running. Threading: one executor's thread; any number of calls at the same time, of this and of other processes:
/// locks in the control database keep them apart. Cancellation: ends the running flows at their next suspension and
/// waits for them; what was done is continued by the next pass. Errors: values; without `main` every call answers
/// unavailable (or the pool's error) and does nothing.
class DatabaseManager {
 public:
  DatabaseManager(ProjectManager& projects, pg::DatabasePool& main, ManagerSettings settings, ManagerTools tools);
  DatabaseManager(const DatabaseManager&) = delete;
  DatabaseManager& operator=(const DatabaseManager&) = delete;

  /// What a pass would do now. Reads only. A further server that cannot be reached makes its deployments wait; it is no
  /// error.
  Task<Result<Plan>> plan(Selection selection = {});

  /// One pass: observes each server once without locks, then works on the deployments that have something to do, up to
  /// `parallelism` at once. One that fails never stops another. With nothing to do: no write and no connection to a
  /// tenant's database.
  /// `digest` (parse_digest): somebody has seen the plan of that digest and approves it, those of its actions that the
  /// settings demand approval for included; what was not in it is not done. Errors then: conflict, with nothing done,
  /// when the plan is another by now.
  Task<Result<ApplyReport>> apply(Selection selection, store::Cause cause, Progress progress = {},
                                  std::string digest = {});

  /// What is in the inventory and not declared, with what becomes of it and why. Reads the inventory only.
  Task<Result<std::vector<UndeclaredDeployment>>> undeclared();

  /// A person decides about undeclared deployments: the selected ones may go, whatever the brake says (with `now`,
  /// without a grace period), or they stay. Recorded; the next pass acts on it. Says which ones. Errors: not_found when
  /// nothing of the selection is undeclared.
  Task<Result<std::vector<std::string>>> confirm_removal(Selection selection, store::Cause cause, bool now);
  Task<Result<std::vector<std::string>>> keep_undeclared(Selection selection, store::Cause cause);

  /// One deployment, whatever the rest of the estate is like. Errors: not_found when it is not declared (or uses no
  /// database, or belongs to another cluster); otherwise the outcome is in the report.
  Task<Result<DeploymentReport>> create_resources_for_deployment(std::string project, std::string deployment,
                                                                 store::Cause cause);

  /// What adopting the deployment's database would change; reads only. `with_password`: the owner's password is at
  /// hand. Errors: not_found (not declared), conflict (nothing is there, or it was made by us), and the refusal of what
  /// is not to be had.
  Task<Result<AdoptReport>> adopt_report(std::string project, std::string deployment, bool with_password);
  /// Adopts it as far as `order` says. A given password is proven by a login first, journaled, and is what the
  /// application gets: it is not changed; the owner keeps LOGIN and its password until the first rotation is over.
  /// Without one a new login is made beside it. Errors: as adopt_report; denied when the password does not open the
  /// database (nothing is changed then); otherwise the outcome is in the report.
  Task<Result<DeploymentReport>> adopt(std::string project, std::string deployment, AdoptOrder order,
                                       store::Cause cause);

  /// The other login of each selected deployment takes over, with a new password. The old one stays valid for the
  /// rules' overlap, unless the pace is `immediately`. Errors: not_found when nothing is selected; otherwise each
  /// outcome is in the report (`waiting`: its last rotation is not over).
  Task<Result<ApplyReport>> rotate(Selection selection, store::Cause cause, RotationPace pace, Progress progress = {});

  /// What the application logs in with. Errors: not_found (never provisioned, or not finished yet), denied (the
  /// platform key does not open it).
  Task<Result<Credentials>> credentials(std::string project, std::string deployment,
                                        LoginPurpose purpose = LoginPurpose::application);

  const ProvisionStats& stats() const noexcept { return stats_; }

 private:
  struct Estate;
  struct Work;

  std::vector<DesiredDeployment> desired(const Selection& selection) const;
  Task<Result<Estate>> observe(std::vector<DesiredDeployment> desired, bool whole);
  static std::vector<std::string> ending_logins(const Estate& estate, std::string_view pool);
  Task<Result<>> observe_pool(Estate* estate, std::string pool, pg::Connection* connection);
  Task<> observe_further(Estate* estate);
  Task<Result<>> look_at_clones(Estate* estate, pg::Connection* connection);
  Task<> judge_clones(Estate* estate);
  CloneInput clone_input(const Estate& estate, const DesiredDeployment& wanted) const;
  Task<Result<Plan>> plan_estate(Estate* estate, bool look_inside);
  std::vector<RemovalDecision> removals(const Estate& estate) const;
  void plan_removals(const Estate& estate, Plan& plan) const;
  void queue_removals(const Estate& estate, const Plan& plan, bool approved, Work& work, ApplyReport& report) const;
  Task<Result<Estate>> load_undeclared(pg::Connection* connection);
  enum class RemovalWord { confirm, remove_now, keep };
  Task<Result<std::vector<std::string>>> decide_by_hand(Selection selection, store::Cause cause, RemovalWord word);
  Task<DeploymentReport> run_removal(RemovalOrder order, store::Cause cause);
  Task<std::optional<ObservedInside>> look_inside(const Estate* estate, const DesiredDeployment* wanted);
  DeploymentPlan plan_one(const Estate& estate, const DesiredDeployment& wanted, const ObservedInside* inside) const;
  Task<Result<ObservedInside>> enter(const DesiredDeployment* wanted, bool with_foreign);
  Task<Result<>> prove_adopted(const DesiredDeployment* wanted, const SecretString* password);
  Task<Result<>> record_adoption(const DesiredDeployment* wanted, AdoptOrder order, store::Cause cause,
                                 std::optional<std::string> verifier);
  Task<Result<>> record_approval(const Plan* plan, store::Cause cause);
  Task<Result<>> record_drift(const Estate* estate, const Plan* plan);
  Task<Result<>> update_sources(const Estate* estate, const Plan* plan);
  Task<> run_flows(std::shared_ptr<Work> work);
  Task<> run_in_ranks(std::shared_ptr<Work> work, const std::vector<DesiredDeployment>* all);
  Task<> worker(std::shared_ptr<Work> work);
  void tell_progress(Work& work) const;
  Task<DeploymentReport> run_flow(DesiredDeployment desired, store::Cause cause, FlowOrder order = {});
  Task<DeploymentReport> run_alone(DesiredDeployment desired, store::Cause cause, FlowOrder order);
  bool deep_look_is_due(const store::InventoryEntry* known) const;
  FlowTools flow_tools();
  struct ClusterRound;
  Task<> plan_cluster(Plan* plan, Selection selection);
  Task<> begin_cluster(ClusterRound* round, Plan* plan, Selection selection, store::Cause cause,
                       const Plan* approved = nullptr);
  Task<> run_again(std::shared_ptr<Work> work, std::shared_ptr<Work> again);
  Task<> end_cluster(ClusterRound* round, std::shared_ptr<Work> work);
  void report_cluster(const ClusterRound& round, ApplyReport& report) const;
  Error nothing_selected(const Selection& selection) const;

  ProjectManager& projects_;
  pg::DatabasePool& main_;
  ManagerSettings settings_;
  ManagerTools tools_;
  ConnectionBudget budget_;
  std::map<std::string, std::int64_t, std::less<>> server_ids_;
  ProvisionStats stats_;
};

}  // namespace opi::provision
