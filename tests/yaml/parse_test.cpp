#include "yaml/parse.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "yaml/node.hpp"

namespace opi::yaml {
namespace {

using testing::HasSubstr;

Node root_of(std::string_view text, const Limits& limits = {}) {
  auto document = parse(text, "f.yaml", limits);
  if (!document) {
    ADD_FAILURE() << document.error().to_string();
    return {};
  }
  return std::move(document->root);
}

std::string error_of(std::string_view text, const Limits& limits = {}) {
  const auto document = parse(text, "f.yaml", limits);
  return document ? "(no error)" : document.error().to_string();
}

std::string_view bytes_of(std::string_view text, const Node& node) {
  return text.substr(node.span.start, node.span.size());
}

TEST(YamlParse, AnEmptyTextOrOnlyCommentsIsAnEmptyDocument) {
  for (const char* text : {"", "\n", "# nothing\n", "---\n", "--- # nothing\n...\n"}) {
    const Node root = root_of(text);
    EXPECT_TRUE(root.is_null()) << text;
    EXPECT_EQ(root.place().file, "f.yaml");
  }
}

TEST(YamlParse, KnowsOrderStyleTagAnchorAndPlaceOfEveryNode) {
  const std::string text =
      "b: plain\n"
      "a: 'single'\n"
      "c: \"dou\\tble\"\n"
      "d: |\n  lit\n  eral\n"
      "e: >-\n  fol\n  ded\n"
      "f: !!str 12\n"
      "g: &here !local {x: [1, 2]}\n";
  const Node root = root_of(text);
  ASSERT_EQ(root.entries.size(), 7U);
  EXPECT_EQ(root.style, Style::block);
  EXPECT_EQ(root.entries[0].key.value, "b");
  EXPECT_EQ(root.find("b")->style, Style::plain);
  EXPECT_EQ(root.find("a")->style, Style::single_quoted);
  EXPECT_EQ(root.find("c")->value, "dou\tble");
  EXPECT_EQ(root.find("c")->style, Style::double_quoted);
  EXPECT_EQ(root.find("d")->value, "lit\neral\n");
  EXPECT_EQ(root.find("d")->style, Style::literal);
  EXPECT_EQ(root.find("e")->value, "fol ded");
  EXPECT_EQ(root.find("e")->style, Style::folded);
  EXPECT_EQ(root.find("f")->tag, "tag:yaml.org,2002:str");
  EXPECT_EQ(root.find("f")->as_string(), "12");
  const Node& g = *root.find("g");
  EXPECT_EQ(g.anchor, "here");
  EXPECT_EQ(g.tag, "!local");
  EXPECT_EQ(g.style, Style::flow);
  EXPECT_EQ(g.place().to_string(), "f.yaml:11:4");
  EXPECT_EQ(g.find("x")->items[1].place().to_string(), "f.yaml:11:25");
  EXPECT_EQ(root.find("missing"), nullptr);
}

TEST(YamlParse, SpansAreBytesAlsoBehindOtherScriptsAndColumnsAreCodePoints) {
  const std::string text = "naïve: {größe: 𝕏, k: \"ü\"}  # ende\nlist:\n  - eins\n  - [a, b]\n";
  const Node root = root_of(text);
  const Node& flow = *root.find("naïve");
  EXPECT_EQ(bytes_of(text, flow), "{größe: 𝕏, k: \"ü\"}");
  EXPECT_EQ(bytes_of(text, *flow.find("größe")), "𝕏");
  EXPECT_EQ(flow.find("größe")->column, 16);
  EXPECT_EQ(bytes_of(text, *flow.find("k")), "\"ü\"");
  EXPECT_EQ(flow.find("k")->column, 22);
  EXPECT_EQ(bytes_of(text, *root.find("list")), "- eins\n  - [a, b]");
  EXPECT_EQ(bytes_of(text, root), text.substr(0, text.size() - 1));
}

TEST(YamlParse, SpansOfBlockScalarsEndWithTheirTextUnlessTheyKeepTheirBlankLines) {
  const std::string text = "a: |\n  one\n  two\n\n# note\nb: |+\n  x\n\nc: >\n  y\n";
  const Node root = root_of(text);
  EXPECT_EQ(bytes_of(text, *root.find("a")), "|\n  one\n  two");
  EXPECT_EQ(bytes_of(text, *root.find("b")), "|+\n  x\n");
  EXPECT_EQ(root.find("b")->value, "x\n\n");
  EXPECT_EQ(bytes_of(text, *root.find("c")), ">\n  y");
}

TEST(YamlParse, AnEmptyValueStandsBehindItsColon) {
  const std::string text = "a:\nb: 1\n";
  const Node root = root_of(text);
  EXPECT_TRUE(root.find("a")->is_null());
  EXPECT_EQ(root.find("a")->span, (Span{2, 2}));
  EXPECT_EQ(root.find("a")->place().to_string(), "f.yaml:1:3");
}

TEST(YamlParse, CountsLinesTheSameWithCrlfCrAndAByteOrderMark) {
  const std::string text = "\xEF\xBB\xBFone: 1\r\ntwo:\r\n  - é: x\r\n";
  const Node root = root_of(text);
  EXPECT_EQ(root.find("one")->place().to_string(), "f.yaml:1:6");
  const Node& item = root.find("two")->items[0];
  EXPECT_EQ(item.place().to_string(), "f.yaml:3:5");
  EXPECT_EQ(bytes_of(text, *item.find("é")), "x");
  EXPECT_EQ(bytes_of(text, *root.find("one")), "1");
  EXPECT_EQ(root_of("a: 1\rb: 2\r").find("b")->place().to_string(), "f.yaml:2:4");
}

TEST(YamlParse, SeveralDocumentsAreCountedAndParseWantsOne) {
  const std::string text = "a: 1\n---\nb: 2\n...\n---\n- c\n";
  const auto all = parse_all(text, "f.yaml");
  ASSERT_TRUE(all.has_value());
  ASSERT_EQ(all->size(), 3U);
  EXPECT_EQ((*all)[1].root.find("b")->place().to_string(), "f.yaml:3:4");
  EXPECT_TRUE((*all)[2].root.is_sequence());
  EXPECT_EQ(error_of(text), "f.yaml:3:1: a second document starts here; one is expected");
  EXPECT_EQ(parse_all("", "f.yaml")->size(), 0U);
  EXPECT_THAT(parse_all(text, "f.yaml", {.documents_max = 2}).error().message, HasSubstr("more than 2 documents"));
}

TEST(YamlParse, AnAliasIsACopyThatStandsAtItsOwnPlace) {
  const std::string text = "base: &b {x: 1, y: [2]}\nuse: *b\nagain: [*b]\n";
  const Node root = root_of(text);
  const Node& use = *root.find("use");
  EXPECT_EQ(use.alias, "b");
  EXPECT_TRUE(use.anchor.empty());
  EXPECT_EQ(bytes_of(text, use), "*b");
  EXPECT_EQ(use.place().to_string(), "f.yaml:2:6");
  EXPECT_EQ(use.find("x")->as_integer(), 1);
  EXPECT_EQ(use.find("x")->place().to_string(), "f.yaml:1:14");
  EXPECT_EQ(root.find("base")->find("y")->items[0].as_integer(), 2) << "the original is still whole";
  EXPECT_EQ(root.find("again")->items[0].find("y")->items.size(), 1U);
}

TEST(YamlParse, AnAnchorMayBeDefinedAnewAndTheNearestBeforeCounts) {
  const Node root = root_of("a: &x 1\nb: *x\nc: &x 2\nd: *x\n");
  EXPECT_EQ(root.find("b")->as_integer(), 1);
  EXPECT_EQ(root.find("d")->as_integer(), 2);
}

TEST(YamlParse, AliasesWithoutAnchorOrInsideTheirOwnAreRefused) {
  EXPECT_EQ(error_of("a: *nobody\n"), "f.yaml:1:4: the alias *nobody has no anchor before it");
  EXPECT_EQ(error_of("a: &me\n  b: *me\n"), "f.yaml:2:6: the alias *me stands inside its own anchor");
  EXPECT_EQ(error_of("a: &x 1\n---\nb: *x\n"), "f.yaml:3:4: the alias *x has no anchor before it")
      << "anchors end with their document";
}

TEST(YamlParse, AnAliasBombIsRefusedByWhatItWouldBecome) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 9; ++i) {
    const std::string last = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + last;
    for (int k = 1; k < 10; ++k) bomb += ", " + last;
    bomb += "]\n";
  }
  EXPECT_THAT(error_of(bomb), HasSubstr("more than 100000 values once the aliases are expanded"));
  EXPECT_THAT(error_of(bomb, {.aliases_max = 20}), HasSubstr("more than 20 aliases"));
}

TEST(YamlParse, AHugeScalarCannotBeMultipliedByAliases) {
  std::string text = "a: &a " + std::string(20'000, 'x') + "\nb:\n";
  for (int i = 0; i < 40; ++i) text += "  - *a\n";
  EXPECT_EQ(root_of(text).entries.size(), 2U) << "800 kB of 1 MiB";
  EXPECT_THAT(error_of(text, {.bytes_max = 100'000}), HasSubstr("the aliases copy more than 100000 bytes"));
}

TEST(YamlParse, AliasesCannotNestDeeperThanTheLimit) {
  std::string text = "a0: &a0 []\n";
  for (int i = 1; i < 10; ++i) {
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [*a" + std::to_string(i - 1) + "]\n";
  }
  EXPECT_THAT(error_of(text, {.depth_max = 5}), HasSubstr("nested deeper than 5 levels"));
}

TEST(YamlParse, DeepNestingIsRefusedAtItsPlaceInFlowAndBlock) {
  EXPECT_EQ(error_of(std::string(100'000, '[')), "f.yaml:1:41: nested deeper than 40 levels");
  std::string block;
  for (int i = 0; i < 60; ++i) block += std::string(static_cast<std::size_t>(i), ' ') + "a:\n";
  EXPECT_EQ(error_of(block), "f.yaml:41:41: nested deeper than 40 levels");
  EXPECT_THAT(error_of(std::string(50'000, '-').append("\n")), testing::Not(HasSubstr("nested")));
  std::string dashes;
  for (int i = 0; i < 1'000; ++i) dashes += "- ";
  EXPECT_EQ(error_of(dashes + "x\n"), "f.yaml:1:81: nested deeper than 40 levels");
}

TEST(YamlParse, TooManyBytesOrValuesAreRefused) {
  EXPECT_EQ(error_of("abcdef\n", {.bytes_max = 3}), "f.yaml:1:1: the file has 7 bytes; at most 3 are read");
  EXPECT_EQ(error_of("[a, b, c]\n", {.nodes_max = 3}), "f.yaml:1:8: more than 3 values");
}

TEST(YamlParse, AKeyTwiceIsRefusedWithBothPlaces) {
  EXPECT_EQ(error_of("a: 1\nb: 2\n\"a\": 3\n"), "f.yaml:3:1: the key \"a\" is here twice, first in line 1, column 1");
  EXPECT_EQ(error_of("x: {k: 1, k: 2}\n"), "f.yaml:1:11: the key \"k\" is here twice, first in line 1, column 5");
}

TEST(YamlParse, EveryKeyProblemIsToldInOrderWhenTheCallerCollectsThem) {
  std::vector<Error> problems;
  const auto all = parse_all("o:\n  i: 1\n  i: 2\n8080: x\no: again\n[a]: seq\n", "f.yaml", {}, problems);
  ASSERT_TRUE(all.has_value());
  ASSERT_EQ(problems.size(), 4U);
  EXPECT_EQ(problems[0].to_string(), "f.yaml:3:3: the key \"i\" is here twice, first in line 2, column 3");
  EXPECT_EQ(problems[1].to_string(), "f.yaml:4:1: the key \"8080\" is of type integer; put it in quotes");
  EXPECT_EQ(problems[2].to_string(), "f.yaml:5:1: the key \"o\" is here twice, first in line 1, column 1");
  EXPECT_EQ(problems[3].to_string(), "f.yaml:6:1: a list cannot be a key");
  const Node& root = all->front().root;
  ASSERT_EQ(root.entries.size(), 1U);
  EXPECT_EQ(root.find("o")->find("i")->as_integer(), 1) << "the first one stays";
}

TEST(YamlParse, KeysThatAreNoStringsAreRefused) {
  EXPECT_EQ(error_of("true: x\n"), "f.yaml:1:1: the key \"true\" is of type boolean; put it in quotes");
  EXPECT_EQ(error_of("~: x\n"), "f.yaml:1:1: the key \"~\" is of type null; put it in quotes");
  EXPECT_EQ(error_of("? {a: b}\n: x\n"), "f.yaml:1:3: a mapping cannot be a key");
  EXPECT_EQ(root_of("no: x\n'1': y\n").entries.size(), 2U);
}

TEST(YamlParse, BytesThatAreNoTextAreRefusedAtTheirPlace) {
  using namespace std::string_literals;
  EXPECT_EQ(error_of("a: b\nc: \xFF\n"), "f.yaml:2:4: not UTF-8 (byte 0xFF)");
  EXPECT_EQ(error_of("é: \xC0\x80\n"), "f.yaml:1:4: not UTF-8 (byte 0xC0)") << "an overlong NUL";
  EXPECT_EQ(error_of("a: \xED\xA0\x80\n"), "f.yaml:1:4: not UTF-8 (byte 0xED)") << "a surrogate";
  EXPECT_EQ(error_of("a: \xE2\x82"), "f.yaml:1:4: not UTF-8 (byte 0xE2)") << "cut off";
  EXPECT_EQ(error_of("a: x\0y\n"s), "f.yaml:1:5: the control character U+0000 is not allowed");
  EXPECT_EQ(error_of("a:\r\n  \x1B[31m\n"), "f.yaml:2:3: the control character U+001B is not allowed");
  EXPECT_EQ(error_of("\xFF\xFE"
                     "a\0:\0"s),
            "f.yaml:1:1: not UTF-8 (byte 0xFF)")
      << "UTF-16 is not YAML to us";
}

TEST(YamlParse, SyntaxErrorsNameTheirPlaceAndTabsTheRemedy) {
  EXPECT_EQ(
      error_of("a:\n\tb: 1\n"),
      "f.yaml:2:1: not valid YAML: found character that cannot start any token (while scanning for the next token); "
      "indent with spaces, not with tabs");
  EXPECT_THAT(error_of("a: b: c\n"), HasSubstr("f.yaml:1:5: not valid YAML: mapping values are not allowed"));
  EXPECT_THAT(error_of("ok: 1\na: [1, 2\nb: 3\n"), HasSubstr("f.yaml:3:"));
  EXPECT_THAT(error_of("a: \"never closed\n"), HasSubstr("found unexpected end of stream"));
  EXPECT_THAT(error_of("%BAD\n---\n"), HasSubstr("f.yaml:1:"));
  EXPECT_THAT(error_of("a: 1\n% stray\nb: 2\n"), HasSubstr("f.yaml:2:"));
}

TEST(YamlParse, VersionDirectivesAreUnderstoodAndManyDirectivesRefused) {
  EXPECT_EQ(root_of("%YAML 1.2\n---\na: 1\n").find("a")->as_integer(), 1);
  std::string tags;
  for (int i = 0; i < 50'000; ++i) tags += "%TAG !x" + std::to_string(i) + "! y\n";
  EXPECT_EQ(error_of(tags + "---\na\n"), "f.yaml:9:1: more than 8 directives (lines that start with %)");
}

}  // namespace
}  // namespace opi::yaml
