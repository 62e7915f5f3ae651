#pragma once
/// @file
/// What an API server says of itself, and who may do what on it. No I/O.
///
/// Source: Kubernetes documentation, "API Discovery" and "Using RBAC Authorization".

#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "support/kubernetes/object_store.hpp"

namespace opi::test {

/// Which groups and kinds there are, for the paths that clients ask for it; nothing for all others.
std::optional<json::object> discovery(std::string_view path);

/// A request as RBAC sees it.
struct ApiAccess {
  std::string verb;
  std::string api_version;  ///< "v1", "networking.k8s.io/v1"
  std::string plural;
};

/// Whether a ClusterRole that is bound to the service account "namespace/name" allows it.
bool allows(const ObjectStore& store, std::string_view account, const ApiAccess& access);

}  // namespace opi::test
