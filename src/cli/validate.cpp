#include "cli/validate.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <istream>
#include <map>
#include <ostream>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/error.hpp"
#include "base/result.hpp"
#include "project/model.hpp"
#include "project/naming.hpp"
#include "project/parser.hpp"

namespace opi::cli {
namespace {

namespace json = boost::json;

/// What became of one file.
struct Checked {
  std::string file;
  std::string project = {};  ///< its name, when it is valid
  std::vector<Error> errors = {};
};

/// A little more than the parser takes, so that the parser is the one to say that a file is too large.
Result<std::string> read_up_to(std::istream& input, std::size_t bytes_max) {
  std::string text;
  char block[16'384];
  while (text.size() <= bytes_max && (input.read(block, sizeof block) || input.gcount() > 0)) {
    text.append(block, static_cast<std::size_t>(input.gcount()));
  }
  if (input.bad()) return failure(system_error(ErrorKind::unavailable, "cannot be read", errno));
  return text;
}

Result<std::string> read_file(const std::string& path, std::size_t bytes_max) {
  if (path == "-") return read_up_to(std::cin, bytes_max);
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return failure(ErrorKind::invalid, "is a directory, not a file");
  errno = 0;
  std::ifstream input(path, std::ios::binary);
  if (!input) return failure(system_error(ErrorKind::unavailable, "cannot be opened", errno));
  return read_up_to(input, bytes_max);
}

void claim_names(const project::Project& project, std::vector<project::NameClaim>& claims) {
  for (const project::Deployment& deployment : project.deployments) {
    if (!deployment.uses_database) continue;
    claims.push_back({.server = project.database.pool ? project.database.pool->value : "main",
                      .base = project::database_names(project.name.value, deployment.name.value).base,
                      .project = project.name.value,
                      .deployment = deployment.name.value,
                      .place = deployment.name.place});
  }
}

Checked check_file(const std::string& path, std::vector<project::NameClaim>& claims) {
  const project::ParseLimits limits;
  const std::string name = path == "-" ? "standard input" : path;
  auto text = read_file(path, limits.bytes_max);
  if (!text) return {.file = name, .errors = {std::move(text.error()).at({.file = name})}};
  auto parsed = project::parse_project(*text, name, {}, limits);
  if (!parsed) return {.file = name, .errors = std::move(parsed.error())};
  claim_names(*parsed, claims);
  return {.file = name, .project = parsed->name.value};
}

/// The same name in two files, and databases of two projects that would be one.
void check_together(std::vector<Checked>& files, const std::vector<project::NameClaim>& claims) {
  const auto report = [&](Error error) {
    for (Checked& file : files) {
      if (file.file == error.place.file) return file.errors.push_back(std::move(error));
    }
  };
  std::map<std::string, std::string> projects;
  for (Checked& file : files) {
    if (file.project.empty()) continue;
    const auto [spot, first] = projects.try_emplace(file.project, file.file);
    if (first) continue;
    file.errors.push_back(Error(ErrorKind::conflict,
                                fmt::format("name: project \"{}\" is declared in {}, too", file.project, spot->second))
                              .at({.file = file.file, .line = 1, .column = 1}));
  }
  for (Error& error : project::colliding_names(claims)) report(std::move(error));
}

std::string line_of(const Error& error) {
  Error bare = error;
  bare.place = {};
  const std::string where = error.place.known() ? error.place.to_string() + ": " : "";
  return fmt::format("{}error: {}\n", where, bare.to_string());
}

json::object to_json(const Error& error) {
  Error bare = error;
  bare.place = {};
  json::object object;
  object["line"] = error.place.line;
  object["column"] = error.place.column;
  object["message"] = bare.to_string();
  return object;
}

void print_json(const std::vector<Checked>& files, bool valid, std::ostream& out) {
  json::array all;
  for (const Checked& file : files) {
    json::array errors;
    for (const Error& error : file.errors) errors.push_back(to_json(error));
    json::object one;
    one["file"] = file.file;
    one["valid"] = file.errors.empty();
    if (file.errors.empty()) one["project"] = file.project;
    one["errors"] = std::move(errors);
    all.push_back(std::move(one));
  }
  json::object document;
  document["valid"] = valid;
  document["files"] = std::move(all);
  out << json::serialize(document) << '\n';
}

std::string counted(std::size_t count, std::string_view one) {
  return fmt::format("{} {}{}", count, one, count == 1 ? "" : "s");
}

}  // namespace

int run_validate(const ValidateArguments& arguments, std::ostream& out, std::ostream& err) {
  std::vector<Checked> files;
  std::vector<project::NameClaim> claims;
  std::set<std::string> seen;
  for (const std::string& path : arguments.files) {
    if (seen.insert(path).second) files.push_back(check_file(path, claims));
  }
  check_together(files, claims);
  std::size_t errors = 0;
  std::size_t bad = 0;
  for (const Checked& file : files) {
    errors += file.errors.size();
    bad += file.errors.empty() ? 0 : 1;
  }
  if (arguments.json) {
    print_json(files, errors == 0, out);
  } else {
    for (const Checked& file : files) {
      for (const Error& error : file.errors) err << line_of(error);
    }
    out << (errors == 0
                ? fmt::format("{} valid\n", counted(files.size(), "file"))
                : fmt::format("{} in {} of {}\n", counted(errors, "error"), bad, counted(files.size(), "file")));
  }
  return errors == 0 ? 0 : 1;
}

}  // namespace opi::cli
