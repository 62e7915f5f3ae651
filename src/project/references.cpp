#include "project/references.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "project/format.hpp"
#include "project/naming.hpp"
#include "secrets/age.hpp"
#include "yaml/nearest.hpp"

namespace opi::project {
namespace {

using yaml::Node;
using yaml::shown;

class References {
 public:
  References(const Project& project, const Node& root, Layouts layout, const ParseContext& context,
             yaml::Problems& problems)
      : project_(project), root_(root), layout_(layout), context_(context), problems_(problems) {}

  void run() {
    unique("components", "name");
    unique("deployments", "name");
    unique("repositories", "name");
    unique("remote-sources", "name");
    unique_strings(root_.find("clusters"), "clusters");
    age_recipient();
    component_references();
    clusters_of_project();
    for (std::size_t i = 0; i < project_.deployments.size(); ++i) {
      deployment(project_.deployments[i], yaml::item_path("deployments", i));
    }
    database_service();
    database_names_of_project();
  }

 private:
  void add(const Place& place, const std::string& path, const std::string& what) {
    problems_.add(Error(ErrorKind::invalid, path + ": " + what).at(place));
  }

  const Node* list_named(std::string_view name) const {
    const Node* list = root_.find(name);
    return list != nullptr && list->is_sequence() ? list : nullptr;
  }

  /// The names in a list of records or of plain strings.
  std::vector<std::string> names_in(std::string_view name) const {
    std::vector<std::string> names;
    if (const Node* list = list_named(name)) {
      for (const Node& item : list->items) {
        const Node* value = item.find("name");
        if (value != nullptr && value->as_string()) names.push_back(value->value);
      }
    }
    return names;
  }

  void unique(std::string_view list_name, std::string_view key) {
    const Node* list = list_named(list_name);
    if (list == nullptr) return;
    std::map<std::string_view, const Node*> seen;
    for (std::size_t i = 0; i < list->items.size(); ++i) {
      const Node* value = list->items[i].find(key);
      if (value == nullptr || !value->as_string()) continue;
      const auto [spot, first] = seen.try_emplace(value->value, value);
      if (!first) twice(*value, *spot->second, yaml::field_path(yaml::item_path(list_name, i), key));
    }
  }

  void unique_strings(const Node* list, const std::string& path) {
    if (list == nullptr) return;
    std::map<std::string_view, const Node*> seen;
    for (std::size_t i = 0; i < list->items.size(); ++i) {
      const Node& value = list->items[i];
      if (!value.as_string()) continue;
      const auto [spot, first] = seen.try_emplace(value.value, &value);
      if (!first) twice(value, *spot->second, yaml::item_path(path, i));
    }
  }

  void twice(const Node& value, const Node& first, const std::string& path) {
    problems_.add(
        value, path,
        fmt::format("{} is here twice, first in line {}, column {}", shown(value.value), first.line, first.column));
  }

  /// `value` must be one of `known`; the words say what it is.
  bool one_of(const Text& value, const std::string& path, const std::vector<std::string>& known,
              std::string_view what) {
    if (std::ranges::find(known, value.value) != known.end()) return true;
    const auto near = yaml::nearest(value.value, known);
    const std::string list = known.empty() ? "there is none" : "known: " + yaml::joined(known);
    add(value.place, path,
        fmt::format("{} is not {} ({}){}", shown(value.value), what, list,
                    near ? fmt::format("; did you mean {}?", shown(*near)) : ""));
    return false;
  }

  /// The shape looks at letters and length; a mistyped key shows in its checksum.
  void age_recipient() {
    const auto& key = project_.config.age_public_key;
    if (!key || !formats::age_recipient.matches(key->value)) return;
    if (!secrets::AgeRecipient::parse(key->value)) {
      add(key->place, "config.age-public-key", "is mistyped: its checksum does not fit");
    }
  }

  void component_references() {
    const Node* components = list_named("components");
    if (components == nullptr) return;
    const std::vector<std::string> names = names_in("components");
    for (std::size_t i = 0; i < components->items.size(); ++i) {
      const Node* used = components->items[i].find("uses-components");
      if (used == nullptr) continue;
      for (std::size_t k = 0; k < used->items.size(); ++k) {
        const Node& name = used->items[k];
        if (!name.as_string()) continue;
        const std::string path = yaml::item_path(yaml::item_path("components", i) + ".uses-components", k);
        one_of({name.value, name.place()}, path, names, "a component of this project");
      }
    }
  }

  void clusters_of_project() {
    const Node* clusters = list_named("clusters");
    if (clusters == nullptr || context_.known_clusters.empty()) return;
    for (std::size_t i = 0; i < clusters->items.size(); ++i) {
      const Node& name = clusters->items[i];
      if (!name.as_string() || name.value.empty()) continue;
      one_of({name.value, name.place()}, yaml::item_path("clusters", i), context_.known_clusters, "a known cluster");
    }
  }

  void deployment(const Deployment& deployment, const std::string& path) {
    cluster(deployment, path);
    if ((layout_ & layout_2026) != 0 && !project_.name.value.empty() && !deployment.namespace_.value.empty() &&
        deployment.namespace_.value != project_.name.value) {
      add(deployment.namespace_.place, path + ".namespace",
          fmt::format("{} is not the project's name; leave it out or write \"{}\"", shown(deployment.namespace_.value),
                      project_.name.value));
    }
    if (deployment.repository) {
      one_of(*deployment.repository, path + ".repository", names_in("repositories"), "one of the repositories");
    }
    component_entries(deployment, path);
    if (deployment.clone_from) clone_from(deployment, path + ".clone-from");
  }

  void cluster(const Deployment& deployment, const std::string& path) {
    const Text& cluster = deployment.cluster;
    if (cluster.value.empty()) {
      // A cluster that is there and wrong was reported by its shape.
      const bool written = cluster.place != deployment.place;
      if (!written && !has_cluster_field(deployment)) {
        add(deployment.place, path + ".cluster",
            project_.clusters.empty() ? "is required" : "is required: the project has several clusters");
      }
      return;
    }
    if (!project_.clusters.empty()) {
      if (!one_of(cluster, path + ".cluster", project_.clusters, "one of the project's clusters")) return;
      if (list_named("clusters") != nullptr && !context_.known_clusters.empty()) return;  // said at `clusters`
    }
    if (!context_.known_clusters.empty()) {
      one_of(cluster, path + ".cluster", context_.known_clusters, "a known cluster");
    }
  }

  bool has_cluster_field(const Deployment& deployment) const {
    const auto index = static_cast<std::size_t>(&deployment - project_.deployments.data());
    const Node* value = list_named("deployments")->items[index].find("cluster");
    return value != nullptr && !value->is_null();
  }

  void component_entries(const Deployment& deployment, const std::string& path) {
    const std::vector<std::string> names = names_in("components");
    std::map<std::string_view, const Text*> seen;
    const Node* entries = list_named("deployments")
                              ->items[static_cast<std::size_t>(&deployment - project_.deployments.data())]
                              .find("components");
    if (entries == nullptr) return;
    for (std::size_t i = 0; i < entries->items.size(); ++i) {
      const Node* node = entries->items[i].find("reference");
      if (node == nullptr || !node->as_string()) continue;
      const auto text = std::ranges::find(deployment.components, node->place(), &Text::place);
      if (text == deployment.components.end()) continue;
      const std::string field = yaml::item_path(path + ".components", i) + ".reference";
      if (!one_of(*text, field, names, "a component of this project")) continue;
      const auto [spot, first] = seen.try_emplace(text->value, &*text);
      if (!first) {
        add(text->place, field,
            fmt::format("{} is here twice, first in line {}, column {}", shown(text->value), spot->second->place.line,
                        spot->second->place.column));
      }
    }
  }

  void clone_from(const Deployment& deployment, const std::string& path) {
    const CloneFrom& clone = *deployment.clone_from;
    const std::string field = (layout_ & layout_2026) != 0 ? path + ".reference" : path;
    if (clone.type == CloneFrom::Type::remote_source) {
      one_of(clone.reference, field, names_in("remote-sources"), "one of the remote-sources");
      return;
    }
    if (clone.type != CloneFrom::Type::deployment) return;
    if (clone.reference.value == deployment.name.value) {
      add(clone.reference.place, field, "a deployment cannot be cloned from itself");
      return;
    }
    one_of(clone.reference, field, names_in("deployments"), "a deployment of this project");
  }

  void database_service() {
    const DatabaseService& database = project_.database;
    if (database.pool && !context_.known_pools.empty()) {
      one_of(*database.pool, "services.postgresql-database.config.pool", context_.known_pools, "a known pool");
    }
    unique_texts(database.extensions, "services.postgresql-database.config.extensions");
    std::vector<Text> postfixes;
    postfixes.reserve(database.schemas.size());
    for (const ExtraSchema& schema : database.schemas) postfixes.push_back(schema.postfix);
    unique_texts(postfixes, "services.postgresql-database.config.schemas");
    const Node* services = list_named("services");
    int entries = 0;
    for (std::size_t i = 0; services != nullptr && i < services->items.size(); ++i) {
      const Node& entry = services->items[i];
      const Node* name = entry.is_scalar() ? &entry : entry.find("name");
      const bool is_database =
          entry.find("postgresql-database") != nullptr || (name != nullptr && name->value == "postgresql-database");
      if (is_database && ++entries == 2) {
        problems_.add(entry, yaml::item_path("services", i), "postgresql-database is here twice");
      }
    }
  }

  void unique_texts(const std::vector<Text>& texts, const std::string& path) {
    std::map<std::string_view, const Text*> seen;
    for (const Text& text : texts) {
      const auto [spot, first] = seen.try_emplace(text.value, &text);
      if (first) continue;
      add(text.place, path,
          fmt::format("{} is here twice, first in line {}, column {}", shown(text.value), spot->second->place.line,
                      spot->second->place.column));
    }
  }

  void database_names_of_project() {
    std::vector<NameClaim> claims;
    std::vector<std::string> names;
    for (std::size_t i = 0; i < project_.deployments.size(); ++i) {
      const Deployment& one = project_.deployments[i];
      const bool known = !one.name.value.empty() && !project_.name.value.empty();
      if (!known || !one.uses_database) continue;
      // The same name twice was said already.
      if (std::ranges::find(names, one.name.value) != names.end()) continue;
      names.push_back(one.name.value);
      const std::string base = database_names(project_.name.value, one.name.value).base;
      claims.push_back(
          {.base = base, .project = project_.name.value, .deployment = one.name.value, .place = one.name.place});
      for (const ExtraSchema& schema : project_.database.schemas) {
        const auto name = extra_schema_name(base, schema.postfix.value);
        if (!name) {
          add(schema.postfix.place, "services.postgresql-database.config.schemas.postfix",
              fmt::format("with deployment {} {}", shown(one.name.value), name.error().message));
        }
      }
    }
    for (Error& error : colliding_names(claims)) {
      error.kind = ErrorKind::invalid;
      error.message = "deployments.name: " + error.message;
      problems_.add(std::move(error));
    }
  }

  const Project& project_;
  const Node& root_;
  Layouts layout_;
  const ParseContext& context_;
  yaml::Problems& problems_;
};

}  // namespace

void check_references(const Project& project, const Node& root, Layouts layout, const ParseContext& context,
                      yaml::Problems& problems) {
  References(project, root, layout, context, problems).run();
}

}  // namespace opi::project
