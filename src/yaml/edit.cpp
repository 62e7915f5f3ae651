#include "yaml/edit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <tuple>
#include <utility>

#include "yaml/problems.hpp"

namespace opi::yaml {
namespace {

std::size_t line_start(std::string_view text, std::size_t offset) {
  while (offset > 0 && text[offset - 1] != '\n' && text[offset - 1] != '\r') --offset;
  return offset;
}

/// The offset of the line break at or after `offset`, or of the end of the text.
std::size_t line_end(std::string_view text, std::size_t offset) {
  return std::min(text.find_first_of("\r\n", offset), text.size());
}

std::size_t after_break(std::string_view text, std::size_t offset) {
  if (text.substr(offset).starts_with("\r\n")) return offset + 2;
  return std::min(offset + 1, text.size());
}

bool blank(std::string_view text) {
  return text.find_first_not_of(" \t") == text.npos;
}

std::string_view line_break_of(std::string_view text) {
  return text.find("\r\n") == text.npos ? "\n" : "\r\n";
}

}  // namespace

void Edit::replace(Span span, std::string bytes) {
  changes_.push_back({span, std::move(bytes)});
}

void Edit::set(const Node& node, std::string written) {
  const std::size_t at = node.span.start;
  if (node.span.size() == 0 && at > 0 && at <= text_.size() && (text_[at - 1] == ':' || text_[at - 1] == '-')) {
    written.insert(0, 1, ' ');
  }
  // A block scalar needs its last line break, which the end of the text does not give.
  if (node.span.end >= text_.size() && written.find('\n') != written.npos) written += '\n';
  replace(node.span, std::move(written));
}

Result<> Edit::add_entry(const Node& mapping, std::string_view key, std::string_view written) {
  const std::string entry = fmt::format("{}: {}", write_string(key), written);
  if (!mapping.is_mapping() || !mapping.alias.empty()) {
    return failure(ErrorKind::invalid, "an entry is added to a mapping that stands in the text, nothing else");
  }
  if (mapping.style == Style::flow) {
    if (mapping.entries.empty()) {
      insert(mapping.span.end - 1, entry);
    } else {
      insert(mapping.entries.back().value.span.end, ", " + entry);
    }
    return {};
  }
  if (mapping.entries.empty()) return failure(ErrorKind::invalid, "a block mapping without entries cannot be extended");
  const Node& first = mapping.entries.front().key;
  const std::string_view before = text_.substr(0, first.span.start);
  const std::size_t last = before.find_last_not_of(" \t\r\n");
  if (last != before.npos && before[last] == '?') {
    return failure(ErrorKind::invalid, "a mapping with explicit keys (\"? key\") cannot be extended");
  }
  insert(line_end(text_, mapping.span.end),
         fmt::format("{}{:{}}{}", line_break_of(text_), "", first.column - 1, entry));
  return {};
}

Result<> Edit::remove_entry(const Node& mapping, std::string_view key) {
  const Entry* entry = mapping.is_mapping() && mapping.alias.empty() ? mapping.find_entry(key) : nullptr;
  if (entry == nullptr) return failure(ErrorKind::invalid, fmt::format("there is no entry {} to remove", shown(key)));
  const auto index = static_cast<std::size_t>(entry - mapping.entries.data());
  const std::size_t start = entry->key.span.start;
  const std::size_t end = std::max(entry->key.span.end, entry->value.span.end);
  const bool is_last = index + 1 == mapping.entries.size();
  if (mapping.style == Style::flow) {
    if (!is_last) {
      erase({start, mapping.entries[index + 1].key.span.start});
    } else if (index > 0) {
      const Entry& previous = mapping.entries[index - 1];
      erase({std::max(previous.key.span.end, previous.value.span.end), end});
    } else {
      // The only entry; a comma behind it would be left alone in the braces.
      erase({start, mapping.span.end - 1});
    }
    return {};
  }
  if (mapping.entries.size() == 1) {
    return failure(ErrorKind::invalid, fmt::format("{} is the only entry of its mapping", shown(key)));
  }
  const std::size_t first_of_line = line_start(text_, start);
  if (blank(text_.substr(first_of_line, start - first_of_line))) {
    erase({first_of_line, after_break(text_, line_end(text_, end))});
  } else {
    erase({start, mapping.entries[index + 1].key.span.start});  // "- a: 1": the next entry moves up behind the dash
  }
  return {};
}

Result<std::string> Edit::apply() const {
  std::vector<std::size_t> order(changes_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  // An insertion goes before a replacement that starts at the same offset.
  std::ranges::sort(order, {}, [&](std::size_t i) {
    return std::tuple(changes_[i].span.start, changes_[i].span.end != changes_[i].span.start, i);
  });
  std::string result;
  result.reserve(text_.size());
  std::size_t done = 0;
  for (const std::size_t i : order) {
    const auto& [span, bytes] = changes_[i];
    if (span.start > span.end || span.end > text_.size()) {
      return failure(ErrorKind::invalid, fmt::format("bytes {} to {} are outside of the text", span.start, span.end));
    }
    if (span.start < done) {
      return failure(ErrorKind::invalid, fmt::format("two changes overlap at byte {}", span.start));
    }
    result += text_.substr(done, span.start - done);
    result += bytes;
    done = span.end;
  }
  result += text_.substr(done);
  return result;
}

}  // namespace opi::yaml
