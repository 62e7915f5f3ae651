#include "provision/desired_state.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "provision/sha256.hpp"

namespace opi::provision {
namespace {

using project::Deployment;
using project::Project;

Error refused(const DesiredDeployment& wanted, ErrorKind kind, std::string reason, std::string remedy) {
  return Error(kind, wanted.title() + ": " + std::move(reason)).at(wanted.place).with_remedy(std::move(remedy));
}

/// The first refusal stays: it is the one to mend first.
void refuse(DesiredDeployment& wanted, Error error) {
  if (!wanted.refusal) wanted.refusal = std::move(error);
}

bool may_use_pool(const DesiredRules& rules, std::string_view pool, std::string_view project) {
  if (pool == "main") return true;
  const auto found = rules.pool_projects.find(pool);
  if (found == rules.pool_projects.end()) return false;
  return std::ranges::any_of(found->second, [&](const std::string& name) { return name == "*" || name == project; });
}

void check_pool(DesiredDeployment& wanted, const DesiredRules& rules) {
  if (may_use_pool(rules, wanted.pool, wanted.project)) return;
  refuse(wanted, refused(wanted, ErrorKind::denied,
                         fmt::format("pool \"{}\" is not open to project \"{}\"", wanted.pool, wanted.project),
                         fmt::format("name another pool, or add the project to databases.{}.projects in the settings",
                                     wanted.pool)));
}

/// Names that would be somebody else's whatever the catalogs say.
void check_reserved(DesiredDeployment& wanted, const DesiredRules& rules) {
  const auto& base = wanted.names.base;
  if (base.starts_with("pg_")) {
    refuse(wanted, refused(wanted, ErrorKind::invalid,
                           fmt::format("role \"{}\" would begin with \"pg_\", which PostgreSQL keeps for itself", base),
                           "rename the project"));
  }
  if (base == rules.control_database) {
    refuse(wanted, refused(wanted, ErrorKind::conflict, fmt::format("\"{}\" is the name of the control database", base),
                           "rename the deployment"));
  }
}

void take_extensions(DesiredDeployment& wanted, const Project& declared, const DesiredRules& rules) {
  for (const auto& extension : declared.database.extensions) {
    if (std::ranges::find(rules.allowed_extensions, extension.value) == rules.allowed_extensions.end()) {
      refuse(wanted, Error(ErrorKind::denied,
                           fmt::format("{}: extension \"{}\" is not allowed", wanted.title(), extension.value))
                         .at(extension.place)
                         .with_remedy(fmt::format("allowed: {}", fmt::join(rules.allowed_extensions, ", "))));
      continue;
    }
    wanted.extensions.push_back(extension.value);
  }
  std::ranges::sort(wanted.extensions);
  const auto [first, last] = std::ranges::unique(wanted.extensions);
  wanted.extensions.erase(first, last);
}

void take_schemas(DesiredDeployment& wanted, const Project& declared) {
  wanted.schemas.push_back(wanted.names.base);
  for (const auto& extra : declared.database.schemas) {
    auto name = project::extra_schema_name(wanted.names.base, extra.postfix.value);
    if (!name) {
      refuse(wanted, std::move(name.error()).while_doing(wanted.title() + ": extra schema").at(extra.postfix.place));
      continue;
    }
    // A schema on its way out is not made, and goes only when nothing is in it.
    auto& list = extra.marked_for_deletion ? wanted.leaving : wanted.schemas;
    if (std::ranges::find(list, *name) == list.end()) list.push_back(*std::move(name));
  }
}

void take_clone(DesiredDeployment& wanted, const Deployment& deployment) {
  using project::CloneFrom;
  const auto& from = *deployment.clone_from;
  const auto place = from.reference.place.known() ? from.reference.place : wanted.place;
  if (from.type != CloneFrom::Type::deployment) {
    const std::string_view what = from.type == CloneFrom::Type::backup ? "backup" : "remote source";
    refuse(wanted,
           Error(ErrorKind::unsupported, fmt::format("{}: clone-from a {} (\"{}\") is not supported", wanted.title(),
                                                     what, from.reference.value))
               .at(place)
               .with_remedy("clone from a deployment of the project, or remove clone-from for an empty database")
               .handled_by(Handling::needs_person));
    return;
  }
  wanted.clone = DesiredClone{.source = from.reference.value,
                              .mode = from.mode,
                              .force = deployment.force_clone,
                              .by_template = deployment.clone_by_template,
                              .place = place};
}

/// As pg_encoding_to_char writes it: people write utf-8 for UTF8.
std::string encoding_name(std::string_view declared) {
  std::string name;
  for (const char c : declared) name += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return name == "UTF-8" ? "UTF8" : name;
}

DesiredDeployment desired_of(const SourcedProject& from, const Deployment& deployment, const DesiredRules& rules) {
  const auto& declared = from.project;
  DesiredDeployment wanted{.project = declared.name.value,
                           .deployment = deployment.name.value,
                           .names = project::database_names(declared.name.value, deployment.name.value)};
  wanted.database = wanted.names.base;
  wanted.source = from.source;
  wanted.place = deployment.name.place.known() ? deployment.name.place : deployment.place;
  if (!wanted.place.known()) wanted.place.file = from.source.file;
  if (declared.database.pool) wanted.pool = declared.database.pool->value;
  wanted.connection_limit = declared.database.connection_limit.value_or(unlimited_connections);
  if (declared.database.encoding) wanted.encoding = encoding_name(declared.database.encoding->value);
  if (declared.database.locale) wanted.locale = declared.database.locale->value;
  wanted.read_only_login = declared.database.read_only_login;
  if (declared.database.deletion) wanted.deletion = declared.database.deletion->value;
  if (deployment.clone_from) take_clone(wanted, deployment);
  auto name = project::namespace_name(
      rules.namespace_prefix, deployment.namespace_.value.empty() ? declared.name.value : deployment.namespace_.value);
  if (name) {
    wanted.namespace_ = *std::move(name);
  } else {
    refuse(wanted, std::move(name.error()).while_doing(wanted.title() + ": namespace").at(wanted.place));
  }
  check_reserved(wanted, rules);
  check_pool(wanted, rules);
  take_schemas(wanted, declared);
  take_extensions(wanted, declared, rules);
  return wanted;
}

std::string where(const DesiredDeployment& wanted) {
  return wanted.place.known() ? wanted.place.to_string() : wanted.source.file;
}

void refuse_both(DesiredDeployment& first, DesiredDeployment& second, std::string_view what) {
  const auto say = [&](DesiredDeployment& one, const DesiredDeployment& other) {
    refuse(one,
           refused(one, ErrorKind::conflict, fmt::format("{}, as does {} at {}", what, other.title(), where(other)),
                   "rename one of the two"));
  };
  say(first, second);
  say(second, first);
}

/// One project name in two files: which of them is meant is not ours to guess.
void refuse_double_projects(std::vector<DesiredDeployment>& all) {
  std::unordered_map<std::string_view, std::size_t> first_of;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto [found, fresh] = first_of.try_emplace(all[i].project, i);
    auto& first = all[found->second];
    if (!fresh && first.source.file != all[i].source.file) {
      refuse_both(first, all[i], fmt::format("its file declares project \"{}\"", all[i].project));
    }
  }
}

/// The deployment whose generations `base` could be one of: "shop_prod" for "shop_prod_v2".
std::string_view stem_of_generation(std::string_view base) {
  const auto mark = base.rfind("_v");
  return mark == std::string_view::npos ? std::string_view{} : base.substr(0, mark);
}

/// Every name a deployment takes on a server is taken once. Over all pools, for two pools may lead to one server.
void refuse_collisions(std::vector<DesiredDeployment>& all) {
  std::unordered_map<std::string_view, std::size_t> taken;
  taken.reserve(all.size() * 4);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto& names = all[i].names;
    for (const std::string_view name : {std::string_view(names.base), std::string_view(names.login_a),
                                        std::string_view(names.login_b), std::string_view(names.read_only)}) {
      const auto [found, fresh] = taken.try_emplace(name, i);
      if (!fresh && found->second != i)
        refuse_both(all[found->second], all[i], fmt::format("it needs the name \"{}\"", name));
    }
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto stem = stem_of_generation(all[i].names.base);
    const auto found = stem.empty() ? taken.end() : taken.find(stem);
    if (found == taken.end() || found->second == i) continue;
    auto& other = all[found->second];
    if (other.names.base != stem || !project::is_derived_name(stem, all[i].names.base)) continue;
    refuse_both(other, all[i], fmt::format("it needs the name \"{}\"", all[i].names.base));
  }
}

/// A source must be ours, and no deployment its own ancestor.
void refuse_hopeless_clones(std::vector<DesiredDeployment>& all) {
  for (auto& one : all) {
    if (!one.clone) continue;
    const bool there = std::ranges::any_of(all, [&](const DesiredDeployment& other) {
      return other.project == one.project && other.deployment == one.clone->source;
    });
    if (!there) {
      refuse(one, Error(ErrorKind::unsupported, fmt::format("{}: clone-from: {}/{} has no database in this cluster",
                                                            one.title(), one.project, one.clone->source))
                      .at(one.clone->place)
                      .with_remedy("clone from a deployment of the same cluster that uses a database"));
    } else if (!clone_rank(all, one)) {
      refuse(one, Error(ErrorKind::invalid, fmt::format("{}: clone-from leads back to itself", one.title()))
                      .at(one.clone->place)
                      .with_remedy("let one of them have no clone-from"));
    }
  }
}

}  // namespace

std::string_view FollowedRepositories::of(std::string_view file) const {
  auto found = urls.find(file.substr(0, file.find(':') + 1));
  if (found == urls.end()) found = urls.find("");  // a path may have a colon of its own
  return found == urls.end() ? std::string_view() : found->second;
}

std::optional<std::size_t> clone_rank(const std::vector<DesiredDeployment>& all, const DesiredDeployment& one) {
  std::size_t rank = 0;
  const DesiredDeployment* at = &one;
  while (at->clone) {
    if (++rank > all.size()) return std::nullopt;
    const auto source = std::ranges::find_if(all, [&](const DesiredDeployment& other) {
      return other.project == at->project && other.deployment == at->clone->source;
    });
    if (source == all.end()) return rank;
    at = &*source;
  }
  return rank;
}

std::vector<std::string> DesiredDeployment::watched_schemas() const {
  auto watched = schemas;
  watched.insert(watched.end(), leaving.begin(), leaving.end());
  return watched;
}

std::string DesiredDeployment::inputs_hash() const {
  // Lengths before texts: no two different inputs have one form. The first line is the version of what we do with them.
  std::string form = "inputs 1\n";
  const auto add = [&form](std::string_view text) { form += fmt::format("{}:{}\n", text.size(), text); };
  add(pool);
  add(names.base);
  add(std::to_string(connection_limit));
  add(std::to_string(schemas.size()));
  for (const auto& schema : schemas) add(schema);
  for (const auto& extension : extensions) add(extension);
  // What is new here is in the form only where it is asked for: what is provisioned already keeps its hash.
  if (!leaving.empty()) add("leaving");
  for (const auto& schema : leaving) add(schema);
  if (read_only_login) add("read-only login");
  return sha256_hex(form);
}

std::vector<DesiredDeployment> desired_state(const std::vector<SourcedProject>& projects, const DesiredRules& rules) {
  std::vector<DesiredDeployment> all;
  for (const auto& from : projects) {
    for (const auto& deployment : from.project.deployments) {
      if (!deployment.uses_database || deployment.cluster.value != rules.cluster) continue;
      all.push_back(desired_of(from, deployment, rules));
    }
  }
  std::ranges::sort(all, [](const auto& a, const auto& b) {
    return std::tie(a.project, a.deployment, a.source.file, a.place.line, a.place.column) <
           std::tie(b.project, b.deployment, b.source.file, b.place.line, b.place.column);
  });
  refuse_double_projects(all);
  refuse_collisions(all);
  refuse_hopeless_clones(all);
  return all;
}

}  // namespace opi::provision
