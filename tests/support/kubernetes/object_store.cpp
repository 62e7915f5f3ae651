#include "support/kubernetes/object_store.hpp"

#include <openssl/evp.h>

#include <algorithm>

#include "fmt/format.h"

namespace opi::test {

namespace {

constexpr char separator = '\x1f';

using Fields = std::set<std::string>;

/// The leaves of an object that an applier owns. Maps are granular, lists and scalars are leaves.
void collect(const json::value& value, const std::string& path, Fields& fields) {
  const auto* object = value.if_object();
  if (object == nullptr || object->empty()) {
    fields.insert(path);
    return;
  }
  for (const auto& [key, child] : *object) collect(child, path + separator + std::string(key), fields);
}

/// Without what the server decides.
Fields owned_fields(const json::object& object) {
  Fields fields;
  for (const auto& [key, value] : object) {
    if (key == "apiVersion" || key == "kind" || key == "status") continue;
    if (key != "metadata") {
      collect(value, std::string(key), fields);
      continue;
    }
    for (const auto& [field, child] : value.as_object()) {
      if (field == "labels" || field == "annotations" || field == "finalizers" || field == "ownerReferences")
        collect(child, std::string(key) + separator + std::string(field), fields);
    }
  }
  return fields;
}

const json::value* value_at(const json::object& object, std::string_view path) {
  const json::object* at = &object;
  for (;;) {
    const auto end = path.find(separator);
    const auto* value = at->if_contains(path.substr(0, end));
    if (value == nullptr || end == std::string_view::npos) return value;
    at = value->if_object();
    if (at == nullptr) return nullptr;
    path.remove_prefix(end + 1);
  }
}

void set_at(json::object& object, std::string_view path, const json::value& value) {
  json::object* at = &object;
  for (;;) {
    const auto end = path.find(separator);
    auto& slot = (*at)[path.substr(0, end)];
    if (end == std::string_view::npos) {
      slot = value;
      return;
    }
    if (!slot.is_object()) slot = json::object();
    at = &slot.as_object();
    path.remove_prefix(end + 1);
  }
}

void erase_at(json::object& object, std::string_view path) {
  const auto end = path.find(separator);
  if (end == std::string_view::npos) {
    object.erase(path);
    return;
  }
  auto* child = object.if_contains(path.substr(0, end));
  if (child == nullptr || !child->is_object()) return;
  erase_at(child->as_object(), path.substr(end + 1));
  if (child->as_object().empty()) object.erase(path.substr(0, end));
}

std::string dotted(std::string_view path) {
  std::string text = ".";
  for (const char c : path) text += c == separator ? '.' : c;
  return text;
}

std::string encode(std::string_view bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(size));
  return text;
}

/// stringData is written only: what is read is data.
void fold_string_data(json::object& object) {
  const auto* texts = object.if_contains("stringData");
  if (texts == nullptr || !texts->is_object()) return;
  const json::object copied = texts->get_object();
  for (const auto& [key, value] : copied)
    set_at(object, fmt::format("data{}{}", separator, std::string_view(key)), json::value(encode(value.as_string())));
  object.erase("stringData");
}

std::string_view text_of(const json::object& object, std::string_view path) {
  const auto* value = value_at(object, path);
  return value != nullptr && value->is_string() ? std::string_view(value->get_string()) : std::string_view();
}

bool is_label(std::string_view text) {
  const auto good = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; };
  return !text.empty() && text.size() <= 63 && std::ranges::all_of(text, good) && text.front() != '-' &&
         text.back() != '-';
}

}  // namespace

ApiFailure api_failure(int status, std::string_view reason, std::string_view message, json::array causes) {
  json::object body{{"kind", "Status"},    {"apiVersion", "v1"}, {"metadata", json::object()},
                    {"status", "Failure"}, {"message", message}, {"reason", reason},
                    {"code", status}};
  if (!causes.empty()) body["details"] = json::object{{"causes", std::move(causes)}};
  return {.status = status, .body = std::move(body)};
}

const std::vector<ApiKind>& api_kinds() {
  static const std::vector<ApiKind> kinds{
      {"v1", "namespaces", "Namespace", false, {"spec", "status"}},
      {"v1", "secrets", "Secret", true, {"data", "stringData", "type", "immutable"}},
      {"v1",
       "events",
       "Event",
       true,
       {"involvedObject", "reason", "message", "source", "firstTimestamp", "lastTimestamp", "count", "type",
        "eventTime", "action", "reportingComponent", "reportingInstance", "series", "related"}},
      {"v1", "resourcequotas", "ResourceQuota", true, {"spec", "status"}},
      {"v1", "limitranges", "LimitRange", true, {"spec"}},
      {"networking.k8s.io/v1", "networkpolicies", "NetworkPolicy", true, {"spec", "status"}},
      {"v1", "serviceaccounts", "ServiceAccount", true, {"secrets", "imagePullSecrets"}},
      {"rbac.authorization.k8s.io/v1", "clusterroles", "ClusterRole", false, {"rules"}},
      {"rbac.authorization.k8s.io/v1", "clusterrolebindings", "ClusterRoleBinding", false, {"roleRef", "subjects"}},
  };
  return kinds;
}

json::object ObjectStore::shown(const Entry& entry) {
  json::object object = entry.object;
  json::array managers;
  for (const auto& [manager, fields] : entry.owners) {
    json::object tree;
    for (const auto& field : fields) {
      std::string path;
      std::string_view rest = field;
      for (;;) {
        const auto end = rest.find(separator);
        path += "f:" + std::string(rest.substr(0, end));
        if (end == std::string_view::npos) break;
        path += separator;
        rest.remove_prefix(end + 1);
      }
      set_at(tree, path, json::object());
    }
    managers.push_back(json::object{{"manager", manager},
                                    {"operation", "Apply"},
                                    {"apiVersion", text_of(object, "apiVersion")},
                                    {"fieldsType", "FieldsV1"},
                                    {"fieldsV1", tree}});
  }
  object["metadata"].as_object()["managedFields"] = managers;
  return object;
}

void ObjectStore::note(const std::string& type, const ApiKey& key, const json::object& object) {
  history_.push_back(
      {.version = version_, .collection = key.plural, .name_space = key.name_space, .type = type, .object = object});
}

ObjectStore::Answer ObjectStore::get(const ApiKey& key) const {
  const auto found = objects_.find(key);
  if (found == objects_.end())
    return api_failure(404, "NotFound", fmt::format("{} \"{}\" not found", key.plural, key.name));
  return shown(found->second);
}

std::optional<ApiFailure> ObjectStore::refuse_new(const ApiKind& kind, const ApiKey& key,
                                                  const json::object& object) const {
  for (const auto& [field, value] : object) {
    if (field != "apiVersion" && field != "kind" && field != "metadata" && !kind.fields.contains(field))
      return api_failure(400, "BadRequest",
                         fmt::format("strict decoding error: unknown field \"{}\"", std::string_view(field)));
  }
  if (text_of(object, "apiVersion") != kind.api_version || text_of(object, "kind") != kind.kind)
    return api_failure(400, "BadRequest", "the kind of the object does not match the path");
  if (kind.plural == "namespaces" && !is_label(key.name))
    return api_failure(422, "Invalid", fmt::format("Namespace \"{}\" is invalid", key.name),
                       {json::object{{"reason", "FieldValueInvalid"},
                                     {"field", "metadata.name"},
                                     {"message", "a lowercase RFC 1123 label must consist of …"}}});
  if (!kind.namespaced) return std::nullopt;
  const auto home = objects_.find({.plural = "namespaces", .name_space = {}, .name = key.name_space});
  if (home == objects_.end())
    return api_failure(404, "NotFound", fmt::format("namespaces \"{}\" not found", key.name_space));
  const bool terminating = text_of(home->second.object, fmt::format("status{}phase", separator)) == "Terminating";
  if (terminating && !objects_.contains(key))
    return api_failure(403, "Forbidden",
                       fmt::format("{} \"{}\" is forbidden: unable to create new content in namespace {} because it is "
                                   "being terminated",
                                   key.plural, key.name, key.name_space),
                       {json::object{{"reason", "NamespaceTerminating"},
                                     {"field", "metadata.namespace"},
                                     {"message", fmt::format("namespace {} is being terminated", key.name_space)}}});
  return std::nullopt;
}

/// Keeps the new state, unless it is the old one.
ObjectStore::Answer ObjectStore::stored(const ApiKey& key, Entry entry, bool dry_run) {
  const auto old = objects_.find(key);
  const bool made = old == objects_.end();
  if (!made && old->second.object == entry.object && old->second.owners == entry.owners) return shown(old->second);
  if (!made && key.plural == "secrets") {
    if (text_of(old->second.object, "type") != text_of(entry.object, "type"))
      return api_failure(
          422, "Invalid", fmt::format("Secret \"{}\" is invalid", key.name),
          {json::object{{"reason", "FieldValueInvalid"}, {"field", "type"}, {"message", "field is immutable"}}});
    const auto* immutable = old->second.object.if_contains("immutable");
    if (immutable != nullptr && immutable->is_bool() && immutable->get_bool() &&
        old->second.object.at("data") != entry.object.at("data"))
      return api_failure(422, "Invalid", fmt::format("Secret \"{}\" is invalid", key.name),
                         {json::object{{"reason", "FieldValueForbidden"},
                                       {"field", "data"},
                                       {"message", "field is immutable when `immutable` is set"}}});
  }
  if (dry_run) return shown(entry);
  ++version_;
  auto& metadata = entry.object["metadata"].as_object();
  metadata["resourceVersion"] = std::to_string(version_);
  if (made) {
    metadata["uid"] = fmt::format("00000000-0000-4000-8000-{:012}", ++uids_);
    metadata["creationTimestamp"] = "2026-01-01T00:00:00Z";
    if (key.plural == "namespaces") entry.object["status"] = json::object{{"phase", "Active"}};
  }
  objects_[key] = entry;
  json::object object = shown(entry);
  note(made ? "ADDED" : "MODIFIED", key, object);
  return object;
}

ObjectStore::Answer ObjectStore::apply(const ApiKind& kind, const ApiKey& key, json::object wanted,
                                       const ApiApply& options) {
  if (auto refused = refuse_new(kind, key, wanted)) return std::move(*refused);
  if (kind.plural == "secrets") fold_string_data(wanted);
  const auto found = objects_.find(key);
  Entry entry = found != objects_.end() ? found->second : Entry{};
  const Fields fields = owned_fields(wanted);
  json::array conflicts;
  for (auto& [manager, owned] : entry.owners) {
    if (manager == options.manager) continue;
    for (const auto& field : fields) {
      const auto* now = value_at(entry.object, field);
      if (!owned.contains(field) || (now != nullptr && *now == *value_at(wanted, field))) continue;
      conflicts.push_back(
          json::object{{"reason", "FieldManagerConflict"},
                       {"message", fmt::format("conflict with \"{}\" using {}", manager, kind.api_version)},
                       {"field", dotted(field)}});
      if (options.force) owned.erase(field);
    }
  }
  if (!conflicts.empty() && !options.force)
    return api_failure(409, "Conflict", fmt::format("Apply failed with {} conflicts", conflicts.size()), conflicts);
  std::erase_if(entry.owners, [](const auto& owner) { return owner.second.empty(); });
  // What we owned and do not want any more goes, where nobody else wants it.
  for (const auto& field : entry.owners[options.manager]) {
    const bool wanted_by_another = std::ranges::any_of(entry.owners, [&](const auto& owner) {
      return owner.first != options.manager && owner.second.contains(field);
    });
    if (!fields.contains(field) && !wanted_by_another) erase_at(entry.object, field);
  }
  entry.owners[options.manager] = fields;
  for (const auto& field : fields) set_at(entry.object, field, *value_at(wanted, field));
  entry.object["apiVersion"] = kind.api_version;
  entry.object["kind"] = kind.kind;
  if (kind.plural == "secrets" && !entry.object.contains("type")) entry.object["type"] = "Opaque";
  if (!entry.object.contains("metadata")) entry.object["metadata"] = json::object();
  auto& metadata = entry.object["metadata"].as_object();
  metadata["name"] = key.name;
  if (kind.namespaced) metadata["namespace"] = key.name_space;
  return stored(key, std::move(entry), options.dry_run);
}

ObjectStore::Answer ObjectStore::create(const ApiKind& kind, ApiKey key, json::object object,
                                        const std::string& manager) {
  auto& metadata = object["metadata"].as_object();
  if (key.name.empty()) key.name = fmt::format("{}{}", text_of(metadata, "generateName"), version_);
  metadata["name"] = key.name;
  if (auto refused = refuse_new(kind, key, object)) return std::move(*refused);
  if (objects_.contains(key))
    return api_failure(409, "AlreadyExists", fmt::format("{} \"{}\" already exists", key.plural, key.name));
  if (kind.plural == "secrets") fold_string_data(object);
  Entry entry{.object = std::move(object), .owners = {}};
  entry.owners[manager] = owned_fields(entry.object);
  return stored(key, std::move(entry), false);
}

ObjectStore::Answer ObjectStore::update(const ApiKey& key, json::object object, const std::string& manager) {
  const auto found = objects_.find(key);
  if (found == objects_.end()) return get(key);
  Entry entry = found->second;
  const Fields fields = owned_fields(object);
  for (const auto& field : fields) {
    const auto* before = value_at(entry.object, field);
    if (before != nullptr && *before == *value_at(object, field)) continue;
    for (auto& [other, owned] : entry.owners) owned.erase(field);
    entry.owners[manager].insert(field);
  }
  for (const auto& field : owned_fields(entry.object)) {
    if (fields.contains(field)) continue;
    for (auto& [other, owned] : entry.owners) owned.erase(field);
  }
  std::erase_if(entry.owners, [](const auto& owner) { return owner.second.empty(); });
  object["metadata"].as_object().erase("managedFields");
  entry.object = std::move(object);
  return stored(key, std::move(entry), false);
}

ObjectStore::Answer ObjectStore::remove(const ApiKey& key, const std::string& uid) {
  const auto found = objects_.find(key);
  if (found == objects_.end()) return get(key);
  const std::string_view present = text_of(found->second.object, fmt::format("metadata{}uid", separator));
  if (!uid.empty() && uid != present)
    return api_failure(409, "Conflict", fmt::format("the UID in the precondition ({}) does not match", uid));
  json::object last = shown(found->second);
  ++version_;
  objects_.erase(found);
  note("DELETED", key, last);
  if (key.plural == "namespaces") {
    const auto inside = [&](const auto& entry) { return entry.first.name_space == key.name; };
    std::erase_if(objects_, inside);
  }
  return last;
}

std::vector<json::object> ObjectStore::list(const std::string& plural, const std::string& name_space) const {
  std::vector<json::object> found;
  for (const auto& [key, entry] : objects_) {
    if (key.plural == plural && (name_space.empty() || key.name_space == name_space)) found.push_back(shown(entry));
  }
  return found;
}

std::optional<std::vector<ApiEvent>> ObjectStore::since(std::uint64_t version) const {
  if (version < forgotten_) return std::nullopt;
  std::vector<ApiEvent> events;
  for (const auto& event : history_) {
    if (event.version > version) events.push_back(event);
  }
  return events;
}

void ObjectStore::forget_history() {
  history_.clear();
  forgotten_ = ++version_;
}

void ObjectStore::begin_termination(const std::string& name_space) {
  auto& entry = objects_.at({.plural = "namespaces", .name_space = {}, .name = name_space});
  entry.object["status"] = json::object{{"phase", "Terminating"}};
  entry.object["metadata"].as_object()["deletionTimestamp"] = "2026-01-01T00:00:00Z";
  ++version_;
}

}  // namespace opi::test
