#pragma once
/// @file
/// A bearer token in a file that somebody else replaces: a mounted service-account token.

#include <chrono>
#include <memory>
#include <string>

#include "aio/blocking_pool.hpp"
#include "kube/access.hpp"

namespace opi::kube {

/// Reads `path` again after a minute, and at once when the token was refused. Kubernetes rotates such tokens well
/// before they expire (Kubernetes documentation, "Bound service account token volume"). The pool outlives it.
std::shared_ptr<CredentialSource> token_file(std::string path, ReadFile read, aio::BlockingPool& blocking);

/// The access of a pod: host and port as KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT have them, certificate
/// authority and token from `directory` (usually /var/run/secrets/kubernetes.io/serviceaccount). Blocking: it reads the
/// authority. Errors: not_found (not in a pod), invalid.
Result<ClusterAccess> in_cluster_access(const std::string& host, const std::string& port, const std::string& directory,
                                        const ReadFile& read, aio::BlockingPool& blocking);

}  // namespace opi::kube
