#pragma once
/// @file
/// The work behind parse(): from libyaml's events to an index of raw nodes, and from there to trees with aliases
/// expanded.

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/result.hpp"
#include "yaml/node.hpp"
#include "yaml/parse.hpp"
#include "yaml/text.hpp"

struct yaml_event_s;
struct yaml_mark_s;
struct yaml_parser_s;

namespace opi::yaml {

/// Used once: construct, run(), take_problems(). Holds a view of the text. Not synchronised.
class TreeBuilder {
 public:
  TreeBuilder(std::string_view text, std::string file, const Limits& limits);

  Result<std::vector<Document>> run();
  /// Duplicate keys and keys that are no strings, as they were found.
  std::vector<Error> take_problems() { return std::move(problems_); }

 private:
  using Index = std::uint32_t;
  /// A node as the events told it: children by number, a mapping's keys and values in turn.
  struct Raw {
    Node node;
    std::vector<Index> children = {};
    Index target = 0;  ///< of an alias
    bool is_alias = false;
    bool open = false;  ///< its end has not been seen yet
  };
  /// What is true of a whole branch while it is built.
  struct Branch {
    std::size_t depth = 0;
    bool keep = false;      ///< below an anchor: somebody may still copy from it
    bool in_alias = false;  ///< a copy: counted, and its problems are known already
  };

  Result<> check_text() const;
  Result<> read_events();
  Result<> take_event(const yaml_event_s& event);
  Result<> add_node(Raw raw, const yaml_event_s& event);
  Result<> add_alias(const yaml_event_s& event);
  Result<> open_collection(const yaml_event_s& event);
  void close_collection(const yaml_event_s& event);
  Result<> end_document();
  Position position_of(const yaml_mark_s& mark, Cursor& cursor) const;
  Node new_node(const yaml_event_s& event);
  Span scalar_span(Span span, Style style) const;

  Result<Node> build(Index index, Branch branch);
  Result<> build_mapping(Node& node, const std::vector<Index>& children, Branch branch);
  Result<> count_node(const Node& node, Branch branch);
  void drop_bad_keys(Node& node, bool report);

  Error libyaml_error(const yaml_parser_s& parser);
  Error fault(std::string what, const Position& position) const;
  Error fault(std::string what, const Node& node) const;
  Place place_of(const Position& position) const;

  std::string_view text_;
  std::size_t skipped_ = 0;  ///< bytes of a byte-order mark, which text_ no longer has
  std::shared_ptr<const std::string> file_;
  Limits limits_;
  bool plain_;  ///< is_plain_ascii: no need to walk the text for positions
  Cursor starts_;
  Cursor ends_;
  std::vector<Raw> raws_;
  std::vector<Index> stack_;  ///< the open collections
  std::map<std::string, Index, std::less<>> anchors_;
  std::vector<Document> documents_;
  std::vector<Error> problems_;
  std::size_t aliases_ = 0;
  std::size_t raw_total_ = 0;
  std::size_t built_total_ = 0;
  std::size_t copied_bytes_ = 0;
};

}  // namespace opi::yaml
