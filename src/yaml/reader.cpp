#include "yaml/reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "yaml/nearest.hpp"

namespace opi::yaml {

Reader::Reader(const Node& node, std::string path, Problems& problems)
    : node_(&node), path_(std::move(path)), problems_(&problems) {}

void Reader::fail(std::string_view what) const {
  problems_->add(*node_, path_, what);
}

void Reader::wrong_type(std::string_view expected) const {
  const bool unquoted = expected == "string" && node_->is_scalar() && !node_->is_null();
  fail(fmt::format("expected {}, got {}{}", expected, node_->type_name(), unquoted ? "; put it in quotes" : ""));
}

std::optional<std::string> Reader::string() const {
  if (const auto value = node_->as_string()) return std::string(*value);
  wrong_type("string");
  return std::nullopt;
}

std::optional<bool> Reader::boolean() const {
  const auto value = node_->as_boolean();
  if (!value) wrong_type("boolean (true or false)");
  return value;
}

std::optional<std::int64_t> Reader::integer(std::int64_t least, std::int64_t most) const {
  if (!node_->is_scalar() || node_->type() != ScalarType::integer) {
    wrong_type("integer");
    return std::nullopt;
  }
  const auto value = node_->as_integer();
  if (value && *value >= least && *value <= most) return value;
  const std::string got = shown(node_->value);
  constexpr auto no_most = std::numeric_limits<std::int64_t>::max();
  if (most == no_most && least != std::numeric_limits<std::int64_t>::min()) {
    fail(fmt::format("{} is out of range: {} or more", got, least));
  } else {
    fail(fmt::format("{} is out of range: {} to {}", got, least, most));
  }
  return std::nullopt;
}

std::optional<double> Reader::number(double least, double most) const {
  const auto value = node_->as_number();
  if (!value) {
    wrong_type("number");
    return std::nullopt;
  }
  if (*value >= least && *value <= most) return value;  // not so for .nan
  fail(fmt::format("{} is out of range: {} to {}", shown(node_->value), least, most));
  return std::nullopt;
}

std::optional<std::string> Reader::one_of(std::span<const std::string_view> allowed) const {
  auto value = string();
  if (!value || std::ranges::find(allowed, *value) != allowed.end()) return value;
  const std::vector<std::string> names(allowed.begin(), allowed.end());
  const auto near = nearest(*value, names);
  fail(fmt::format("{} is not one of {}{}", shown(*value), joined(names),
                   near ? fmt::format("; did you mean \"{}\"?", *near) : ""));
  return std::nullopt;
}

std::optional<std::string> Reader::text() const {
  if (node_->is_scalar() && !node_->is_null()) return node_->value;
  wrong_type("string");
  return std::nullopt;
}

std::optional<std::vector<Reader>> Reader::list() const {
  if (!node_->is_sequence()) {
    wrong_type("list");
    return std::nullopt;
  }
  std::vector<Reader> items;
  items.reserve(node_->items.size());
  for (std::size_t i = 0; i < node_->items.size(); ++i) {
    items.emplace_back(node_->items[i], item_path(path_, i), *problems_);
  }
  return items;
}

std::optional<std::vector<std::string>> Reader::strings() const {
  const auto items = list();
  if (!items) return std::nullopt;
  std::vector<std::string> values;
  for (const Reader& item : *items) {
    if (auto value = item.string()) values.push_back(std::move(*value));
  }
  return values;
}

MappingReader::MappingReader(const Node& node, std::string path, Problems& problems)
    : node_(&node), path_(std::move(path)), problems_(&problems) {
  if (valid()) return;
  Reader(*node_, path_, *problems_).wrong_type("mapping");
  finished_ = true;
}

MappingReader::MappingReader(const Reader& reader) : MappingReader(*reader.node_, reader.path_, *reader.problems_) {}

MappingReader::MappingReader(MappingReader&& other) noexcept
    : node_(other.node_),
      path_(std::move(other.path_)),
      problems_(other.problems_),
      asked_(std::move(other.asked_)),
      all_asked_(other.all_asked_),
      finished_(std::exchange(other.finished_, true)) {}

MappingReader::~MappingReader() {
  finish();
}

std::optional<Reader> MappingReader::look_up(std::string_view key) {
  const auto spot = std::ranges::lower_bound(asked_, key);
  if (spot == asked_.end() || *spot != key) asked_.emplace(spot, key);
  const Node* value = node_->find(key);
  if (value == nullptr) return std::nullopt;
  return Reader(*value, field_path(path_, key), *problems_);
}

std::optional<Reader> MappingReader::optional(std::string_view key) {
  auto found = look_up(key);
  if (found && found->node().is_null()) return std::nullopt;
  return found;
}

std::optional<Reader> MappingReader::required(std::string_view key) {
  auto found = look_up(key);
  if (found && !found->node().is_null()) return found;
  if (found) {
    found->fail("is required and has no value");
  } else if (valid()) {
    problems_->add(*node_, field_path(path_, key), "is required");
  }
  return std::nullopt;
}

bool MappingReader::has(std::string_view key) {
  return look_up(key).has_value();
}

std::optional<std::string> MappingReader::string(std::string_view key) {
  const auto found = optional(key);
  return found ? found->string() : std::nullopt;
}

std::optional<bool> MappingReader::boolean(std::string_view key) {
  const auto found = optional(key);
  return found ? found->boolean() : std::nullopt;
}

std::optional<std::int64_t> MappingReader::integer(std::string_view key, std::int64_t least, std::int64_t most) {
  const auto found = optional(key);
  return found ? found->integer(least, most) : std::nullopt;
}

std::optional<double> MappingReader::number(std::string_view key, double least, double most) {
  const auto found = optional(key);
  return found ? found->number(least, most) : std::nullopt;
}

std::optional<std::string> MappingReader::one_of(std::string_view key, std::span<const std::string_view> allowed) {
  const auto found = optional(key);
  return found ? found->one_of(allowed) : std::nullopt;
}

std::optional<std::vector<std::string>> MappingReader::strings(std::string_view key) {
  const auto found = optional(key);
  return found ? found->strings() : std::nullopt;
}

std::optional<std::vector<Reader>> MappingReader::list(std::string_view key) {
  const auto found = optional(key);
  return found ? found->list() : std::nullopt;
}

std::optional<MappingReader> MappingReader::mapping(std::string_view key) {
  const auto found = optional(key);
  if (!found) return std::nullopt;
  MappingReader inner(*found);
  if (!inner.valid()) return std::nullopt;
  return inner;
}

std::vector<std::pair<std::string, Reader>> MappingReader::each() {
  all_asked_ = true;
  std::vector<std::pair<std::string, Reader>> all;
  all.reserve(node_->entries.size());
  for (const Entry& entry : node_->entries) {
    all.emplace_back(entry.key.value, Reader(entry.value, field_path(path_, entry.key.value), *problems_));
  }
  return all;
}

void MappingReader::fail(std::string_view what) const {
  problems_->add(*node_, path_, what);
}

void MappingReader::finish() {
  if (std::exchange(finished_, true) || all_asked_) return;
  for (const Entry& entry : node_->entries) {
    if (!std::ranges::binary_search(asked_, entry.key.value)) add_unknown_field(*problems_, entry.key, path_, asked_);
  }
}

}  // namespace opi::yaml
