// YAML to documents. The yaml room gives values with their places; comments are found between them, and each goes to
// the map or list that go-yaml, which SOPS reads with, would give it to.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "secrets/base64.hpp"
#include "secrets/sops_formats.hpp"
#include "secrets/sops_numbers.hpp"
#include "yaml/parse.hpp"

namespace opi::secrets::sops {
namespace {

using yaml::Node;

constexpr std::string_view core_tag = "tag:yaml.org,2002:";

struct Comment {
  std::size_t offset = 0;
  std::size_t column = 0;  ///< from 0, in bytes
  bool own_line = true;
  std::string_view text;  ///< without its "#"
};

/// Where a line ends: at any of the characters that break lines in YAML 1.1, which libyaml knows.
std::size_t line_end(std::string_view text, std::size_t at) {
  for (; at < text.size(); ++at) {
    const std::string_view rest = text.substr(at);
    if (rest[0] == '\n' || rest[0] == '\r' || rest.starts_with("\xC2\x85") || rest.starts_with("\xE2\x80\xA8") ||
        rest.starts_with("\xE2\x80\xA9")) {
      break;
    }
  }
  return at;
}

/// The comments of a text in the gaps between its values.
class CommentFinder {
 public:
  explicit CommentFinder(std::string_view text) : text_(text) {}

  std::vector<Comment> run(const std::vector<yaml::Document>& documents) {
    for (const yaml::Document& document : documents) visit(document.root);
    gap(text_.size());
    return std::move(found_);
  }

 private:
  void visit(const Node& node) {
    if (!node.alias.empty()) return leaf(node);
    if (node.is_scalar()) return leaf(node);
    const bool flow = node.style == yaml::Style::flow;
    if (flow) gap(node.span.start);
    // What stands before the first child is its tag, its anchor and its bracket; a "#" in those is no comment.
    for (const Node& item : node.items) visit(item);
    for (const yaml::Entry& entry : node.entries) {
      visit(entry.key);
      visit(entry.value);
    }
    if (flow) gap(node.span.end);
  }

  void leaf(const Node& node) {
    gap(node.span.start);
    const bool block = node.style == yaml::Style::literal || node.style == yaml::Style::folded;
    if (block && node.alias.empty()) {
      // "| # comment": the header's line is the node's own.
      const std::string_view written = text_.substr(node.span.start, node.span.size());
      const std::string_view header = written.substr(0, written.find('\n'));
      const std::size_t mark = header.find(" #");
      if (mark != std::string_view::npos) add(node.span.start + mark + 1, false);
    }
    done_ = std::max(done_, node.span.end);
  }

  void gap(std::size_t end) {
    for (std::size_t at = done_; at < end; ++at) {
      if (text_[at] != '#') continue;
      const bool starts =
          at == 0 || text_[at - 1] == ' ' || text_[at - 1] == '\t' || text_[at - 1] == '\n' || text_[at - 1] == '\r';
      if (!starts) continue;
      const std::size_t line = text_.substr(0, at).find_last_of("\r\n");
      const std::size_t first = line == std::string_view::npos ? 0 : line + 1;
      add(at, text_.substr(first, at - first).find_first_not_of(" \t") == std::string_view::npos);
      at = std::min(line_end(text_, at), end);
    }
    done_ = std::max(done_, end);
  }

  void add(std::size_t at, bool own_line) {
    const std::size_t line = text_.substr(0, at).find_last_of("\r\n");
    const std::size_t first = line == std::string_view::npos ? 0 : line + 1;
    const std::size_t end = line_end(text_, at);
    found_.push_back(
        {.offset = at, .column = at - first, .own_line = own_line, .text = text_.substr(at + 1, end - at - 1)});
  }

  std::string_view text_;
  std::size_t done_ = 0;
  std::vector<Comment> found_;
};

std::unexpected<Error> refuse(const Node& node, std::string reason) {
  return failure(Error(ErrorKind::invalid, std::move(reason)).at(node.place()));
}

/// What a plain scalar means to go-yaml: YAML 1.2 with whole numbers of YAML 1.1, and timestamps.
Result<Value> resolve_plain(const Node& node, bool timestamps) {
  const std::string& text = node.value;
  const yaml::ScalarType type = yaml::resolve_scalar({}, yaml::Style::plain, text);
  if (type == yaml::ScalarType::null) return Value{};
  if (type == yaml::ScalarType::boolean) return Value::of_boolean(text[0] == 't' || text[0] == 'T');
  const char first = text[0];
  const bool numeric = (first >= '0' && first <= '9') || first == '+' || first == '-' || first == '.';
  if (!numeric) return Value::of_string(text);
  if (timestamps) {
    if (auto time = read_yaml_time(text)) return Value::of_time(std::move(*time));
  }
  if (first != '.') {
    if (const auto integer = read_yaml_integer(text)) {
      if (integer->value) return Value::of_integer(*integer->value);
      return refuse(node, "a whole number of more than 63 bits cannot be encrypted; put it in quotes");
    }
  }
  std::string digits = text;
  if (first != '.') std::erase(digits, '_');
  if (yaml::resolve_scalar({}, yaml::Style::plain, digits) != yaml::ScalarType::string) {
    std::string_view number = digits;
    const bool negative = number.starts_with('-');
    if (negative || number.starts_with('+')) number.remove_prefix(1);
    if (number.starts_with(".i") || number.starts_with(".I")) {
      return Value::of_number(negative ? -std::numeric_limits<double>::infinity()
                                       : std::numeric_limits<double>::infinity());
    }
    if (number.starts_with(".n") || number.starts_with(".N")) {
      return Value::of_number(std::numeric_limits<double>::quiet_NaN());
    }
    if (const auto read = read_float(digits)) return Value::of_number(*read);
  }
  return Value::of_string(text);
}

Result<Value> resolve(const Node& node) {
  if (node.tag.empty()) {
    return node.style == yaml::Style::plain ? resolve_plain(node, true) : Result<Value>(Value::of_string(node.value));
  }
  if (!node.tag.starts_with(core_tag)) return Value::of_string(node.value);
  const std::string_view name = std::string_view(node.tag).substr(core_tag.size());
  if (name == "binary") {
    std::string text = node.value;
    std::erase_if(text, [](char c) { return c == '\n' || c == '\r' || c == ' '; });
    auto bytes = base64_decode(text);
    if (!bytes) return refuse(node, "!!binary without base64 in it");
    return Value::of_string(std::move(*bytes));
  }
  const bool typed = name == "int" || name == "float" || name == "bool" || name == "null" || name == "timestamp";
  if (!typed) return Value::of_string(node.value);
  auto value = resolve_plain(node, name == "timestamp");
  if (!value) return value;
  if (name == "float" && value->is(Kind::integer)) return Value::of_number(static_cast<double>(value->integer));
  const Kind wanted = name == "int"     ? Kind::integer
                      : name == "float" ? Kind::floating
                      : name == "bool"  ? Kind::boolean
                      : name == "null"  ? Kind::null
                                        : Kind::time;
  if (!value->is(wanted)) return refuse(node, fmt::format("the text of this value is no {}", name));
  return value;
}

/// Builds the documents and hands out the comments, in the order of the text.
class Builder {
 public:
  Builder(std::string_view text, std::vector<Comment> comments) : text_(text), comments_(std::move(comments)) {}

  Result<Branches> run(const std::vector<yaml::Document>& documents) {
    Branches branches;
    for (std::size_t i = 0; i < documents.size(); ++i) {
      const std::size_t from = documents[i].root.span.end;
      const std::size_t to = i + 1 < documents.size() ? documents[i + 1].root.span.start : text_.size();
      auto branch = document(documents[i].root, end_of_document(from, to));
      if (!branch) return failure(std::move(branch.error()));
      branches.push_back(std::move(*branch));
    }
    return branches;
  }

 private:
  /// Where the marker of the next document stands between two of them.
  std::size_t end_of_document(std::size_t from, std::size_t to) const {
    for (std::size_t at = from; at < to;) {
      const std::size_t line = text_.substr(0, at).ends_with('\n') || at == 0 ? at : text_.find('\n', at) + 1;
      if (line == 0 || line >= to) break;
      const std::string_view start = text_.substr(line, 3);
      if (start == "---" || start == "...") return line;
      at = std::min(text_.find('\n', line), to);
      if (at < to) ++at;
    }
    return to;
  }

  Result<Value> document(const Node& root, std::size_t end) {
    Value branch = Value::of_kind(Kind::map);
    if (root.is_scalar()) {
      const auto value = resolve(root);
      if (!value || !value->is(Kind::null)) return refuse(root, "a document is a mapping, not a single value");
      take_before(end, branch);
      return branch;
    }
    if (root.is_sequence()) return refuse(root, "a document is a mapping, not a list");
    take_before(root.span.start, branch);
    if (auto built = mapping(root, end, branch); !built) return failure(std::move(built.error()));
    take_before(end, branch);
    return branch;
  }

  void add(const Comment& comment, Value& into, bool on_line) {
    Value value = Value::of_comment(std::string(comment.text), on_line);
    if (into.is(Kind::list)) {
      into.list.push_back(std::move(value));
    } else {
      into.map.push_back({.key = {}, .value = std::move(value)});
    }
  }

  const Comment* peek() const { return next_ < comments_.size() ? &comments_[next_] : nullptr; }

  void take_before(std::size_t offset, Value& into) {
    for (const Comment* comment = peek(); comment != nullptr && comment->offset < offset; comment = peek()) {
      add(*comment, into, false);
      ++next_;
    }
  }

  /// The comment on the line on which `end` is, behind it.
  const Comment* on_line_of(std::size_t end, std::size_t limit) {
    const Comment* comment = peek();
    if (comment == nullptr || comment->own_line || comment->offset >= limit) return nullptr;
    if (comment->offset < end) return comment;  // in the header of a block scalar
    if (text_.substr(end, comment->offset - end).find_first_of("\r\n") != std::string_view::npos) return nullptr;
    return comment;
  }

  /// At the end of a block: comments that stand as far to the right as it does.
  void take_indented(std::size_t column, std::size_t limit, Value& into) {
    for (const Comment* comment = peek(); comment != nullptr && comment->offset < limit; comment = peek()) {
      if (!comment->own_line || comment->column < column) return;
      add(*comment, into, false);
      ++next_;
    }
  }

  std::size_t column_of(std::size_t offset) const {
    const std::size_t line = text_.substr(0, offset).find_last_of("\r\n");
    return offset - (line == std::string_view::npos ? 0 : line + 1);
  }

  Result<Value> copied(const Node& node) {
    // Comments stay where the anchor is.
    const std::size_t kept = std::exchange(next_, comments_.size());
    auto value = collection(node, 0);
    next_ = kept;
    return value;
  }

  Result<Value> collection(const Node& node, std::size_t limit) {
    Value value = Value::of_kind(node.is_mapping() ? Kind::map : Kind::list);
    auto built = node.is_mapping() ? mapping(node, limit, value) : sequence(node, limit, value);
    if (!built) return failure(std::move(built.error()));
    return value;
  }

  /// A value with the comments that stand beside it, which go into `holder` before it.
  Result<Value> beside(const Node& node, std::size_t limit, Value& holder) {
    if (node.is_scalar() || !node.alias.empty()) {
      take_before(node.span.start, holder);
      if (const Comment* comment = on_line_of(node.span.end, limit)) {
        add(*comment, holder, true);
        ++next_;
      }
      return node.is_scalar() ? resolve(node) : copied(node);
    }
    if (node.style != yaml::Style::flow) return collection(node, limit);
    auto value = collection(node, node.span.end);
    if (!value) return value;
    if (const Comment* comment = on_line_of(node.span.end, limit)) {
      Value first = Value::of_kind(value->kind);
      add(*comment, first, false);
      ++next_;
      if (value->is(Kind::list)) {
        value->list.insert(value->list.begin(), std::move(first.list.front()));
      } else {
        value->map.insert(value->map.begin(), std::move(first.map.front()));
      }
    }
    return value;
  }

  Result<> mapping(const Node& node, std::size_t limit, Value& into) {
    for (std::size_t i = 0; i < node.entries.size(); ++i) {
      const auto& [key, value] = node.entries[i];
      const std::size_t next = i + 1 < node.entries.size() ? node.entries[i + 1].key.span.start : limit;
      take_before(key.span.start, into);
      // "key: # comment" above a block is the key's.
      const Comment* comment = on_line_of(key.span.end, value.span.start);
      if (comment != nullptr && value.alias.empty() && !value.is_scalar()) {
        add(*comment, into, false);
        ++next_;
      }
      auto built = beside(value, next, into);
      if (!built) return failure(std::move(built.error()));
      append(into, key.value, std::move(*built));
    }
    if (node.style == yaml::Style::flow) {
      take_before(node.span.end, into);
    } else if (!node.entries.empty()) {
      take_indented(column_of(node.entries.front().key.span.start), limit, into);
    }
    return {};
  }

  Result<> sequence(const Node& node, std::size_t limit, Value& into) {
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      const Node& item = node.items[i];
      const std::size_t next = i + 1 < node.items.size() ? node.items[i + 1].span.start : limit;
      take_before(item.span.start, into);
      auto built = beside(item, next, into);
      if (!built) return failure(std::move(built.error()));
      into.list.push_back(std::move(*built));
    }
    if (node.style == yaml::Style::flow) {
      take_before(node.span.end, into);
    } else if (!node.items.empty()) {
      // Comments level with an unindented list belong to the key that follows.
      const std::size_t column = column_of(node.span.start);
      take_indented(text_.substr(limit, 1).empty() || column_of(limit) != column ? column : column + 1, limit, into);
    }
    return {};
  }

  std::string_view text_;
  std::vector<Comment> comments_;
  std::size_t next_ = 0;
};

}  // namespace

Result<Branches> read_yaml(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  const yaml::Limits limits{.bytes_max = file_bytes_max,
                            .depth_max = depth_max,
                            .nodes_max = values_max,
                            .aliases_max = 10'000,
                            .documents_max = 10'000};
  const auto documents = yaml::parse_all(text, {}, limits);
  if (!documents) return failure(documents.error());
  return Builder(text, CommentFinder(text).run(*documents)).run(*documents);
}

}  // namespace opi::secrets::sops
