#include "project/format.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <regex>
#include <string>
#include <vector>

namespace opi::project {
namespace {

struct Named {
  const char* name;
  const Format* format;
};

class Formats : public testing::TestWithParam<Named> {};

/// Pieces that formats are about: what one of them takes and its neighbour does not.
rc::Gen<std::string> pieces() {
  return rc::gen::map(rc::gen::container<std::vector<std::string>>(rc::gen::elementOf(
                          std::vector<std::string>{"a",
                                                   "b",
                                                   "z",
                                                   "A",
                                                   "Z",
                                                   "0",
                                                   "9",
                                                   "-",
                                                   "_",
                                                   ".",
                                                   "..",
                                                   "/",
                                                   "//",
                                                   "/../",
                                                   ":",
                                                   "@",
                                                   "+",
                                                   "=",
                                                   "#",
                                                   "~",
                                                   "$",
                                                   "^",
                                                   "(",
                                                   ")",
                                                   "|",
                                                   "*",
                                                   " ",
                                                   "\t",
                                                   "\n",
                                                   "\r",
                                                   "'",
                                                   "\"",
                                                   "\\",
                                                   "<",
                                                   ">",
                                                   "`",
                                                   "{",
                                                   "}",
                                                   "%",
                                                   "&",
                                                   "?",
                                                   "[",
                                                   "]",
                                                   "!",
                                                   ",",
                                                   ";",
                                                   "é",
                                                   "https://",
                                                   "http://",
                                                   "ssh://",
                                                   "git://",
                                                   "file://",
                                                   "git@host:",
                                                   "age1",
                                                   "age:",
                                                   "base64+age:",
                                                   "-----BEGIN AGE ENCRYPTED FILE-----",
                                                   "Ki",
                                                   "Gi",
                                                   "m",
                                                   "E",
                                                   "1.5",
                                                   "example",
                                                   "label-with-dashes",
                                                   "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq"})),
                      [](const std::vector<std::string>& all) {
                        std::string text;
                        for (const std::string& one : all) text += one;
                        return text.substr(0, 150);
                      });
}

/// Half of the texts start as something that is valid, so that both answers are met.
TEST_P(Formats, PredicateAndPatternSayTheSameOfAnyText) {
  const Format& format = *GetParam().format;
  const std::regex pattern{std::string(format.pattern)};
  const std::vector<std::string> valid{"shop",
                                       "a.b-c.example",
                                       "audit_2",
                                       "age:x",
                                       "/api/v1",
                                       "a/b",
                                       "x@y.example",
                                       "1.5Gi",
                                       "https://x.example/y?z",
                                       "git@host.example:o/r.git",
                                       "release/1.2",
                                       "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq"};
  EXPECT_TRUE(rc::check([&] {
    std::string text = *rc::gen::arbitrary<bool>() ? *rc::gen::elementOf(valid) : "";
    text.insert(*rc::gen::inRange<std::size_t>(0, text.size() + 1), *pieces());
    if (text.empty()) return;  // length_min speaks for it
    const bool by_pattern = std::regex_search(text, pattern);
    RC_LOG() << text;
    RC_ASSERT(by_pattern == format.matches(text));
  }));
}

#define OPI_FORMAT(name)  \
  Named {                 \
    #name, &formats::name \
  }
INSTANTIATE_TEST_SUITE_P(All, Formats,
                         testing::Values(OPI_FORMAT(project_name_2025), OPI_FORMAT(project_name_2026),
                                         OPI_FORMAT(label), OPI_FORMAT(cluster), OPI_FORMAT(domain),
                                         OPI_FORMAT(postfix), OPI_FORMAT(extension), OPI_FORMAT(pool),
                                         OPI_FORMAT(identifier), OPI_FORMAT(age_recipient), OPI_FORMAT(sealed),
                                         OPI_FORMAT(image), OPI_FORMAT(variable_name), OPI_FORMAT(variable_value),
                                         OPI_FORMAT(url), OPI_FORMAT(repository_url), OPI_FORMAT(branch),
                                         OPI_FORMAT(relative_path), OPI_FORMAT(absolute_path), OPI_FORMAT(quantity),
                                         OPI_FORMAT(email), OPI_FORMAT(line), OPI_FORMAT(word)),
                         [](const auto& info) { return std::string(info.param.name); });
#undef OPI_FORMAT

TEST(FormatExamples, TakeWhatPeopleWriteAndNothingDangerous) {
  struct Row {
    const Format* format;
    const char* text;
    bool good;
  };
  for (const Row& row : {Row{&formats::domain, "apps.example.org", true},
                         Row{&formats::domain, "a..b", false},
                         Row{&formats::domain, "-a.b", false},
                         Row{&formats::repository_url, "git@github.com:o/r.git", true},
                         Row{&formats::repository_url, "-oProxyCommand=x:y", false},
                         Row{&formats::repository_url, "file:///etc/passwd", false},
                         Row{&formats::url, "git@host:x", false},
                         Row{&formats::url, "https://", false},
                         Row{&formats::branch, "feature/x-1", true},
                         Row{&formats::branch, "-x", false},
                         Row{&formats::branch, "a..b", false},
                         Row{&formats::relative_path, ".", true},
                         Row{&formats::relative_path, "a/../b", false},
                         Row{&formats::relative_path, "/etc", false},
                         Row{&formats::relative_path, "..", false},
                         Row{&formats::absolute_path, "/", true},
                         Row{&formats::absolute_path, "/..", false},
                         Row{&formats::quantity, "500m", true},
                         Row{&formats::quantity, "1.5Gi", true},
                         Row{&formats::quantity, "1e3", false},
                         Row{&formats::quantity, "Gi", false},
                         Row{&formats::email, "a@b@c", false},
                         Row{&formats::email, "@b", false},
                         Row{&formats::age_recipient, "age1short", false},
                         Row{&formats::image, "$(id)", false},
                         Row{&formats::label, "a", true},
                         Row{&formats::label, "a-", false},
                         Row{&formats::label, "9a", false}}) {
    EXPECT_EQ(row.format->matches(row.text), row.good) << row.text;
  }
}

TEST(FormatExamples, LengthsCountCodePoints) {
  EXPECT_EQ(code_points("größe 𝕏"), 7U);
  EXPECT_EQ(code_points(""), 0U);
}

}  // namespace
}  // namespace opi::project
