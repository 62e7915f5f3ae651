#include "yaml/edit.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <string>
#include <vector>

#include "yaml/parse.hpp"

namespace opi::yaml {
namespace {

Node root_of(std::string_view text) {
  auto document = parse(text, "f.yaml");
  if (document) return std::move(document->root);
  ADD_FAILURE() << document.error().to_string() << "\n" << text;
  return {};
}

std::string applied(const Edit& edit) {
  auto text = edit.apply();
  EXPECT_TRUE(text.has_value()) << (text ? "" : text.error().to_string());
  return text.value_or("");
}

constexpr std::string_view sample =
    "# the shop\n"
    "name: shop   # technical\n"
    "list:\n"
    "  - a: 1  # one\n"
    "    b: 2\n"
    "  - {x: 1, y: [2, 3]}  # flow\n"
    "empty:\n"
    "text: |\n"
    "  first\n"
    "  second\n"
    "\n"
    "# the end\n"
    "last: 'q'\n";

TEST(YamlEdit, SettingAScalarLeavesEveryOtherByteAlone) {
  const Node root = root_of(sample);
  Edit edit(sample);
  edit.set(*root.find("name"), write_string("wiki"));
  edit.set(*root.find("empty"), write_string("now: full"));
  edit.set(*root.find("text"), write_block("one\ntwo", 2));
  edit.set(*root.find("list")->items[1].find("y"), "[4]");
  EXPECT_EQ(applied(edit),
            "# the shop\n"
            "name: wiki   # technical\n"
            "list:\n"
            "  - a: 1  # one\n"
            "    b: 2\n"
            "  - {x: 1, y: [4]}  # flow\n"
            "empty: \"now: full\"\n"
            "text: |-\n"
            "  one\n"
            "  two\n"
            "\n"
            "# the end\n"
            "last: 'q'\n");
}

TEST(YamlEdit, EntriesAreAddedInTheStyleAndIndentationOfTheirMapping) {
  const Node root = root_of(sample);
  Edit edit(sample);
  ASSERT_TRUE(edit.add_entry(root.find("list")->items[0], "c", "3"));
  ASSERT_TRUE(edit.add_entry(root.find("list")->items[1], "no", write_string("no")));
  ASSERT_TRUE(edit.add_entry(root, "new key", "[]"));
  const std::string text = applied(edit);
  EXPECT_THAT(
      text, testing::HasSubstr("  - a: 1  # one\n    b: 2\n    c: 3\n  - {x: 1, y: [2, 3], \"no\": \"no\"}  # flow\n"));
  EXPECT_THAT(text, testing::EndsWith("last: 'q'\nnew key: []\n"));
  EXPECT_TRUE(root_of(text).find("new key")->is_sequence());
}

TEST(YamlEdit, EntriesAreAddedToEmptyFlowMappingsAndWithoutALastLineBreakAndWithCrlf) {
  const std::string flow = "a: {}";
  Edit one(flow);
  const Node root = root_of(flow);
  ASSERT_TRUE(one.add_entry(*root.find("a"), "k", "v"));
  ASSERT_TRUE(one.add_entry(root, "b", "1"));
  EXPECT_EQ(applied(one), "a: {k: v}\nb: 1");
  const std::string windows = "a: 1\r\nb:\r\n  c: 2 # x\r\nd: 3\r\n";
  Edit two(windows);
  ASSERT_TRUE(two.add_entry(*root_of(windows).find("b"), "e", "4"));
  EXPECT_EQ(applied(two), "a: 1\r\nb:\r\n  c: 2 # x\r\n  e: 4\r\nd: 3\r\n");
}

TEST(YamlEdit, EntriesAreRemovedWithTheirLineOrTheirComma) {
  const auto removed = [](const std::string& text, const char* path, const char* key) {
    const Node root = root_of(text);
    Edit edit(text);
    const auto done = edit.remove_entry(*path == '\0'                    ? root
                                        : root.find(path)->is_sequence() ? root.find(path)->items[0]
                                                                         : *root.find(path),
                                        key);
    return done ? applied(edit) : done.error().message;
  };
  EXPECT_EQ(removed("a: 1\nb: 2  # gone\nc: 3\n", "", "b"), "a: 1\nc: 3\n");
  EXPECT_EQ(removed("a: 1\nb:\n  - x\n  - y\n", "", "b"), "a: 1\n");
  EXPECT_EQ(removed("a: 1\nb: 2", "", "b"), "a: 1\n");
  EXPECT_EQ(removed("l:\n  - a: 1\n    b: 2\n", "l", "a"), "l:\n  - b: 2\n");
  EXPECT_EQ(removed("l:\n  - a: 1\n    b: 2\n", "l", "b"), "l:\n  - a: 1\n");
  EXPECT_EQ(removed("m: {a: 1, b: 2, c: 3}\n", "m", "a"), "m: {b: 2, c: 3}\n");
  EXPECT_EQ(removed("m: {a: 1, b: 2, c: 3}\n", "m", "b"), "m: {a: 1, c: 3}\n");
  EXPECT_EQ(removed("m: {a: 1, b: 2, c: 3}\n", "m", "c"), "m: {a: 1, b: 2}\n");
  EXPECT_EQ(removed("m: {a: 1}\n", "m", "a"), "m: {}\n");
  EXPECT_EQ(removed("a: 1\n", "", "a"), "\"a\" is the only entry of its mapping");
  EXPECT_EQ(removed("a: 1\n", "", "z"), "there is no entry \"z\" to remove");
}

TEST(YamlEdit, WhatCannotBeDoneIsRefused) {
  const std::string text = "? a\n: 1\nb: &x {c: 1}\nd: *x\n";
  const Node root = root_of(text);
  Edit edit(text);
  EXPECT_FALSE(edit.add_entry(root, "k", "v").has_value()) << "explicit keys";
  EXPECT_FALSE(edit.add_entry(*root.find("d"), "k", "v").has_value()) << "an alias";
  EXPECT_FALSE(edit.add_entry(*root.find("a"), "k", "v").has_value()) << "a scalar";
  EXPECT_FALSE(edit.remove_entry(*root.find("d"), "c").has_value());
}

TEST(YamlEdit, OverlapsAndSpansOutsideAreRefusedAndInsertionsKeepTheirOrder) {
  Edit overlap("abcdef");
  overlap.replace({1, 4}, "x");
  overlap.replace({3, 5}, "y");
  EXPECT_EQ(overlap.apply().error().message, "two changes overlap at byte 3");
  Edit outside("abc");
  outside.erase({2, 9});
  EXPECT_EQ(outside.apply().error().message, "bytes 2 to 9 are outside of the text");
  Edit order("ab");
  order.replace({1, 2}, "B");
  order.insert(1, "1");
  order.insert(1, "2");
  EXPECT_EQ(applied(order), "a12B");
}

TEST(YamlEdit, ABlockScalarAtTheEndOfTheTextKeepsItsLineBreak) {
  const std::string text = "a: 1";
  Edit edit(text);
  edit.set(*root_of(text).find("a"), write_block("x\ny\n", 2));
  EXPECT_EQ(root_of(applied(edit)).find("a")->value, "x\ny\n");
}

TEST(YamlWrite, StringsArePlainOnlyWhereEveryYamlAgrees) {
  EXPECT_EQ(write_string("shop"), "shop");
  EXPECT_EQ(write_string("a b/c.d@e"), "a b/c.d@e");
  for (const char* word :
       {"no",   "Yes",  "ON", "null", "True", "y",          "",      "1", "0777", "1.5", "-a", "~",
        "a: b", "a #b", "*x", " a",   "a ",   "2026-01-01", "12:30", "=", "<<",   "%x",  "{a", "'"}) {
    EXPECT_EQ(write_string(word).front(), '"') << word;
  }
  EXPECT_EQ(write_string("a\n\t\"\\\x01\x7F"), "\"a\\n\\t\\\"\\\\\\x01\\x7F\"");
}

/// Characters that have a meaning somewhere in YAML, and some that have none.
rc::Gen<std::string> tricky_string() {
  const auto piece = rc::gen::elementOf(std::vector<std::string>{"a",
                                                                 "B",
                                                                 "9",
                                                                 " ",
                                                                 "  ",
                                                                 "\n",
                                                                 "\t",
                                                                 "\r",
                                                                 ":",
                                                                 ": ",
                                                                 "#",
                                                                 " #",
                                                                 "-",
                                                                 "- ",
                                                                 "?",
                                                                 "&",
                                                                 "*",
                                                                 "!",
                                                                 "|",
                                                                 ">",
                                                                 "'",
                                                                 "\"",
                                                                 "\\",
                                                                 "%",
                                                                 "@",
                                                                 "`",
                                                                 "{",
                                                                 "}",
                                                                 "[",
                                                                 "]",
                                                                 ",",
                                                                 "=",
                                                                 "<<",
                                                                 "~",
                                                                 "no",
                                                                 "null",
                                                                 "1",
                                                                 "é",
                                                                 "日",
                                                                 "𝕏",
                                                                 "\xC2\x85",
                                                                 "\xE2\x80\xA8",
                                                                 "\xEF\xBB\xBF",
                                                                 "\xEF\xBF\xBE",
                                                                 "\x01",
                                                                 "\x7F",
                                                                 "---",
                                                                 "...",
                                                                 std::string(1, '\0')});
  return rc::gen::map(rc::gen::container<std::vector<std::string>>(piece), [](const std::vector<std::string>& pieces) {
    std::string text;
    for (const std::string& one : pieces) text += one;
    return text;
  });
}

TEST(YamlWrite, AnyStringComesBackAsItWasInBlockAndFlowAndAsAKey) {
  EXPECT_TRUE(rc::check([] {
    const std::string value = *tricky_string();
    RC_PRE(value.size() < 200);  // a key has to stay on one line of 1,024 characters
    const std::string written = write_string(value);
    const Node root = root_of("v: " + written + "\nf: [" + written + ", {" + written + ": 1}]\n");
    RC_ASSERT(root.find("v")->as_string() == std::string_view(value));
    RC_ASSERT(root.find("f")->items.at(0).as_string() == std::string_view(value));
    RC_ASSERT(root.find("f")->items.at(1).entries.at(0).key.value == value);
  }));
}

TEST(YamlWrite, AnyStringComesBackFromABlock) {
  EXPECT_TRUE(rc::check([] {
    const std::string value = *tricky_string();
    const Node root = root_of("a:\n  v: " + write_block(value, 4) + "\n  w: 1\n");
    RC_ASSERT(root.find("a")->find("v")->as_string() == std::string_view(value));
    RC_ASSERT(root.find("a")->find("w")->as_integer() == 1);
  }));
}

/// A document of nested blocks, flows, comments, blank lines and scalars of every style.
void write_value(std::string& text, int indent, int depth);

void write_mapping(std::string& text, int indent, int depth) {
  const int count = *rc::gen::inRange(1, 4);
  for (int i = 0; i < count; ++i) {
    if (i > 0) text += std::string(static_cast<std::size_t>(indent), ' ');
    text += *rc::gen::elementOf(std::vector<std::string>{"k", "\"q\"", "größe", "'s'"}) + std::to_string(i) + "x";
    if (text.ends_with("\"" + std::to_string(i) + "x") || text.ends_with("'" + std::to_string(i) + "x")) {
      text.resize(text.size() - 1 - std::to_string(i).size());
      text.insert(text.size() - 1, std::to_string(i));
    }
    text += ":";
    write_value(text, indent, depth);
    text += *rc::gen::elementOf(std::vector<std::string>{"", "", "# note: [x\n", "\n"});
  }
}

void write_value(std::string& text, int indent, int depth) {
  const int what = *rc::gen::inRange(0, depth > 2 ? 6 : 8);
  const std::string inner(static_cast<std::size_t>(indent) + 2, ' ');
  const std::string comment = *rc::gen::elementOf(std::vector<std::string>{"", " # c", "   # é"});
  switch (what) {
    case 0: text += comment + "\n"; break;
    case 1: text += " plain" + comment + "\n"; break;
    case 2: text += " " + write_string(*tricky_string()) + comment + "\n"; break;
    case 3: text += " 'it''s'" + comment + "\n"; break;
    case 4: text += " |" + comment + "\n" + inner + "one\n" + inner + "  two\n"; break;
    case 5: text += " {a: [1, é], b: }" + comment + "\n"; break;
    case 6:
      text += comment + "\n" + inner;
      write_mapping(text, indent + 2, depth + 1);
      break;
    default:
      text += comment + "\n" + inner + "- ";
      write_mapping(text, indent + 4, depth + 1);
      text += inner + "-";
      write_value(text, indent + 4, depth + 3);
  }
}

void collect_scalars(const Node& node, std::vector<const Node*>& scalars, std::vector<const Node*>& mappings) {
  if (node.is_scalar()) scalars.push_back(&node);
  if (node.is_mapping()) mappings.push_back(&node);
  for (const Node& item : node.items) collect_scalars(item, scalars, mappings);
  for (const Entry& entry : node.entries) collect_scalars(entry.value, scalars, mappings);
}

/// Kind, text and type of every node, in order.
std::string outline(const Node& node) {
  if (node.is_scalar()) return std::string(node.type_name()) + "<" + node.value + ">";
  std::string text = node.is_mapping() ? "{" : "[";
  for (const Node& item : node.items) text += outline(item) + ",";
  for (const Entry& entry : node.entries) text += outline(entry.key) + ":" + outline(entry.value) + ",";
  return text + (node.is_mapping() ? "}" : "]");
}

TEST(YamlEdit, SettingAnyScalarOfAnyDocumentChangesThatScalarAndNoOtherByte) {
  EXPECT_TRUE(rc::check([] {
    std::string text = *rc::gen::elementOf(std::vector<std::string>{"", "# head\n", "---\n", "\xEF\xBB\xBF"});
    write_mapping(text, 0, 0);
    Node root = root_of(text);
    std::vector<const Node*> scalars;
    std::vector<const Node*> mappings;
    collect_scalars(root, scalars, mappings);
    Node& target = const_cast<Node&>(*scalars.at(*rc::gen::inRange<std::size_t>(0, scalars.size())));
    const std::string value = *tricky_string();
    Edit edit(text);
    edit.set(target, write_string(value));
    const std::string changed = edit.apply().value();
    RC_ASSERT(changed.substr(0, target.span.start) == text.substr(0, target.span.start));
    RC_ASSERT(changed.ends_with(text.substr(target.span.end)));
    target.value = value;
    target.style = Style::double_quoted;
    RC_ASSERT(outline(root_of(changed)) == outline(root));
  }));
}

TEST(YamlEdit, AddingAnEntryToAnyMappingAndRemovingItGivesTheSameTreeBack) {
  EXPECT_TRUE(rc::check([] {
    std::string text;
    write_mapping(text, 0, 0);
    Node root = root_of(text);
    std::vector<const Node*> scalars;
    std::vector<const Node*> mappings;
    collect_scalars(root, scalars, mappings);
    const std::size_t which = *rc::gen::inRange<std::size_t>(0, mappings.size());
    Edit add(text);
    RC_ASSERT(add.add_entry(*mappings[which], "added", write_string("v")).has_value());
    const std::string longer = add.apply().value();
    Node with = root_of(longer);
    scalars.clear();
    mappings.clear();
    collect_scalars(with, scalars, mappings);
    RC_ASSERT(mappings.at(which)->find("added") != nullptr);
    RC_ASSERT(mappings[which]->find("added")->value == "v");
    Edit remove(longer);
    RC_ASSERT(remove.remove_entry(*mappings[which], "added").has_value());
    const std::string back = remove.apply().value();
    RC_ASSERT(back == text);
  }));
}

}  // namespace
}  // namespace opi::yaml
