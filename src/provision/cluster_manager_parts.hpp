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
  std::string detail;
  std::string commit = {};  ///< of the project file
  bool hands_over = false;
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
  std::set<std::string> inventoried;  ///< deployments that are not forgotten, by "shop/prod"
  ClusterOutcomes outcomes;

  const store::ClusterObjectRow* known(const DesiredObject& object) const {
    const auto found = std::ranges::find_if(recorded, [&](const store::ClusterObjectRow& row) {
      return row.name == object.name && row.name_space == object.name_space && row.kind == object.kind.kind;
    });
    return found == recorded.end() ? nullptr : &*found;
  }
};

/// What is recorded of an object before anything is known of its content.
store::ClusterObjectRow row_of(const DesiredObject& object);

}  // namespace opi::provision
