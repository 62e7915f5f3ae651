#include "project/parser.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "project/build.hpp"
#include "project/check.hpp"
#include "project/references.hpp"
#include "project/shape.hpp"
#include "yaml/nearest.hpp"
#include "yaml/parse.hpp"
#include "yaml/problems.hpp"

namespace opi::project {
namespace {

/// Which layout a file declares, and the version as schema_versions has it.
struct Declared {
  Layouts layout = layout_2025;
  std::string version = {};
};

std::optional<Declared> declared_layout(const yaml::Node& root, yaml::Problems& problems) {
  const yaml::Node* version = root.find("schema-version");
  if (version == nullptr) return Declared{};
  const std::vector<std::string> known(std::begin(schema_versions), std::end(schema_versions));
  const auto number = version->as_number();
  if (!number) {
    problems.add(*version, "schema-version",
                 fmt::format("expected a number ({}), got {}", yaml::joined(known), version->type_name()));
    return std::nullopt;
  }
  // "2.0" is 2: compared as the numbers they are.
  const auto found = std::ranges::find_if(
      known, [&](const std::string& one) { return yaml::Node{.value = one}.as_number() == number; });
  if (found == known.end()) {
    problems.add(*version, "schema-version",
                 fmt::format("{} is not a known version ({})", yaml::shown(version->value), yaml::joined(known)));
    return std::nullopt;
  }
  return Declared{.layout = *found == "1" ? version_1 : version_2, .version = *found};
}

std::optional<yaml::Document> read_tree(std::string_view text, std::string file, const ParseLimits& limits,
                                        yaml::Problems& problems) {
  const yaml::Limits tree_limits{.bytes_max = limits.bytes_max,
                                 .depth_max = limits.depth_max,
                                 .nodes_max = limits.nodes_max,
                                 .aliases_max = limits.aliases_max};
  std::vector<Error> key_problems;
  auto documents = yaml::parse_all(text, file, tree_limits, key_problems);
  for (Error& error : key_problems) problems.add(std::move(error));
  if (!documents) {
    problems.add(std::move(documents.error()));
    return std::nullopt;
  }
  if (documents->size() > 1)
    problems.add((*documents)[1].root, "", "a second document starts here; a project file has one");
  if (documents->empty() || documents->front().root.is_null()) {
    problems.add(
        Error(ErrorKind::invalid, "the file is empty; a project needs at least a name").at({std::move(file), 1, 1}));
    return std::nullopt;
  }
  return std::move(documents->front());
}

}  // namespace

std::expected<Project, std::vector<Error>> parse_project(std::string_view yaml, std::string file,
                                                         const ParseContext& context, const ParseLimits& limits) {
  yaml::Problems problems(limits.errors_max);
  const auto document = read_tree(yaml, std::move(file), limits, problems);
  if (!document) return std::unexpected(problems.take());
  const yaml::Node& root = document->root;
  const auto declared = declared_layout(root, problems);
  if (!declared) return std::unexpected(problems.take());
  check(*project_shape(), root, "", declared->layout, problems);
  if (!root.is_mapping()) return std::unexpected(problems.take());
  Project project = build_project(root, declared->layout, declared->version);
  check_references(project, root, declared->layout, context, problems);
  if (!problems.empty()) return std::unexpected(problems.take());
  return project;
}

}  // namespace opi::project
