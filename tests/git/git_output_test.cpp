#include "git/git_output.hpp"

#include <gtest/gtest.h>

namespace opi::git {
namespace {

const std::string id_a(40, 'a');
const std::string id_b(40, 'b');

TEST(GitOutput, the_head_is_the_line_with_exactly_this_ref) {
  const std::string output = id_b + "\trefs/remotes/x/refs/heads/main\n" + id_a + "\trefs/heads/main\n";
  EXPECT_EQ(parse_remote_head(output, "refs/heads/main")->commit, id_a);
  EXPECT_EQ(parse_remote_head("", "refs/heads/main")->commit, std::nullopt);
  EXPECT_FALSE(parse_remote_head("nonsense\n", "refs/heads/main"));
  EXPECT_FALSE(parse_remote_head(id_a + "\trefs/heads/main", "refs/heads/main")) << "cut";
}

TEST(GitOutput, a_commit_has_author_and_time_and_cannot_smuggle_control_characters) {
  const auto snapshot = parse_commit(id_a + '\0' + "1700000000" + '\0' + "Eve\x1b[31m <eve@example.org>");
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(snapshot->commit, id_a);
  EXPECT_EQ(snapshot->author, "Eve [31m <eve@example.org>");
  EXPECT_EQ(std::chrono::system_clock::to_time_t(snapshot->committed), 1'700'000'000);
  EXPECT_TRUE(parse_commit(id_a + '\0' + "9223372036854775807" + '\0' + "x")) << "clamped";
  EXPECT_FALSE(parse_commit("HEAD"));
}

std::string entry(std::string_view mode, std::string_view type, std::string_view id, std::string_view size,
                  std::string_view path) {
  return std::string(mode) + ' ' + std::string(type) + ' ' + std::string(id) + ' ' + std::string(size) + '\t' +
         std::string(path) + '\0';
}

MirrorSettings settings() {
  MirrorSettings settings;
  settings.limits.file_bytes_max = 100;
  settings.limits.files_max = 4;
  return settings;
}

TEST(GitOutput, a_tree_is_sorted_into_files_and_rejected_entries) {
  const std::string output = entry("100644", "blob", id_a, "     12", "projects/b.yaml") +
                             entry("100755", "blob", id_b, "    100", "projects/a.yaml") +
                             entry("100644", "blob", id_a, "    101", "projects/large.yaml") +
                             entry("120000", "blob", id_a, "      5", "projects/link.yaml") +
                             entry("100644", "blob", id_a, "     12", "README.md") +
                             entry("160000", "commit", id_a, "      -", "other");
  Snapshot snapshot;
  ASSERT_TRUE(parse_tree(output, settings(), snapshot));
  ASSERT_EQ(snapshot.files.size(), 2U);
  EXPECT_EQ(snapshot.files[0], (FileBlob{.path = "projects/a.yaml", .blob = id_b, .size = 100}));
  EXPECT_EQ(snapshot.files[1].path, "projects/b.yaml");
  ASSERT_EQ(snapshot.rejected.size(), 2U);
  EXPECT_EQ(snapshot.rejected[0].path, "projects/large.yaml");
  EXPECT_EQ(snapshot.rejected[0].error.kind, ErrorKind::exhausted);
  EXPECT_EQ(snapshot.rejected[1].path, "projects/link.yaml");
  EXPECT_EQ(snapshot.rejected[1].error.kind, ErrorKind::unsupported);
}

TEST(GitOutput, a_submodule_where_files_would_be_is_rejected) {
  Snapshot snapshot;
  ASSERT_TRUE(parse_tree(entry("160000", "commit", id_a, "      -", "projects"), settings(), snapshot));
  ASSERT_EQ(snapshot.rejected.size(), 1U);
  EXPECT_EQ(snapshot.rejected[0].error.kind, ErrorKind::unsupported);
}

TEST(GitOutput, names_with_control_characters_and_too_many_files_are_refused) {
  Snapshot snapshot;
  ASSERT_TRUE(parse_tree(entry("100644", "blob", id_a, "1", "projects/a\nb.yaml"), settings(), snapshot));
  ASSERT_EQ(snapshot.rejected.size(), 1U);
  EXPECT_EQ(snapshot.rejected[0].error.kind, ErrorKind::invalid);
  std::string many;
  for (char c = 'a'; c < 'h'; ++c) many += entry("100644", "blob", id_a, "1", std::string("projects/") + c + ".yaml");
  Snapshot second;
  const auto refused = parse_tree(many, settings(), second);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::exhausted);
}

TEST(GitOutput, a_broken_tree_is_an_error_not_an_empty_one) {
  Snapshot snapshot;
  for (const std::string broken : {"x", "100644 blob abc 1\tprojects/a.yaml", "\t"})
    EXPECT_FALSE(parse_tree(broken + '\0', settings(), snapshot)) << broken;
  EXPECT_FALSE(parse_tree("100644 blob " + id_a + " 1\tprojects/a.yaml", settings(), snapshot)) << "cut";
}

TEST(GitOutput, a_batch_gives_contents_in_order_whatever_bytes_they_hold) {
  const std::vector<FileBlob> files{{.path = "a", .blob = id_a, .size = 4}, {.path = "b", .blob = id_b, .size = 0}};
  const std::string first("x\n\0y", 4);
  const auto contents = parse_batch(id_a + " blob 4\n" + first + "\n" + id_b + " blob 0\n\n", files);
  ASSERT_TRUE(contents);
  EXPECT_EQ((*contents)[0], first);
  EXPECT_EQ((*contents)[1], "");
  EXPECT_EQ(parse_batch(id_a + " missing\n", files).error().kind, ErrorKind::not_found);
  EXPECT_FALSE(parse_batch(id_b + " blob 4\n1234\n", files)) << "another object";
  EXPECT_FALSE(parse_batch(id_a + " blob 999\n1234\n", files)) << "cut";
}

TEST(GitOutput, pointers_of_git_lfs_and_binary_files_are_unusable) {
  EXPECT_TRUE(unusable_content("a", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"));
  EXPECT_TRUE(unusable_content("a", std::string("a\0b", 3)));
  EXPECT_FALSE(unusable_content("a", "name: shop\n"));
}

}  // namespace
}  // namespace opi::git
