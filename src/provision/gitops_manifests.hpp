#pragma once
/// @file
/// Desired objects as files of a repository that Flux or Argo CD syncs: where each one stands, and what is in it.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "provision/cluster_objects.hpp"
#include "provision/cluster_target.hpp"
#include "secrets/age.hpp"

namespace opi::provision {

/// How encrypted Secrets are opened in the cluster.
enum class GitopsWiring {
  flux,   ///< a Flux Kustomization for each deployment, which decrypts with `sops-age-key` of its namespace
  ksops,  ///< a ksops generator beside the Secrets, as Argo CD's plugin runs it
};

/// What the operator decides about the repository's content. Plain values.
struct GitopsRules {
  std::string path = {};  ///< folder in the repository; empty: its root
  std::string cluster = "local";
  GitopsWiring wiring = GitopsWiring::flux;
  std::string flux_source = "flux-system";  ///< the GitRepository that Kustomizations name, and its namespace
  std::string flux_namespace = "flux-system";
  /// Who opens `sops-age-key` itself: the key that the cluster's controller has already.
  std::vector<secrets::AgeRecipient> key_recipients = {};
};

/// "local/shop/prod/database.sops.yaml": `{cluster}/{project}/{deployment}/`, and `_namespaces/{namespace}/` below the
/// project for what is of the namespace as a whole.
std::string manifest_path(const DesiredObject& object, const GitopsRules& rules);

/// Block style, strings quoted where YAML needs it, keys in the order of the object; the same text for the same object.
std::string to_yaml(const kube::Object& object);

/// The manifest of what holds no secret.
std::string plain_manifest(const DesiredObject& object);

/// The Secret, SOPS-encrypted: the values of `stringData`, nothing else. Errors: invalid (no recipient, no data),
/// denied (`refuse_plain_secret`).
Result<std::string> sealed_manifest(const DesiredObject& object, const SecretData& data,
                                    const std::string& content_hash,
                                    const std::vector<secrets::AgeRecipient>& recipients, WallTime now);

/// True for a manifest that we wrote for `project`, by its labels.
bool is_manifest_of(std::string_view text, std::string_view project);

/// The guard against secrets in the clear: refuses (denied) a YAML or JSON text with a Secret whose values are not all
/// encrypted, or that is not a SOPS file at all; a text that holds a private age key; and a text that says Secret and
/// cannot be read. Never names a value.
Result<> refuse_plain_secret(const std::string& path, std::string_view text);

/// The kustomizations and generators of every folder that `paths` (files that are or will be there) has files of ours
/// in, by path; nothing for one that is there and has no more use. `namespaces` are those of deployments, by
/// "shop/prod"; what is not in it keeps the wiring that it has. Pure.
std::map<std::string, std::optional<std::string>> wiring_files(
    const std::vector<std::string>& paths, const std::map<std::string, std::string, std::less<>>& namespaces,
    const GitopsRules& rules);

}  // namespace opi::provision
