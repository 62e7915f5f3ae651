#include "cli/config.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <ostream>
#include <utility>

#include "app/settings_fields.hpp"

namespace opi::cli {

namespace {

/// `main` first, as people think of them.
std::vector<std::string> pool_names(const app::Settings& settings) {
  std::vector<std::string> names{"main"};
  for (const auto& [name, database] : settings.databases) {
    if (name != "main") names.push_back(name);
  }
  return names;
}

void print_json(const app::Settings& settings, const std::vector<app::Field>& fields, std::ostream& out) {
  boost::json::array list;
  for (const app::Field& field : fields) {
    list.push_back(boost::json::object{{"path", field.path},
                                       {"value", field.show()},
                                       {"origin", field.origin->to_string()},
                                       {"variable", field.variable()}});
  }
  out << boost::json::serialize(boost::json::object{{"file", settings.file}, {"fields", std::move(list)}}) << '\n';
}

/// How many columns a UTF-8 text takes, near enough: one a code point.
std::size_t columns(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

void print_table(const std::vector<app::Field>& fields, std::ostream& out) {
  constexpr std::size_t value_columns_max = 40;  // a long list must not push every origin off the screen
  std::size_t path_columns = 0;
  std::size_t value_columns = 0;
  for (const app::Field& field : fields) {
    path_columns = std::max(path_columns, columns(field.path));
    value_columns = std::max(value_columns, std::min(value_columns_max, columns(field.show())));
  }
  for (const app::Field& field : fields) {
    const std::string value = field.show();
    const std::size_t width = columns(value);
    out << fmt::format("{:<{}}  {}{:{}}  {}\n", field.path, path_columns, value, "",
                       width < value_columns ? value_columns - width : 0, field.origin->to_string());
  }
}

}  // namespace

std::optional<app::Settings> load_or_explain(const std::string& file, const app::Environment& environment,
                                             std::ostream& errors) {
  const auto chosen = app::find_settings_file(file, environment);
  if (!chosen) {
    errors << "opi: " << chosen.error().to_string() << '\n';
    return std::nullopt;
  }
  auto settings = app::load_settings(*chosen, environment);
  if (settings) return std::move(*settings);
  for (const Error& error : settings.error()) {
    errors << (error.place.known() ? "" : "opi: ") << error.to_string() << '\n';
  }
  return std::nullopt;
}

int run_config_check(const std::string& file, const app::Environment& environment, std::ostream& out,
                     std::ostream& errors) {
  const auto settings = load_or_explain(file, environment, errors);
  if (!settings) return exit_bad_configuration;
  const auto names = pool_names(*settings);
  const auto& repository = settings->projects.repository;
  out << fmt::format("{}: ok, {} {} ({}), {}\n", settings->file, names.size(),
                     names.size() == 1 ? "database" : "databases", fmt::join(names, ", "),
                     repository.configured() ? "projects from " + *repository.url : "no projects repository");
  return 0;
}

int run_config_show(const std::string& file, bool json, const app::Environment& environment, std::ostream& out,
                    std::ostream& errors) {
  auto settings = load_or_explain(file, environment, errors);
  if (!settings) return exit_bad_configuration;
  const auto fields = app::fields_of(*settings);
  if (json) {
    print_json(*settings, fields, out);
  } else {
    print_table(fields, out);
  }
  return 0;
}

int run_config_manual(std::ostream& out) {
  out << app::settings_manual();
  return 0;
}

}  // namespace opi::cli
