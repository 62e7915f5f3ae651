// Documents to YAML, as go-yaml writes them: four spaces by default, quotes only where they are needed, lines never
// folded.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "secrets/base64.hpp"
#include "secrets/sops_formats.hpp"
#include "secrets/sops_numbers.hpp"
#include "secrets/sops_yaml_scalar.hpp"

namespace opi::secrets::sops {
namespace {

using Comments = std::vector<std::string_view>;

/// Has it anything but comments? Without, it is written as "{}" or "[]", its comments above it.
bool has_values(const Value& value) {
  const auto real = [](const Value& inner) { return !inner.is(Kind::comment); };
  return std::ranges::any_of(value.list, real) ||
         std::ranges::any_of(value.map, [&](const Item& item) { return real(item.value); });
}

class Writer {
 public:
  explicit Writer(int indent) : step_(static_cast<std::size_t>(indent)) {}

  std::string take() { return std::move(out_); }

  void document(const Value& branch, bool first) {
    if (!first) out_ += "---\n";
    if (has_values(branch)) {
      map(branch, 0, false);
    } else {
      Comments comments;
      for (const Item& item : branch.map) comments.push_back(item.value.text);
      heads(comments, 0);
      out_ += "{}\n";
    }
  }

  void single(const Value& value) {
    if (value.is(Kind::map) && has_values(value)) {
      map(value, 0, false);
    } else if (value.is(Kind::list) && has_values(value)) {
      list(value, 0);
    } else {
      out_ += scalar(value, 0, step_, false);
      if (!out_.ends_with('\n')) out_ += '\n';
    }
  }

 private:
  void pad(std::size_t indent) { out_.append(indent, ' '); }

  /// Comments a line each; what else breaks a line in YAML would end a comment early, and becomes a blank.
  static std::string one_line(std::string_view comment) {
    std::string text(comment);
    for (const std::string_view breaking : {"\n", "\r", "\xC2\x85", "\xE2\x80\xA8", "\xE2\x80\xA9"}) {
      for (std::size_t at = text.find(breaking); at != std::string::npos; at = text.find(breaking, at)) {
        text.replace(at, breaking.size(), " ");
      }
    }
    return text;
  }

  void heads(Comments& comments, std::size_t indent) {
    for (const std::string_view comment : comments) {
      pad(indent);
      out_.append("#").append(one_line(comment)).append("\n");
    }
    comments.clear();
  }

  static void sort_out(const Value& comment, Comments& head, Comments& line) {
    (comment.on_line ? line : head).push_back(comment.text);
  }

  /// `inside`: the first line has its indentation already (it stands behind a dash).
  void map(const Value& value, std::size_t indent, bool inside) {
    Comments head;
    Comments line;
    for (const Item& item : value.map) {
      if (item.value.is(Kind::comment)) {
        sort_out(item.value, head, line);
        continue;
      }
      if (!inside) {
        heads(head, indent);
        pad(indent);
      }
      head.clear();
      inside = false;
      entry(item, indent, line);
    }
    std::ranges::move(line, std::back_inserter(head));
    heads(head, indent);
  }

  void entry(const Item& item, std::size_t indent, Comments& line) {
    const std::string key = write_yaml_key(item.key);
    const bool simple = item.key.size() <= 128;
    if (!simple) {
      out_.append("? ").append(key).append("\n");
      pad(indent);
    }
    out_.append(simple ? key : std::string{}).append(":");
    const std::size_t inner = step_ * ((indent + step_) / step_);
    const Value& value = item.value;
    if (!has_values(value)) {
      out_ += ' ';
      scalar_line(value, inner, inner - indent, line);
      return;
    }
    Comments none = std::exchange(line, {});
    if (!none.empty()) out_ += ' ' + joined(none);
    out_ += '\n';
    if (value.is(Kind::map)) {
      map(value, inner, false);
    } else {
      list(value, inner);
    }
  }

  static std::string joined(const Comments& comments) {
    std::string text;
    for (const std::string_view comment : comments) text.append(text.empty() ? "#" : " #").append(one_line(comment));
    return text;
  }

  void scalar_line(const Value& value, std::size_t indent, std::size_t deeper, Comments& line) {
    std::string text = scalar(value, indent, deeper, false);
    if (!line.empty()) {
      // A block scalar's comment stands in its header.
      const std::size_t end = std::min(text.find('\n'), text.size());
      text.insert(end, ' ' + joined(line));
      line.clear();
    }
    out_ += text;
    if (!out_.ends_with('\n') || text.empty()) out_ += '\n';
    write_inner_comments(value, indent);
  }

  /// Comments of a list or map without values.
  void write_inner_comments(const Value& value, std::size_t indent) {
    Comments comments;
    for (const Item& item : value.map) comments.push_back(item.value.text);
    for (const Value& item : value.list) comments.push_back(item.text);
    heads(comments, indent);
  }

  void list(const Value& value, std::size_t indent) {
    Comments head;
    Comments line;
    for (const Value& item : value.list) {
      if (item.is(Kind::comment)) {
        sort_out(item, head, line);
        continue;
      }
      // Comments at the start of a map stand above its dash.
      if (has_values(item)) leading(item, head);
      heads(head, indent);
      pad(indent);
      out_ += "- ";
      if (!has_values(item)) {
        scalar_line(item, indent + 2, 2, line);
      } else {
        if (!line.empty()) head = std::exchange(line, {});
        inside_dash(item, indent + 2);
        heads(head, indent + 2);
      }
    }
    std::ranges::move(line, std::back_inserter(head));
    heads(head, indent);
  }

  /// The comments on lines of their own before the first value; those behind it stay with it.
  static void leading(const Value& value, Comments& head) {
    const auto take = [&head](const Value& inner) {
      if (inner.is(Kind::comment) && !inner.on_line) head.push_back(inner.text);
      return inner.is(Kind::comment);
    };
    for (const Item& item : value.map) {
      if (!take(item.value)) return;
    }
    for (const Value& item : value.list) {
      if (!take(item)) return;
    }
  }

  void inside_dash(const Value& value, std::size_t indent) {
    if (value.is(Kind::map)) {
      map(value, indent, true);
      return;
    }
    // "- - x": the first item stands on the same line.
    Writer inner(static_cast<int>(step_));
    bool started = false;
    Value rest = Value::of_kind(Kind::list);
    for (const Value& item : value.list) {
      if (!started && item.is(Kind::comment) && !item.on_line) continue;
      started = started || !item.is(Kind::comment);
      rest.list.push_back(item.copy());
    }
    inner.list(rest, indent);
    std::string text = inner.take();
    out_ += std::string_view(text).substr(std::min(indent, text.size()));
    wipe(text);
  }

  std::string scalar(const Value& value, std::size_t indent, std::size_t deeper, bool key) {
    switch (value.kind) {
      case Kind::null: return "null";
      case Kind::boolean: return value.boolean ? "true" : "false";
      case Kind::integer: return std::to_string(value.integer);
      case Kind::floating: return write_yaml_number(value.number);
      case Kind::time: return value.text;
      case Kind::list: return "[]";
      case Kind::map: return "{}";
      case Kind::string:
      case Kind::comment: break;
    }
    return key ? write_yaml_key(value.text) : write_yaml_string(value.text, indent, deeper);
  }

  std::size_t step_;
  std::string out_;
};

}  // namespace

std::string write_yaml(const Branches& branches, int indent) {
  Writer writer(std::clamp(indent, 2, 9));
  bool first = true;
  for (const Value& branch : branches) writer.document(branch, std::exchange(first, false));
  return writer.take();
}

std::string write_yaml_value(const Value& value, int indent) {
  Writer writer(std::clamp(indent, 2, 9));
  writer.single(value);
  return writer.take();
}

}  // namespace opi::secrets::sops
