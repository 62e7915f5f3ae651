#include "provision/gitops_manifests.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <set>
#include <utility>

#include "secrets/sops.hpp"
#include "yaml/edit.hpp"
#include "yaml/parse.hpp"

namespace opi::provision {
namespace {

namespace json = boost::json;
using kube::Object;

constexpr std::string_view sealed_suffix = ".sops.yaml";
constexpr std::string_view kustomization = "kustomization.yaml";
constexpr std::string_view generator = "secrets.generator.yaml";

void write_value(std::string& text, const json::value& value, std::size_t indent);

void write_object(std::string& text, const Object& object, std::size_t indent, bool first_inline) {
  bool first = first_inline;
  for (const auto& [key, value] : object) {
    if (!std::exchange(first, false)) text += std::string(indent, ' ');
    text += yaml::write_string(std::string_view(key)) + ":";
    write_value(text, value, indent);
  }
}

/// After "key:" or "-": on the same line, or below it.
void write_value(std::string& text, const json::value& value, std::size_t indent) {
  if (const auto* object = value.if_object(); object != nullptr && !object->empty()) {
    text += '\n';
    write_object(text, *object, indent + 2, false);
  } else if (const auto* list = value.if_array(); list != nullptr && !list->empty()) {
    text += '\n';
    for (const auto& one : *list) {
      text += std::string(indent + 2, ' ') + "-";
      if (const auto* child = one.if_object(); child != nullptr && !child->empty()) {
        text += ' ';
        write_object(text, *child, indent + 4, true);
      } else {
        write_value(text, one, indent + 2);
      }
    }
  } else if (const auto* string = value.if_string()) {
    text += " " + yaml::write_string(std::string_view(*string)) + "\n";
  } else {
    text += " " + json::serialize(value) + "\n";
  }
}

std::string base_of(const GitopsRules& rules) {
  return rules.path.empty() ? rules.cluster : rules.path + "/" + rules.cluster;
}

std::string folder_of(std::string_view path) {
  const auto slash = path.rfind('/');
  return std::string(path.substr(0, slash == std::string_view::npos ? 0 : slash));
}

Error in_the_clear(const std::string& path, std::string_view what) {
  return Error(ErrorKind::denied, fmt::format("{}: {}; it is not committed", path, what))
      .handled_by(Handling::needs_person)
      .with_remedy("this is a fault of the program: report it");
}

bool encrypted_values(const yaml::Node& secret, std::string_view field) {
  const auto* data = secret.find(field);
  if (data == nullptr) return true;
  if (!data->is_mapping()) return false;
  return std::ranges::all_of(data->entries, [](const yaml::Entry& entry) {
    return entry.value.is_scalar() && entry.value.value.starts_with("ENC[AES256_GCM,");
  });
}

/// Lists, however deep, are looked into: `kind: List` holds objects as well.
bool plain_secret_in(const yaml::Node& node) {
  if (node.is_sequence()) return std::ranges::any_of(node.items, plain_secret_in);
  if (!node.is_mapping()) return false;
  const auto* kind = node.find("kind");
  if (kind != nullptr && kind->value == "Secret" && node.find("apiVersion") != nullptr) {
    const auto* sops = node.find("sops");
    const bool sealed = sops != nullptr && sops->find("mac") != nullptr;
    if (!sealed || !encrypted_values(node, "data") || !encrypted_values(node, "stringData")) return true;
  }
  return std::ranges::any_of(node.entries, [](const yaml::Entry& entry) { return plain_secret_in(entry.value); });
}

}  // namespace

std::string manifest_path(const DesiredObject& object, const GitopsRules& rules) {
  const std::string project = base_of(rules) + "/" + object.project + "/";
  if (!object.deployment.empty()) return fmt::format("{}{}/database{}", project, object.deployment, sealed_suffix);
  const std::string folder = fmt::format("{}_namespaces/{}/", project, object.home());
  if (object.kind == kube::namespaces) return folder + "namespace.yaml";
  if (object.kind == kube::resource_quotas) return folder + "resource-quota.yaml";
  if (object.kind == kube::limit_ranges) return folder + "limit-range.yaml";
  if (object.kind == kube::network_policies) return folder + "network-policy.yaml";
  return folder + object.name + std::string(sealed_suffix);
}

std::string to_yaml(const kube::Object& object) {
  std::string text;
  write_object(text, object, 0, false);
  return text;
}

std::string plain_manifest(const DesiredObject& object) {
  Object body = object.body;
  if (object.kind == kube::namespaces) {
    // A file that vanishes by mistake takes no namespace away.
    auto& metadata = body["metadata"].as_object();
    auto& annotations = metadata["annotations"].as_object();
    annotations["argocd.argoproj.io/sync-options"] = "Prune=false";
    annotations["kustomize.toolkit.fluxcd.io/prune"] = "disabled";
  }
  return to_yaml(body);
}

Result<std::string> sealed_manifest(const DesiredObject& object, const SecretData& data,
                                    const std::string& content_hash,
                                    const std::vector<secrets::AgeRecipient>& recipients, WallTime now) {
  Object body = with_data(object, {}, content_hash);
  body.erase("data");
  std::string plain = to_yaml(body) + "stringData:\n";
  plain.reserve(plain.size() + 16'384);  // nothing is left behind by growing
  for (const auto& [key, value] : data) {
    auto written = yaml::write_string(value.reveal());
    plain += fmt::format("  {}: ", yaml::write_string(key));
    plain += written;
    plain += '\n';
    wipe(written);
  }
  auto sealed = secrets::sops::encrypt(
      plain, secrets::sops::Format::yaml,
      {.recipients = recipients, .selector = {.encrypted_regex = "^(data|stringData)$"}, .now = now});
  wipe(plain);
  if (!sealed) return failure(std::move(sealed.error()).while_doing(kube::to_string(object.object())));
  if (auto good = refuse_plain_secret(kube::to_string(object.object()), *sealed); !good)
    return failure(std::move(good.error()));
  return sealed;
}

Result<> refuse_plain_secret(const std::string& path, std::string_view text) {
  if (text.contains("AGE-SECRET-KEY-1")) return failure(in_the_clear(path, "a private age key is in it"));
  if (!text.contains("Secret")) return {};
  auto documents = yaml::parse_all(text, path);
  if (!documents) return failure(in_the_clear(path, "it speaks of a Secret and is no YAML"));
  for (const auto& document : *documents) {
    if (plain_secret_in(document.root)) return failure(in_the_clear(path, "a Secret is in the clear"));
  }
  return {};
}

bool is_manifest_of(std::string_view text, std::string_view project) {
  const auto documents = yaml::parse_all(text, "manifest");
  if (!documents || documents->size() != 1) return false;
  const auto* metadata = documents->front().root.find("metadata");
  const auto* labels = metadata == nullptr ? nullptr : metadata->find("labels");
  if (labels == nullptr) return false;
  const auto* by = labels->find("created-by");
  const auto* of = labels->find(project_label);
  return by != nullptr && of != nullptr && by->value == manager_name && of->value == project;
}

namespace {

std::string kustomization_text(const std::vector<std::string>& resources, const std::vector<std::string>& generators) {
  Object object{{"apiVersion", "kustomize.config.k8s.io/v1beta1"}, {"kind", "Kustomization"}};
  if (!resources.empty()) object["resources"] = json::array(resources.begin(), resources.end());
  if (!generators.empty()) object["generators"] = json::array(generators.begin(), generators.end());
  return to_yaml(object);
}

std::string generator_text(const std::vector<std::string>& files) {
  Object annotations{{"config.kubernetes.io/function", "exec:\n  path: ksops\n"}};
  Object object{{"apiVersion", "viaduct.ai/v1"},
                {"kind", "ksops"},
                {"metadata", Object{{"name", "secrets"}, {"annotations", std::move(annotations)}}}};
  object["files"] = json::array(files.begin(), files.end());
  return to_yaml(object);
}

std::string flux_text(const std::string& project, const std::string& deployment, const std::string& name_space,
                      const GitopsRules& rules) {
  Object spec{{"decryption", Object{{"provider", "sops"}, {"secretRef", Object{{"name", "sops-age-key"}}}}},
              {"interval", "10m"},
              {"path", fmt::format("./{}/{}/{}", base_of(rules), project, deployment)},
              {"prune", true},
              {"sourceRef",
               Object{{"kind", "GitRepository"}, {"name", rules.flux_source}, {"namespace", rules.flux_namespace}}},
              {"targetNamespace", name_space}};
  Object labels{{"created-by", manager_name}};
  Object metadata{{"labels", std::move(labels)},
                  {"name", fmt::format("{}-{}-secrets", project, deployment)},
                  {"namespace", name_space}};
  return to_yaml({{"apiVersion", "kustomize.toolkit.fluxcd.io/v1"},
                  {"kind", "Kustomization"},
                  {"metadata", std::move(metadata)},
                  {"spec", std::move(spec)}});
}

/// What one folder holds, by its last part.
struct Folder {
  std::vector<std::string> plain;
  std::vector<std::string> sealed;
};

}  // namespace

std::map<std::string, std::optional<std::string>> wiring_files(
    const std::vector<std::string>& paths, const std::map<std::string, std::string, std::less<>>& namespaces,
    const GitopsRules& rules) {
  const std::string base = base_of(rules) + "/";
  std::map<std::string, Folder> folders;
  std::map<std::string, std::set<std::string>> projects;  // project → what its kustomization lists
  std::map<std::string, std::optional<std::string>> files;
  const std::set<std::string, std::less<>> there(paths.begin(), paths.end());
  for (const auto& path : paths) {
    if (!path.starts_with(base)) continue;
    const auto folder = folder_of(path);
    const auto name = path.substr(folder.size() + 1);
    if (name == kustomization || name == generator || folder.ends_with("/_flux")) {
      files.emplace(path, std::nullopt);  // until somebody below has a use for it
      continue;
    }
    (name.ends_with(sealed_suffix) ? folders[folder].sealed : folders[folder].plain).push_back(name);
    const auto below = std::string_view(folder).substr(base.size());
    const auto slash = below.find('/');
    if (slash == std::string_view::npos) continue;
    const std::string project(below.substr(0, slash));
    std::string part(below.substr(slash + 1));
    if (rules.wiring == GitopsWiring::flux && !part.starts_with("_namespaces/")) {
      const auto home = namespaces.find(project + "/" + part);
      const auto file = fmt::format("{}{}/_flux/{}.yaml", base, project, part);
      if (home != namespaces.end()) {
        files.insert_or_assign(file, flux_text(project, part, home->second, rules));
      } else if (there.contains(file)) {
        files.erase(file);  // as it is
      } else {
        continue;
      }
      part = fmt::format("_flux/{}.yaml", part);
    }
    projects[project].insert(std::move(part));
  }
  for (auto& [folder, content] : folders) {
    std::ranges::sort(content.plain);
    std::ranges::sort(content.sealed);
    auto resources = content.plain;
    std::vector<std::string> generators;
    if (rules.wiring == GitopsWiring::ksops && !content.sealed.empty()) {
      files.insert_or_assign(fmt::format("{}/{}", folder, generator), generator_text(content.sealed));
      generators.emplace_back(generator);
    } else {
      resources.insert(resources.end(), content.sealed.begin(), content.sealed.end());
    }
    files.insert_or_assign(fmt::format("{}/{}", folder, kustomization), kustomization_text(resources, generators));
  }
  for (const auto& [project, parts] : projects) {
    files.insert_or_assign(fmt::format("{}{}/{}", base, project, kustomization),
                           kustomization_text({parts.begin(), parts.end()}, {}));
  }
  return files;
}

}  // namespace opi::provision
