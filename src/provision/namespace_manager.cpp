#include "provision/namespace_manager.hpp"

#include <algorithm>

namespace opi::provision {

std::vector<DesiredNamespace> NamespaceManager::desired(const std::vector<store::ClusterObjectRow>& recorded) const {
  std::map<std::string, std::string, std::less<>> owners;
  for (const auto& row : recorded) {
    if (row.kind == kube::namespaces.kind && !row.version.empty()) owners.emplace(row.name, row.project);
  }
  return desired_namespaces(projects_.projects(), rules_, owners);
}

std::vector<store::ClusterObjectRow> NamespaceManager::superfluous(
    const DesiredNamespace& wanted, const std::vector<store::ClusterObjectRow>& recorded) const {
  const auto all = objects(wanted);
  std::vector<store::ClusterObjectRow> gone;
  for (const auto& row : recorded) {
    if (row.name_space != wanted.name || row.kind == kube::secrets.kind || row.version.empty()) continue;
    const bool still = std::ranges::any_of(
        all, [&](const DesiredObject& one) { return one.kind.kind == row.kind && one.name == row.name; });
    if (!still) gone.push_back(row);
  }
  return gone;
}

}  // namespace opi::provision
