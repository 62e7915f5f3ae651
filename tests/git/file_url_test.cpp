#include "git/file_url.hpp"

#include <gtest/gtest.h>

#include "git/git_environment.hpp"

namespace opi::git {
namespace {

TEST(FileUrl, LeavesPlainPathsAsTheyAre) {
  EXPECT_EQ(file_url("/srv/a-b_c.d~/e.git"), "file:///srv/a-b_c.d~/e.git");
}

TEST(FileUrl, EncodesWhatGitWouldDecodeOrASettingsFileWouldRefuse) {
  EXPECT_EQ(file_url("/home/ann/my opi/100%.git"), "file:///home/ann/my%20opi/100%25.git");
  EXPECT_EQ(file_url("/a'b\"c<d>e#f?g"), "file:///a%27b%22c%3Cd%3Ee%23f%3Fg");
  EXPECT_EQ(file_url("/caf\xc3\xa9"), "file:///caf%C3%A9");
}

TEST(FileUrl, ComesBackAsTheSamePathWhateverItsBytesAre) {
  std::string path = "/";
  for (int byte = 1; byte < 256; ++byte) path += static_cast<char>(byte);
  EXPECT_EQ(path_of_file_url(file_url(path)), path);
}

TEST(FileUrl, KeepsAPercentSignThatEncodesNothing) {
  EXPECT_EQ(path_of_file_url("file:///a%zz%4"), "/a%zz%4");
  EXPECT_EQ(path_of_file_url("file:///a%2fb"), "/a/b");
  EXPECT_EQ(path_of_file_url("file:///a%20"), "/a ");
  EXPECT_EQ(path_of_file_url("https://example.org/a"), "");
}

TEST(FileUrl, IsWhatAnAbsolutePathOfTheSettingsBecomes) {
  EXPECT_EQ(parse_remote("/srv/my projects.git")->url, "file:///srv/my%20projects.git");
}

}  // namespace
}  // namespace opi::git
