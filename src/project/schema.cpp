#include "project/schema.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "project/shape.hpp"

namespace opi::project {
namespace {

namespace json = boost::json;

constexpr std::string_view dialect = "https://json-schema.org/draft/2020-12/schema";

/// {key: value}
json::object one(std::string_view key, json::value value) {
  json::object object;
  object.emplace(key, std::move(value));
  return object;
}
json::object one(std::string_view key, std::string_view text) {
  return one(key, json::value(json::string(text)));
}

json::object typed(std::string_view type) {
  return one("type", type);
}

json::array strings(const std::vector<std::string>& words) {
  json::array all;
  for (const std::string& word : words) all.emplace_back(word);
  return all;
}

/// Null is as good as absent for an optional field.
json::object or_null(json::object schema) {
  if (schema.empty()) return schema;  // anything goes
  return one("anyOf", json::array{std::move(schema), typed("null")});
}

class Writer {
 public:
  explicit Writer(Layouts layout) : layout_(layout) {}

  json::object value(const Shape& shape) const {
    switch (shape.kind) {
      case ShapeKind::string: return formatted(typed("string"), *shape.format);
      case ShapeKind::scalar: {
        // Pattern and lengths bind strings, the minimum numbers.
        json::object schema = formatted({}, *shape.format);
        schema["type"] = json::array{"string", "number"};
        if (shape.not_negative) schema["minimum"] = 0;
        if (shape.format->matches("true")) schema["type"] = json::array{"string", "number", "boolean"};
        return schema;
      }
      case ShapeKind::word: return one("enum", strings(shape.words));
      case ShapeKind::integer: return {{"type", "integer"}, {"minimum", shape.least}, {"maximum", shape.most}};
      case ShapeKind::number: return typed("number");
      case ShapeKind::boolean: return typed("boolean");
      case ShapeKind::list: return {{"type", "array"}, {"items", value(*shape.element)}, {"maxItems", shape.most}};
      case ShapeKind::record: return record(shape);
      case ShapeKind::map:
        return {{"type", "object"},
                {"propertyNames", formatted({}, *shape.format)},
                {"additionalProperties", or_null(value(*shape.element))},
                {"maxProperties", shape.most}};
      case ShapeKind::choice: return choice(shape);
      case ShapeKind::service: return service(shape);
      case ShapeKind::anything: return {};
    }
    return {};
  }

 private:
  static json::object formatted(json::object schema, const Format& format) {
    if (!format.pattern.empty()) schema["pattern"] = format.pattern;
    if (format.length_min > 0) schema["minLength"] = format.length_min;
    schema["maxLength"] = format.length_max;
    return schema;
  }

  json::object record(const Shape& shape) const {
    json::object properties;
    json::array needed;
    for (const Field& field : shape.fields) {
      if (!field.refusal.empty()) {
        properties[field.name] = false;
        continue;
      }
      if ((field.layouts & layout_) == 0) {
        if (shape.open && !properties.contains(field.name)) properties[field.name] = false;
        continue;
      }
      json::object inner = field.required ? value(*field.shape) : or_null(value(*field.shape));
      if (!field.description.empty()) inner["description"] = field.description;
      properties[field.name] = std::move(inner);
      if (field.required) needed.emplace_back(field.name);
    }
    json::object schema = typed("object");
    schema["properties"] = std::move(properties);
    if (!needed.empty()) schema["required"] = std::move(needed);
    if (!shape.open) schema["additionalProperties"] = false;
    return schema;
  }

  json::object choice(const Shape& shape) const {
    json::array all;
    for (const ShapePointer& one : shape.choices) all.emplace_back(value(*one));
    return one("anyOf", std::move(all));
  }

  /// What the config of one service may be.
  json::object config_of(const Shape& shape, const std::string& name) const {
    for (const Field& field : shape.fields) {
      if (field.name == name) return or_null(value(*field.shape));
    }
    return or_null(typed("object"));
  }

  json::object service(const Shape& shape) const {
    json::object single;
    json::array rules;
    for (const std::string& name : shape.words) {
      json::object holder = typed("object");
      holder["properties"] = one("config", config_of(shape, name));
      holder["additionalProperties"] = false;
      single[name] = or_null(std::move(holder));
    }
    for (const Field& field : shape.fields) {
      json::object named_so = one("properties", one("name", one("const", field.name)));
      named_so["required"] = json::array{"name"};
      json::object rule = one("if", std::move(named_so));
      rule["then"] = one("properties", one("config", config_of(shape, field.name)));
      rules.emplace_back(std::move(rule));
    }
    json::object named = typed("object");
    json::object fields = one("name", one("enum", strings(shape.words)));
    fields["config"] = or_null(typed("object"));
    named["properties"] = std::move(fields);
    named["required"] = json::array{"name"};
    named["additionalProperties"] = false;
    named["allOf"] = std::move(rules);
    json::object keyed = typed("object");
    keyed["properties"] = std::move(single);
    keyed["additionalProperties"] = false;
    keyed["minProperties"] = 1;
    keyed["maxProperties"] = 1;
    return one("anyOf", json::array{one("enum", strings(shape.words)), std::move(named), std::move(keyed)});
  }

  Layouts layout_;
};

void write(const json::value& value, std::size_t indent, std::string& out) {
  const std::string inner(indent + 2, ' ');
  std::string_view separator = "";
  if (const json::object* object = value.if_object(); object != nullptr && !object->empty()) {
    out += "{\n";
    for (const auto& [key, member] : *object) {
      out += fmt::format("{}{}{}: ", separator, inner, json::serialize(key));
      write(member, indent + 2, out);
      separator = ",\n";
    }
    out += fmt::format("\n{:{}}}}", "", indent);
    return;
  }
  const json::array* array = value.if_array();
  if (array == nullptr || array->empty() || !array->front().is_object()) {
    out += json::serialize(value);
    return;
  }
  out += "[\n";
  for (const json::value& item : *array) {
    out += fmt::format("{}{}", separator, inner);
    write(item, indent + 2, out);
    separator = ",\n";
  }
  out += fmt::format("\n{:{}}]", "", indent);
}

}  // namespace

std::string json_schema() {
  const ShapePointer shape = project_shape();
  json::array versions;
  for (const std::string_view version : schema_versions) versions.emplace_back(json::parse(version));
  const auto reference = [](std::string_view name) { return one("$ref", fmt::format("#/$defs/{}", name)); };
  json::object by_version = one("if", one("properties", one("schema-version", one("const", 1))));
  by_version["then"] = reference("version-1");
  by_version["else"] = reference("version-2");
  json::object layouts = one("layout-2025", Writer(layout_2025).value(*shape));
  layouts["version-1"] = Writer(version_1).value(*shape);
  layouts["version-2"] = Writer(version_2).value(*shape);

  json::object schema = one("$schema", dialect);
  schema["$id"] = "urn:opi:project-file";
  schema["title"] = "A project file of the Operations Manager";
  schema["type"] = "object";
  schema["properties"] = one("schema-version", one("enum", std::move(versions)));
  schema["if"] = one("required", json::array{"schema-version"});
  schema["then"] = std::move(by_version);
  schema["else"] = reference("layout-2025");
  schema["$defs"] = std::move(layouts);
  std::string text;
  write(schema, 0, text);
  return text + '\n';
}

}  // namespace opi::project
