#pragma once
/// @file
/// As much of JSON Schema 2020-12 as our schema uses, to hold it against the parser. An unknown keyword is a failure.

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <utility>

#include "project/format.hpp"

namespace opi::project::test {

namespace json = boost::json;

class SchemaEvaluator {
 public:
  explicit SchemaEvaluator(json::value schema) : root_(std::move(schema)) {}

  bool valid(const json::value& instance) { return valid(root_, instance); }

 private:
  bool valid(const json::value& schema, const json::value& instance) {
    if (const bool* answer = schema.if_bool()) return *answer;
    for (const auto& [keyword, rule] : schema.as_object()) {
      if (!keeps(schema.as_object(), std::string(keyword), rule, instance)) return false;
    }
    return true;
  }

  bool keeps(const json::object& schema, const std::string& keyword, const json::value& rule,
             const json::value& instance) {
    if (keyword == "type") return is_type(rule, instance);
    if (keyword == "enum") return any(rule, [&](const json::value& one) { return same(one, instance); });
    if (keyword == "const") return same(rule, instance);
    if (keyword == "anyOf") return any(rule, [&](const json::value& one) { return valid(one, instance); });
    if (keyword == "allOf") return !any(rule, [&](const json::value& one) { return !valid(one, instance); });
    if (keyword == "$ref") return valid(definition(std::string(rule.as_string())), instance);
    if (keyword == "if") {
      const json::value* branch = schema.if_contains(valid(rule, instance) ? "then" : "else");
      return branch == nullptr || valid(*branch, instance);
    }
    if (keyword == "minimum") return !instance.is_number() || instance.to_number<double>() >= rule.to_number<double>();
    if (keyword == "maximum") return !instance.is_number() || instance.to_number<double>() <= rule.to_number<double>();
    if (instance.is_string()) {
      const std::string text(instance.as_string());
      if (keyword == "pattern") return matches(std::string(rule.as_string()), text);
      if (keyword == "minLength") return code_points(text) >= rule.to_number<std::size_t>();
      if (keyword == "maxLength") return code_points(text) <= rule.to_number<std::size_t>();
    }
    if (const json::array* items = instance.if_array()) {
      if (keyword == "maxItems") return items->size() <= rule.to_number<std::size_t>();
      if (keyword == "items") {
        return std::ranges::all_of(*items, [&](const json::value& item) { return valid(rule, item); });
      }
    }
    if (const json::object* object = instance.if_object()) return object_keeps(schema, keyword, rule, *object);
    return known(keyword);
  }

  bool object_keeps(const json::object& schema, const std::string& keyword, const json::value& rule,
                    const json::object& object) {
    if (keyword == "required") {
      return !any(rule, [&](const json::value& name) { return !object.contains(name.as_string()); });
    }
    if (keyword == "minProperties") return object.size() >= rule.to_number<std::size_t>();
    if (keyword == "maxProperties") return object.size() <= rule.to_number<std::size_t>();
    if (keyword == "properties") {
      return std::ranges::all_of(object, [&](const auto& member) {
        const json::value* inner = rule.as_object().if_contains(member.key());
        return inner == nullptr || valid(*inner, member.value());
      });
    }
    if (keyword == "additionalProperties") {
      const json::value* named = schema.if_contains("properties");
      return std::ranges::all_of(object, [&](const auto& member) {
        return (named != nullptr && named->as_object().contains(member.key())) || valid(rule, member.value());
      });
    }
    if (keyword == "propertyNames") {
      return std::ranges::all_of(object, [&](const auto& member) { return valid(rule, json::value(member.key())); });
    }
    return known(keyword);
  }

  /// A keyword that says nothing about this sort of instance. A new one in the schema must be taught here first.
  static bool known(const std::string& keyword) {
    static const std::set<std::string> words{
        "$schema",  "$id",     "$defs",         "title",         "description",
        "then",     "else",    "pattern",       "minLength",     "maxLength",
        "maxItems", "items",   "properties",    "required",      "additionalProperties",
        "minimum",  "maximum", "propertyNames", "minProperties", "maxProperties"};
    EXPECT_TRUE(words.contains(keyword)) << "the evaluator does not know " << keyword;
    return true;
  }

  template <class Predicate>
  static bool any(const json::value& list, Predicate predicate) {
    return std::ranges::any_of(list.as_array(), predicate);
  }

  static bool same(const json::value& a, const json::value& b) {
    if (a.is_number() && b.is_number()) return a.to_number<double>() == b.to_number<double>();
    return a == b;
  }

  static bool is_type(const json::value& rule, const json::value& instance) {
    if (const json::array* list = rule.if_array()) {
      return std::ranges::any_of(*list, [&](const json::value& one) { return is_type(one, instance); });
    }
    const std::string_view type = rule.as_string();
    if (type == "string") return instance.is_string();
    if (type == "object") return instance.is_object();
    if (type == "array") return instance.is_array();
    if (type == "boolean") return instance.is_bool();
    if (type == "null") return instance.is_null();
    if (type == "number") return instance.is_number();
    if (type == "integer")
      return instance.is_number() && std::floor(instance.to_number<double>()) == instance.to_number<double>();
    ADD_FAILURE() << "the evaluator does not know the type " << type;
    return false;
  }

  const json::value& definition(const std::string& reference) {
    EXPECT_TRUE(reference.starts_with("#/$defs/")) << reference;
    return root_.as_object().at("$defs").as_object().at(reference.substr(8));
  }

  /// Documents that differ in one place hold the same texts over and over; std::regex is slow.
  bool matches(const std::string& pattern, const std::string& text) {
    const auto [answer, is_new] = answers_.try_emplace({pattern, text}, false);
    if (is_new) answer->second = std::regex_search(text, std::regex(pattern, std::regex::ECMAScript));
    return answer->second;
  }

  json::value root_;
  std::map<std::pair<std::string, std::string>, bool> answers_;
};

}  // namespace opi::project::test
