#include "yaml/problems.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "yaml/nearest.hpp"

namespace opi::yaml {
namespace {

constexpr std::size_t shown_max = 40;

bool plain_name(std::string_view key) {
  return !key.empty() && key.size() <= shown_max && std::ranges::all_of(key, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

/// How many bytes from `start` are one UTF-8 character that may be shown as it is; 0 when it needs an escape.
std::size_t showable(std::string_view value, std::size_t start) {
  const auto first = static_cast<unsigned char>(value[start]);
  if (first < 0x80) return first >= 0x20 && first != 0x7F ? 1 : 0;
  const std::size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC2 ? 2 : 0;
  if (size == 0 || start + size > value.size()) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((static_cast<unsigned char>(value[start + i]) & 0xC0U) != 0x80U) return 0;
  }
  // The C1 controls U+0080..U+009F would reach a terminal.
  if (first == 0xC2 && static_cast<unsigned char>(value[start + 1]) < 0xA0) return 0;
  return size;
}

}  // namespace

Problems::Problems(std::size_t errors_max) : errors_max_(std::max<std::size_t>(errors_max, 1)) {}

void Problems::add(Error error) {
  items_.push_back({std::move(error), count_++});
  if (items_.size() >= 2 * errors_max_ + 16) keep_first();
}

void Problems::add(const Node& node, std::string_view path, std::string_view what) {
  std::string message(path);
  if (!message.empty()) message += ": ";
  message += what;
  add(Error(ErrorKind::invalid, std::move(message)).at(node.place()));
}

void Problems::keep_first() {
  std::ranges::sort(items_, {}, [](const Item& item) {
    return std::tuple(item.error.place.line, item.error.place.column, item.order);
  });
  if (items_.size() > errors_max_) items_.resize(errors_max_);
}

std::vector<Error> Problems::take() {
  keep_first();
  std::vector<Error> errors;
  errors.reserve(items_.size() + 1);
  for (Item& item : items_) errors.push_back(std::move(item.error));
  if (count_ > errors.size()) {
    Place place = errors.back().place;
    errors.push_back(Error(ErrorKind::invalid, fmt::format("{} more errors are not shown", count_ - errors.size()))
                         .at(std::move(place)));
  }
  items_.clear();
  count_ = 0;
  return errors;
}

std::string field_path(std::string_view path, std::string_view key) {
  std::string whole(path);
  if (!whole.empty()) whole += '.';
  whole += plain_name(key) ? std::string(key) : shown(key);
  return whole;
}

std::string item_path(std::string_view path, std::size_t index) {
  return fmt::format("{}[{}]", path, index);
}

std::string shown(std::string_view value) {
  std::string text = "\"";
  std::size_t characters = 0;
  for (std::size_t i = 0; i < value.size(); ++characters) {
    if (characters == shown_max) return text + "…\"";
    if (value[i] == '"' || value[i] == '\\') text += '\\';
    if (const std::size_t size = showable(value, i)) {
      text += value.substr(i, size);
      i += size;
      continue;
    }
    const auto byte = static_cast<unsigned char>(value[i++]);
    text += byte == '\n' ? "\\n" : byte == '\t' ? "\\t" : byte == '\r' ? "\\r" : fmt::format("\\x{:02X}", byte);
  }
  return text + '"';
}

void add_unknown_field(Problems& problems, const Node& key, std::string_view path, std::span<const std::string> known) {
  const std::string field = field_path(path, key.value);
  if (key.value == "<<") {
    problems.add(key, field, "merge keys are not supported; write the fields out");
  } else if (const auto near = nearest(key.value, known)) {
    problems.add(key, field, fmt::format("unknown field; did you mean \"{}\"?", *near));
  } else {
    problems.add(key, field, "unknown field");
  }
}

}  // namespace opi::yaml
