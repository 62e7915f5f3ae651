#include "git/path_pattern.hpp"

#include <gtest/gtest.h>

#include <string>

namespace opi::git {
namespace {

struct Case {
  std::string_view pattern;
  std::string_view path;
  bool matches;
};

TEST(PathPattern, matches_as_gitignore_does) {
  constexpr Case cases[] = {
      {"projects/*.yaml", "projects/shop.yaml", true},
      {"projects/*.yaml", "projects/sub/shop.yaml", false},
      {"projects/*.yaml", "projects/shop.yml", false},
      {"projects/*.yaml", "other/shop.yaml", false},
      {"projects/*.yaml", "projects/.yaml", true},
      {"projects/*.yaml", "projects", false},
      {"*.yaml", "shop.yaml", true},
      {"*.yaml", "a/shop.yaml", false},
      {"**/*.yaml", "shop.yaml", true},
      {"**/*.yaml", "a/b/c/shop.yaml", true},
      {"a/**/z", "a/z", true},
      {"a/**/z", "a/b/c/z", true},
      {"a/**/z", "a/b/c/y", false},
      {"a/**", "a/b/c", true},
      {"**/a/**/b", "x/a/y/a/z/b", true},
      {"shop-?.yaml", "shop-1.yaml", true},
      {"shop-?.yaml", "shop-/.yaml", false},
      {"a*b*c", "aXbYbZc", true},
      {"a*b*c", "aXbYbZ", false},
      {"Shop.yaml", "shop.yaml", false},
      {"[ab].yaml", "a.yaml", false},
      {"", "a", false},
  };
  for (const auto& c : cases) EXPECT_EQ(path_matches(c.pattern, c.path), c.matches) << c.pattern << " on " << c.path;
}

TEST(PathPattern, hostile_patterns_do_not_take_exponential_time) {
  std::string pattern, path;
  for (int i = 0; i < 200; ++i) pattern += "**/a*a*a*/";
  for (int i = 0; i < 400; ++i) path += "aaaaaaaaab/";
  EXPECT_FALSE(path_matches(pattern + "z", path + "y"));
}

TEST(PathPattern, knows_which_directories_may_hold_matches) {
  EXPECT_TRUE(may_match_below("projects/*.yaml", "projects"));
  EXPECT_FALSE(may_match_below("projects/*.yaml", "other"));
  EXPECT_FALSE(may_match_below("projects/*.yaml", "projects/sub"));
  EXPECT_TRUE(may_match_below("**/*.yaml", "any/where"));
  EXPECT_FALSE(may_match_below("*.yaml", "projects"));
}

}  // namespace
}  // namespace opi::git
