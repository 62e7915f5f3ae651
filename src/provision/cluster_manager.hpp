#pragma once
/// @file
/// Makes the cluster's side of deployments true: observe, plan, apply, on whichever target the settings name.

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "aio/task.hpp"
#include "base/log.hpp"
#include "pg/database_pools.hpp"
#include "provision/cluster_plan.hpp"
#include "provision/cluster_target.hpp"
#include "provision/namespace_manager.hpp"
#include "provision/secret_manager.hpp"
#include "provision/secret_publisher.hpp"
#include "secrets/platform_key.hpp"
#include "store/history.hpp"

namespace opi::provision {

/// What it works with. Everything is borrowed and outlives it.
struct ClusterTools {
  pg::DatabasePool* main = nullptr;
  pg::DatabasePools* pools = nullptr;
  const secrets::PlatformKey* key = nullptr;
  Logger log = {};
};

/// What a pass did for one deployment.
struct ClusterOutcome {
  std::string name_space;
  std::string file;  ///< of its project
  std::string blob;
  std::size_t written = 0;  ///< objects
  std::vector<ClusterAction> actions = {};
  std::vector<std::string> notes = {};
  std::optional<Error> error = {};
  bool refused = false;
};
using ClusterOutcomes = std::map<std::string, ClusterOutcome, std::less<>>;  ///< by "shop/prod"

/// Which deployments: by project and deployment; empty: all.
using ClusterSelection = std::function<bool(const std::string& project, const std::string& deployment)>;

/// What somebody has seen and approved, by "shop/prod"; nothing else is done: ClusterAction::approval of each.
using ApprovedObjects = std::map<std::string, std::set<std::string>, std::less<>>;

/// Requests to the target's API are the target's to count.
struct ClusterStats {
  std::uint64_t written = 0;  ///< objects
  std::uint64_t failed = 0;
  std::uint64_t commits = 0;
};

/// The manager of namespaces and Secrets. The control database of `main` must be prepared.
///
/// Ownership: owns the target. Threading: one executor's thread; calls may overlap, of this and of other processes:
/// what is written is the same whoever writes it, and a stale writer is put right by the next pass. Cancellation: ends
/// the running writes at their next suspension. Errors: values; one namespace that fails never stops another.
class ClusterManager final : public SecretPublisher {
 public:
  ClusterManager(const ProjectManager& projects, DesiredRules desired, ClusterRules rules, ClusterTools tools);
  ~ClusterManager() override;
  ClusterManager(const ClusterManager&) = delete;
  ClusterManager& operator=(const ClusterManager&) = delete;

  /// Before anything else. The target may ask for `hash_key()`.
  void set_target(std::unique_ptr<ClusterTarget> target) { target_ = std::move(target); }
  const ClusterTarget& target() const { return *target_; }
  /// Null before the first pass.
  const secrets::KeyedHash* hash_key() const noexcept { return hash_ ? &*hash_ : nullptr; }

  /// What `begin_pass` would do, as actions by deployment. Reads only; the target is asked whether it would take the
  /// first hundred objects.
  Task<Result<ClusterOutcomes>> plan(ClusterSelection selection, SteadyTime deadline);

  /// Namespaces, policies, keys, and the Secrets of credentials that were published before. What is written together
  /// waits for `end_pass`. With `approved`, what turns out to be needed beside it is refused. Errors: the control
  /// database or the target cannot be asked at all.
  Task<Result<ClusterOutcomes>> begin_pass(ClusterSelection selection, store::Cause cause, SteadyTime deadline,
                                           std::optional<ApprovedObjects> approved = {});

  /// Records that a namespace of ours may be deleted with all that is in it: the next pass over everything does it,
  /// when nothing is declared or kept in it any more; it lapses when something is. Errors: not_found (none that we
  /// made), conflict (a deployment is in it), those of the control database.
  Task<Result<>> let_namespace_go(std::string name, store::Cause cause, SteadyTime deadline);

  /// Gives a project another age key; the one before stays beside it for the rules' overlap. The next pass hands it
  /// out. Errors: not_found (no such project), conflict (its file brings its key), those of the control database.
  Task<Result<store::ProjectKey>> replace_key(std::string project, store::Cause cause, SteadyTime deadline);

  Task<Result<HandOver>> hand_over(pg::Connection* control, const DesiredDeployment* desired, std::string database,
                                   const store::Credential* credential, SteadyTime deadline) override;

  /// Writes what was collected. Gives the deployments whose Secrets have landed: their flows run once more. Failures
  /// are put into `outcomes`.
  Task<Result<std::set<std::string>>> end_pass(ClusterOutcomes* outcomes, store::Cause cause, SteadyTime deadline);

  const ClusterStats& stats() const noexcept { return stats_; }

 private:
  struct Item;
  struct Look;
  struct Pending;

  Task<Result<>> open_hash(pg::Connection* connection);
  Task<Result<>> look(Look* look, ClusterSelection selection, bool look_only, SteadyTime deadline);
  Task<Result<>> load(Look* look, pg::Connection* connection);
  Task<Result<>> want(Look* look, pg::Connection* connection, DesiredNamespace wanted, bool look_only);
  void want_credentials(Look* look, const DesiredNamespace& wanted);
  Task<Result<>> observe(Look* look, SteadyTime deadline);
  void note_decisions(Look* look) const;
  Task<> rehearse(Look* look, SteadyTime deadline);
  static void plan_removals(Look* look, bool everything);
  static bool is_forgotten(const Look& look, const store::ClusterObjectRow& row);
  static Pending removal_of(const store::ClusterObjectRow& row, std::string why);
  static void refuse_unapproved(std::vector<Pending>* pending, const ApprovedObjects& approved,
                                ClusterOutcomes* outcomes);
  std::vector<Pending> writes_of(Look* look);
  Task<Result<>> note_order(pg::Connection* control, std::string project, std::string action, std::string statement,
                            store::Cause cause) const;
  Task<Result<>> recall_marks(const Look* look, SteadyTime deadline);
  Task<> note_problems(const Look* look, SteadyTime deadline);
  std::string sealed_to(const std::map<std::string, std::string, std::less<>>& recipients,
                        const std::string& project) const;
  Result<ClusterWrite> write_of(const Item& item) const;
  Task<Result<>> write_now(std::vector<Pending> pending, ClusterOutcomes* outcomes, store::Cause cause,
                           SteadyTime deadline);
  Task<Result<>> write_down(pg::Connection* control, std::vector<store::ClusterObjectRow> rows,
                            std::vector<store::ClusterObjectRow> gone, std::vector<ClusterEvent> events,
                            store::Cause cause, SteadyTime deadline);
  Task<Result<>> note_problem(pg::Connection* control, DesiredObject object, ClusterDecision decision,
                              std::optional<store::ClusterObjectRow> known, SteadyTime deadline);
  std::vector<secrets::AgeRecipient> recipients_of(const std::string& project) const;
  std::string commit_message(const std::vector<Pending>& pending, const store::Cause& cause) const;

  const ProjectManager& projects_;
  DesiredRules desired_rules_;
  ClusterRules rules_;
  ClusterTools tools_;
  NamespaceManager namespaces_;
  SecretManager secrets_;
  std::unique_ptr<ClusterTarget> target_;
  std::optional<secrets::KeyedHash> hash_;
  std::map<std::string, std::string, std::less<>> recipients_;  ///< current public keys, by project
  std::map<std::string, Error, std::less<>> unusable_;          ///< namespaces, and why nothing can be put there
  std::vector<Pending> pending_;
  ClusterStats stats_;
};

}  // namespace opi::provision
