#pragma once
/// @file
/// Changes to a YAML text by its bytes: what is not named keeps its comments, order and formatting, byte for byte.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "yaml/node.hpp"

namespace opi::yaml {

/// `value` as a scalar that parses back as the same string: plain where that is safe, else in double quotes. One line,
/// valid in block and flow collections and as a key.
std::string write_string(std::string_view value);

/// `value` as a literal block scalar ("|", "|-" or "|+" and lines indented by `indent` spaces), for armored blocks; in
/// double quotes when a literal block cannot hold it (control characters, a leading blank). No line break at the end.
std::string write_block(std::string_view value, std::size_t indent);

/// Replacements on one text. Collects them, then applies all at once; spans are those of the original text.
/// Holds a view: the text must outlive it. Not synchronised.
class Edit {
 public:
  explicit Edit(std::string_view text) : text_(text) {}

  void replace(Span span, std::string bytes);
  void insert(std::size_t offset, std::string bytes) { replace({offset, offset}, std::move(bytes)); }
  void erase(Span span) { replace(span, {}); }

  /// Gives a node a new written form (from write_string, write_block or your own). The node is one of the text itself,
  /// not below an alias. A blank is put before it where the empty value stood directly behind its colon.
  void set(const Node& node, std::string written);

  /// Adds `key: written` as the last entry of a mapping that stands in the text, in the mapping's own style and
  /// indentation. `written` holds its own indentation if it has several lines. Errors: invalid (no mapping, an alias, a
  /// block mapping without entries or with explicit "? key" ones).
  Result<> add_entry(const Node& mapping, std::string_view key, std::string_view written);

  /// Removes an entry of a mapping: of a block mapping its lines (with a comment behind it on the same line), of a flow
  /// mapping the entry with one comma. Errors: invalid (the mapping is not block or flow, there is no such key, or it
  /// is the only entry of a block mapping, which cannot be empty).
  Result<> remove_entry(const Node& mapping, std::string_view key);

  /// The new text. Errors: invalid (a span outside of the text, two that overlap). Insertions at one offset keep the
  /// order in which they were asked for.
  Result<std::string> apply() const;

 private:
  struct Change {
    Span span;
    std::string bytes;
  };
  std::string_view text_;
  std::vector<Change> changes_;
};

}  // namespace opi::yaml
