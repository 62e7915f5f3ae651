#include "yaml/tree_builder.hpp"

#include <fmt/format.h>
#include <yaml.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "yaml/problems.hpp"

namespace opi::yaml {
namespace {

constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
/// libyaml compares every %TAG with all before it; nobody needs many.
constexpr std::size_t directives_max = 8;
// What a usual file has; only to reserve room, and not for more than a usual file.
constexpr std::size_t bytes_of_a_node = 24;
constexpr std::size_t nodes_foreseen_max = 1'024;
/// Keys that are wrong are told one by one, but not without end.
constexpr std::size_t key_problems_max = 1'000;

/// libyaml's parser over a text that outlives it.
class EventParser {
 public:
  explicit EventParser(std::string_view text) : good_(yaml_parser_initialize(&parser_) == 1) {
    if (!good_) return;
    yaml_parser_set_encoding(&parser_, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  }
  EventParser(const EventParser&) = delete;
  EventParser& operator=(const EventParser&) = delete;
  ~EventParser() {
    if (good_) yaml_parser_delete(&parser_);
  }
  bool next(yaml_event_t& event) { return good_ && yaml_parser_parse(&parser_, &event) == 1; }
  const yaml_parser_t& raw() const { return parser_; }

 private:
  yaml_parser_t parser_{};
  bool good_;
};

struct EventOwner {
  yaml_event_t event{};
  EventOwner() = default;
  EventOwner(const EventOwner&) = delete;
  EventOwner& operator=(const EventOwner&) = delete;
  ~EventOwner() { yaml_event_delete(&event); }
};

std::string text_of(const yaml_char_t* c_string) {
  return c_string == nullptr ? std::string{} : std::string(reinterpret_cast<const char*>(c_string));
}

Style scalar_style(yaml_scalar_style_t style) {
  switch (style) {
    case YAML_SINGLE_QUOTED_SCALAR_STYLE: return Style::single_quoted;
    case YAML_DOUBLE_QUOTED_SCALAR_STYLE: return Style::double_quoted;
    case YAML_LITERAL_SCALAR_STYLE: return Style::literal;
    case YAML_FOLDED_SCALAR_STYLE: return Style::folded;
    case YAML_ANY_SCALAR_STYLE:
    case YAML_PLAIN_SCALAR_STYLE: break;
  }
  return Style::plain;
}

std::string_view without_mark(std::string_view text) {
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  return text;
}

}  // namespace

TreeBuilder::TreeBuilder(std::string_view text, std::string file, const Limits& limits)
    : text_(without_mark(text)),
      skipped_(text.size() - text_.size()),
      file_(std::make_shared<const std::string>(std::move(file))),
      limits_(limits),
      plain_(is_plain_ascii(text_)),
      starts_(text_),
      ends_(text_) {
  raws_.reserve(std::min(text_.size() / bytes_of_a_node, nodes_foreseen_max));
}

Result<std::vector<Document>> TreeBuilder::run() {
  if (auto good = check_text(); !good) return failure(std::move(good.error()));
  if (auto good = read_events(); !good) return failure(std::move(good.error()));
  return std::move(documents_);
}

Place TreeBuilder::place_of(const Position& position) const {
  return {.file = *file_, .line = position.line, .column = position.column};
}

Error TreeBuilder::fault(std::string what, const Position& position) const {
  return Error(ErrorKind::invalid, std::move(what)).at(place_of(position));
}

Error TreeBuilder::fault(std::string what, const Node& node) const {
  return Error(ErrorKind::invalid, std::move(what)).at(node.place());
}

Result<> TreeBuilder::check_text() const {
  if (text_.size() > limits_.bytes_max) {
    return failure(
        fault(fmt::format("the file has {} bytes; at most {} are read", text_.size(), limits_.bytes_max), Position{}));
  }
  if (const auto wrong = plain_ ? std::nullopt : find_text_fault(text_))
    return failure(fault(wrong->what, wrong->position));
  std::size_t directives = 0;
  Position line;
  while (line.byte < text_.size()) {
    if (text_[line.byte] == '%' && ++directives > directives_max) {
      return failure(fault(fmt::format("more than {} directives (lines that start with %)", directives_max), line));
    }
    const std::size_t end = text_.find_first_of("\r\n", line.byte);
    if (end == text_.npos) break;
    line.byte = end + (text_.substr(end).starts_with("\r\n") ? 2 : 1);
    ++line.line;
  }
  return {};
}

Error TreeBuilder::libyaml_error(const yaml_parser_s& parser) {
  if (parser.error == YAML_MEMORY_ERROR || parser.problem == nullptr) {
    return Error(ErrorKind::exhausted, "out of memory while parsing").at({.file = *file_});
  }
  const Position position = Cursor(text_).at(parser.problem_mark.index);
  std::string what = fmt::format("not valid YAML: {}", parser.problem);
  if (parser.context != nullptr) {
    what += fmt::format(" ({}", parser.context);
    const Position context = Cursor(text_).at(parser.context_mark.index);
    if (parser.context_mark.index != parser.problem_mark.index) what += fmt::format(" from line {}", context.line);
    what += ')';
  }
  Error error = fault(std::move(what), position);
  if (position.byte < text_.size() && text_[position.byte] == '\t') error.remedy = "indent with spaces, not with tabs";
  return error;
}

Result<> TreeBuilder::read_events() {
  EventParser parser(text_);
  while (true) {
    EventOwner owner;
    if (!parser.next(owner.event)) return failure(libyaml_error(parser.raw()));
    if (owner.event.type == YAML_STREAM_END_EVENT) return {};
    if (auto good = take_event(owner.event); !good) return good;
  }
}

Result<> TreeBuilder::take_event(const yaml_event_s& event) {
  switch (event.type) {
    case YAML_SCALAR_EVENT: {
      Raw raw{.node = new_node(event)};
      raw.node.style = scalar_style(event.data.scalar.style);
      raw.node.value.assign(reinterpret_cast<const char*>(event.data.scalar.value), event.data.scalar.length);
      raw.node.tag = text_of(event.data.scalar.tag);
      raw.node.anchor = text_of(event.data.scalar.anchor);
      raw.node.span = scalar_span(raw.node.span, raw.node.style);
      // The tag "!" alone says "no plain resolution": a string.
      if (raw.node.tag == "!") raw.node.tag = YAML_STR_TAG;
      return add_node(std::move(raw), event);
    }
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT: return open_collection(event);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: close_collection(event); return {};
    case YAML_ALIAS_EVENT: return add_alias(event);
    case YAML_DOCUMENT_END_EVENT: return end_document();
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_START_EVENT: break;
  }
  return {};
}

/// libyaml counts characters, and lines and columns as we do except in what is not ASCII.
Position TreeBuilder::position_of(const yaml_mark_s& mark, Cursor& cursor) const {
  if (!plain_) return cursor.at(mark.index);
  const std::size_t index = std::min(mark.index, text_.size());
  return {.byte = index,
          .character = index,
          .line = static_cast<int>(mark.line) + 1,
          .column = static_cast<int>(mark.column) + 1};
}

Node TreeBuilder::new_node(const yaml_event_s& event) {
  const Position start = position_of(event.start_mark, starts_);
  const Position end = position_of(event.end_mark, ends_);
  Node node;
  node.line = start.line;
  node.column = start.column;
  node.span = {.start = start.byte + skipped_, .end = std::max(start.byte, end.byte) + skipped_};
  node.file = file_;
  return node;
}

Span TreeBuilder::scalar_span(Span span, Style style) const {
  if (style != Style::literal && style != Style::folded) return span;
  // libyaml ends a block scalar behind the line breaks after it. They are its own only where the header says "keep".
  std::string_view written = text_.substr(span.start - skipped_, span.size());
  const std::string_view header = written.substr(0, written.find_first_of("\r\n#"));
  if (header.find('+') != header.npos) {
    if (written.ends_with('\n')) written.remove_suffix(1);
    if (written.ends_with('\r')) written.remove_suffix(1);
  } else {
    const std::size_t last = written.find_last_not_of(" \t\r\n");
    written = written.substr(0, last == written.npos ? 0 : last + 1);
  }
  return {.start = span.start, .end = span.start + written.size()};
}

Result<> TreeBuilder::add_node(Raw raw, const yaml_event_s& event) {
  if (++raw_total_ > limits_.nodes_max) {
    return failure(fault(fmt::format("more than {} values", limits_.nodes_max), raw.node));
  }
  const auto index = static_cast<Index>(raws_.size());
  if (!stack_.empty()) raws_[stack_.back()].children.push_back(index);
  if (!raw.node.anchor.empty()) anchors_.insert_or_assign(raw.node.anchor, index);
  raw.open = event.type == YAML_MAPPING_START_EVENT || event.type == YAML_SEQUENCE_START_EVENT;
  if (raw.open) stack_.push_back(index);
  raws_.push_back(std::move(raw));
  return {};
}

Result<> TreeBuilder::add_alias(const yaml_event_s& event) {
  Raw raw{.node = new_node(event), .is_alias = true};
  raw.node.alias = text_of(event.data.alias.anchor);
  if (++aliases_ > limits_.aliases_max) {
    return failure(fault(fmt::format("more than {} aliases", limits_.aliases_max), raw.node));
  }
  const auto found = anchors_.find(raw.node.alias);
  if (found == anchors_.end()) {
    return failure(fault(fmt::format("the alias *{} has no anchor before it", raw.node.alias), raw.node));
  }
  if (raws_[found->second].open) {
    return failure(fault(fmt::format("the alias *{} stands inside its own anchor", raw.node.alias), raw.node));
  }
  raw.target = found->second;
  return add_node(std::move(raw), event);
}

Result<> TreeBuilder::open_collection(const yaml_event_s& event) {
  Raw raw{.node = new_node(event)};
  if (stack_.size() >= limits_.depth_max) {
    return failure(fault(fmt::format("nested deeper than {} levels", limits_.depth_max), raw.node));
  }
  Node& node = raw.node;
  if (event.type == YAML_MAPPING_START_EVENT) {
    node.kind = Kind::mapping;
    node.style = event.data.mapping_start.style == YAML_FLOW_MAPPING_STYLE ? Style::flow : Style::block;
    node.tag = text_of(event.data.mapping_start.tag);
    node.anchor = text_of(event.data.mapping_start.anchor);
  } else {
    node.kind = Kind::sequence;
    node.style = event.data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE ? Style::flow : Style::block;
    node.tag = text_of(event.data.sequence_start.tag);
    node.anchor = text_of(event.data.sequence_start.anchor);
  }
  return add_node(std::move(raw), event);
}

void TreeBuilder::close_collection(const yaml_event_s& event) {
  Raw& raw = raws_[stack_.back()];
  stack_.pop_back();
  raw.open = false;
  // libyaml ends a block collection where the next token starts; ours ends where its last child does.
  if (raw.node.style == Style::flow) {
    raw.node.span.end = position_of(event.end_mark, ends_).byte + skipped_;
  } else if (!raw.children.empty()) {
    raw.node.span.end = std::max(raw.node.span.end, raws_[raw.children.back()].node.span.end);
  }
}

Result<> TreeBuilder::end_document() {
  if (documents_.size() >= limits_.documents_max) {
    return failure(fault(fmt::format("more than {} documents", limits_.documents_max), raws_.front().node));
  }
  auto root = build(0, {});
  if (!root) return failure(std::move(root.error()));
  documents_.push_back({std::move(*root)});
  raws_.clear();
  anchors_.clear();
  return {};
}

Result<> TreeBuilder::count_node(const Node& node, Branch branch) {
  if (++built_total_ > limits_.nodes_max) {
    return failure(fault(fmt::format("more than {} values once the aliases are expanded", limits_.nodes_max), node));
  }
  if (branch.in_alias && (copied_bytes_ += node.value.size()) > limits_.bytes_max) {
    return failure(fault(fmt::format("the aliases copy more than {} bytes", limits_.bytes_max), node));
  }
  return {};
}

Result<Node> TreeBuilder::build(Index index, Branch branch) {
  if (raws_[index].is_alias) {
    const Raw& here = raws_[index];
    auto copy = build(here.target, {.depth = branch.depth, .keep = true, .in_alias = true});
    if (!copy) return copy;
    copy->anchor.clear();
    copy->alias = here.node.alias;
    copy->line = here.node.line;
    copy->column = here.node.column;
    copy->span = here.node.span;
    return copy;
  }
  Raw& raw = raws_[index];
  branch.keep = branch.keep || !raw.node.anchor.empty();
  if (auto good = count_node(raw.node, branch); !good) return failure(std::move(good.error()));
  if (!raw.node.is_scalar() && ++branch.depth > limits_.depth_max) {
    return failure(fault(fmt::format("nested deeper than {} levels", limits_.depth_max), raw.node));
  }
  Node node = branch.keep ? raw.node : std::move(raw.node);
  if (node.is_sequence()) {
    node.items.reserve(raw.children.size());
    for (const Index child : raw.children) {
      auto item = build(child, branch);
      if (!item) return item;
      node.items.push_back(std::move(*item));
    }
  } else if (auto good = build_mapping(node, raw.children, branch); !good) {
    return failure(std::move(good.error()));
  }
  return node;
}

Result<> TreeBuilder::build_mapping(Node& node, const std::vector<Index>& children, Branch branch) {
  node.entries.reserve(children.size() / 2);
  for (std::size_t i = 0; i + 1 < children.size(); i += 2) {
    auto key = build(children[i], branch);
    if (!key) return failure(std::move(key.error()));
    auto value = build(children[i + 1], branch);
    if (!value) return failure(std::move(value.error()));
    node.entries.push_back({std::move(*key), std::move(*value)});
  }
  drop_bad_keys(node, !branch.in_alias);
  return {};
}

void TreeBuilder::drop_bad_keys(Node& node, bool report) {
  std::vector<std::size_t> order(node.entries.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
    const int way = node.entries[a].key.value.compare(node.entries[b].key.value);
    return way != 0 ? way < 0 : a < b;
  });
  std::vector<bool> bad(order.size(), false);
  const auto say = [&](const Node& key, std::string what) {
    if (report && problems_.size() < key_problems_max) problems_.push_back(fault(std::move(what), key));
  };
  const Node* first = nullptr;
  for (const std::size_t i : order) {
    const Node& key = node.entries[i].key;
    if (!key.as_string()) {
      bad[i] = true;
      say(key, key.is_scalar()
                   ? fmt::format("the key {} is of type {}; put it in quotes", shown(key.value), key.type_name())
                   : fmt::format("a {} cannot be a key", key.type_name()));
    } else if (first != nullptr && first->value == key.value) {
      bad[i] = true;
      say(key, fmt::format("the key {} is here twice, first in line {}, column {}", shown(key.value), first->line,
                           first->column));
    } else {
      first = &key;
    }
  }
  std::size_t i = 0;
  std::erase_if(node.entries, [&](const Entry&) { return bad[i++]; });
}

}  // namespace opi::yaml
