#include "app/server_account.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

namespace opi::app {
namespace {

namespace fs = std::filesystem;

class ServerAccountTest : public testing::Test {
 protected:
  ServerAccountTest() {
    std::string name = fs::temp_directory_path() / "opi-account-XXXXXX";
    folder_ = ::mkdtemp(name.data());
    fs::permissions(folder_, fs::perms(0755));
  }
  ~ServerAccountTest() override { fs::remove_all(folder_); }
  fs::path folder_;
};

TEST_F(ServerAccountTest, NeverIsRoot) {
  const auto account = server_account();
  ASSERT_TRUE(account.has_value()) << account.error().to_string();
  EXPECT_NE(account->uid, 0U);
  EXPECT_EQ(account->other, ::geteuid() == 0);
}

TEST_F(ServerAccountTest, ReachesAFolderOnlyThroughFoldersThatLetItPass) {
  const ServerAccount nobody{.name = "nobody", .uid = 65'534, .gid = 65'534, .other = true};
  fs::create_directories(folder_ / "open/closed/inner");
  EXPECT_TRUE(reachable_for(nobody, folder_ / "open"));
  fs::permissions(folder_ / "open/closed", fs::perms(0700));
  EXPECT_FALSE(reachable_for(nobody, folder_ / "open/closed/inner"));
  EXPECT_FALSE(reachable_for(nobody, folder_ / "missing"));
}

TEST_F(ServerAccountTest, KeepsTheDataWhereItIsWantedWhenItCan) {
  const auto account = server_account();
  ASSERT_TRUE(account.has_value());
  const auto place = place_for(*account, folder_ / "postgres", folder_ / "state");
  ASSERT_TRUE(place.has_value()) << place.error().to_string();
  EXPECT_EQ(*place, folder_ / "postgres");
  struct stat info{};
  ASSERT_EQ(::stat(place->c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, account->uid);
  EXPECT_EQ(info.st_mode & 0777U, 0700U);
}

TEST_F(ServerAccountTest, KeepsItInTheSystemsStateBehindALinkWhenTheFolderIsClosed) {
  if (::geteuid() != 0) GTEST_SKIP() << "an ordinary user reaches its own folders";
  const auto account = server_account();
  ASSERT_TRUE(account.has_value());
  fs::create_directories(folder_ / "closed/.opi");
  fs::permissions(folder_ / "closed", fs::perms(0700));
  for (int start = 0; start < 2; ++start) {  // the second start finds the link
    const auto place = place_for(*account, folder_ / "closed/.opi/postgres", folder_ / "state");
    ASSERT_TRUE(place.has_value()) << place.error().to_string();
    EXPECT_EQ(place->parent_path().parent_path(), folder_ / "state");
    EXPECT_EQ(fs::read_symlink(folder_ / "closed/.opi/postgres"), *place);
    EXPECT_TRUE(reachable_for(*account, *place));
  }
}

TEST_F(ServerAccountTest, NeverReplacesAFolderThatHoldsSomething) {
  if (::geteuid() != 0) GTEST_SKIP() << "an ordinary user reaches its own folders";
  const auto account = server_account();
  ASSERT_TRUE(account.has_value());
  fs::create_directories(folder_ / "closed/postgres/data");
  fs::permissions(folder_ / "closed", fs::perms(0700));
  const auto place = place_for(*account, folder_ / "closed/postgres", folder_ / "state");
  EXPECT_FALSE(place.has_value());
  EXPECT_TRUE(fs::exists(folder_ / "closed/postgres/data"));
}

}  // namespace
}  // namespace opi::app
