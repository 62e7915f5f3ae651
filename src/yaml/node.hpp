#pragma once
/// @file
/// A YAML document as a tree of values that remember where and how they were written.
///
/// Scalars resolve by the core schema of YAML 1.2.2 (§10.3.2); what the tables of YAML 1.1 call a boolean (`no`, `on`)
/// is a string here. Everything is a plain value: copy it, share it read-only between threads.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/place.hpp"

namespace opi::yaml {

enum class Kind { scalar, sequence, mapping };

/// How a node was written. An empty value is plain.
enum class Style { plain, single_quoted, double_quoted, literal, folded, block, flow };

/// What a scalar means in the core schema; decided by tag, style and text, in that order.
enum class ScalarType { null, boolean, integer, floating, string };

/// Bytes [start, end) of the text that was parsed.
struct Span {
  std::size_t start = 0;
  std::size_t end = 0;
  std::size_t size() const noexcept { return end - start; }
  friend bool operator==(const Span&, const Span&) = default;
};

struct Entry;

/// One node. An alias stands in the tree as a copy of what it names: `alias` is set, place and span are those of the
/// `*name` itself, and everything below it keeps the places of the original.
struct Node {
  Kind kind = Kind::scalar;
  Style style = Style::plain;
  std::string value = {};   ///< of a scalar: unescaped, unfolded
  std::string tag = {};     ///< resolved, "tag:yaml.org,2002:str" or "!local"; empty when none was written
  std::string anchor = {};  ///< without the '&'
  std::string alias = {};   ///< without the '*'
  int line = 1;             ///< from 1
  int column = 1;           ///< from 1, in code points; of the tag or anchor when the node has one
  Span span = {};           ///< the node with its quotes, brackets, tag and anchor; no line break or comment after it
  std::shared_ptr<const std::string> file = {};  ///< as given to the parser; shared by all nodes of a parse
  std::vector<Node> items = {};                  ///< of a sequence
  std::vector<Entry> entries;                    ///< of a mapping, in the order of the file; keys are unique

  bool is_scalar() const noexcept { return kind == Kind::scalar; }
  bool is_sequence() const noexcept { return kind == Kind::sequence; }
  bool is_mapping() const noexcept { return kind == Kind::mapping; }

  Place place() const;

  /// The value of a key of this mapping, nullptr when there is none or this is no mapping. Linear.
  const Node* find(std::string_view key) const noexcept;
  const Entry* find_entry(std::string_view key) const noexcept;

  /// Type of a scalar; `string` for everything else is never asked for.
  ScalarType type() const noexcept;
  /// "null", "boolean", "integer", "number", "string", "list" or "mapping": for messages.
  std::string_view type_name() const noexcept;

  bool is_null() const noexcept { return is_scalar() && type() == ScalarType::null; }
  /// The text of a scalar of type string; a plain `8080` or `true` is none. The view lives as long as the node.
  std::optional<std::string_view> as_string() const noexcept;
  std::optional<bool> as_boolean() const noexcept;
  /// Decimal, 0o and 0x; none when it does not fit 64 bits (the type is still `integer`).
  std::optional<std::int64_t> as_integer() const noexcept;
  /// An integer or a number with a fraction or exponent, .inf and .nan.
  std::optional<double> as_number() const noexcept;
};

/// One key of a mapping and what it holds. Keys are scalars of type string.
struct Entry {
  Node key;
  Node value;
};

/// One document of a stream.
struct Document {
  Node root = {};  ///< of an empty document: a plain null, place 1:1
};

/// The type of a scalar by its parts; what Node::type() is made of.
ScalarType resolve_scalar(std::string_view tag, Style style, std::string_view value) noexcept;

}  // namespace opi::yaml
