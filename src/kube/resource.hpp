#pragma once
/// @file
/// The kinds of Kubernetes objects that we handle, and where the API server keeps them.
///
/// Source: Kubernetes API concepts, "Resource URIs"; names as RFC 1123 labels and subdomains.

#include <boost/json/object.hpp>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace opi::kube {

/// An object as the API server speaks it.
using Object = boost::json::object;

/// One kind. A plain constant; pass it by value.
struct ResourceKind {
  std::string_view group;  ///< empty: the core group
  std::string_view version;
  std::string_view plural;
  std::string_view kind;
  bool namespaced = true;
  friend bool operator==(const ResourceKind&, const ResourceKind&) = default;
};

inline constexpr ResourceKind namespaces{"", "v1", "namespaces", "Namespace", false};
inline constexpr ResourceKind secrets{"", "v1", "secrets", "Secret"};
inline constexpr ResourceKind events{"", "v1", "events", "Event"};
inline constexpr ResourceKind resource_quotas{"", "v1", "resourcequotas", "ResourceQuota"};
inline constexpr ResourceKind limit_ranges{"", "v1", "limitranges", "LimitRange"};
inline constexpr ResourceKind network_policies{"networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy"};

/// "v1", "networking.k8s.io/v1".
std::string api_version(ResourceKind kind);

/// Which object. `name_space` is empty for kinds that have none.
struct ObjectName {
  ResourceKind kind;
  std::string name_space = {};
  std::string name = {};
};

/// "secret rig-shop/prod-database", for messages.
std::string to_string(const ObjectName& object);

/// The path of the collection, "/api/v1/namespaces/NS/secrets"; of all namespaces when `name_space` is empty.
/// ErrorKind::invalid for a namespace that is no RFC 1123 label or does not belong to the kind.
Result<std::string> collection_path(ResourceKind kind, std::string_view name_space);
/// The path of one object. ErrorKind::invalid also for a name that is no RFC 1123 subdomain, or a missing namespace.
Result<std::string> object_path(const ObjectName& object);

/// A value of a query, percent-encoded (RFC 3986 unreserved characters stay).
std::string query_value(std::string_view text);

/// The name of an object as its metadata has it.
ObjectName name_of(ResourceKind kind, const Object& object);
/// A text of `metadata`, or "".
std::string_view metadata_text(const Object& object, std::string_view field) noexcept;
/// A label or annotation, or "". `map` is "labels" or "annotations".
std::string_view metadata_entry(const Object& object, std::string_view map, std::string_view key) noexcept;

}  // namespace opi::kube
