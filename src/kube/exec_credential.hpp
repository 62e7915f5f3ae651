#pragma once
/// @file
/// Credentials from a program, as cloud providers hand them out: kubeconfig's `exec`.
///
/// Source: Kubernetes documentation, "client-go credential plugins"; client.authentication.k8s.io/v1 and v1beta1.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kube/access.hpp"

namespace opi::kube {

/// The `exec` of a user.
struct ExecPlugin {
  std::string api_version;  ///< client.authentication.k8s.io/v1 or /v1beta1
  std::vector<std::string> argv;
  std::vector<std::pair<std::string, std::string>> environment = {};
  std::string install_hint = {};  ///< shown when the program is not there
  bool provide_cluster_info = false;
};

/// Runs the plugin without a shell, terminal or standard input, in `environment` ("NAME=value" each: what it may see of
/// ours) and its own variables, for a minute at most; once for each expiry or refusal. Its standard error is shown,
/// bounded, when it fails: plugins write there what to do.
std::shared_ptr<CredentialSource> exec_credential(ExecPlugin plugin, ApiServer server,
                                                  std::vector<std::string> environment);

/// What a plugin printed. ErrorKind::invalid says what is wrong with it, never the text.
Result<Credential> parse_exec_credential(std::string_view output, std::string_view api_version);

}  // namespace opi::kube
