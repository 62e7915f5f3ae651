#include "project/schema.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <functional>
#include <string>
#include <vector>

#include "project/check.hpp"
#include "project/schema_evaluator.hpp"
#include "project/shape.hpp"
#include "yaml/parse.hpp"

namespace opi::project {
namespace {

namespace json = boost::json;
using test::SchemaEvaluator;

json::value parsed_schema() {
  return json::parse(json_schema(), {}, {.max_depth = 100});
}

/// A value of the shape with every field of the layout that it may have. JSON is YAML, so one text serves both judges.
json::value full_value(const Shape& shape, Layouts layout);

json::value sample_of(const Format& format) {
  static const std::vector<std::pair<const Format*, const char*>> samples{
      {&formats::project_name_2025, "shop"},
      {&formats::project_name_2026, "shop"},
      {&formats::label, "web"},
      {&formats::cluster, "local"},
      {&formats::domain, "a.example"},
      {&formats::postfix, "audit"},
      {&formats::extension, "uuid-ossp"},
      {&formats::pool, "main"},
      {&formats::identifier, "Name_1"},
      {&formats::age_recipient, "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq"},
      {&formats::sealed, "age:x"},
      {&formats::secret, "plain:x"},
      {&formats::image, "r.example/a:1"},
      {&formats::variable_name, "A_B"},
      {&formats::variable_value, "x"},
      {&formats::url, "https://x.example/y"},
      {&formats::repository_url, "git@x.example:y"},
      {&formats::branch, "main"},
      {&formats::relative_path, "a/b"},
      {&formats::absolute_path, "/a"},
      {&formats::quantity, "1Gi"},
      {&formats::email, "a@b.example"},
      {&formats::line, "text"},
      {&formats::text, "text\nmore"},
      {&formats::word, "word"},
  };
  for (const auto& [one, text] : samples) {
    if (one == &format) return json::value(text);
  }
  ADD_FAILURE() << "no sample for: " << format.what;
  return nullptr;
}

json::value full_record(const Shape& shape, Layouts layout) {
  json::object object;
  for (const Field& field : shape.fields) {
    if (field.name == "schema-version" || (field.layouts & layout) == 0 || !field.refusal.empty()) continue;
    object[field.name] = full_value(*field.shape, layout);
  }
  return object;
}

json::value full_value(const Shape& shape, Layouts layout) {
  switch (shape.kind) {
    case ShapeKind::string:
    case ShapeKind::scalar: return sample_of(*shape.format);
    case ShapeKind::word: return json::value(shape.words.back());
    case ShapeKind::integer: return shape.most;
    case ShapeKind::number: return 1.5;
    case ShapeKind::boolean: return true;
    case ShapeKind::list: return json::array{full_value(*shape.element, layout)};
    case ShapeKind::record: return full_record(shape, layout);
    case ShapeKind::map: {
      json::object object;
      object[sample_of(*shape.format).as_string()] = full_value(*shape.element, layout);
      return object;
    }
    case ShapeKind::choice: return full_value(*shape.choices.back(), layout);
    case ShapeKind::service: {
      json::object service;
      service["name"] = "postgresql-database";
      for (const Field& field : shape.fields) {
        if (field.name == "postgresql-database") service["config"] = full_value(*field.shape, layout);
      }
      return service;
    }
    case ShapeKind::anything: return "kept";
  }
  return nullptr;
}

/// Calls `use` with every document that differs from `root` in one place: a value replaced by each of some others, a
/// field taken out, a field or an item added.
void each_mutation(json::value& root, json::value& here, const std::function<void(const std::string&)>& use,
                   const std::string& path) {
  static const json::value others[] = {nullptr,
                                       true,
                                       5,
                                       -1,
                                       2.5,
                                       70'000,
                                       "",
                                       "Bad Value!",
                                       "a\nb",
                                       "redis",
                                       "postgresql-database",
                                       json::array{},
                                       json::array{nullptr},
                                       json::array{"x"},
                                       json::object{},
                                       json::parse(R"({"unknown-field": 1})"),
                                       json::parse(R"({"name": "redis", "config": {}})"),
                                       json::parse(R"({"redis": {"config": {"a": 1}}})"),
                                       json::parse(R"({"redis": null})"),
                                       json::parse(R"({"enabled": "no"})"),
                                       json::string(101, 'a'),
                                       json::string(70, 'a'),
                                       json::string(1'001, 'a')};
  const json::value kept = here;
  for (const json::value& other : others) {
    here = other;
    use(path + " = " + json::serialize(other).substr(0, 60));
  }
  here = kept;
  if (json::object* object = here.if_object()) {
    std::vector<std::string> names;
    for (const auto& member : *object) names.emplace_back(member.key());
    for (const std::string& name : names) {
      each_mutation(root, here.as_object().at(name), use, path + "." + name);
      here.as_object().erase(name);
      use(path + "." + name + " taken out");
      here = kept;
    }
    here.as_object()["unknown-field"] = 1;
    use(path + ".unknown-field added");
    here = kept;
  } else if (json::array* array = here.if_array()) {
    if (!array->empty()) each_mutation(root, array->front(), use, path + "[0]");
    here = kept;
  }
}

class SchemaAgainstParser : public testing::TestWithParam<Layouts> {
 protected:
  /// A document with the name and one top-level field, filled to the last leaf; all of them when none is named.
  static json::value document(Layouts layout, const std::string& only = {}) {
    json::value whole = full_value(*project_shape(), layout);
    if (!only.empty()) {
      json::value kept = whole.at(only);
      whole = json::object{};
      whole.as_object()["name"] = "shop";
      whole.as_object()[only] = std::move(kept);
    }
    if (layout == version_1) whole.as_object()["schema-version"] = 1;
    if (layout == version_2) whole.as_object()["schema-version"] = 2.9;
    return whole;
  }
  /// What the parser says, without the references that no schema can know.
  static std::vector<Error> complaints(const std::string& text, Layouts layout) {
    yaml::Problems problems;
    const auto tree = yaml::parse(text, "f", {.nodes_max = 1'000'000});
    if (!tree) return {tree.error()};
    check(*project_shape(), tree->root, "", layout, problems);
    return problems.take();
  }
  SchemaEvaluator schema_{parsed_schema()};
};

TEST_P(SchemaAgainstParser, BothTakeADocumentWithEveryField) {
  const json::value whole = document(GetParam());
  EXPECT_TRUE(schema_.valid(whole)) << json::serialize(whole);
  const auto errors = complaints(json::serialize(whole), GetParam());
  EXPECT_TRUE(errors.empty()) << errors.front().to_string();
}

TEST_P(SchemaAgainstParser, BothSayTheSameOfEveryDocumentThatDiffersInOnePlace) {
  int agreed_valid = 0;
  int agreed_invalid = 0;
  for (const Field& field : project_shape()->fields) {
    if (field.name == "schema-version" || (field.layouts & GetParam()) == 0) continue;
    json::value whole = document(GetParam(), field.name);
    const auto judge = [&](const std::string& what) {
      const bool by_schema = schema_.valid(whole);
      const auto errors = complaints(json::serialize(whole), GetParam());
      EXPECT_EQ(by_schema, errors.empty()) << what << "\n" << (errors.empty() ? "" : errors.front().to_string());
      ++(errors.empty() ? agreed_valid : agreed_invalid);
    };
    each_mutation(whole, whole.as_object().at(field.name), judge, field.name);
    whole = document(GetParam(), field.name);
    whole.as_object().erase("name");
    judge("no name");
    whole.as_object()["unknown-field"] = 1;
    judge("no name, an unknown field");
  }
  EXPECT_GT(agreed_valid, 100);
  EXPECT_GT(agreed_invalid, 1'000);
}

INSTANTIATE_TEST_SUITE_P(Layouts, SchemaAgainstParser, testing::Values(layout_2025, version_1, version_2));

TEST(Schema, IsWellFormedNamesItsDialectAndEveryVersion) {
  const json::value schema = parsed_schema();
  EXPECT_EQ(schema.at("$schema").as_string(), "https://json-schema.org/draft/2020-12/schema");
  EXPECT_EQ(schema.at("properties").at("schema-version").at("enum").as_array().size(), 11U);
  EXPECT_EQ(json_schema(), json_schema());
  EXPECT_TRUE(json_schema().ends_with("}\n"));
}

TEST(Schema, RefusesAnUnknownVersionAndTheFieldsOfAnotherLayout) {
  SchemaEvaluator schema(parsed_schema());
  EXPECT_TRUE(schema.valid(json::parse(R"({"name": "x"})")));
  EXPECT_TRUE(schema.valid(json::parse(R"({"name": "x", "schema-version": 2.0})")));
  EXPECT_FALSE(schema.valid(json::parse(R"({"name": "x", "schema-version": 3})")));
  EXPECT_FALSE(schema.valid(json::parse(R"({"name": "x", "schema-version": "2"})")));
  EXPECT_FALSE(schema.valid(json::parse(R"({"name": "x", "backup": {}})")));
  EXPECT_TRUE(schema.valid(json::parse(R"({"name": "x", "backup": {}, "schema-version": 2})")));
}

}  // namespace
}  // namespace opi::project
