#include "provision/cluster_objects.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <charconv>
#include <cmath>
#include <set>

#include "project/naming.hpp"
#include "secrets/base64.hpp"

namespace opi::provision {
namespace {

namespace json = boost::json;
using kube::Object;

bool matches(std::string_view pattern, std::string_view name) {
  if (pattern.ends_with('*')) return name.starts_with(pattern.substr(0, pattern.size() - 1));
  return pattern == name;
}

Object map_of(const KeyValues& values) {
  std::map<std::string, std::string> sorted(values.begin(), values.end());
  Object object;
  for (const auto& [key, value] : sorted) object[key] = value;
  return object;
}

Object labels_of(const std::string& project, const std::string& deployment) {
  Object labels{{"app.kubernetes.io/managed-by", manager_name}, {"created-by", manager_name}};
  if (!deployment.empty()) labels[deployment_label] = deployment;
  labels[project_label] = project;
  return labels;
}

std::string hash_of(std::string_view text) {
  return secrets::to_hex(secrets::sha256(text));
}

DesiredObject made(kube::ResourceKind kind, const std::string& name_space, const std::string& name,
                   const std::string& project, const std::string& deployment, Object labels, Object annotations) {
  DesiredObject object{
      .kind = kind, .name_space = name_space, .name = name, .project = project, .deployment = deployment};
  Object metadata{{"name", name}};
  if (!name_space.empty()) metadata["namespace"] = name_space;
  metadata["labels"] = std::move(labels);
  if (!annotations.empty()) metadata["annotations"] = std::move(annotations);
  object.body = {{"apiVersion", kube::api_version(kind)}, {"kind", kind.kind}, {"metadata", std::move(metadata)}};
  return object;
}

DesiredObject policy(kube::ResourceKind kind, const DesiredNamespace& wanted, std::string_view name, Object spec) {
  auto object = made(kind, wanted.name, std::string(name), wanted.project, "", labels_of(wanted.project, ""), {});
  object.body["spec"] = std::move(spec);
  object.inputs = hash_of(json::serialize(object.body));
  return object;
}

DesiredObject namespace_object(const DesiredNamespace& wanted, const ClusterRules& rules) {
  KeyValues labels = rules.labels;
  for (const auto& [level, value] : {std::pair<std::string_view, const std::string&>{"enforce", rules.enforce},
                                     {"warn", rules.warn},
                                     {"audit", rules.audit}}) {
    if (value.empty()) continue;
    labels.emplace_back(fmt::format("pod-security.kubernetes.io/{}", level), value);
    labels.emplace_back(fmt::format("pod-security.kubernetes.io/{}-version", level), rules.pod_security_version);
  }
  if (!rules.argocd_namespace.empty()) labels.emplace_back("argocd.argoproj.io/managed-by", rules.argocd_namespace);
  // A label holds one value: with several deployments they are all in the annotation only.
  const std::string only = wanted.deployments.size() == 1 ? wanted.deployments.front() : std::string();
  for (const auto& [key, value] : labels_of(wanted.project, only)) labels.emplace_back(key, value.as_string());
  KeyValues annotations = rules.annotations;
  annotations.emplace_back("operations-manager/deployments", fmt::format("{}", fmt::join(wanted.deployments, ",")));
  annotations.emplace_back("operations-manager/source", wanted.source.file);
  // Ours come last and win over the settings'.
  std::map<std::string, std::string> sorted;
  for (auto& [key, value] : labels) sorted.insert_or_assign(key, value);
  auto object = made(kube::namespaces, "", wanted.name, wanted.project, "",
                     map_of(KeyValues(sorted.begin(), sorted.end())), map_of(annotations));
  object.inputs = hash_of(json::serialize(object.body));
  return object;
}

/// A quantity as the API server reads it: number and suffix. Source: Kubernetes API, resource.Quantity.
std::optional<double> quantity(std::string_view text) {
  double number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc{}) return std::nullopt;
  const std::string_view suffix(end, static_cast<std::size_t>(text.data() + text.size() - end));
  static constexpr std::pair<std::string_view, double> factors[] = {
      {"", 1},        {"n", 1e-9},    {"u", 1e-6},    {"m", 1e-3},   {"k", 1e3},     {"M", 1e6},
      {"G", 1e9},     {"T", 1e12},    {"P", 1e15},    {"E", 1e18},   {"Ki", 0x1p10}, {"Mi", 0x1p20},
      {"Gi", 0x1p30}, {"Ti", 0x1p40}, {"Pi", 0x1p50}, {"Ei", 0x1p60}};
  for (const auto& [name, factor] : factors) {
    if (name == suffix) return number * factor;
  }
  return std::nullopt;
}

bool same_value(const json::value& wanted, const json::value& found, bool quantities) {
  if (wanted == found) return true;
  if (!quantities || !wanted.is_string()) return false;
  const auto a = quantity(std::string_view(wanted.as_string()));
  const auto b = found.is_string()   ? quantity(std::string_view(found.as_string()))
                 : found.is_int64()  ? std::optional(static_cast<double>(found.as_int64()))
                 : found.is_uint64() ? std::optional(static_cast<double>(found.as_uint64()))
                                     : std::nullopt;
  return a && b && std::abs(*a - *b) <= 1e-9 * std::max(std::abs(*a), std::abs(*b));
}

std::optional<std::string> difference(const json::value& wanted, const json::value* found, const std::string& path,
                                      bool quantities) {
  if (found == nullptr) return path;
  if (const auto* object = wanted.if_object()) {
    const auto* other = found->if_object();
    if (other == nullptr) return path;
    for (const auto& [key, value] : *object) {
      auto child =
          difference(value, other->if_contains(key),
                     path.empty() ? std::string(key) : fmt::format("{}.{}", path, std::string_view(key)), quantities);
      if (child) return child;
    }
    return std::nullopt;
  }
  if (const auto* list = wanted.if_array()) {
    const auto* other = found->if_array();
    if (other == nullptr || other->size() != list->size()) return path;
    for (std::size_t i = 0; i < list->size(); ++i) {
      if (auto child = difference((*list)[i], &(*other)[i], path, quantities)) return child;
    }
    return std::nullopt;
  }
  if (same_value(wanted, *found, quantities)) return std::nullopt;
  return path;
}

std::string escaped_pgpass(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

/// Replaces each {name}; a name that is none of ours stays as it is.
SecretString filled(std::string_view text, const SecretData& values) {
  std::string out;
  out.reserve(text.size() + 512);
  while (!text.empty()) {
    const auto open = text.find('{');
    out += text.substr(0, open);
    if (open == std::string_view::npos) break;
    text.remove_prefix(open);
    const auto close = text.find('}');
    const auto found = close == std::string_view::npos ? values.end() : values.find(text.substr(1, close - 1));
    if (found == values.end()) {
      out += '{';
      text.remove_prefix(1);
      continue;
    }
    out += found->second.reveal();
    text.remove_prefix(close + 1);
  }
  return SecretString::take(std::move(out));
}

SecretString jdbc_uri(const Credentials& of) {
  std::string hosts;
  for (const auto& host : of.hosts) {
    const bool v6 = host.host.find(':') != std::string::npos;
    hosts += fmt::format("{}{}:{}", hosts.empty() ? "" : ",", v6 ? "[" + host.host + "]" : host.host, host.port);
  }
  auto password = percent_encoded(of.password.reveal());
  auto text =
      fmt::format("jdbc:postgresql://{}/{}?user={}&password={}&currentSchema={}", hosts, percent_encoded(of.database),
                  percent_encoded(of.user), password, percent_encoded(fmt::format("{}", fmt::join(of.schemas, ","))));
  wipe(password);
  return SecretString::take(std::move(text));
}

/// Unambiguous: lengths come before what they measure.
void add_entry(std::string& text, std::string_view key, std::string_view value) {
  text += fmt::format("{}:{}{}:", key.size(), key, value.size());
  text += value;
}

}  // namespace

std::vector<std::string> DesiredNamespace::titles() const {
  std::vector<std::string> all;
  for (const auto& one : deployments) all.push_back(project + "/" + one);
  return all;
}

std::vector<DesiredNamespace> desired_namespaces(const std::vector<SourcedProject>& projects, const ClusterRules& rules,
                                                 const std::map<std::string, std::string, std::less<>>& owners) {
  std::map<std::pair<std::string, std::string>, DesiredNamespace> all;  // by namespace and project
  std::map<std::string, std::set<std::string>> claims;
  for (const auto& one : projects) {
    const auto& project = one.project.name.value;
    for (const auto& deployment : one.project.deployments) {
      if (deployment.cluster.value != rules.cluster) continue;
      const auto& base = deployment.namespace_.value;
      auto name = project::namespace_name(rules.namespace_prefix, base);
      auto& wanted = all[{name.value_or(rules.namespace_prefix + base), project}];
      wanted.name = name.value_or(rules.namespace_prefix + base);
      wanted.project = project;
      wanted.source = one.source;
      wanted.place = deployment.namespace_.place;
      wanted.deployments.push_back(deployment.name.value);
      claims[wanted.name].insert(project);
      if (!name && !wanted.refusal) wanted.refusal = std::move(name.error()).at(wanted.place);
      if (std::ranges::any_of(rules.platform_namespaces,
                              [&](const auto& pattern) { return matches(pattern, wanted.name); }) &&
          !wanted.refusal)
        wanted.refusal = Error(ErrorKind::denied, fmt::format("namespace \"{}\" belongs to the platform", wanted.name))
                             .with_remedy("choose another namespace")
                             .at(wanted.place);
    }
  }
  std::vector<DesiredNamespace> sorted;
  for (auto& [key, wanted] : all) {
    std::ranges::sort(wanted.deployments);
    const auto duplicates = std::ranges::unique(wanted.deployments);
    wanted.deployments.erase(duplicates.begin(), duplicates.end());
    const auto owner = owners.find(wanted.name);
    const bool ours = owner != owners.end() && owner->second == wanted.project;
    auto& rivals = claims[wanted.name];
    if (!wanted.refusal && !ours && (rivals.size() > 1 || owner != owners.end())) {
      rivals.erase(wanted.project);
      const std::string whose = owner != owners.end() ? owner->second : *rivals.begin();
      wanted.refusal =
          Error(ErrorKind::conflict, fmt::format("namespace \"{}\" is also project \"{}\"'s", wanted.name, whose))
              .with_remedy("choose another namespace")
              .at(wanted.place);
      rivals.insert(wanted.project);
    }
    sorted.push_back(std::move(wanted));
  }
  return sorted;
}

std::vector<DesiredObject> namespace_objects(const DesiredNamespace& wanted, const ClusterRules& rules) {
  std::vector<DesiredObject> all;
  all.push_back(namespace_object(wanted, rules));
  if (!rules.quota.empty())
    all.push_back(policy(kube::resource_quotas, wanted, manager_name, {{"hard", map_of(rules.quota)}}));
  Object limits{{"type", "Container"}};
  for (const auto& [field, values] : {std::pair<std::string_view, const KeyValues&>{"default", rules.limits_default},
                                      {"defaultRequest", rules.limits_request},
                                      {"max", rules.limits_max}}) {
    if (!values.empty()) limits[field] = map_of(values);
  }
  if (limits.size() > 1)
    all.push_back(policy(kube::limit_ranges, wanted, manager_name, {{"limits", json::array{std::move(limits)}}}));
  if (rules.traffic != ClusterRules::Traffic::open) {
    json::array types{"Ingress"};
    if (rules.traffic == ClusterRules::Traffic::deny_all) types.emplace_back("Egress");
    all.push_back(policy(kube::network_policies, wanted, "default-deny",
                         {{"podSelector", Object{}}, {"policyTypes", std::move(types)}}));
  }
  return all;
}

DesiredObject key_object(const DesiredNamespace& wanted, const std::vector<store::ProjectKey>& keys) {
  auto labels = labels_of(wanted.project, "");
  labels["app.kubernetes.io/component"] = "sops";
  labels["app.kubernetes.io/name"] = "sops-age-key";
  Object annotations{{"operations-manager/recipient", keys.front().recipient}};
  auto object = made(kube::secrets, wanted.name, "sops-age-key", wanted.project, "", map_of([&] {
                       KeyValues values;
                       for (const auto& [key, value] : labels) values.emplace_back(key, value.as_string());
                       return values;
                     }()),
                     std::move(annotations));
  object.body["type"] = "Opaque";
  std::string inputs = "sops-age-key 1\n" + json::serialize(object.body);
  for (const auto& key : keys)
    inputs += fmt::format("\n{} {}", key.recipient, key.created_at.time_since_epoch().count());
  object.inputs = hash_of(inputs);
  return object;
}

DesiredObject credentials_object(const std::string& name_space, const Credentials& credentials,
                                 std::int64_t credential_id, const ClusterRules& rules, std::string_view sealed_to) {
  auto object =
      made(kube::secrets, name_space, credentials.deployment + "-database", credentials.project, credentials.deployment,
           labels_of(credentials.project, credentials.deployment), map_of(rules.secret_annotations));
  object.body["type"] = "Opaque";
  std::string inputs =
      fmt::format("database 1\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n", json::serialize(object.body), credential_id, sealed_to,
                  credentials.user, credentials.database, credentials.schema, fmt::join(credentials.schemas, ","));
  for (const auto& host : credentials.hosts) inputs += fmt::format("{}:{}\n", host.host, host.port);
  for (const auto& [key, value] : rules.secret_templates) add_entry(inputs, key, value);
  object.inputs = hash_of(inputs);
  return object;
}

SecretData key_data(const std::vector<store::ProjectKey>& keys, const std::vector<SecretString>& opened) {
  SecretData data;
  std::string together;
  together.reserve(512 * opened.size());
  for (std::size_t i = 0; i < opened.size(); ++i) {
    together += opened[i].reveal();
    if (!together.ends_with('\n')) together += '\n';
    const auto& recipient = keys[i].recipient;
    constexpr std::size_t id_length = 12;
    data.insert_or_assign(recipient.substr(recipient.size() - std::min(id_length, recipient.size())) + ".agekey",
                          opened[i].copy());
  }
  data.insert_or_assign("key", SecretString::take(std::move(together)));
  return data;
}

SecretData credentials_data(const Credentials& credentials, const ClusterRules& rules) {
  SecretData data;
  for (auto& [key, value] : credentials.values()) data.insert_or_assign(key, std::move(value));
  data.insert_or_assign("uri", credentials.uri());
  data.insert_or_assign("jdbc-uri", jdbc_uri(credentials));
  auto password = escaped_pgpass(credentials.password.reveal());
  std::string lines;
  lines.reserve(256 * credentials.hosts.size() + password.size() * credentials.hosts.size());
  for (const auto& host : credentials.hosts) {
    lines += fmt::format("{}:{}:{}:{}:{}\n", escaped_pgpass(host.host), host.port, escaped_pgpass(credentials.database),
                         escaped_pgpass(credentials.user), password);
  }
  wipe(password);
  data.insert_or_assign("pgpass", SecretString::take(std::move(lines)));
  if (rules.secret_templates.empty()) return data;
  SecretData values;
  values.insert_or_assign("host", SecretString(credentials.host()));
  values.insert_or_assign("port", SecretString(std::to_string(credentials.port())));
  values.insert_or_assign("user", SecretString(credentials.user));
  values.insert_or_assign("password", credentials.password.copy());
  values.insert_or_assign("database", SecretString(credentials.database));
  values.insert_or_assign("schema", SecretString(credentials.schema));
  values.insert_or_assign("uri", credentials.uri());
  values.insert_or_assign("jdbc-uri", jdbc_uri(credentials));
  for (const auto& [key, text] : rules.secret_templates) data.insert_or_assign(key, filled(text, values));
  return data;
}

std::string content_hash(const secrets::KeyedHash& hash, const SecretData& data) {
  std::string text;
  text.reserve(8'192);
  for (const auto& [key, value] : data) add_entry(text, key, value.reveal());
  auto digest = hash.hex(text);
  wipe(text);
  return digest;
}

std::string content_hash_of(const secrets::KeyedHash& hash, const kube::Object& secret) {
  const auto* found = secret.if_contains("data");
  const auto* object = found == nullptr ? nullptr : found->if_object();
  if (object == nullptr) return {};
  SecretData data;
  for (const auto& [key, value] : *object) {
    const auto* text = value.if_string();
    auto decoded =
        text == nullptr ? failure(ErrorKind::invalid, "no text") : secrets::base64_decode(std::string_view(*text));
    if (!decoded) return {};
    data.insert_or_assign(std::string(key), SecretString::take(*std::move(decoded)));
  }
  return content_hash(hash, data);
}

kube::Object with_data(const DesiredObject& object, const SecretData& data, const std::string& content_hash) {
  Object secret = object.body;
  auto& metadata = secret["metadata"].as_object();
  KeyValues annotations{{std::string(hash_annotation), content_hash}};
  if (const auto* given = metadata.if_contains("annotations")) {
    for (const auto& [key, value] : given->as_object()) annotations.emplace_back(key, value.as_string());
  }
  metadata["annotations"] = map_of(annotations);
  Object encoded;
  for (const auto& [key, value] : data) encoded[key] = secrets::base64_encode(value.reveal());
  secret["data"] = std::move(encoded);
  return secret;
}

void wipe_secret(kube::Object& secret) noexcept {
  auto* found = secret.if_contains("data");
  auto* data = found == nullptr ? nullptr : found->if_object();
  if (data == nullptr) return;
  for (auto& entry : *data) {
    if (auto* text = entry.value().if_string()) wipe(text->data(), text->size());
  }
}

std::optional<std::string> first_difference(const kube::Object& wanted, const kube::Object& found) {
  for (const auto& [key, value] : wanted) {
    if (key == "apiVersion" || key == "kind") continue;
    if (auto path = difference(value, found.if_contains(key), std::string(key), key == "spec")) return path;
  }
  return std::nullopt;
}

bool is_managed(const kube::Object& object) noexcept {
  return kube::metadata_entry(object, "labels", "created-by") == manager_name;
}

}  // namespace opi::provision
