#include "kube/resource.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/value.hpp>

namespace opi::kube {

namespace {

bool is_lower_alphanumeric(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool is_label(std::string_view text) noexcept {
  return !text.empty() && text.size() <= 63 && is_lower_alphanumeric(text.front()) &&
         is_lower_alphanumeric(text.back()) &&
         std::ranges::all_of(text, [](char c) { return is_lower_alphanumeric(c) || c == '-'; });
}

bool is_subdomain(std::string_view text) noexcept {
  if (text.empty() || text.size() > 253) return false;
  for (;;) {
    const auto dot = text.find('.');
    const std::string_view part = text.substr(0, dot);
    if (part.empty() || !is_lower_alphanumeric(part.front()) || !is_lower_alphanumeric(part.back()) ||
        !std::ranges::all_of(part, [](char c) { return is_lower_alphanumeric(c) || c == '-'; }))
      return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

const Object* object_in(const Object& object, std::string_view key) noexcept {
  const auto* value = object.if_contains(key);
  return value != nullptr ? value->if_object() : nullptr;
}

std::string_view text_in(const Object* object, std::string_view key) noexcept {
  const auto* value = object != nullptr ? object->if_contains(key) : nullptr;
  const auto* text = value != nullptr ? value->if_string() : nullptr;
  return text != nullptr ? std::string_view(*text) : std::string_view();
}

}  // namespace

std::string api_version(ResourceKind kind) {
  return kind.group.empty() ? std::string(kind.version) : fmt::format("{}/{}", kind.group, kind.version);
}

std::string to_string(const ObjectName& object) {
  std::string kind(object.kind.kind);
  std::ranges::transform(kind, kind.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return object.name_space.empty() ? fmt::format("{} {}", kind, object.name)
                                   : fmt::format("{} {}/{}", kind, object.name_space, object.name);
}

Result<std::string> collection_path(ResourceKind kind, std::string_view name_space) {
  std::string path =
      kind.group.empty() ? fmt::format("/api/{}", kind.version) : fmt::format("/apis/{}/{}", kind.group, kind.version);
  if (!name_space.empty()) {
    if (!kind.namespaced) return failure(ErrorKind::invalid, fmt::format("a {} is in no namespace", kind.kind));
    if (!is_label(name_space)) return failure(ErrorKind::invalid, "not the name of a namespace");
    path += fmt::format("/namespaces/{}", name_space);
  }
  return fmt::format("{}/{}", path, kind.plural);
}

Result<std::string> object_path(const ObjectName& object) {
  if (object.kind.namespaced && object.name_space.empty())
    return failure(ErrorKind::invalid, fmt::format("a {} needs a namespace", object.kind.kind));
  const bool good = object.kind == namespaces ? is_label(object.name) : is_subdomain(object.name);
  if (!good) return failure(ErrorKind::invalid, fmt::format("not the name of a {}", object.kind.kind));
  auto path = collection_path(object.kind, object.name_space);
  if (!path) return path;
  return fmt::format("{}/{}", *path, object.name);
}

std::string query_value(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    const bool unreserved = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                            c == '_' || c == '.' || c == '~';
    if (unreserved) {
      encoded += c;
    } else {
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

ObjectName name_of(ResourceKind kind, const Object& object) {
  return {.kind = kind,
          .name_space = std::string(metadata_text(object, "namespace")),
          .name = std::string(metadata_text(object, "name"))};
}

std::string_view metadata_text(const Object& object, std::string_view field) noexcept {
  return text_in(object_in(object, "metadata"), field);
}

std::string_view metadata_entry(const Object& object, std::string_view map, std::string_view key) noexcept {
  const Object* metadata = object_in(object, "metadata");
  return metadata != nullptr ? text_in(object_in(*metadata, map), key) : std::string_view();
}

}  // namespace opi::kube
