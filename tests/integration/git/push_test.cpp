// Files written to a branch that others write to as well, over the transports that people use.
#include "git/push.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aio/task_scope.hpp"
#include "support/git_repository.hpp"
#include "support/git_servers.hpp"
#include "support/in_time.hpp"
#include "support/run_coroutine.hpp"
#include "support/temporary_directory.hpp"

namespace opi::git {
namespace {

using namespace std::chrono_literals;
using test::GitRepository;
using test::in;
using testing::HasSubstr;

class PushTest : public testing::Test {
 protected:
  PushSettings settings(std::string url) {
    PushSettings settings;
    settings.remote.url = std::move(url);
    settings.remote.directory = directory.path() / ("push" + std::to_string(++pushers));
    return settings;
  }
  static RenderTree file(const std::string& path, const std::string& bytes) {
    return [path, bytes](const RemoteTree& tree) -> Result<TreeChange> {
      if (tree.blobs.contains(path)) return TreeChange{};
      return TreeChange{.files = {{path, bytes}}, .message = "add " + path + "\n"};
    };
  }
  Result<PushReport> push(Pusher& pusher, RenderTree render) {
    return test::run_coroutine(context, pusher.push("", std::move(render), in(60s)));
  }
  std::string show(const std::string& what) {
    return test::run_git({"--git-dir", target.path().string(), "show", what});
  }

  test::TemporaryDirectory directory;
  asio::io_context context;
  aio::BlockingPool blocking{2};
  GitRepository target{directory.path() / "repositories" / "target.git"};
  int pushers = 0;
};

TEST_F(PushTest, ABranchThatIsNotThereBeginsAndWhatOthersWroteStays) {
  Pusher pusher(settings(target.url()), blocking, Logger());
  auto first = push(pusher, file("a/one.yaml", "one\n"));
  ASSERT_TRUE(first) << first.error().to_string();
  EXPECT_EQ(first->files, 1U);
  EXPECT_EQ(target.head(), first->commit);
  EXPECT_EQ(first->blobs.at("a/one.yaml"), target.blob("a/one.yaml"));
  const auto theirs = target.commit({{"b/two.yaml", "two\n"}});
  auto second = push(pusher, file("a/three.yaml", "three\n"));
  ASSERT_TRUE(second) << second.error().to_string();
  EXPECT_EQ(show("main:b/two.yaml"), "two\n");
  EXPECT_EQ(show("main^:b/two.yaml"), "two\n") << "our commit stands on theirs";
  EXPECT_EQ(test::run_git({"--git-dir", target.path().string(), "rev-parse", "main^"}), theirs + "\n");
}

TEST_F(PushTest, NothingToWriteIsNoCommitAndOneLook) {
  Pusher pusher(settings(target.url()), blocking, Logger());
  ASSERT_TRUE(push(pusher, file("a.yaml", "a\n")));
  const auto head = target.head();
  const auto before = pusher.commands();
  auto again = push(pusher, file("a.yaml", "a\n"));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->files, 0U);
  EXPECT_EQ(target.head(), head);
  EXPECT_EQ(pusher.commands() - before, 1U);
}

Task<> push_one(Pusher* pusher, RenderTree render, std::vector<Result<PushReport>>* reports) {
  reports->push_back(co_await pusher->push("", std::move(render), in(60s)));
}

TEST_F(PushTest, TenWritersOnOneBranchAllLand) {
  std::vector<std::unique_ptr<Pusher>> writers;
  std::vector<Result<PushReport>> reports;
  aio::TaskScope scope(context.get_executor(), Logger(), "writers");
  for (int i = 0; i < 10; ++i) {
    writers.push_back(std::make_unique<Pusher>(settings(target.url()), blocking, Logger()));
    const auto name = "writer" + std::to_string(i) + "/file.yaml";
    scope.spawn(name, push_one(writers.back().get(), file(name, name + "\n"), &reports));
  }
  test::run_coroutine(context, scope.join());
  ASSERT_EQ(reports.size(), 10U);
  for (const auto& report : reports) EXPECT_TRUE(report) << report.error().to_string();
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(show("main:writer" + std::to_string(i) + "/file.yaml").empty());
  EXPECT_EQ(test::run_git({"--git-dir", target.path().string(), "rev-list", "--count", "--first-parent", "main"}),
            "10\n")
      << "one line of history, nobody's commit was lost or merged";
}

TEST_F(PushTest, TheGuardHasTheLastWord) {
  auto with = settings(target.url());
  int asked = 0;
  with.guard = [&](const std::string& path, std::string_view bytes) -> Result<> {
    ++asked;
    if (bytes.contains("hush")) return failure(ErrorKind::denied, path + " is not for others");
    return {};
  };
  Pusher pusher(std::move(with), blocking, Logger());
  auto refused = push(pusher, file("a.yaml", "hush\n"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::denied);
  EXPECT_ANY_THROW(target.head()) << "nothing was pushed";
  asked = 0;
  ASSERT_TRUE(push(pusher, file("a.yaml", "fine\n")));
  EXPECT_EQ(asked, 2) << "before the commit, and for what stands in it";
}

TEST_F(PushTest, PathsThatLeadOutOfTheTreeAreRefused) {
  Pusher pusher(settings(target.url()), blocking, Logger());
  for (const auto* path : {"../a", "/a", "a/../b", ".git/config", "a\nD b", "a/"}) {
    auto refused = push(pusher, file(path, "a\n"));
    ASSERT_FALSE(refused) << path;
    EXPECT_EQ(refused.error().kind, ErrorKind::invalid) << path;
  }
}

TEST_F(PushTest, OverHttpsAndSshWithTheirCredentials) {
  target.commit({{"a.yaml", "a\n"}});
  test::run_git({"--git-dir", target.path().string(), "config", "http.receivepack", "true"});
  test::HttpsGitServer https(directory.path() / "repositories", directory.path() / "https");
  auto with = settings(https.url("target.git"));
  with.remote.ca_file = https.ca_file().string();
  with.remote.http =
      HttpCredentials{.username = "bot", .password = [] { return Result<SecretString>(SecretString("hush")); }};
  Pusher over_https(std::move(with), blocking, Logger());
  auto first = push(over_https, file("https.yaml", "https\n"));
  ASSERT_TRUE(first) << first.error().to_string();

  test::SshGitServer ssh(directory.path() / "ssh");
  auto by_ssh = settings(ssh.url(target.path()));
  by_ssh.remote.ssh =
      SshCredentials{.key_file = ssh.key_file().string(), .known_hosts_file = ssh.known_hosts_file().string()};
  Pusher over_ssh(std::move(by_ssh), blocking, Logger());
  auto second = push(over_ssh, file("ssh.yaml", "ssh\n"));
  ASSERT_TRUE(second) << second.error().to_string();
  EXPECT_EQ(show("main:https.yaml"), "https\n");
  EXPECT_EQ(show("main:ssh.yaml"), "ssh\n");
}

}  // namespace
}  // namespace opi::git
