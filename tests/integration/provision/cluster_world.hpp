#pragma once
/// @file
/// A cluster that scenarios run on, whatever it is: somebody beside us who looks and changes, and the managers under
/// test.

#include <functional>
#include <map>
#include <optional>

#include "integration/provision/provision_fixture.hpp"
#include "provision/cluster_manager.hpp"
#include "provision/kubernetes_target.hpp"

namespace opi::provision {

using Values = std::map<std::string, std::string>;

/// Which Secret, and of which project and deployment.
struct SecretRef {
  std::string name_space;
  std::string name;
  std::string project;
  std::string deployment = {};
};

/// A cluster as somebody beside us sees and changes it.
class World {
 public:
  virtual ~World() = default;
  virtual std::unique_ptr<ClusterTarget> target(HashSource hash) = 0;
  /// What namespaces of ours begin with.
  virtual std::string prefix() const { return "rig-"; }
  virtual bool has_namespace(const std::string& project, const std::string& name) = 0;
  /// Decrypted and decoded; nothing when it is not there.
  virtual std::optional<Values> read(const SecretRef& secret) = 0;
  virtual void erase(const SecretRef& secret) = 0;
  virtual void spoil(const SecretRef& secret) = 0;
  /// Somebody else's, before we come.
  virtual void plant(const SecretRef& secret) = 0;
  /// Writes to the cluster, or commits.
  virtual std::size_t writes() = 0;
};

class ClusterBase : public ProvisionTest {
 protected:
  void start(std::unique_ptr<World> world) {
    world_ = std::move(world);
    open();
    databases_ = std::make_unique<DatabaseManager>(projects_, main(), settings(), tools());
  }
  ManagerSettings settings() const {
    auto settings = ProvisionTest::settings();
    settings.rules = desired_rules();
    return settings;
  }
  DesiredRules desired_rules() const { return {.namespace_prefix = world_->prefix(), .control_database = control_}; }
  /// The namespace of a project's deployments.
  std::string home(const std::string& project) const { return world_->prefix() + project; }
  /// A manager as a process has it after its start.
  std::unique_ptr<ClusterManager> cluster(ClusterRules rules = {}) {
    rules.namespace_prefix = world_->prefix();
    auto made = std::make_unique<ClusterManager>(projects_, desired_rules(), std::move(rules),
                                                 ClusterTools{.main = &main(), .key = &key_});
    made->set_target(world_->target([cluster = made.get()] { return cluster->hash_key(); }));
    return made;
  }
  /// One pass; what went wrong is in the outcomes.
  ClusterOutcomes pass(ClusterManager& cluster, const std::string& only = {}) {
    ClusterSelection selection;
    if (!only.empty()) selection = [only](const std::string& project, const std::string&) { return project == only; };
    auto outcomes = await(cluster.begin_pass(std::move(selection), cause_, in(30s)));
    if (!outcomes) throw std::runtime_error(outcomes.error().to_string());
    auto landed = await(cluster.end_pass(&*outcomes, cause_, in(30s)));
    if (!landed) throw std::runtime_error(landed.error().to_string());
    return *std::move(outcomes);
  }
  /// Databases and cluster in one pass, as the program has it.
  std::unique_ptr<DatabaseManager> with(ClusterManager& cluster, StepHook hook = {}) {
    auto both = tools(std::move(hook));
    both.cluster = &cluster;
    return std::make_unique<DatabaseManager>(projects_, main(), settings(), std::move(both));
  }
  SecretRef database_secret(const std::string& project, const std::string& deployment) const {
    return {
        .name_space = home(project), .name = deployment + "-database", .project = project, .deployment = deployment};
  }
  SecretRef key_secret(const std::string& project) const {
    return {.name_space = home(project), .name = "sops-age-key", .project = project};
  }
  std::vector<std::string> history(const std::string& project) {
    auto lease = await(main().acquire());
    auto records = await(store::read_history(&**lease, {.project = project}));
    std::vector<std::string> actions;
    for (const auto& one : *records)
      if (one.event.action.starts_with("cluster")) actions.push_back(one.event.action + " " + one.event.statement);
    return actions;
  }

  std::unique_ptr<World> world_;
  std::unique_ptr<DatabaseManager> databases_;
};

/// A kind of cluster, as a parameter of the scenarios.
struct WorldKind {
  std::string name;
  std::function<std::unique_ptr<World>(asio::io_context&, aio::BlockingPool&)> make;
  friend void PrintTo(const WorldKind& kind, std::ostream* out) { *out << kind.name; }
};

class Cluster : public ClusterBase, public ::testing::WithParamInterface<WorldKind> {
 protected:
  void SetUp() override { start(GetParam().make(io_, blocking_)); }
};

}  // namespace opi::provision
