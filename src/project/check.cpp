#include "project/check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "yaml/nearest.hpp"

namespace opi::project {
namespace {

using yaml::Node;

/// Walks shape and tree together.
class Checker {
 public:
  Checker(Layouts layout, yaml::Problems& problems) : layout_(layout), problems_(problems) {}

  void value(const Shape& shape, const Node& node, const std::string& path) {
    switch (shape.kind) {
      case ShapeKind::string:
      case ShapeKind::scalar: text(shape, node, path); break;
      case ShapeKind::word: word(shape, node, path); break;
      case ShapeKind::integer: integer(shape, node, path); break;
      case ShapeKind::number:
        if (!node.as_number()) wrong_type("number", node, path);
        break;
      case ShapeKind::boolean:
        if (!node.as_boolean()) wrong_type("boolean (true or false)", node, path);
        break;
      case ShapeKind::list: list(shape, node, path); break;
      case ShapeKind::record: record(shape, node, path); break;
      case ShapeKind::map: map(shape, node, path); break;
      case ShapeKind::choice: choice(shape, node, path); break;
      case ShapeKind::service: service(shape, node, path); break;
      case ShapeKind::anything: break;
    }
  }

 private:
  void wrong_type(std::string_view expected, const Node& node, const std::string& path) {
    const bool unquoted = expected == "string" && node.is_scalar() && !node.is_null();
    problems_.add(
        node, path,
        fmt::format("expected {}, got {}{}", expected, node.type_name(), unquoted ? "; put it in quotes" : ""));
  }

  void text(const Shape& shape, const Node& node, const std::string& path) {
    if (shape.kind == ShapeKind::scalar) {
      if (const auto number = node.as_number()) return scalar_number(shape, *number, node, path);
    }
    const bool any_scalar = shape.kind == ShapeKind::scalar && node.is_scalar() && !node.is_null();
    if (!any_scalar && !node.as_string()) return wrong_type("string", node, path);
    of_format(*shape.format, node, path);
  }

  /// A number that stands for its text, as in "cpu: 0.5".
  void scalar_number(const Shape& shape, double number, const Node& node, const std::string& path) {
    if (!shape.not_negative || (number >= 0 && std::isfinite(number))) return;
    problems_.add(node, path, fmt::format("{} is not valid: expected {}", yaml::shown(node.value), shape.format->what));
  }

  bool of_format(const Format& format, const Node& node, const std::string& path) {
    const std::string got = format.secret ? "the value" : yaml::shown(node.value);
    const std::size_t length = code_points(node.value);
    if (length < format.length_min && length == 0) {
      problems_.add(node, path, "is empty");
    } else if (length > format.length_max) {
      problems_.add(node, path,
                    fmt::format("{} is too long: {} characters, at most {}", got, length, format.length_max));
    } else if (length < format.length_min || (format.matches != nullptr && !format.matches(node.value))) {
      problems_.add(node, path, fmt::format("{} is not valid: expected {}", got, format.what));
    } else {
      return true;
    }
    return false;
  }

  void word(const Shape& shape, const Node& node, const std::string& path) {
    if (!node.as_string()) return wrong_type("string", node, path);
    if (std::ranges::find(shape.words, node.value) != shape.words.end()) return;
    const auto near = yaml::nearest(node.value, shape.words);
    problems_.add(node, path,
                  fmt::format("{} is not one of {}{}", yaml::shown(node.value), yaml::joined(shape.words),
                              near ? fmt::format("; did you mean \"{}\"?", *near) : ""));
  }

  void integer(const Shape& shape, const Node& node, const std::string& path) {
    if (!node.is_scalar() || node.type() != yaml::ScalarType::integer) return wrong_type("integer", node, path);
    const auto number = node.as_integer();
    if (number && *number >= shape.least && *number <= shape.most) return;
    problems_.add(node, path,
                  fmt::format("{} is out of range: {} to {}", yaml::shown(node.value), shape.least, shape.most));
  }

  void list(const Shape& shape, const Node& node, const std::string& path) {
    if (!node.is_sequence()) return wrong_type("list", node, path);
    if (static_cast<std::int64_t>(node.items.size()) > shape.most) {
      return problems_.add(node, path, fmt::format("has {} entries; at most {}", node.items.size(), shape.most));
    }
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      value(*shape.element, node.items[i], yaml::item_path(path, i));
    }
  }

  void map(const Shape& shape, const Node& node, const std::string& path) {
    if (!node.is_mapping()) return wrong_type("mapping", node, path);
    if (static_cast<std::int64_t>(node.entries.size()) > shape.most) {
      return problems_.add(node, path, fmt::format("has {} entries; at most {}", node.entries.size(), shape.most));
    }
    for (const yaml::Entry& entry : node.entries) {
      const std::string inner = yaml::field_path(path, entry.key.value);
      if (of_format(*shape.format, entry.key, inner) && !entry.value.is_null())
        value(*shape.element, entry.value, inner);
    }
  }

  /// The field of this layout, else the field of another one.
  const Field* find_field(const Shape& shape, std::string_view name) const {
    const Field* other = nullptr;
    for (const Field& field : shape.fields) {
      if (field.name != name) continue;
      if ((field.layouts & layout_) != 0) return &field;
      other = &field;
    }
    return other;
  }

  void record(const Shape& shape, const Node& node, const std::string& path) {
    if (!node.is_mapping()) return wrong_type("mapping", node, path);
    for (const yaml::Entry& entry : node.entries) {
      const Field* field = find_field(shape, entry.key.value);
      const std::string inner = yaml::field_path(path, entry.key.value);
      if (field == nullptr) {
        if (!shape.open) yaml::add_unknown_field(problems_, entry.key, path, known_fields(shape));
      } else if (!field->refusal.empty()) {
        problems_.add(entry.key, inner, field->refusal);
      } else if ((field->layouts & layout_) == 0) {
        problems_.add(
            entry.key, inner,
            fmt::format("is a field of {}, not of {}", name_of_layout(field->layouts), name_of_layout(layout_)));
      } else if (!entry.value.is_null()) {
        value(*field->shape, entry.value, inner);
      } else if (field->required) {
        problems_.add(entry.value, inner, "is required and has no value");
      }
    }
    for (const Field& field : shape.fields) {
      const bool here = field.required && (field.layouts & layout_) != 0;
      if (here && node.find(field.name) == nullptr) {
        problems_.add(node, yaml::field_path(path, field.name), "is required");
      }
    }
  }

  std::vector<std::string> known_fields(const Shape& shape) const {
    std::vector<std::string> names;
    for (const Field& field : shape.fields) {
      if ((field.layouts & layout_) != 0 && field.refusal.empty()) names.push_back(field.name);
    }
    return names;
  }

  static bool fits_kind(const Shape& shape, const Node& node) {
    switch (shape.kind) {
      case ShapeKind::boolean: return node.as_boolean().has_value();
      case ShapeKind::integer:
      case ShapeKind::number: return node.as_number().has_value();
      case ShapeKind::string:
      case ShapeKind::word: return node.as_string().has_value();
      case ShapeKind::scalar: return node.is_scalar() && !node.is_null();
      case ShapeKind::list: return node.is_sequence();
      case ShapeKind::record:
      case ShapeKind::map: return node.is_mapping();
      case ShapeKind::choice:
      case ShapeKind::service:
      case ShapeKind::anything: return true;
    }
    return true;
  }

  static std::string_view kind_name(const Shape& shape) {
    switch (shape.kind) {
      case ShapeKind::boolean: return "boolean";
      case ShapeKind::integer: return "integer";
      case ShapeKind::number: return "number";
      case ShapeKind::list: return "list";
      case ShapeKind::record:
      case ShapeKind::map: return "mapping";
      default: return "string";
    }
  }

  void choice(const Shape& shape, const Node& node, const std::string& path) {
    std::string expected;
    for (const ShapePointer& one : shape.choices) {
      if (fits_kind(*one, node)) return value(*one, node, path);
      expected += expected.empty() ? "" : " or ";
      expected += kind_name(*one);
    }
    wrong_type(expected, node, path);
  }

  void service(const Shape& shape, const Node& node, const std::string& path) {
    const Shape names{.kind = ShapeKind::word, .words = shape.words};
    if (node.is_scalar() && !node.is_null()) return word(names, node, path);
    if (!node.is_mapping()) {
      return wrong_type("the name of a service, {name, config} or {<service>: {config}}", node, path);
    }
    const Node* name = service_name_of(node);
    if (name == nullptr) {
      return problems_.add(node, path, "expected {name, config} or the name of one service with its config");
    }
    const bool named = node.find("name") != nullptr;
    if (named) {
      word(names, *name, yaml::field_path(path, "name"));
      for (const yaml::Entry& entry : node.entries) {
        if (entry.key.value != "name" && entry.key.value != "config") {
          yaml::add_unknown_field(problems_, entry.key, path, std::vector<std::string>{"name", "config"});
        }
      }
      if (const Node* config = node.find("config")) configuration(shape, name->value, *config, path + ".config");
      return;
    }
    if (std::ranges::find(shape.words, name->value) == shape.words.end()) return word(names, *name, path);
    const Node& inside = node.entries.front().value;
    const std::string inner = yaml::field_path(path, name->value);
    if (inside.is_null()) return;
    if (!inside.is_mapping()) return wrong_type("mapping", inside, inner);
    for (const yaml::Entry& entry : inside.entries) {
      if (entry.key.value != "config") {
        yaml::add_unknown_field(problems_, entry.key, inner, std::vector<std::string>{"config"});
      }
    }
    if (const Node* config = inside.find("config")) configuration(shape, name->value, *config, inner + ".config");
  }

  void configuration(const Shape& shape, const std::string& name, const Node& config, const std::string& path) {
    if (config.is_null()) return;
    if (!config.is_mapping()) return wrong_type("mapping", config, path);
    const auto field = std::ranges::find(shape.fields, name, &Field::name);
    if (field != shape.fields.end()) value(*field->shape, config, path);
  }

  Layouts layout_;
  yaml::Problems& problems_;
};

}  // namespace

void check(const Shape& shape, const Node& node, const std::string& path, Layouts layout, yaml::Problems& problems) {
  Checker(layout, problems).value(shape, node, path);
}

const Node* service_name_of(const Node& entry) {
  if (entry.is_scalar()) return entry.as_string() ? &entry : nullptr;
  if (!entry.is_mapping()) return nullptr;
  if (const Node* name = entry.find("name")) return name;
  return entry.entries.size() == 1 ? &entry.entries.front().key : nullptr;
}

const Node* service_config_of(const Node& entry) {
  if (!entry.is_mapping()) return nullptr;
  const Node* holder = &entry;
  if (entry.find("name") == nullptr) {
    if (entry.entries.size() != 1) return nullptr;
    holder = &entry.entries.front().value;
  }
  const Node* config = holder->find("config");
  return config != nullptr && config->is_mapping() ? config : nullptr;
}

std::string_view name_of_layout(Layouts layout) {
  if ((layout & layout_2025) != 0) return "the layout of 2025 (no schema-version)";
  if ((layout & version_1) != 0) return layout == version_1 ? "schema-version 1" : "the layouts with a schema-version";
  return "schema-version 2";
}

}  // namespace opi::project
