#pragma once
/// @file
/// What a SOPS file holds, whatever its format: documents of ordered keys and values, comments among them.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/secret_string.hpp"

namespace opi::secrets::sops {

enum class Kind { null, boolean, integer, floating, time, string, comment, list, map };

struct Item;

/// One value, list or map. Move-only; its text is wiped when it goes.
struct Value {
  Kind kind = Kind::null;
  bool boolean = false;
  bool on_line = false;  ///< of a comment: it stood behind a value, on its line
  std::int64_t integer = 0;
  double number = 0;
  std::string text = {};  ///< of a string or comment (without its "#"); of a time: RFC 3339 with nanoseconds as needed
  std::vector<Value> list;  ///< comments are items of their own
  std::vector<Item> map;    ///< in order; comments are items without a key

  Value() = default;
  Value(Value&& other) noexcept = default;
  Value& operator=(Value&& other) noexcept;
  Value(const Value&) = delete;
  Value& operator=(const Value&) = delete;
  ~Value();

  static Value of_string(std::string text);
  static Value of_comment(std::string text, bool on_line = false);
  static Value of_time(std::string text);
  static Value of_integer(std::int64_t integer);
  static Value of_number(double number);
  static Value of_boolean(bool boolean);
  static Value of_kind(Kind kind);

  bool is(Kind which) const noexcept { return kind == which; }
  /// Of a map: the value of `key`, nullptr when there is none or this is no map.
  const Value* find(std::string_view key) const noexcept;
  /// The bytes that the MAC covers and that are encrypted: decimal without exponent, "True"/"False", text as it is.
  std::string bytes() const;
  /// An explicit copy, as of a secret.
  Value copy() const;
};

struct Item {
  std::string key = {};  ///< empty for a comment, which `value` is then
  Value value = {};
};

using Map = std::vector<Item>;
/// The documents of a file, each a map.
using Branches = std::vector<Value>;

void append(Value& map, std::string key, Value value);

}  // namespace opi::secrets::sops
