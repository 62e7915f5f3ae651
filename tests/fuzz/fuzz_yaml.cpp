// The YAML tree on any bytes: limits hold, spans and places are inside of the text, and a scalar that is set comes
// back.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "yaml/edit.hpp"
#include "yaml/parse.hpp"
#include "yaml/reader.hpp"
#include "yaml/text.hpp"

namespace {

using opi::yaml::Node;

void demand(bool condition) {
  if (!condition) std::abort();
}

/// Checks a node and everything below it; `inside` is the span that it must stay in. Collects scalars that may be set.
void check_node(const Node& node, opi::yaml::Span inside, bool copied, std::vector<const Node*>& scalars) {
  demand(node.line >= 1 && node.column >= 1);
  demand(node.span.start <= node.span.end);
  if (!copied) demand(node.span.start >= inside.start && node.span.end <= inside.end);
  const bool below_alias = copied || !node.alias.empty();
  if (node.is_scalar()) {
    (void)node.type_name();
    (void)node.as_number();
    (void)node.as_integer();
    if (!below_alias && node.anchor.empty() && node.span.size() > 0) scalars.push_back(&node);
  }
  for (const Node& item : node.items) check_node(item, node.span, below_alias, scalars);
  for (const opi::yaml::Entry& entry : node.entries) {
    check_node(entry.key, node.span, below_alias, scalars);
    if (!below_alias && !scalars.empty() && scalars.back() == &entry.key) scalars.pop_back();
    check_node(entry.value, node.span, below_alias, scalars);
  }
}

void read_with_readers(const Node& root) {
  opi::yaml::Problems problems(5);
  {
    opi::yaml::MappingReader top(root, "", problems);
    (void)top.string("name");
    (void)top.integer("port", 0, 10);
    (void)top.strings("list");
    if (auto inner = top.mapping("inner")) (void)inner->number("x");
  }
  demand(problems.take().size() <= 6);
}

/// libyaml takes the "|" of a block scalar on a line of its own without indentation, where no other style may stand.
bool starts_its_line(std::string_view text, const Node& scalar) {
  const std::string_view before = text.substr(0, scalar.span.start);
  const std::size_t last = before.find_last_not_of(" \t");
  return last == before.npos || before[last] == '\n' || before[last] == '\r';
}

void set_one(std::string_view text, const Node& scalar) {
  const bool is_block = scalar.style == opi::yaml::Style::literal || scalar.style == opi::yaml::Style::folded;
  if (is_block && starts_its_line(text, scalar)) return;
  opi::yaml::Edit edit(text);
  edit.set(scalar, "\"changed\"");
  const auto changed = edit.apply();
  demand(changed.has_value());
  demand(changed->substr(0, scalar.span.start) == text.substr(0, scalar.span.start));
  std::vector<opi::Error> problems;
  // Two of libyaml's limits are not the edit's fault: keys of 1,024 characters, and a tab on a line of its own, which
  // it takes behind a plain scalar only.
  const bool may_fail = text.size() > 900 || text.find('\t') != text.npos;
  const auto again = opi::yaml::parse_all(*changed, "f", {.bytes_max = 2U << 20U, .nodes_max = 200'000}, problems);
  demand(again.has_value() || may_fail);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (!opi::yaml::find_text_fault(text)) {
    const auto written = opi::yaml::parse("v: " + opi::yaml::write_string(text) + "\n", "w");
    demand(written.has_value() && written->root.find("v")->as_string() == text);
    const auto block = opi::yaml::parse("v: " + opi::yaml::write_block(text, 2) + "\n", "w");
    demand(block.has_value() && block->root.find("v")->as_string() == text);
  }
  std::vector<opi::Error> problems;
  const auto documents = opi::yaml::parse_all(text, "f", {.nodes_max = 20'000}, problems);
  if (!documents) {
    demand(documents.error().place.known() && !documents.error().message.empty());
    return 0;
  }
  for (const opi::yaml::Document& document : *documents) {
    std::vector<const Node*> scalars;
    check_node(document.root, {0, text.size()}, false, scalars);
    read_with_readers(document.root);
    if (!scalars.empty() && problems.empty()) set_one(text, *scalars[size % scalars.size()]);
  }
  return 0;
}
