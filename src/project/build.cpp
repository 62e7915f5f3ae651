#include "project/build.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "project/check.hpp"

namespace opi::project {
namespace {

using yaml::Node;

constexpr std::string_view database_service = "postgresql-database";

Text located(const Node& node) {
  return {.value = node.value, .place = node.place()};
}

std::optional<Text> text_of(const Node& mapping, std::string_view key) {
  const Node* node = mapping.find(key);
  if (node == nullptr || !node->as_string()) return std::nullopt;
  return located(*node);
}

std::string string_of_key(const Node& mapping, std::string_view key, std::string otherwise = {}) {
  auto text = text_of(mapping, key);
  return text ? std::move(text->value) : std::move(otherwise);
}

bool flag(const Node& mapping, std::string_view key) {
  const Node* node = mapping.find(key);
  return node != nullptr && node->as_boolean().value_or(false);
}

/// The items of a list, none when it is no list.
const std::vector<Node>& items(const Node& mapping, std::string_view key) {
  static const std::vector<Node> none;
  const Node* node = mapping.find(key);
  return node == nullptr ? none : node->items;
}

std::vector<Text> texts(const Node& mapping, std::string_view key) {
  std::vector<Text> all;
  for (const Node& item : items(mapping, key)) {
    if (item.as_string()) all.push_back(located(item));
  }
  return all;
}

ProjectConfig build_config(const Node& root) {
  const Node* config = root.find("config");
  if (config == nullptr) return {};
  auto public_key = text_of(*config, "age-public-key");
  if (!public_key) public_key = text_of(*config, "sops-public-key");
  return {.age_public_key = std::move(public_key),
          .age_private_key = text_of(*config, "age-private-key"),
          .api_key = text_of(*config, "api-key")};
}

Component build_component(const Node& node, Layouts layout) {
  Component component{.name = text_of(node, "name").value_or(Text{.place = node.place()}),
                      .type = string_of_key(node, "type", "deployment")};
  if ((layout & (layout_2025 | version_1)) != 0) component.services = texts(node, "uses-services");
  if ((layout & layout_2026) != 0) {
    for (const Node& entry : items(node, "services")) {
      if (const Node* name = service_name_of(entry)) component.services.push_back(located(*name));
    }
  }
  if (const Node* ports = node.find("ports")) {
    for (const Node& port : items(*ports, "inbound")) {
      if (const auto number = port.as_integer()) component.ports.push_back(static_cast<int>(*number));
    }
  }
  return component;
}

std::optional<CloneFrom> build_clone_from(const Node& deployment) {
  const Node* node = deployment.find("clone-from");
  if (node == nullptr) return std::nullopt;
  if (node->as_string()) return CloneFrom{.reference = located(*node)};
  auto reference = text_of(*node, "reference");
  if (!reference) return std::nullopt;
  CloneFrom clone{.reference = std::move(*reference)};
  const std::string type = string_of_key(*node, "type");
  if (type == "remote-source") clone.type = CloneFrom::Type::remote_source;
  if (type == "backup") clone.type = CloneFrom::Type::backup;
  if (string_of_key(*node, "mode") == "always") clone.mode = CloneFrom::Mode::always;
  if (const Node* status = node->find("status")) clone.completed = flag(*status, "completed");
  return clone;
}

std::int64_t generation_of(const Node& deployment) {
  for (const Node& service : items(deployment, "services")) {
    const Node* config = service.find("config");
    if (config == nullptr || string_of_key(service, "reference") != database_service) continue;
    const Node* generation = config->find("generation");
    if (generation != nullptr) return generation->as_integer().value_or(0);
  }
  return 0;
}

Deployment build_deployment(const Node& node, const Project& project) {
  Deployment deployment{.name = text_of(node, "name").value_or(Text{.place = node.place()}),
                        .cluster = text_of(node, "cluster").value_or(Text{.place = node.place()}),
                        .namespace_ = text_of(node, "namespace").value_or(Text{project.name.value, node.place()}),
                        .repository = text_of(node, "repository"),
                        .clone_from = build_clone_from(node),
                        .force_clone = flag(node, "force-clone"),
                        .clone_by_template = string_of_key(node, "clone-method") == "template",
                        .database_generation = generation_of(node),
                        .place = node.place()};
  if (node.find("cluster") == nullptr && project.clusters.size() == 1)
    deployment.cluster.value = project.clusters.front();
  for (const Node& entry : items(node, "components")) {
    auto reference = text_of(entry, "reference");
    if (!reference) continue;
    const auto component = std::ranges::find(project.components, reference->value,
                                             [](const Component& one) -> const std::string& { return one.name.value; });
    if (component != project.components.end()) {
      const bool uses =
          std::ranges::any_of(component->services, [](const Text& s) { return s.value == database_service; });
      deployment.uses_database = deployment.uses_database || uses;
    }
    deployment.components.push_back(std::move(*reference));
  }
  return deployment;
}

DatabaseService build_database(const Node& root) {
  DatabaseService database;
  for (const Node& entry : items(root, "services")) {
    const Node* name = service_name_of(entry);
    if (name == nullptr || name->value != database_service) continue;
    database.wanted_by_project = true;
    database.place = entry.place();
    const Node* config = service_config_of(entry);
    if (config == nullptr) continue;
    for (const Node& schema : items(*config, "schemas")) {
      auto postfix = text_of(schema, "postfix");
      if (!postfix) continue;
      database.schemas.push_back({.postfix = std::move(*postfix),
                                  .description = string_of_key(schema, "description"),
                                  .marked_for_deletion = flag(schema, "marked-for-deletion")});
    }
    database.pool = text_of(*config, "pool");
    database.extensions = texts(*config, "extensions");
    database.encoding = text_of(*config, "encoding");
    database.locale = text_of(*config, "locale");
    database.read_only_login = flag(*config, "read-only-login");
    database.deletion = text_of(*config, "deletion");
    database.scope = string_of_key(*config, "scope", "shared");
    if (const Node* limit = config->find("connection-limit")) database.connection_limit = limit->as_integer();
  }
  return database;
}

}  // namespace

Project build_project(const Node& root, Layouts layout, std::string schema_version) {
  Project project{.name = text_of(root, "name").value_or(Text{.place = root.place()}),
                  .display_name = string_of_key(root, "display-name"),
                  .description = string_of_key(root, "description"),
                  .schema_version = std::move(schema_version),
                  .config = build_config(root),
                  .database = build_database(root),
                  .file = root.place().file};
  for (Text& cluster : texts(root, "clusters")) project.clusters.push_back(std::move(cluster.value));
  for (const Node& user : items(root, "users")) {
    if (auto email = text_of(user, "email")) project.users.push_back({std::move(*email), string_of_key(user, "role")});
  }
  for (const Node& repository : items(root, "repositories")) {
    auto name = text_of(repository, "name");
    if (!name) continue;
    project.repositories.push_back({.name = std::move(*name),
                                    .url = string_of_key(repository, "url"),
                                    .username = string_of_key(repository, "username"),
                                    .branch = string_of_key(repository, "branch", "main"),
                                    .path = string_of_key(repository, "path", ".")});
  }
  for (const Node& node : items(root, "components")) project.components.push_back(build_component(node, layout));
  for (const Node& node : items(root, "deployments")) project.deployments.push_back(build_deployment(node, project));
  return project;
}

}  // namespace opi::project
