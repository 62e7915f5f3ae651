#include "kube/kubeconfig.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <optional>

#include "kube/exec_credential.hpp"
#include "kube/token_file.hpp"
#include "yaml/parse.hpp"
#include "yaml/problems.hpp"

namespace opi::kube {

namespace {

/// One file of several.
struct File {
  std::string path;
  yaml::Document document;
};

/// A named entry and the file it stands in.
struct Named {
  const File* file = nullptr;
  const yaml::Node* node = nullptr;
};

std::unexpected<Error> refuse(const yaml::Node& node, ErrorKind kind, std::string what) {
  return std::unexpected(Error(kind, std::move(what)).at(node.place()));
}

std::string text_of(const yaml::Node* node, std::string_view key) {
  const auto* value = node != nullptr ? node->find(key) : nullptr;
  return value != nullptr && value->is_scalar() && !value->is_null() ? value->value : std::string();
}

/// `key` in the list `list` under `name`: {name: …, cluster: {…}}.
std::optional<Named> find(const std::vector<File>& files, std::string_view list, std::string_view key,
                          std::string_view name) {
  for (const auto& file : files) {
    const auto* entries = file.document.root.find(list);
    if (entries == nullptr || !entries->is_sequence()) continue;
    for (const auto& entry : entries->items) {
      const auto* node = entry.find(key);
      if (text_of(&entry, "name") == name && node != nullptr && node->is_mapping()) return Named{&file, node};
    }
  }
  return std::nullopt;
}

std::string beside(const File& file, const std::string& path) {
  if (path.starts_with('/')) return path;
  const auto slash = file.path.rfind('/');
  return slash == std::string::npos ? path : file.path.substr(0, slash + 1) + path;
}

Result<std::string> decode_base64(const yaml::Node& node) {
  std::string text = node.value;
  std::erase_if(text, [](char c) { return c == '\n' || c == '\r' || c == ' '; });
  std::string bytes(text.size() / 4 * 3 + 1, '\0');
  const int size = text.size() % 4 == 0 ? EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                                          reinterpret_cast<const unsigned char*>(text.data()),
                                                          static_cast<int>(text.size()))
                                        : -1;
  const auto padding = static_cast<std::size_t>(std::ranges::count(text, '='));
  wipe(text);
  if (size < 0 || padding > 2) {
    wipe(bytes);
    return refuse(node, ErrorKind::invalid, "not base64");
  }
  bytes.resize(static_cast<std::size_t>(size) - padding);
  return bytes;
}

/// `key-data` as it stands here, or the file that `key` names; empty when there is neither.
Result<std::string> data_or_file(const Named& entry, const std::string& key, const ReadFile& read) {
  if (const auto* data = entry.node->find(key + "-data"); data != nullptr && !data->value.empty())
    return decode_base64(*data);
  const auto* file = entry.node->find(key);
  if (file == nullptr || file->value.empty()) return std::string();
  auto text = read(beside(*entry.file, file->value));
  if (!text) return failure(std::move(text).error().while_doing(fmt::format("reading {}", key)).at(file->place()));
  return text;
}

Result<ApiServer> read_cluster(const Named& entry, const KubeconfigOptions& options, const ReadFile& read) {
  const auto* url = entry.node->find("server");
  if (url == nullptr) return refuse(*entry.node, ErrorKind::invalid, "the cluster has no server");
  if (const auto* proxy = entry.node->find("proxy-url"); proxy != nullptr && !proxy->value.empty())
    return refuse(*proxy, ErrorKind::unsupported, "proxy-url is not supported; connect directly");
  auto server = parse_server(url->value);
  if (!server) return failure(std::move(server).error().at(url->place()));
  auto ca = data_or_file(entry, "certificate-authority", read);
  if (!ca) return failure(std::move(ca).error());
  server->ca_pem = std::move(*ca);
  server->tls_name = text_of(entry.node, "tls-server-name");
  const auto* insecure = entry.node->find("insecure-skip-tls-verify");
  if (insecure != nullptr && insecure->as_boolean().value_or(true)) {
    if (!options.allow_insecure)
      return refuse(*insecure, ErrorKind::invalid,
                    "insecure-skip-tls-verify lets anybody on the way read every Secret; give the cluster's "
                    "certificate-authority, or set cluster.kubernetes.allow_insecure");
    server->verify = false;
  }
  return server;
}

Result<std::shared_ptr<CredentialSource>> read_exec(const yaml::Node& exec, const File& file, const ApiServer& server,
                                                    const KubeconfigOptions& options) {
  ExecPlugin plugin;
  plugin.api_version = text_of(&exec, "apiVersion");
  if (plugin.api_version != "client.authentication.k8s.io/v1" &&
      plugin.api_version != "client.authentication.k8s.io/v1beta1")
    return refuse(exec, ErrorKind::unsupported,
                  "the credential plugin's apiVersion must be client.authentication.k8s.io/v1 or v1beta1");
  const std::string command = text_of(&exec, "command");
  if (command.empty()) return refuse(exec, ErrorKind::invalid, "the credential plugin has no command");
  if (text_of(&exec, "interactiveMode") == "Always")
    return refuse(exec, ErrorKind::unsupported, "the credential plugin wants a terminal, and there is none");
  // A path is relative to the file; a bare name is looked up on PATH.
  plugin.argv.push_back(command.contains('/') ? beside(file, command) : command);
  if (const auto* args = exec.find("args"); args != nullptr)
    for (const auto& argument : args->items) plugin.argv.push_back(argument.value);
  if (const auto* variables = exec.find("env"); variables != nullptr)
    for (const auto& variable : variables->items)
      plugin.environment.emplace_back(text_of(&variable, "name"), text_of(&variable, "value"));
  plugin.install_hint = text_of(&exec, "installHint");
  const auto* info = exec.find("provideClusterInfo");
  plugin.provide_cluster_info = info != nullptr && info->as_boolean().value_or(false);
  return exec_credential(std::move(plugin), server, options.plugin_environment);
}

Result<std::shared_ptr<CredentialSource>> read_user(const Named& entry, const ApiServer& server,
                                                    const KubeconfigOptions& options, const ReadFile& read,
                                                    aio::BlockingPool& blocking) {
  for (const std::string_view key : {"auth-provider", "username", "password", "as", "as-uid", "as-groups"}) {
    const auto* node = entry.node->find(key);
    if (node != nullptr && !node->is_null())
      return refuse(*node, ErrorKind::unsupported,
                    fmt::format("{} is not supported; use a token, a client certificate or an exec plugin", key));
  }
  if (const auto* exec = entry.node->find("exec"); exec != nullptr && exec->is_mapping())
    return read_exec(*exec, *entry.file, server, options);
  Credential credential;
  auto certificate = data_or_file(entry, "client-certificate", read);
  if (!certificate) return failure(std::move(certificate).error());
  auto key = data_or_file(entry, "client-key", read);
  if (!key) return failure(std::move(key).error());
  credential.certificate_pem = std::move(*certificate);
  credential.key_pem = SecretString::take(std::move(*key));
  if (credential.certificate_pem.empty() != credential.key_pem.empty())
    return refuse(*entry.node, ErrorKind::invalid, "a client certificate and its key belong together");
  const std::string file = text_of(entry.node, "tokenFile");
  const auto* token = entry.node->find("token");
  if (!file.empty()) {  // it has precedence, as the documentation says
    if (!credential.certificate_pem.empty())
      return refuse(*entry.node, ErrorKind::unsupported, "tokenFile beside a client certificate is not supported");
    return token_file(beside(*entry.file, file), read, blocking);
  }
  if (token != nullptr) credential.token = SecretString(token->value);
  return fixed_credential(std::move(credential));
}

/// Tokens and keys stood in it.
void wipe_values(yaml::Node& node) {
  wipe(node.value);
  for (auto& item : node.items) wipe_values(item);
  for (auto& entry : node.entries) wipe_values(entry.value);
}

/// The files as long as they are looked at.
struct Files {
  std::vector<File> list;
  explicit Files(std::vector<File> files) : list(std::move(files)) {}
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;
  ~Files() {
    for (auto& file : list) wipe_values(file.document.root);
  }
};

Result<std::vector<File>> read_files(const std::vector<std::string>& paths, const ReadFile& read) {
  std::vector<File> files;
  for (const auto& path : paths) {
    auto text = read(path);
    // A list of files may name some that are not there, as KUBECONFIG does.
    if (!text && text.error().kind == ErrorKind::not_found && paths.size() > 1) continue;
    if (!text) return failure(std::move(text).error().while_doing(fmt::format("reading the kubeconfig {}", path)));
    auto document = yaml::parse(*text, path);
    wipe(*text);
    if (!document) return failure(std::move(document).error());
    if (!document->root.is_mapping())
      return refuse(document->root, ErrorKind::invalid, "not a kubeconfig: a mapping is expected");
    files.push_back({.path = path, .document = std::move(*document)});
  }
  return files;
}

}  // namespace

Result<ClusterAccess> load_kubeconfig(const std::vector<std::string>& paths, const KubeconfigOptions& options,
                                      const ReadFile& read, aio::BlockingPool& blocking) {
  auto loaded = read_files(paths, read);
  if (!loaded) return failure(std::move(loaded).error());
  const Files files(std::move(*loaded));
  const std::string names = fmt::format("{}", fmt::join(paths, ", "));
  std::string context = options.context;
  for (const auto& file : files.list) {
    if (context.empty()) context = text_of(&file.document.root, "current-context");
  }
  if (context.empty())
    return failure(ErrorKind::not_found, fmt::format("{}: no current-context; set cluster.kubernetes.context", names));
  const auto missing = [&names](std::string_view what, std::string_view name) {
    return failure(ErrorKind::not_found, fmt::format("{}: there is no {} {}", names, what, yaml::shown(name)));
  };
  const auto chosen = find(files.list, "contexts", "context", context);
  if (!chosen) return missing("context", context);
  const std::string cluster_name = text_of(chosen->node, "cluster");
  const std::string user_name = text_of(chosen->node, "user");
  const auto cluster = find(files.list, "clusters", "cluster", cluster_name);
  if (!cluster) return missing("cluster", cluster_name);
  auto server = read_cluster(*cluster, options, read);
  if (!server) return failure(std::move(server).error());
  ClusterAccess access{.server = std::move(*server), .credentials = fixed_credential({}), .name = context};
  if (user_name.empty()) return access;
  const auto user = find(files.list, "users", "user", user_name);
  if (!user) return missing("user", user_name);
  auto credentials = read_user(*user, access.server, options, read, blocking);
  if (!credentials) return failure(std::move(credentials).error());
  access.credentials = std::move(*credentials);
  return access;
}

}  // namespace opi::kube
