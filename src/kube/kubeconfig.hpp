#pragma once
/// @file
/// kubeconfig files: which cluster and which user a context names.
///
/// Source: Kubernetes documentation, "Organizing cluster access using kubeconfig files" (kubeconfig v1). Several files
/// are merged: the first one that names a cluster, user or context wins, as does the first current-context.

#include <string>
#include <vector>

#include "aio/blocking_pool.hpp"
#include "kube/access.hpp"

namespace opi::kube {

struct KubeconfigOptions {
  std::string context = {};     ///< empty: the current one
  bool allow_insecure = false;  ///< without it, insecure-skip-tls-verify is refused
  /// What credential plugins may see of our environment: "NAME=value" each.
  std::vector<std::string> plugin_environment = {};
};

/// The access that the files describe. Files and folders that they name are relative to the file that names them.
/// Blocking: files are read through `read`. `blocking` outlives the access.
/// Errors, with file, line and column where there are: invalid, not_found (no such context, cluster or user),
/// unsupported (proxy-url, auth-provider, username and password, impersonation: each named, never ignored).
Result<ClusterAccess> load_kubeconfig(const std::vector<std::string>& paths, const KubeconfigOptions& options,
                                      const ReadFile& read, aio::BlockingPool& blocking);

}  // namespace opi::kube
