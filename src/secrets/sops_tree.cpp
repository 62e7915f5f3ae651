#include "secrets/sops_tree.hpp"

#include <algorithm>

#include "secrets/sops_numbers.hpp"

namespace opi::secrets::sops {

Value& Value::operator=(Value&& other) noexcept {
  if (this != &other) {
    wipe(text);
    kind = other.kind;
    boolean = other.boolean;
    on_line = other.on_line;
    integer = other.integer;
    number = other.number;
    text = std::move(other.text);
    list = std::move(other.list);
    map = std::move(other.map);
  }
  return *this;
}

Value::~Value() {
  wipe(text);
}

Value Value::of_kind(Kind kind) {
  Value value;
  value.kind = kind;
  return value;
}

Value Value::of_string(std::string text) {
  Value value = of_kind(Kind::string);
  value.text = std::move(text);
  return value;
}

Value Value::of_comment(std::string text, bool on_line) {
  Value value = of_kind(Kind::comment);
  value.text = std::move(text);
  value.on_line = on_line;
  return value;
}

Value Value::of_time(std::string text) {
  Value value = of_kind(Kind::time);
  value.text = std::move(text);
  return value;
}

Value Value::of_integer(std::int64_t integer) {
  Value value = of_kind(Kind::integer);
  value.integer = integer;
  return value;
}

Value Value::of_number(double number) {
  Value value = of_kind(Kind::floating);
  value.number = number;
  return value;
}

Value Value::of_boolean(bool boolean) {
  Value value = of_kind(Kind::boolean);
  value.boolean = boolean;
  return value;
}

const Value* Value::find(std::string_view key) const noexcept {
  const auto found =
      std::ranges::find_if(map, [&](const Item& item) { return item.value.kind != Kind::comment && item.key == key; });
  return found == map.end() ? nullptr : &found->value;
}

std::string Value::bytes() const {
  switch (kind) {
    case Kind::boolean: return boolean ? "True" : "False";
    case Kind::integer: return std::to_string(integer);
    case Kind::floating: return write_decimal(number);
    case Kind::time:
    case Kind::string:
    case Kind::comment: return text;
    case Kind::null:
    case Kind::list:
    case Kind::map: break;
  }
  return {};
}

Value Value::copy() const {
  Value copied = of_kind(kind);
  copied.boolean = boolean;
  copied.on_line = on_line;
  copied.integer = integer;
  copied.number = number;
  copied.text = text;
  copied.list.reserve(list.size());
  for (const Value& item : list) copied.list.push_back(item.copy());
  copied.map.reserve(map.size());
  for (const Item& item : map) copied.map.push_back({.key = item.key, .value = item.value.copy()});
  return copied;
}

void append(Value& map, std::string key, Value value) {
  map.map.push_back({.key = std::move(key), .value = std::move(value)});
}

}  // namespace opi::secrets::sops
