#include "yaml/parse.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "yaml/tree_builder.hpp"

namespace opi::yaml {

Result<std::vector<Document>> parse_all(std::string_view text, std::string file, const Limits& limits,
                                        std::vector<Error>& problems) {
  TreeBuilder builder(text, std::move(file), limits);
  auto documents = builder.run();
  std::vector<Error> found = builder.take_problems();
  std::ranges::sort(found, {}, [](const Error& e) { return std::pair(e.place.line, e.place.column); });
  std::ranges::move(found, std::back_inserter(problems));
  return documents;
}

Result<std::vector<Document>> parse_all(std::string_view text, std::string file, const Limits& limits) {
  std::vector<Error> problems;
  auto documents = parse_all(text, std::move(file), limits, problems);
  if (documents && !problems.empty()) return failure(std::move(problems.front()));
  return documents;
}

Result<Document> parse(std::string_view text, std::string file, const Limits& limits) {
  auto shared = std::make_shared<const std::string>(file);
  auto documents = parse_all(text, std::move(file), limits);
  if (!documents) return failure(std::move(documents.error()));
  if (documents->size() > 1) {
    return failure(
        Error(ErrorKind::invalid, "a second document starts here; one is expected").at((*documents)[1].root.place()));
  }
  if (documents->empty()) return Document{.root = {.file = std::move(shared)}};
  return std::move(documents->front());
}

}  // namespace opi::yaml
