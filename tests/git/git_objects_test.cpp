#include "git/git_objects.hpp"

#include <gtest/gtest.h>

#include "git/object_reader.hpp"
#include "git/signature.hpp"

namespace opi::git {
namespace {

const std::string id_a(40, 'a');

std::string commit_text(std::string_view more = "", std::string_view committer_time = "1700000000") {
  return "tree " + id_a + "\nparent " + id_a + "\nauthor Eve\x1b[31m <eve@example.org> 1600000000 +0100\n" +
         "committer Bob <bob@example.org> " + std::string(committer_time) + " +0000\n" + std::string(more) +
         "\nsubject\n\nauthor Mallory <m@example.org> 1 +0000\n";
}

TEST(GitObjects, a_commit_has_author_and_time_and_cannot_smuggle_control_characters) {
  const auto commit = parse_commit(commit_text());
  ASSERT_TRUE(commit);
  EXPECT_EQ(commit->tree, id_a);
  EXPECT_EQ(commit->author, "Eve [31m <eve@example.org>");
  EXPECT_EQ(std::chrono::system_clock::to_time_t(commit->committed), 1'700'000'000);
  EXPECT_TRUE(parse_commit(commit_text("", "9223372036854775807"))) << "clamped";
  EXPECT_TRUE(parse_commit(commit_text("", "never"))) << "a time that is none";
  EXPECT_FALSE(parse_commit("HEAD"));
  EXPECT_FALSE(parse_commit(""));
}

TEST(GitObjects, a_signature_is_taken_out_and_the_rest_is_what_was_signed) {
  const auto plain = split_signature(commit_text(), false);
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->signature, "");
  EXPECT_EQ(plain->payload, commit_text());
  const auto with = split_signature(
      commit_text("gpgsig -----BEGIN\n line\n \n -----END\ngpgsig-sha256 other\n more\nencoding x\n"), false);
  ASSERT_TRUE(with);
  EXPECT_EQ(with->signature, "-----BEGIN\nline\n\n-----END\n");
  EXPECT_EQ(with->payload, commit_text("encoding x\n"));
  EXPECT_EQ(with->committed, 1'700'000'000);
  const auto tag = split_signature(commit_text("mergetag object x\n gpgsig no\n"), false);
  ASSERT_TRUE(tag);
  EXPECT_EQ(tag->signature, "") << "a line of another header is no header";
}

std::string entry(std::string_view mode, std::string_view name, char id = 'x') {
  return std::string(mode) + ' ' + std::string(name) + '\0' + std::string(20, id);
}

MirrorSettings settings() {
  MirrorSettings settings;
  settings.limits.files_max = 4;
  return settings;
}

TEST(GitObjects, a_tree_is_sorted_into_files_rejected_entries_and_directories_that_may_hold_more) {
  Snapshot snapshot;
  std::vector<Directory> below;
  const std::string root = entry("100644", "README.md") + entry("40000", "docs") + entry("160000", "module") +
                           entry("40000", "projects", '\xff');
  ASSERT_TRUE(parse_tree(root, 20, {}, settings(), snapshot, below));
  ASSERT_EQ(below.size(), 1U);
  EXPECT_EQ(below[0].path, "projects");
  EXPECT_EQ(below[0].tree, std::string(40, 'f'));
  EXPECT_TRUE(snapshot.files.empty());
  const Directory projects = below[0];
  below.clear();
  const std::string raw = entry("100755", "a.yaml") + entry("120000", "b.yaml") + entry("160000", "c.yaml") +
                          entry("40000", "sub") + entry("100644", "x.txt");
  ASSERT_TRUE(parse_tree(raw, 20, projects, settings(), snapshot, below));
  EXPECT_TRUE(below.empty()) << "projects/sub holds nothing that matches";
  ASSERT_EQ(snapshot.files.size(), 1U);
  EXPECT_EQ(snapshot.files[0].path, "projects/a.yaml");
  ASSERT_EQ(snapshot.rejected.size(), 2U);
  EXPECT_EQ(snapshot.rejected[0].error.kind, ErrorKind::unsupported);
}

TEST(GitObjects, a_hostile_tree_is_refused_or_rejected_file_by_file) {
  Snapshot snapshot;
  std::vector<Directory> below;
  const Directory projects{.path = "projects", .tree = id_a};
  ASSERT_TRUE(parse_tree(entry("100644", "a\x1b[2J.yaml"), 20, projects, settings(), snapshot, below));
  ASSERT_EQ(snapshot.rejected.size(), 1U);
  EXPECT_FALSE(snapshot.rejected[0].error.message.contains('\x1b'));
  EXPECT_FALSE(parse_tree(entry("100644", "a/b.yaml"), 20, projects, settings(), snapshot, below)) << "a slash";
  EXPECT_FALSE(parse_tree(entry("100644", ""), 20, projects, settings(), snapshot, below)) << "no name";
  EXPECT_FALSE(parse_tree("100644 a.yaml", 20, projects, settings(), snapshot, below)) << "cut";
  EXPECT_FALSE(parse_tree(entry("100644", "a.yaml").substr(0, 20), 20, projects, settings(), snapshot, below));
  std::string deep = "a";
  for (int i = 0; i < 70; ++i) deep += "/a";
  EXPECT_EQ(parse_tree("", 20, {.path = deep, .tree = id_a}, settings(), snapshot, below).error().kind,
            ErrorKind::exhausted);
  std::string many;
  for (const char* name : {"1.yaml", "2.yaml", "3.yaml", "4.yaml", "5.yaml"}) many += entry("100644", name);
  EXPECT_EQ(parse_tree(many, 20, projects, settings(), snapshot, below).error().kind, ErrorKind::exhausted);
}

TEST(GitObjects, an_lfs_pointer_and_a_binary_file_are_unusable) {
  EXPECT_EQ(unusable_content("a", "version https://git-lfs.github.com/spec/v1\n")->kind, ErrorKind::unsupported);
  EXPECT_EQ(unusable_content("a", std::string("a\0b", 3))->kind, ErrorKind::invalid);
  EXPECT_FALSE(unusable_content("a", "name: a\n"));
}

TEST(GitObjects, what_cat_file_says_of_an_object_is_read_strictly) {
  const auto info = parse_object_info(id_a + " blob 12", id_a);
  ASSERT_TRUE(info);
  EXPECT_EQ((*info)->type, "blob");
  EXPECT_EQ((*info)->size, 12U);
  EXPECT_EQ(parse_object_info(id_a + " missing", id_a), std::nullopt);
  EXPECT_FALSE(parse_object_info(std::string(40, 'b') + " blob 12", id_a)) << "another object";
  EXPECT_FALSE(parse_object_info(id_a + " blob -1", id_a));
  EXPECT_FALSE(parse_object_info(id_a + " blob", id_a));
  EXPECT_FALSE(parse_object_info("", id_a));
}

TEST(GitObjects, only_one_good_signature_of_a_living_key_counts) {
  const std::string good =
      "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 1234 Eve <eve@example.org>\n[GNUPG:] VALIDSIG ABCD 2026-01-01 1 0\n";
  EXPECT_EQ(parse_gpgv_status(good), "ABCD Eve <eve@example.org>");
  EXPECT_FALSE(parse_gpgv_status(good + good)) << "two signatures";
  EXPECT_FALSE(parse_gpgv_status(""));
  EXPECT_FALSE(parse_gpgv_status("[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 1234 Eve\n")) << "no VALIDSIG";
  for (const char* bad : {"EXPKEYSIG 1234 Eve", "REVKEYSIG 1234 Eve", "BADSIG 1234 Eve", "ERRSIG 1234", "EXPSIG 1"})
    EXPECT_EQ(parse_gpgv_status(good + "[GNUPG:] " + bad + "\n").error().kind, ErrorKind::denied) << bad;
  EXPECT_FALSE(parse_gpgv_status("GOODSIG 1234 Eve\nVALIDSIG ABCD\nNEWSIG\n")) << "without the prefix";
}

}  // namespace
}  // namespace opi::git
