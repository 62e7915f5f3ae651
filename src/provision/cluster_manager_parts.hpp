#pragma once
/// @file
/// What the files of the ClusterManager share: what one look at everything found, and what is to be written.

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "provision/cluster_manager.hpp"

namespace opi::provision {

/// One object of a look.
struct ClusterManager::Item {
  DesiredObject object;
  std::string title;                         ///< of the deployment that it is told of
  std::vector<store::ProjectKey> keys = {};  ///< of a key Secret
  const store::PublishedCredential* credential = nullptr;
  const DesiredDeployment* deployment = nullptr;  ///< of a credential Secret
  const store::ClusterObjectRow* known = nullptr;
  ObservedObject observed = {};
  ClusterDecision decision = {};
};

/// Something to write, with what is to be told of it.
struct ClusterManager::Pending {
  ClusterWrite write;
  std::string title;
  std::vector<std::string> titles = {};  ///< of a Namespace: everybody who lives there
  std::string reason;
  std::string approval = {};  ///< ClusterAction::approval
  std::string detail;
  std::string commit = {};  ///< of the project file
  bool hands_over = false;

  /// The deployment that a plan shows it under.
  std::string planned_for() const {
    const auto& object = write.object;
    if (!object.deployment.empty()) return object.project + "/" + object.deployment;
    return title.empty() ? object.project + "/-" : title;
  }
};

/// What one look at everything found.
struct ClusterManager::Look {
  std::vector<store::ClusterObjectRow> recorded;
  std::map<std::string, std::vector<store::ProjectKey>, std::less<>> keys;  ///< by project
  bool keys_are_over = false;
  std::vector<store::PublishedCredential> published;
  std::vector<DesiredDeployment> deployments;
  std::vector<DesiredNamespace> namespaces;
  std::vector<Item> items;
  std::vector<store::ClusterObjectRow> superfluous;
  std::vector<Pending> removals;  ///< of those, and of the Secrets of deployments that went the whole way out
  std::map<std::string, std::string, std::less<>> recipients;  ///< current public keys, by project
  std::set<std::string, std::less<>> new_keys;     ///< projects whose key is made, or taken from their file, now
  std::map<std::string, std::string> inventoried;  ///< deployments that are not forgotten → their namespaces
  ClusterOutcomes outcomes;

  /// Somebody lives there, or did and may come back.
  bool in_use(const std::string& name_space) const {
    return std::ranges::any_of(namespaces, [&](const auto& one) { return one.name == name_space; }) ||
           std::ranges::any_of(inventoried, [&](const auto& one) { return one.second == name_space; });
  }
  /// What decides an object's content, as a plan can know it.
  std::string_view inputs_of(const DesiredObject& object) const {
    return object.holds_secret() && new_keys.contains(object.project) ? std::string_view("new key")
                                                                      : std::string_view(object.inputs);
  }
};

/// What is recorded of an object before anything is known of its content.
store::ClusterObjectRow row_of(const DesiredObject& object);

}  // namespace opi::provision
