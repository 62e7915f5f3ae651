#include "app/cluster_access.hpp"

#include <cstdlib>
#include <utility>

#include "app/file_text.hpp"
#include "app/sealed_text.hpp"
#include "app/settings_values.hpp"
#include "kube/kubeconfig.hpp"
#include "kube/token_file.hpp"
#include "provision/gitops_target.hpp"
#include "provision/kubernetes_target.hpp"

namespace opi::app {
namespace {

constexpr const char* account_directory = "/var/run/secrets/kubernetes.io/serviceaccount";

provision::KeyValues pairs(const std::vector<std::string>& texts) {
  provision::KeyValues values;
  for (const auto& text : texts) {
    const auto equals = text.find('=');
    values.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return values;
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets the environment after start
  return value == nullptr ? "" : value;
}

Result<kube::ClusterAccess> access_of(const KubernetesSettings& from, aio::BlockingPool& blocking) {
  const kube::ReadFile read = [](const std::string& path) { return read_small_file(path, std::size_t{1} << 20U); };
  if (from.kubeconfig->empty()) {
    return kube::in_cluster_access(variable("KUBERNETES_SERVICE_HOST"), variable("KUBERNETES_SERVICE_PORT"),
                                   account_directory, read, blocking);
  }
  kube::KubeconfigOptions options{.context = *from.context, .allow_insecure = *from.insecure};
  for (const char* name : {"PATH", "HOME"})
    options.plugin_environment.push_back(std::string(name) + "=" + variable(name));
  return kube::load_kubeconfig({*from.kubeconfig}, options, read, blocking);
}

Result<std::unique_ptr<provision::ClusterTarget>> kubernetes_target(const Settings& settings,
                                                                    aio::BlockingPool& blocking,
                                                                    provision::HashSource hash, const Logger& log) {
  const auto& from = settings.cluster.kubernetes;
  auto access = access_of(from, blocking);
  if (!access) return failure(std::move(access.error()).while_doing("cluster.kubernetes"));
  kube::ClientOptions options;
  options.connections_max = *from.connections;
  options.requests_per_second = *from.requests_per_second;
  options.requests_burst = *from.requests_burst;
  auto client = std::make_unique<kube::Client>(*std::move(access), options, blocking, log);
  return std::make_unique<provision::KubernetesTarget>(
      std::move(client), provision::KubernetesOptions{.parallelism = *from.connections}, std::move(hash), log);
}

Result<std::unique_ptr<provision::ClusterTarget>> gitops_target(const Settings& settings,
                                                                const secrets::PlatformKey& key,
                                                                aio::BlockingPool& blocking, const Logger& log) {
  const auto& from = settings.cluster.gitops;
  if (from.url->empty())
    return failure(
        Error(ErrorKind::invalid, "cluster.gitops.url: is missing").with_remedy("name the repository that is synced"));
  git::PushSettings push;
  push.remote.name = "cluster";
  push.remote.url = *from.url;
  push.remote.branches = {*from.branch};
  push.remote.directory = *settings.state.directory + "/gitops";
  push.remote.ca_file = *from.ca_file;
  push.remote.proxy = *from.proxy;
  push.author_name = *from.author_name;
  push.author_email = *from.author_email;
  if (!from.ssh_key_file->empty() || !from.ssh_known_hosts_file->empty())
    push.remote.ssh =
        git::SshCredentials{.key_file = *from.ssh_key_file, .known_hosts_file = *from.ssh_known_hosts_file};
  if (!from.username->empty() || from.password.given()) {
    push.remote.http = git::HttpCredentials{.username = *from.username,
                                            .password = [secret = from.password, &key]() -> Result<SecretString> {
                                              if (!secret.given()) return SecretString();
                                              auto text = secret.read();
                                              if (!text) return text;
                                              return unsealed(std::move(*text), key);
                                            }};
  }
  provision::GitopsRules rules{.path = *from.path, .cluster = *settings.cluster.name, .wiring = *from.wiring};
  rules.flux_source = *from.flux_source;
  rules.flux_namespace = *from.flux_namespace;
  for (const auto& text : *from.key_recipients) {
    auto recipient = secrets::AgeRecipient::parse(text);
    if (!recipient) return failure(std::move(recipient.error()).while_doing("cluster.gitops.key_recipients"));
    rules.key_recipients.push_back(*recipient);
  }
  if (rules.key_recipients.empty()) rules.key_recipients.push_back(key.recipient());
  return std::make_unique<provision::GitopsTarget>(std::move(push), std::move(rules), blocking, log);
}

}  // namespace

provision::ClusterRules cluster_rules(const Settings& settings) {
  const auto& cluster = settings.cluster;
  const auto& namespaces = cluster.namespaces;
  provision::ClusterRules rules{.cluster = *cluster.name, .namespace_prefix = *cluster.namespace_prefix};
  rules.labels = pairs(*namespaces.labels);
  rules.annotations = pairs(*namespaces.annotations);
  rules.enforce = *namespaces.enforce;
  rules.warn = *namespaces.warn;
  rules.audit = *namespaces.audit;
  rules.pod_security_version = *namespaces.pod_security_version;
  rules.argocd_namespace = *namespaces.argocd_namespace;
  rules.quota = pairs(*namespaces.quota);
  rules.limits_default = pairs(*namespaces.limits_default);
  rules.limits_request = pairs(*namespaces.limits_request);
  rules.limits_max = pairs(*namespaces.limits_max);
  rules.traffic = *namespaces.traffic;
  rules.platform_namespaces = *namespaces.platform;
  rules.drift = *namespaces.drift;
  rules.secret_annotations = pairs(*cluster.secrets.annotations);
  rules.secret_templates = pairs(*cluster.secrets.templates);
  rules.secret_drift = *cluster.secrets.drift;
  rules.key_overlap = std::chrono::duration_cast<std::chrono::seconds>(*cluster.secrets.key_overlap);
  for (const auto& [name, database] : settings.databases) {
    for (const auto& text : *database.application_hosts) {
      const auto host = host_from(text);  // the loader let it through, so it parses
      if (host) rules.database_hosts[name].push_back({host->host, host->port.value_or(*database.port)});
    }
  }
  return rules;
}

Result<std::unique_ptr<provision::ClusterManager>> make_cluster_manager(const Settings& settings,
                                                                        const provision::ProjectManager& projects,
                                                                        provision::DesiredRules desired,
                                                                        provision::ClusterTools tools,
                                                                        aio::BlockingPool& blocking) {
  if (*settings.cluster.target == ClusterTargetKind::none) return std::unique_ptr<provision::ClusterManager>();
  const auto& key = *tools.key;
  const Logger log = tools.log;
  auto manager = std::make_unique<provision::ClusterManager>(projects, std::move(desired), cluster_rules(settings),
                                                             std::move(tools));
  auto target = *settings.cluster.target == ClusterTargetKind::kubernetes
                    ? kubernetes_target(
                          settings, blocking, [made = manager.get()] { return made->hash_key(); }, log)
                    : gitops_target(settings, key, blocking, log);
  if (!target) return failure(std::move(target.error()));
  manager->set_target(*std::move(target));
  return manager;
}

}  // namespace opi::app
