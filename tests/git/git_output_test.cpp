#include "git/git_output.hpp"

#include <gtest/gtest.h>

namespace opi::git {
namespace {

const std::string id_a(40, 'a');
const std::string id_b(40, 'b');

TEST(GitOutput, heads_are_the_lines_with_exactly_these_refs) {
  const std::string output = id_b + "\trefs/remotes/x/refs/heads/main\n" + id_a + "\trefs/heads/main\n" + id_b +
                             "\trefs/heads/release/1\n" + id_b + "\trefs/heads/other\n";
  EXPECT_EQ(parse_remote_heads(output, {"main", "release/1", "gone"}), (Heads{{"main", id_a}, {"release/1", id_b}}));
  EXPECT_EQ(parse_remote_heads("", {"main"}), Heads{});
  EXPECT_FALSE(parse_remote_heads("nonsense\n", {"main"}));
  EXPECT_FALSE(parse_remote_heads(id_a + "\trefs/heads/main", {"main"})) << "cut";
}

TEST(GitOutput, object_ids_are_of_either_hash_and_nothing_else) {
  EXPECT_TRUE(is_object_id(id_a));
  EXPECT_TRUE(is_object_id(std::string(64, '0')));
  EXPECT_FALSE(is_object_id(std::string(41, 'a')));
  EXPECT_FALSE(is_object_id(std::string(40, 'A')));
  EXPECT_FALSE(is_object_id(""));
}

}  // namespace
}  // namespace opi::git
