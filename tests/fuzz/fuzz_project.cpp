// The project parser on any bytes: errors have places, come in order, are few and printable; what is valid has names
// that fit.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "project/naming.hpp"
#include "project/parser.hpp"

namespace {

void demand(bool condition) {
  if (!condition) std::abort();
}

bool printable(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7F; });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const opi::project::ParseContext context{.known_clusters = {"local", "other"}, .known_pools = {"main"}};
  const auto project = opi::project::parse_project(text, "f", context, {.nodes_max = 20'000, .errors_max = 20});
  if (!project) {
    const auto& errors = project.error();
    demand(!errors.empty() && errors.size() <= 21);
    for (std::size_t i = 0; i < errors.size(); ++i) {
      const opi::Error& error = errors[i];
      demand(error.place.known() && error.kind == opi::ErrorKind::invalid);
      demand(printable(error.to_string()) && error.to_string().size() < 4'000);
      if (i == 0) continue;
      const opi::Place& before = errors[i - 1].place;
      demand(std::pair(before.line, before.column) <= std::pair(error.place.line, error.place.column));
    }
    return 0;
  }
  demand(!project->name.value.empty() && project->name.value.size() <= 30);
  for (const opi::project::Deployment& deployment : project->deployments) {
    demand(!deployment.name.value.empty() && !deployment.cluster.value.empty());
    const auto names = opi::project::database_names(project->name.value, deployment.name.value);
    demand(names.base.size() <= 58 && names.login_a.size() <= 63);
    for (const opi::project::ExtraSchema& schema : project->database.schemas) {
      demand(!deployment.uses_database ||
             opi::project::extra_schema_name(names.base, schema.postfix.value).has_value());
    }
  }
  return 0;
}
