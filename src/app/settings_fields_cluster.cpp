// Settings of the cluster: its target, and what stands in it.

#include "app/settings_field_list.hpp"
#include "secrets/age.hpp"

namespace opi::app {
namespace {

using provision::DriftPolicy;
using Traffic = provision::ClusterRules::Traffic;
constexpr std::array<Choice<ClusterTargetKind>, 3> targets{{{ClusterTargetKind::none, "none"},
                                                            {ClusterTargetKind::kubernetes, "kubernetes"},
                                                            {ClusterTargetKind::gitops, "gitops"}}};
constexpr std::array<Choice<DriftPolicy>, 3> object_drift_policies{
    {{DriftPolicy::fix, "fix"}, {DriftPolicy::warn, "warn"}, {DriftPolicy::ignore, "ignore"}}};
constexpr std::array<Choice<Traffic>, 3> traffic_rules{
    {{Traffic::open, "open"}, {Traffic::deny_ingress, "deny_ingress"}, {Traffic::deny_all, "deny_all"}}};
constexpr std::array<Choice<provision::GitopsWiring>, 2> wirings{
    {{provision::GitopsWiring::flux, "flux"}, {provision::GitopsWiring::ksops, "ksops"}}};
constexpr std::array<Choice<bool>, 2> yes_or_no{{{false, "no"}, {true, "yes"}}};

Problem check_pair(std::string_view text) {
  const auto equals = text.find('=');
  if (equals != std::string_view::npos && equals != 0) return std::nullopt;
  return fmt::format("{} is no key and value; write key=value", in_quotes(text));
}

/// The keys that a Secret may have. Source: Kubernetes API, Secret.data.
Problem check_secret_pair(std::string_view text) {
  if (auto problem = check_pair(text)) return problem;
  for (const char c : text.substr(0, text.find('='))) {
    const bool good =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    if (!good)
      return fmt::format("{} cannot be a key of a Secret; write letters, digits, \"-\", \"_\" and \".\"",
                         in_quotes(text));
  }
  return std::nullopt;
}

Problem check_recipient(std::string_view text) {
  if (secrets::AgeRecipient::parse(text)) return std::nullopt;
  return fmt::format("{} is no public key of age; write one like age1…", in_quotes(text));
}

Problem check_level(std::string_view text) {
  if (text == "privileged" || text == "baseline" || text == "restricted") return std::nullopt;
  return fmt::format("{} is no level; write privileged, baseline, restricted, or nothing", in_quotes(text));
}

Problem check_folder(std::string_view text) {
  const bool good = !text.starts_with('/') && !text.ends_with('/') && !text.contains("..") && !text.contains("//");
  if (good) return std::nullopt;
  return fmt::format("{} is no folder of a repository; write one like clusters/apps", in_quotes(text));
}

constexpr TextRule pair{.takes = "key=value", .check = check_pair};
constexpr TextRule secret_pair{.takes = "key=value", .check = check_secret_pair};
constexpr TextRule recipient{.takes = "a public key of age", .check = check_recipient};
constexpr TextRule level{.may_be_empty = true, .takes = "a level of Pod Security", .check = check_level};
constexpr TextRule folder_rule{.may_be_empty = true, .takes = "a folder", .check = check_folder};

void describe_namespaces(FieldList& list, NamespaceSettings& to) {
  list.enter("namespaces");
  list.list("labels", to.labels, pair, 0, "a list of key=value", "What namespaces carry beside our own labels.");
  list.list("annotations", to.annotations, pair, 0, "a list of key=value", "The same for annotations.");
  list.text("enforce", to.enforce, level, "The level of Pod Security that is enforced; empty: no label.");
  list.text("warn", to.warn, level, "The level that is warned of.");
  list.text("audit", to.audit, level, "The level that is audited.");
  list.text("pod_security_version", to.pod_security_version, plain, "The version that the levels are pinned to.");
  list.text("argocd_namespace", to.argocd_namespace, optional_text,
            "The namespace of the Argo CD that may manage ours (argocd.argoproj.io/managed-by); empty: none.");
  list.list("quota", to.quota, pair, 0, "a list of key=value",
            "A ResourceQuota in each, e.g. requests.cpu=4; empty: none.");
  list.list("limits_default", to.limits_default, pair, 0, "a list of key=value",
            "A LimitRange in each: the limits of containers that name none, e.g. memory=256Mi.");
  list.list("limits_request", to.limits_request, pair, 0, "a list of key=value", "The same for requests.");
  list.list("limits_max", to.limits_max, pair, 0, "a list of key=value", "The most that a container may ask for.");
  list.choice("traffic", to.traffic, traffic_rules,
              "The NetworkPolicy in each: open: none; else whatever no other policy allows is denied.");
  list.list("platform", to.platform, plain, 0, "a list of names, * at the end stands for anything",
            "Namespaces that no project may ask for.");
  list.choice("drift", to.drift, object_drift_policies,
              "What is done when somebody changes a namespace or a policy of ours.");
  list.leave();
}

void describe_secrets(FieldList& list, ClusterSecretSettings& to) {
  list.enter("secrets");
  list.list("annotations", to.annotations, pair, 0, "a list of key=value",
            "What credential Secrets carry, e.g. reloader.stakater.com/match=true for what restarts workloads.");
  list.list(
      "templates", to.templates, secret_pair, 0, "a list of key=text",
      "Further keys; {host}, {port}, {user}, {password}, {database}, {schema}, {uri} and {jdbc-uri} are filled in.");
  list.choice("drift", to.drift, object_drift_policies, "What is done when somebody changes a Secret of ours.");
  list.duration("key_overlap", to.key_overlap, milliseconds{0},
                "How long the old age key of a project stays beside a new one.");
  list.leave();
}

void describe_kubernetes(FieldList& list, KubernetesSettings& to) {
  list.enter("kubernetes");
  list.path("kubeconfig", to.kubeconfig, optional_file_name,
            "How the API server is reached; empty: by the service account of our pod.");
  list.text("context", to.context, optional_text, "The context of it; empty: the current one.");
  list.choice("insecure", to.insecure, yes_or_no, "Whether a kubeconfig may leave the server unverified.");
  list.number("requests_per_second", to.requests_per_second, 0, 10'000, "On average; 0: no limit.");
  list.number("requests_burst", to.requests_burst, 1, 10'000, "At once.");
  list.number("connections", to.connections, 1, 64, "To the API server.");
  list.leave();
}

void describe_gitops(FieldList& list, GitopsSettings& to) {
  list.enter("gitops");
  list.text("url", to.url, git_url, "The repository that Flux or Argo CD syncs: https, ssh, git or file.");
  list.text("branch", to.branch, branch_name, "The branch that is written to.");
  list.text("path", to.path, folder_rule, "The folder in it; empty: its root.");
  list.choice("wiring", to.wiring, wirings,
              "flux: a Kustomization for each deployment, which decrypts; ksops: a generator beside the Secrets.");
  list.text("flux_source", to.flux_source, plain, "The GitRepository that Kustomizations name.");
  list.text("flux_namespace", to.flux_namespace, plain, "The namespace it is in.");
  list.list("key_recipients", to.key_recipients, recipient, 0, "a list of public keys",
            "Who opens the projects' keys: what the cluster's controller has already; empty: the platform key.");
  list.text("username", to.username, optional_text, "For https.");
  list.secret("password", to.password, "For https: a password or token, also one sealed to the platform key.");
  list.path("ca_file", to.ca_file, optional_file_name,
            "For https: the certificate authorities to trust (PEM); empty: the system's.");
  list.text("proxy", to.proxy, proxy_url, "For https: a proxy; empty: none.");
  list.path("ssh_key_file", to.ssh_key_file, optional_file_name, "For ssh: the private key.");
  list.path("ssh_known_hosts_file", to.ssh_known_hosts_file, optional_file_name,
            "For ssh: the host keys to trust; no other is.");
  list.text("author_name", to.author_name, plain, "Who commits.");
  list.text("author_email", to.author_email, plain, "The address of it.");
  list.leave();
}

}  // namespace

void describe_cluster(FieldList& list, ClusterSettings& cluster) {
  list.choice("target", cluster.target, targets,
              "Where namespaces and Secrets go: none, an API server, or a repository that is synced to one.");
  describe_namespaces(list, cluster.namespaces);
  describe_secrets(list, cluster.secrets);
  describe_kubernetes(list, cluster.kubernetes);
  describe_gitops(list, cluster.gitops);
}

}  // namespace opi::app
