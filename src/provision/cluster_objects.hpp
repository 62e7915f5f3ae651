#pragma once
/// @file
/// What has to stand in the cluster for each deployment: namespaces, policies, key and credential Secrets, as pure
/// functions of declarations and rules.

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/secret_string.hpp"
#include "kube/resource.hpp"
#include "provision/credentials.hpp"
#include "provision/desired_state.hpp"
#include "provision/drift.hpp"
#include "secrets/keyed_hash.hpp"
#include "store/project_keys.hpp"

namespace opi::provision {

using KeyValues = std::vector<std::pair<std::string, std::string>>;

/// What the operator decides about objects in the cluster. Plain values.
struct ClusterRules {
  std::string cluster = "local";
  std::string namespace_prefix = "rig-";
  KeyValues labels = {};       ///< of namespaces, beside ours
  KeyValues annotations = {};  ///< of namespaces
  /// Pod Security levels ("privileged", "baseline", "restricted"; empty: no label) and the version they are pinned to.
  std::string enforce = "baseline";
  std::string warn = "restricted";
  std::string audit = "restricted";
  std::string pod_security_version = "latest";
  std::string argocd_namespace = {};  ///< the value of argocd.argoproj.io/managed-by; empty: no such label
  KeyValues quota = {};               ///< ResourceQuota spec.hard; empty: none
  KeyValues limits_default = {};      ///< LimitRange of containers; all three empty: none
  KeyValues limits_request = {};
  KeyValues limits_max = {};
  enum class Traffic { open, deny_ingress, deny_all };
  Traffic traffic = Traffic::open;  ///< the default NetworkPolicy
  /// Namespaces that are nobody's to ask for; "*" at the end stands for anything.
  std::vector<std::string> platform_namespaces = {"default", "kube-*", "openshift*", "flux-system", "argocd"};
  KeyValues secret_annotations = {};  ///< of credential Secrets: the hint for whatever restarts workloads
  /// Further keys of credential Secrets; {host}, {port}, {user}, {password}, {database}, {schema}, {uri}, {jdbc-uri}
  /// stand for what they name.
  KeyValues secret_templates = {};
  DriftPolicy drift = DriftPolicy::fix;          ///< of namespaces and policies
  DriftPolicy secret_drift = DriftPolicy::fix;   ///< of Secrets that somebody changed
  std::chrono::seconds key_overlap{24 * 3'600};  ///< how long a replaced project key is kept
  /// Where applications reach the servers, by pool; without an entry, where we reach them.
  std::map<std::string, std::vector<pg::HostPort>, std::less<>> database_hosts = {};
};

/// A namespace and the deployments that live in it; all are of one project.
struct DesiredNamespace {
  std::string name;
  std::string project;
  std::vector<std::string> deployments;  ///< sorted
  SourceRef source;
  Place place = {};
  std::optional<Error> refusal = {};

  /// "shop/prod" of each.
  std::vector<std::string> titles() const;
};

/// All namespaces of the rules' cluster, by name, whether a deployment uses a database or not. Pure and total: refused
/// are platform namespaces, names that are none, and a namespace that two projects want: `owners` (namespace →
/// project, as recorded) says whose it is; without an entry it is nobody's.
std::vector<DesiredNamespace> desired_namespaces(const std::vector<SourcedProject>& projects, const ClusterRules& rules,
                                                 const std::map<std::string, std::string, std::less<>>& owners);

/// One object as it has to be, without the data of Secrets.
struct DesiredObject {
  kube::ResourceKind kind;
  std::string name_space;  ///< empty for a Namespace
  std::string name;
  std::string project;
  std::string deployment = {};  ///< empty: of the namespace as a whole
  kube::Object body;            ///< with apiVersion and kind, keys in a fixed order
  std::string inputs;           ///< SHA-256, in hex, of all that decides the content, secrets by their journal's number

  bool holds_secret() const noexcept { return kind == kube::secrets; }
  /// The namespace that it is, or is in.
  const std::string& home() const noexcept { return name_space.empty() ? name : name_space; }
  kube::ObjectName object() const { return {.kind = kind, .name_space = name_space, .name = name}; }
};

/// The Namespace first, then its ResourceQuota, LimitRange and NetworkPolicy where the rules ask for them.
std::vector<DesiredObject> namespace_objects(const DesiredNamespace& wanted, const ClusterRules& rules);

/// Secret `sops-age-key`. `keys` are the project's, the current one first; never empty.
DesiredObject key_object(const DesiredNamespace& wanted, const std::vector<store::ProjectKey>& keys);

/// Secret `{deployment}-database`. `credentials` need no password; `credential_id` is the journal's number of it;
/// `sealed_to` is the public key it is encrypted to, where it is.
DesiredObject credentials_object(const std::string& name_space, const Credentials& credentials,
                                 std::int64_t credential_id, const ClusterRules& rules,
                                 std::string_view sealed_to = {});

/// The keys of a Secret and their values, sorted.
using SecretData = std::map<std::string, SecretString, std::less<>>;

/// `key` with every private key, the current one first, and `<id>.agekey` for each; an id is the last twelve characters
/// of the public key. `opened` are the private keys in the order of `keys`.
SecretData key_data(const std::vector<store::ProjectKey>& keys, const std::vector<SecretString>& opened);

/// The original's keys and aliases, `uri`, `jdbc-uri`, `pgpass`, and the rules' templates. Values of templates are not
/// escaped: what is a URL may use {uri} and {jdbc-uri}, which are.
SecretData credentials_data(const Credentials& credentials, const ClusterRules& rules);

/// The same for equal keys and values, and for nothing else.
std::string content_hash(const secrets::KeyedHash& hash, const SecretData& data);
/// The same of a Secret as the cluster has it; empty when its data is not base64 or it has none.
std::string content_hash_of(const secrets::KeyedHash& hash, const kube::Object& secret);

/// The Secret with its data and the annotation that names its content. Wipe it with `wipe_secret` after use.
kube::Object with_data(const DesiredObject& object, const SecretData& data, const std::string& content_hash);
void wipe_secret(kube::Object& secret) noexcept;

/// The first field of `wanted` that `found` has not, or has otherwise, as "spec.hard.cpu"; nothing when all are there.
/// What `found` has beside them does not count. Quantities are compared as such ("1000m" is "1").
std::optional<std::string> first_difference(const kube::Object& wanted, const kube::Object& found);

/// Our words in the metadata of objects.
inline constexpr std::string_view manager_name = "operations-manager";
inline constexpr std::string_view project_label = "operations-manager/project";
inline constexpr std::string_view deployment_label = "operations-manager/deployment";
inline constexpr std::string_view hash_annotation = "operations-manager/content-hash";
/// It carries the label that we put on everything.
bool is_managed(const kube::Object& object) noexcept;

}  // namespace opi::provision
