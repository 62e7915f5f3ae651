#pragma once
/// @file
/// Which namespaces there have to be, with which policies in them, and whose they are.

#include <string>
#include <vector>

#include "provision/cluster_objects.hpp"
#include "provision/project_manager.hpp"
#include "store/cluster_state.hpp"

namespace opi::provision {

/// Ownership: borrows the project manager. Threading: one executor's thread; nothing suspends.
class NamespaceManager {
 public:
  NamespaceManager(const ProjectManager& projects, ClusterRules rules)
      : projects_(projects), rules_(std::move(rules)) {}

  /// Every namespace that is declared; `recorded` says whose the existing ones are.
  std::vector<DesiredNamespace> desired(const std::vector<store::ClusterObjectRow>& recorded) const;
  std::vector<DesiredObject> objects(const DesiredNamespace& wanted) const { return namespace_objects(wanted, rules_); }
  /// Policies that we wrote into a namespace and that are not wanted any more.
  std::vector<store::ClusterObjectRow> superfluous(const DesiredNamespace& wanted,
                                                   const std::vector<store::ClusterObjectRow>& recorded) const;

 private:
  const ProjectManager& projects_;
  ClusterRules rules_;
};

}  // namespace opi::provision
