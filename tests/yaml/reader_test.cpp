#include "yaml/reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "yaml/nearest.hpp"
#include "yaml/parse.hpp"

namespace opi::yaml {
namespace {

using testing::ElementsAre;

/// A parsed text and what its readers complained about.
struct Reading {
  explicit Reading(std::string_view text, std::size_t errors_max = 100) : problems(errors_max) {
    auto parsed = parse(text, "f.yaml");
    EXPECT_TRUE(parsed.has_value()) << (parsed ? "" : parsed.error().to_string());
    if (parsed) document = std::move(*parsed);
  }
  MappingReader top() { return {document.root, "", problems}; }
  std::vector<std::string> errors() {
    std::vector<std::string> lines;
    for (const Error& error : problems.take()) lines.push_back(error.to_string());
    return lines;
  }
  Document document;
  Problems problems;
};

TEST(YamlReader, GivesTypedValuesAndSaysNothingOfAGoodFile) {
  Reading r("name: x\nport: 8080\non: true\nrate: 0.5\nlist: [a, b]\nnested: {deep: 1}\nnothing:\nmode: fast\n");
  {
    auto top = r.top();
    EXPECT_EQ(top.string("name"), "x");
    EXPECT_EQ(top.integer("port", 1, 65535), 8080);
    EXPECT_EQ(top.boolean("on"), true);
    EXPECT_EQ(top.number("rate"), 0.5);
    EXPECT_THAT(*top.strings("list"), ElementsAre("a", "b"));
    EXPECT_EQ(top.mapping("nested")->integer("deep"), 1);
    EXPECT_EQ(top.string("nothing"), std::nullopt) << "null is as good as absent";
    EXPECT_EQ(top.string("absent"), std::nullopt);
    constexpr std::string_view modes[] = {"fast", "slow"};
    EXPECT_EQ(top.one_of("mode", modes), "fast");
    EXPECT_TRUE(top.has("nothing"));
    EXPECT_FALSE(top.has("absent"));
  }
  EXPECT_THAT(r.errors(), ElementsAre());
}

TEST(YamlReader, WrongTypesNameFieldPathPlaceAndWhatIsThere) {
  Reading r("a:\n  - b: text\n    c: 5\n    d: yes\n    e: {}\nl: x\nm: [1]\nn: [x, 2]\n");
  {
    auto top = r.top();
    const auto items = top.list("a");
    ASSERT_EQ(items->size(), 1U);
    MappingReader item((*items)[0]);
    EXPECT_EQ(item.integer("b"), std::nullopt);
    EXPECT_EQ(item.string("c"), std::nullopt);
    EXPECT_EQ(item.boolean("d"), std::nullopt);
    EXPECT_EQ(item.number("e"), std::nullopt);
    EXPECT_FALSE(top.list("l").has_value());
    EXPECT_FALSE(top.mapping("m").has_value());
    EXPECT_THAT(*top.strings("n"), ElementsAre("x"));
  }
  EXPECT_THAT(r.errors(),
              ElementsAre("f.yaml:2:8: a[0].b: expected integer, got string",
                          "f.yaml:3:8: a[0].c: expected string, got integer; put it in quotes",
                          "f.yaml:4:8: a[0].d: expected boolean (true or false), got string",
                          "f.yaml:5:8: a[0].e: expected number, got mapping",
                          "f.yaml:6:4: l: expected list, got string", "f.yaml:7:4: m: expected mapping, got list",
                          "f.yaml:8:8: n[1]: expected string, got integer; put it in quotes"));
}

TEST(YamlReader, OutOfRangeNamesTheValueAndTheRange) {
  Reading r("a: 0\nb: 70000\nc: 99999999999999999999\nd: -1\ne: 1.5\nf: .nan\n");
  {
    auto top = r.top();
    EXPECT_EQ(top.integer("a", 1, 9), std::nullopt);
    EXPECT_EQ(top.integer("b", 1, 65535), std::nullopt);
    EXPECT_EQ(top.integer("c", 0), std::nullopt);
    EXPECT_EQ(top.integer("d", 0), std::nullopt);
    EXPECT_EQ(top.number("e", 0, 1), std::nullopt);
    EXPECT_EQ(top.number("f"), std::nullopt);
  }
  EXPECT_THAT(r.errors(), ElementsAre("f.yaml:1:4: a: \"0\" is out of range: 1 to 9",
                                      "f.yaml:2:4: b: \"70000\" is out of range: 1 to 65535",
                                      "f.yaml:3:4: c: \"99999999999999999999\" is out of range: 0 or more",
                                      "f.yaml:4:4: d: \"-1\" is out of range: 0 or more",
                                      "f.yaml:5:4: e: \"1.5\" is out of range: 0 to 1",
                                      "f.yaml:6:4: f: \".nan\" is out of range: -inf to inf"));
}

TEST(YamlReader, UnknownFieldsNameTheNearestKnownOne) {
  Reading r("prot: 1\nhttp: {prot: 1, zzz: 2}\n\"a b\": 1\n<<: {x: 1}\n");
  {
    auto top = r.top();
    top.string("port");
    top.string("name");
    auto http = top.mapping("http");
    http->integer("port");
  }
  EXPECT_THAT(r.errors(), ElementsAre("f.yaml:1:1: prot: unknown field; did you mean \"port\"?",
                                      "f.yaml:2:8: http.prot: unknown field; did you mean \"port\"?",
                                      "f.yaml:2:17: http.zzz: unknown field", "f.yaml:3:1: \"a b\": unknown field",
                                      "f.yaml:4:1: \"<<\": merge keys are not supported; write the fields out"));
}

TEST(YamlReader, UnknownFieldsAreToldOnceAndNotAtAllWhenAllowedOrAllWereRead) {
  Reading r("a: 1\nm: {x: 1, y: 2}\nfree: {z: 1}\n");
  {
    auto top = r.top();
    auto m = top.mapping("m");
    EXPECT_EQ(m->each().size(), 2U);
    top.mapping("free")->allow_unknown();
    top.finish();
    top.finish();
  }
  EXPECT_THAT(r.errors(), ElementsAre("f.yaml:1:1: a: unknown field"));
}

TEST(YamlReader, RequiredFieldsAreMissedAtTheirMapping) {
  Reading r("db:\n  host: x\n  port:\n");
  {
    auto top = r.top();
    auto db = top.mapping("db");
    EXPECT_TRUE(db->required("host").has_value());
    EXPECT_FALSE(db->required("port").has_value());
    EXPECT_FALSE(db->required("user").has_value());
  }
  EXPECT_THAT(r.errors(),
              ElementsAre("f.yaml:2:3: db.user: is required", "f.yaml:3:8: db.port: is required and has no value"));
}

TEST(YamlReader, ANodeThatIsNoMappingIsSaidOnceAndNothingMore) {
  Reading r("- 1\n");
  {
    auto top = r.top();
    EXPECT_FALSE(top.valid());
    EXPECT_FALSE(top.required("name").has_value());
    EXPECT_FALSE(top.string("other").has_value());
  }
  EXPECT_THAT(r.errors(), ElementsAre("f.yaml:1:1: expected mapping, got list"));
}

TEST(YamlReader, OneOfListsWhatIsAllowed) {
  Reading r("mode: fsat\nother: nope\n");
  {
    auto top = r.top();
    constexpr std::string_view modes[] = {"fast", "slow"};
    top.one_of("mode", modes);
    top.one_of("other", modes);
  }
  EXPECT_THAT(r.errors(), ElementsAre("f.yaml:1:7: mode: \"fsat\" is not one of fast, slow; did you mean \"fast\"?",
                                      "f.yaml:2:8: other: \"nope\" is not one of fast, slow"));
}

TEST(YamlReader, TextTakesScalarsAsTheyAreWritten) {
  Reading r("a: 8080\nb: 1.50\nc: yes\nd:\ne: []\n");
  {
    auto top = r.top();
    EXPECT_EQ(top.required("a")->text(), "8080");
    EXPECT_EQ(top.required("b")->text(), "1.50");
    EXPECT_EQ(top.required("c")->text(), "yes");
    EXPECT_FALSE(top.optional("d").has_value());
    EXPECT_EQ(top.required("e")->text(), std::nullopt);
  }
  EXPECT_THAT(r.errors(), ElementsAre("f.yaml:5:4: e: expected string, got list"));
}

TEST(YamlReader, ProblemsComeInTheOrderOfTheirPlacesAndInABoundedNumber) {
  std::string text;
  for (int i = 0; i < 500; ++i) text += "k" + std::to_string(i) + ": 1\n";
  Reading r(text, 3);
  {
    auto top = r.top();
    for (int i = 499; i >= 0; --i) top.string("k" + std::to_string(i));
  }
  EXPECT_THAT(r.errors(), ElementsAre("f.yaml:1:5: k0: expected string, got integer; put it in quotes",
                                      "f.yaml:2:5: k1: expected string, got integer; put it in quotes",
                                      "f.yaml:3:5: k2: expected string, got integer; put it in quotes",
                                      "f.yaml:3:5: 497 more errors are not shown"));
  EXPECT_TRUE(r.problems.empty());
}

TEST(YamlReader, ShownValuesCannotReachATerminalOrFillAScreen) {
  EXPECT_EQ(shown("plain"), "\"plain\"");
  EXPECT_EQ(shown("a\"b\\c\n\t\r\x1B[2J"), "\"a\\\"b\\\\c\\n\\t\\r\\x1B[2J\"");
  EXPECT_EQ(shown("\xC2\x9B"
                  "31m"),
            "\"\\xC2\\x9B31m\"")
      << "C1 controls";
  EXPECT_EQ(shown("\xFF\xC3"), "\"\\xFF\\xC3\"");
  EXPECT_EQ(shown("größe"), "\"größe\"");
  EXPECT_EQ(shown(std::string(100, 'x')), "\"" + std::string(40, 'x') + "…\"");
}

TEST(YamlNearest, FindsTyposSwapsCaseAndUnderscoresAndNothingFarAway) {
  const std::vector<std::string> known{"deployments", "components", "clone-from", "name", "namespace"};
  EXPECT_EQ(nearest("deploymets", known), "deployments");
  EXPECT_EQ(nearest("clone_from", known), "clone-from");
  EXPECT_EQ(nearest("Name", known), "name");
  EXPECT_EQ(nearest("anme", known), "name");
  EXPECT_EQ(nearest("xyz", known), std::nullopt);
  EXPECT_EQ(nearest("", known), std::nullopt);
  EXPECT_EQ(nearest(std::string(1'000, 'n'), known), std::nullopt);
}

}  // namespace
}  // namespace opi::yaml
