#include "support/kubernetes/api_access.hpp"

#include <algorithm>

#include "fmt/format.h"

namespace opi::test {
namespace {

std::string group_of(std::string_view api_version) {
  const auto slash = api_version.find('/');
  return std::string(slash == std::string_view::npos ? std::string_view() : api_version.substr(0, slash));
}

json::object resources_of(std::string_view api_version) {
  json::array resources;
  for (const auto& kind : api_kinds()) {
    if (kind.api_version != api_version) continue;
    resources.push_back(json::object{{"name", kind.plural},
                                     {"singularName", ""},
                                     {"namespaced", kind.namespaced},
                                     {"kind", kind.kind},
                                     {"verbs", json::array{"create", "delete", "get", "list", "patch", "watch"}}});
  }
  return {{"kind", "APIResourceList"}, {"apiVersion", "v1"}, {"groupVersion", api_version}, {"resources", resources}};
}

json::object groups() {
  json::array all;
  for (const auto& kind : api_kinds()) {
    const auto group = group_of(kind.api_version);
    if (group.empty() || std::ranges::any_of(all, [&](const auto& one) { return one.at("name").as_string() == group; }))
      continue;
    const json::object version{{"groupVersion", kind.api_version}, {"version", "v1"}};
    all.push_back(json::object{{"name", group}, {"versions", json::array{version}}, {"preferredVersion", version}});
  }
  return {{"kind", "APIGroupList"}, {"apiVersion", "v1"}, {"groups", all}};
}

bool holds(const json::object& rule, std::string_view field, std::string_view wanted) {
  const auto* list = rule.if_contains(field);
  return list != nullptr && list->is_array() && std::ranges::any_of(list->get_array(), [&](const auto& one) {
           return one.as_string() == wanted || one.as_string() == "*";
         });
}

bool is_bound(const json::object& binding, std::string_view account) {
  const auto* subjects = binding.if_contains("subjects");
  return subjects != nullptr && std::ranges::any_of(subjects->as_array(), [&](const json::value& subject) {
           const auto& one = subject.as_object();
           return one.at("kind").as_string() == "ServiceAccount" &&
                  fmt::format("{}/{}", std::string_view(one.at("namespace").as_string()),
                              std::string_view(one.at("name").as_string())) == account;
         });
}

}  // namespace

std::optional<json::object> discovery(std::string_view path) {
  if (path == "/api") return json::object{{"kind", "APIVersions"}, {"versions", json::array{"v1"}}};
  if (path == "/apis") return groups();
  for (const auto& kind : api_kinds()) {
    const auto root = fmt::format("{}/{}", group_of(kind.api_version).empty() ? "/api" : "/apis", kind.api_version);
    if (path == root) return resources_of(kind.api_version);
  }
  return std::nullopt;
}

bool allows(const ObjectStore& store, std::string_view account, const ApiAccess& access) {
  for (const auto& binding : store.list("clusterrolebindings", "")) {
    if (!is_bound(binding, account)) continue;
    const auto role = store.get({"clusterroles", "", std::string(binding.at("roleRef").at("name").as_string())});
    const auto* object = std::get_if<json::object>(&role);
    if (object == nullptr || !object->contains("rules")) continue;
    const auto allowed = std::ranges::any_of(object->at("rules").as_array(), [&](const json::value& rule) {
      return holds(rule.as_object(), "apiGroups", group_of(access.api_version)) &&
             holds(rule.as_object(), "resources", access.plural) && holds(rule.as_object(), "verbs", access.verb);
    });
    if (allowed) return true;
  }
  return false;
}

}  // namespace opi::test
