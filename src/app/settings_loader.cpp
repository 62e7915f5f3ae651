#include "app/settings_loader.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include "app/file_text.hpp"
#include "app/settings_fields.hpp"
#include "app/settings_rules.hpp"
#include "app/settings_values.hpp"
#include "yaml/nearest.hpp"
#include "yaml/parse.hpp"
#include "yaml/reader.hpp"

extern char** environ;  // NOLINT(readability-redundant-declaration): POSIX leaves it to the program to declare it

namespace opi::app {

namespace {

constexpr std::string_view variable_prefix = "OPI_";
constexpr std::string_view databases_prefix = "OPI_DATABASES__";
constexpr std::string_view repositories_prefix = "OPI_PROJECTS__REPOSITORIES__";
constexpr std::string_view sops_variable = "SOPS_AGE_KEY_CONTENT";

/// Names of pools and repositories appear in variables, metrics and log lines.
bool is_entry_name(std::string_view name) {
  if (name.empty() || name.size() > 32 || name.front() < 'a' || name.front() > 'z') return false;
  for (const char c : name) {
    if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-') return false;
  }
  // Two dashes or underscores would read as a step of the path in a variable's name.
  const std::string upper = variable_of(name);
  return upper.find("__") == std::string::npos && !upper.ends_with('_');
}

std::string lower(std::string_view text) {
  std::string result{text};
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

std::vector<std::string> items_of_variable(std::string_view value) {
  std::vector<std::string> items;
  while (!value.empty()) {
    const auto comma = value.find(',');
    std::string_view item = value.substr(0, comma);
    value = comma == std::string_view::npos ? std::string_view{} : value.substr(comma + 1);
    while (item.starts_with(' ')) item.remove_prefix(1);
    while (item.ends_with(' ')) item.remove_suffix(1);
    items.emplace_back(item);
  }
  return items;
}

/// "a list", "an integer".
std::string a_type(const yaml::Node& node) {
  return fmt::format("{} {}", node.type() == yaml::ScalarType::integer && node.is_scalar() ? "an" : "a",
                     node.type_name());
}

/// What a YAML value of the wrong type is told.
std::string wrong_type(const yaml::Node& node, const Field& field) {
  if (node.is_null()) return fmt::format("is empty; write {}, or leave the field out", field.takes);
  if (field.secret()) return fmt::format("is {}; write a text, in quotes", a_type(node));
  if (!node.is_scalar()) return fmt::format("is {}; write {}", a_type(node), field.takes);
  if (node.type() == yaml::ScalarType::string) {
    return fmt::format("{} is a text; write {} without quotes", in_quotes(node.value), field.takes);
  }
  const bool takes_text = field.kind == FieldKind::text || field.kind == FieldKind::path;
  return fmt::format("{} is {}; write {}{}", node.value, a_type(node), field.takes, takes_text ? " in quotes" : "");
}

/// One load: collects errors and goes on, so that all of them are said at once.
class Loader {
 public:
  Loader(std::string file, std::string folder, const Environment& environment)
      : folder_(std::move(folder)), environment_(environment) {
    settings_.file = std::move(file);
  }

  Checked<Settings> run(std::string_view text) {
    parse(text);
    find_entries();
    fields_ = fields_of(settings_);
    for (Field& field : fields_) by_path_.emplace(field.path, &field);
    if (root_.is_mapping()) {
      read_section(root_, "");
    } else if (!root_.is_null()) {
      problems_.add(root_, "", fmt::format("is {}; write the sections of the configuration", a_type(root_)));
    }
    read_environment();
    settle_rivals();
    SettingsErrors errors = problems_.take();
    std::ranges::move(from_environment_, std::back_inserter(errors));
    // Rules on values that could not be read would only repeat what was said.
    if (errors.empty()) errors = check_rules(settings_, root_place());
    if (!errors.empty()) return std::unexpected(std::move(errors));
    return std::move(settings_);
  }

 private:
  Place root_place() const { return {.file = settings_.file, .line = 1, .column = 1}; }

  void parse(std::string_view text) {
    std::vector<Error> found;
    auto documents = yaml::parse_all(text, settings_.file, {.bytes_max = settings_bytes_max}, found);
    for (Error& error : found) problems_.add(std::move(error));
    if (!documents) {
      problems_.add(std::move(documents.error()));
    } else if (documents->size() > 1) {
      problems_.add((*documents)[1].root, "", "a second document begins here; write one");
    } else if (!documents->empty()) {
      root_ = std::move(documents->front().root);
    }
  }

  /// The keys of `databases` and `projects.repositories`, from the file and from variables, before the fields are
  /// listed.
  void find_entries() {
    find_entries_of(settings_.databases, root_.find("databases"), "databases", "a pool", databases_prefix);
    const yaml::Node* projects = root_.find("projects");
    find_entries_of(settings_.projects.repositories, projects == nullptr ? nullptr : projects->find("repositories"),
                    "projects.repositories", "a repository", repositories_prefix);
    if (const auto main = settings_.databases.find("main"); main != settings_.databases.end()) {
      main->second.projects.value = {"*"};
    }
  }

  template <class Map>
  void find_entries_of(Map& entries, const yaml::Node* section, std::string_view path, std::string_view what,
                       std::string_view prefix) {
    if (section != nullptr && section->is_mapping()) {
      for (const yaml::Entry& entry : section->entries) add_entry_of_file(entries, entry, path, what);
    }
    for (const auto& [variable, value] : environment_) {
      if (!variable.starts_with(prefix)) continue;
      const std::string_view rest = std::string_view(variable).substr(prefix.size());
      const auto end = rest.find("__");
      if (end != std::string_view::npos) add_entry_of_variable(entries, rest.substr(0, end), variable);
    }
  }

  template <class Map>
  void add_entry_of_file(Map& entries, const yaml::Entry& entry, std::string_view section, std::string_view what) {
    const std::string& name = entry.key.value;
    const std::string path = yaml::field_path(section, name);
    if (!is_entry_name(name)) {
      problems_.add(entry.key, section,
                    fmt::format("{} is not {}'s name; write at most 32 lower-case letters, digits and single "
                                "dashes or underscores, a letter first",
                                in_quotes(name), what));
      refused_.insert(path);
      return;
    }
    for (const auto& [other, value] : entries) {
      if (variable_of(other) != variable_of(name)) continue;
      problems_.add(
          entry.key, path,
          fmt::format("would have the same environment variables as {}.{}; write another name", section, other));
      refused_.insert(path);
      return;
    }
    entries[name].origin = {.source = Origin::Source::file, .place = entry.key.place()};
  }

  template <class Map>
  void add_entry_of_variable(Map& entries, std::string_view part, const std::string& variable) {
    const std::string name = lower(part);
    const bool known = std::ranges::any_of(
        entries, [&name](const auto& entry) { return variable_of(entry.first) == variable_of(name); });
    if (known || !is_entry_name(name) || name == part) return;
    entries[name].origin = {.source = Origin::Source::environment, .variable = variable};
  }

  /// The names one step below `path`.
  std::vector<std::string> names_below(std::string_view path) const {
    std::vector<std::string> names;
    for (const Field& field : fields_) {
      std::string_view rest = field.path;
      if (!path.empty()) {
        if (!rest.starts_with(path) || rest.size() <= path.size() || rest[path.size()] != '.') continue;
        rest.remove_prefix(path.size() + 1);
      }
      std::string name{rest.substr(0, rest.find('.'))};
      if (std::ranges::find(names, name) == names.end()) names.push_back(std::move(name));
    }
    // Maps whose entries are all refused are known all the same.
    const std::string_view map = path.empty() ? "databases" : path == "projects" ? "repositories" : "";
    if (!map.empty() && std::ranges::find(names, map) == names.end()) names.emplace_back(map);
    return names;
  }

  void read_section(const yaml::Node& section, const std::string& path) {
    for (const yaml::Entry& entry : section.entries) {
      const std::string below = yaml::field_path(path, entry.key.value);
      if (refused_.contains(below)) continue;
      if (const auto field = by_path_.find(below); field != by_path_.end()) {
        read_field(entry.value, *field->second);
        continue;
      }
      const std::vector<std::string> names = names_below(path);
      if (std::ranges::find(names, entry.key.value) == names.end()) {
        unknown(entry.key, below, names);
      } else if (entry.value.is_mapping()) {
        read_section(entry.value, below);
      } else if (!entry.value.is_null()) {
        problems_.add(entry.value, below,
                      fmt::format("is {}; write the fields of {}", a_type(entry.value), entry.key.value));
      }
    }
  }

  void unknown(const yaml::Node& key, const std::string& path, const std::vector<std::string>& names) {
    const auto near = yaml::nearest(key.value, names);
    problems_.add(key, path,
                  near ? fmt::format("is not a known field; did you mean {}?", *near)
                       : fmt::format("is not a known field; known here: {}", yaml::joined(names)));
  }

  void read_field(const yaml::Node& node, Field& field) {
    field.origin->source = Origin::Source::file;
    field.origin->place = node.place();
    if (field.kind == FieldKind::list) return read_list(node, field);
    const auto text = scalar_text(node, field);
    if (!text) return problems_.add(node, field.path, wrong_type(node, field));
    // 30 alone would be read as seconds by some and as milliseconds by others.
    if (field.kind == FieldKind::duration && node.type() != yaml::ScalarType::string && *text != "0") {
      return problems_.add(node, field.path, fmt::format("{} has no unit; write {}s or {}ms", *text, *text, *text));
    }
    const std::vector<std::string> items{in_folder(field, *text, folder_)};
    if (const auto problem = field.assign(items)) problems_.add(node, field.path, *problem);
  }

  void read_list(const yaml::Node& node, Field& field) {
    std::vector<std::string> items;
    const std::size_t count_before = problems_.count();
    if (const auto one = node.as_string(); node.is_scalar() && one) {
      items.emplace_back(*one);
    } else if (!node.is_sequence()) {
      return problems_.add(node, field.path, wrong_type(node, field));
    }
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      const yaml::Node& item = node.items[i];
      const std::string path = yaml::item_path(field.path, i);
      const auto text = item.is_scalar() ? item.as_string() : std::nullopt;
      if (!text) {
        problems_.add(item, path, fmt::format("is {}; write a text", a_type(item)));
        continue;
      }
      // Alone first, so that the message stands where the item does.
      items.emplace_back(*text);
      if (const auto problem = field.assign(std::span(items).last(1))) problems_.add(item, path, *problem);
    }
    if (problems_.count() != count_before) return;
    if (const auto problem = field.assign(items)) problems_.add(node, field.path, *problem);
  }

  /// The text of a scalar of a type that this field takes; nothing for another.
  static std::optional<std::string> scalar_text(const yaml::Node& node, const Field& field) {
    if (!node.is_scalar() || node.is_null()) return std::nullopt;
    const bool quoted_text = node.type() == yaml::ScalarType::string && node.style != yaml::Style::plain;
    switch (field.kind) {
      case FieldKind::number:
      case FieldKind::fraction:
        return quoted_text || node.type() == yaml::ScalarType::boolean ? std::nullopt : std::optional(node.value);
      case FieldKind::duration:
      case FieldKind::size: return node.type() == yaml::ScalarType::boolean ? std::nullopt : std::optional(node.value);
      default: break;
    }
    const auto text = node.as_string();
    return text ? std::optional<std::string>(*text) : std::nullopt;
  }

  static std::string in_folder(const Field& field, std::string_view text, const std::string& folder) {
    if (field.kind != FieldKind::path || text.empty() || text.starts_with('/')) return std::string(text);
    return (std::filesystem::path(folder) / text).lexically_normal().string();
  }

  void read_environment() {
    std::set<std::string, std::less<>> known;
    for (Field& field : fields_) {
      const std::string variable = *known.insert(field.variable()).first;
      const auto found = environment_.find(variable);
      if (found != environment_.end()) read_variable(field, variable, found->second);
    }
    for (const auto& [variable, value] : environment_) {
      if (variable.starts_with(variable_prefix) && variable.find("__") != std::string::npos &&
          !known.contains(variable)) {
        const std::vector<std::string> names(known.begin(), known.end());
        const auto near = yaml::nearest(variable, names);
        from_environment_.emplace_back(ErrorKind::invalid,
                                       fmt::format("environment variable {}: names no field; {}", in_quotes(variable),
                                                   near ? fmt::format("did you mean {}?", *near) : "unset it"));
      }
    }
    SecretSetting& key = settings_.secrets.platform_key;
    if (const auto sops = environment_.find(sops_variable);
        sops != environment_.end() && !sops->second.empty() && !key.given()) {
      key.bytes = std::make_shared<const SecretString>(sops->second);
      key.origin = {.source = Origin::Source::environment, .variable = std::string(sops_variable)};
    }
  }

  void read_variable(Field& field, const std::string& variable, const std::string& value) {
    std::vector<std::string> items{value};
    if (field.kind == FieldKind::list) {
      items = items_of_variable(value);
    } else if (field.kind == FieldKind::path) {
      std::error_code ignored;
      items = {in_folder(field, value, std::filesystem::current_path(ignored).string())};
    }
    field.origin->source = Origin::Source::environment;
    field.origin->variable = variable;
    if (const auto problem = field.assign(items)) {
      from_environment_.emplace_back(ErrorKind::invalid,
                                     fmt::format("environment variable {}: {}: {}", variable, field.path, *problem));
    }
  }

  /// Of two fields that exclude each other a variable takes the place of the file's; two of the same source are
  /// refused.
  void settle_rivals() {
    for (Field& field : fields_) {
      if (field.rival.empty() || !field.origin->given()) continue;
      Field& rival = *by_path_.at(field.rival);
      if (!rival.origin->given() || field.path < rival.path) continue;  // each pair once
      if (field.origin->source != rival.origin->source) {
        (field.origin->source == Origin::Source::environment ? rival : field).reset();
      } else if (field.origin->source == Origin::Source::file) {
        problems_.add(Error{ErrorKind::invalid, fmt::format("{}: stands beside {}; write one of the two", field.path,
                                                            rival.path.substr(rival.path.rfind('.') + 1))}
                          .at(field.origin->place));
      } else {
        from_environment_.emplace_back(ErrorKind::invalid,
                                       fmt::format("environment variable {}: {}: stands beside {}; set one of the two",
                                                   field.variable(), field.path, rival.variable()));
      }
    }
  }

  Settings settings_;
  std::string folder_;
  const Environment& environment_;
  yaml::Node root_;
  std::vector<Field> fields_;
  std::map<std::string, Field*, std::less<>> by_path_;
  std::set<std::string, std::less<>> refused_;  ///< paths that were reported already
  yaml::Problems problems_;
  SettingsErrors from_environment_;
};

}  // namespace

Environment process_environment() {
  Environment environment;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const auto equals = text.find('=');
    if (equals != std::string_view::npos) environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return environment;
}

Result<std::string> find_settings_file(std::string_view chosen, const Environment& environment) {
  if (!chosen.empty()) return std::string(chosen);
  if (const auto named = environment.find("OPI_CONFIG"); named != environment.end() && !named->second.empty()) {
    return named->second;
  }
  for (const char* usual : {"opi.yaml", ".opi/opi.yaml", "/etc/opi/opi.yaml"}) {
    if (::access(usual, F_OK) == 0) return std::string(usual);
  }
  return failure(Error{ErrorKind::not_found,
                       "no configuration: none of ./opi.yaml, ./.opi/opi.yaml and /etc/opi/opi.yaml is there"}
                     .with_remedy("name one with --config or OPI_CONFIG"));
}

Checked<Settings> load_settings(const std::string& file, const Environment& environment) {
  auto text = read_small_file(file, settings_bytes_max);
  if (!text) {
    Error error{ErrorKind::invalid, file + ": " + text.error().message};
    error.remedy = "name a configuration file with --config or OPI_CONFIG";
    return std::unexpected(SettingsErrors{std::move(error)});
  }
  std::error_code ignored;
  const std::string folder = std::filesystem::absolute(file, ignored).parent_path().string();
  auto settings = parse_settings(*text, file, folder, environment);
  wipe(*text);  // it may hold passwords
  return settings;
}

Checked<Settings> parse_settings(std::string_view text, const std::string& file, const std::string& folder,
                                 const Environment& environment) {
  return Loader{file, folder, environment}.run(text);
}

}  // namespace opi::app
