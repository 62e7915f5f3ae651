// Nested metadata in formats that have one level: "age__list_0__map_enc".
#include <algorithm>
#include <charconv>
#include <map>

#include "secrets/sops_metadata.hpp"

namespace opi::secrets::sops {
namespace {

constexpr std::string_view map_mark = "__map_";
constexpr std::string_view list_mark = "__list_";
constexpr std::size_t depth_max = 16;

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

void flatten(const Value& value, const std::string& key, Value& into) {
  if (value.is(Kind::map)) {
    for (const Item& item : value.map) {
      if (!item.value.is(Kind::comment)) flatten(item.value, key + std::string(map_mark) + item.key, into);
    }
  } else if (value.is(Kind::list)) {
    std::size_t number = 0;
    for (const Value& item : value.list) {
      if (!item.is(Kind::comment)) flatten(item, key + std::string(list_mark) + std::to_string(number++), into);
    }
  } else {
    append(into, key, value.copy());
  }
}

/// A tree under construction: a value, named branches or numbered ones, and only one of the three.
struct Place {
  const Value* value = nullptr;
  std::map<std::string, Place> named = {};
  std::map<std::size_t, Place> numbered = {};
};

struct Step {
  bool in_list = false;
  std::string_view text;
};

/// "age__list_0__map_enc" → age, [0], enc.
std::vector<Step> steps_of(std::string_view key) {
  std::vector<Step> steps{{}};
  std::size_t start = 0;
  for (std::size_t at = 0; at <= key.size(); ++at) {
    const std::string_view rest = key.substr(at);
    const bool map = rest.starts_with(map_mark);
    if (!map && !rest.starts_with(list_mark) && !rest.empty()) continue;
    steps.back().text = key.substr(start, at - start);
    if (rest.empty()) break;
    start = at + (map ? map_mark : list_mark).size();
    at = start - 1;
    steps.push_back({.in_list = !map});
  }
  return steps;
}

std::unexpected<Error> refuse(std::string_view key, std::string_view reason) {
  return failure(Error(ErrorKind::invalid, "sops metadata: " + std::string(key) + ": " + std::string(reason))
                     .with_code(std::string(error_codes::unreadable)));
}

Result<> put(Place& root, const Item& item) {
  const auto steps = steps_of(item.key);
  if (steps.size() > depth_max) return refuse("an entry", "nested too deeply");
  Place* place = &root;
  for (const Step& step : steps) {
    if (!step.in_list) {
      place = &place->named[std::string(step.text)];
      continue;
    }
    std::size_t number = 0;
    const auto [end, problem] = std::from_chars(step.text.data(), step.text.data() + step.text.size(), number);
    if (problem != std::errc{} || end != step.text.data() + step.text.size()) {
      return refuse("an entry", "a list index that is no number");
    }
    place = &place->numbered[number];
  }
  if (place->value != nullptr) return refuse("an entry", "it is there twice");
  place->value = &item.value;
  return {};
}

Result<Value> build(const Place& place) {
  const int kinds = (place.value != nullptr ? 1 : 0) + (place.named.empty() ? 0 : 1) + (place.numbered.empty() ? 0 : 1);
  if (kinds > 1) return refuse("an entry", "a value, a map and a list at once");
  if (place.value != nullptr) return place.value->copy();
  Value value = Value::of_kind(place.numbered.empty() ? Kind::map : Kind::list);
  for (const auto& [key, inner] : place.named) {
    auto built = build(inner);
    if (!built) return built;
    append(value, key, std::move(*built));
  }
  for (const auto& [number, inner] : place.numbered) {
    if (number != value.list.size()) return refuse("a list", "items are missing");
    auto built = build(inner);
    if (!built) return built;
    value.list.push_back(std::move(*built));
  }
  return value;
}

}  // namespace

Value flatten_metadata(const Value& map, const std::string& prefix, bool escape_newlines) {
  Value flat = Value::of_kind(Kind::map);
  for (const Item& item : map.map) flatten(item.value, prefix + item.key, flat);
  for (Item& item : flat.map) {
    if (escape_newlines && item.value.is(Kind::string)) replace_all(item.value.text, "\n", "\\n");
  }
  return flat;
}

Result<Value> unflatten_metadata(const Value& flat, bool unescape_newlines) {
  Place root;
  Value items = flat.copy();
  for (Item& item : items.map) {
    if (item.value.is(Kind::comment)) continue;
    if (unescape_newlines && item.value.is(Kind::string)) replace_all(item.value.text, "\\n", "\n");
    if (auto placed = put(root, item); !placed) return failure(std::move(placed.error()));
  }
  return build(root);
}

}  // namespace opi::secrets::sops
