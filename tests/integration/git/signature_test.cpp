// Signed commits: who may sign, and what becomes of a head that nobody did.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "git/mirror.hpp"
#include "support/git_repository.hpp"
#include "support/git_servers.hpp"
#include "support/run_coroutine.hpp"
#include "support/temporary_directory.hpp"

namespace opi::git {
namespace {

using namespace std::chrono_literals;
using test::GitRepository;
using test::run_coroutine;
using testing::HasSubstr;

SteadyTime in(std::chrono::milliseconds duration) {
  return std::chrono::steady_clock::now() + duration;
}

class SignatureTest : public testing::Test {
 protected:
  SignatureTest() {
    for (const char* name : {"eve", "mallory"})
      test::run_program({"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", key(name)});
    std::ifstream file(key("eve") + ".pub");
    const std::string line((std::istreambuf_iterator<char>(file)), {});
    std::ofstream(signers()) << "eve@example.org namespaces=\"git\" " << line;
  }

  std::string key(const std::string& name) const { return (directory.path() / name).string(); }
  std::string signers() const { return key("signers"); }

  MirrorSettings settings(VerifyMode mode) const {
    MirrorSettings settings;
    settings.url = source.url();
    settings.directory = directory.path() / "mirror";
    settings.verification = {.mode = mode, .allowed_signers_file = signers()};
    return settings;
  }
  /// A commit on top of main that is signed as `options` say ("-c", "gpg.format=ssh", …).
  std::string commit_signed(const std::string& content, std::vector<std::string> options) {
    const auto plain = source.commit({{"projects/a.yaml", content}});
    const auto repository = source.path().string();
    std::vector<std::string> command{"-c", "user.name=Eve", "-c", "user.email=eve@example.org"};
    command.insert(command.end(), options.begin(), options.end());
    command.insert(command.end(), {"--git-dir", repository, "commit-tree", "-S", "-m", "signed"});
    const auto parent = trimmed(
        test::run_git({"--git-dir", repository, "rev-parse", "--verify", "--quiet", "--end-of-options", plain + "^0"}));
    const auto before = test::run_git({"--git-dir", repository, "log", "--format=%P", "-1", parent});
    if (before.size() > 40) command.insert(command.end(), {"-p", before.substr(0, 40)});
    command.push_back(parent + "^{tree}");
    const auto id = trimmed(test::run_git(command));
    test::run_git({"--git-dir", repository, "update-ref", "refs/heads/main", id});
    return id;
  }
  std::string commit_by(const std::string& who, const std::string& content) {
    return commit_signed(content, {"-c", "gpg.format=ssh", "-c", "user.signingKey=" + key(who)});
  }
  static std::string trimmed(std::string text) {
    while (text.ends_with('\n')) text.pop_back();
    return text;
  }
  Snapshot fetch(Mirror& mirror) {
    auto snapshots = run_coroutine(context, mirror.fetch({"main"}, in(60s)));
    if (!snapshots) throw std::runtime_error(snapshots.error().to_string());
    return std::move(snapshots->front());
  }

  test::TemporaryDirectory directory;
  asio::io_context context;
  GitRepository source{directory.path() / "source.git"};
};

TEST_F(SignatureTest, an_unsigned_or_strange_head_is_refused_and_the_accepted_one_stays) {
  Mirror mirror(settings(VerifyMode::head), Logger());
  source.commit({{"projects/a.yaml", "0"}});
  const auto nothing = fetch(mirror);
  EXPECT_TRUE(nothing.empty);
  ASSERT_TRUE(nothing.refused);
  EXPECT_THAT(nothing.refused->error.to_string(), HasSubstr("it is not signed"));

  const auto good = commit_by("eve", "1");
  const auto first = fetch(mirror);
  EXPECT_EQ(first.commit, good) << (first.refused ? first.refused->error.to_string() : "");
  EXPECT_FALSE(first.refused);

  const auto bad = commit_by("mallory", "2");
  const auto second = fetch(mirror);
  EXPECT_EQ(second.commit, good);
  ASSERT_TRUE(second.refused);
  EXPECT_EQ(second.refused->commit, bad);
  EXPECT_EQ(second.refused->author, "Eve <eve@example.org>");
  EXPECT_THAT(second.refused->error.to_string(), HasSubstr("not among the allowed"));
  ASSERT_EQ(second.files.size(), 1U);
  EXPECT_EQ(second.files[0].blob, first.files[0].blob);
  run_coroutine(context, mirror.close());

  Mirror again(settings(VerifyMode::head), Logger());
  EXPECT_EQ(fetch(again).commit, good) << "also after a restart";
  const auto better = commit_by("eve", "3");
  EXPECT_EQ(fetch(again).commit, better) << "the head alone counts";
  run_coroutine(context, again.close());
}

TEST_F(SignatureTest, every_commit_since_the_accepted_head_must_be_signed) {
  Mirror mirror(settings(VerifyMode::every), Logger());
  source.commit({{"projects/a.yaml", "before"}});
  const auto start = commit_by("eve", "1");
  EXPECT_EQ(fetch(mirror).commit, start) << "what lies before the first head is not asked for";
  commit_by("eve", "2");
  const auto three = commit_by("eve", "3");
  EXPECT_EQ(fetch(mirror).commit, three);
  source.commit({{"projects/a.yaml", "unsigned"}});
  commit_by("eve", "4");
  const auto refused = fetch(mirror);
  EXPECT_EQ(refused.commit, three);
  ASSERT_TRUE(refused.refused);
  EXPECT_THAT(refused.refused->error.to_string(), HasSubstr("it is not signed"));
  run_coroutine(context, mirror.close());
}

TEST_F(SignatureTest, openpgp_signatures_are_checked_against_the_keyring) {
  // A short path: gpg's agent listens on a socket in it.
  const test::TemporaryDirectory gnupg;
  std::filesystem::permissions(gnupg.path(), std::filesystem::perms::owner_all);
  const std::string home = gnupg.path().string();
  const auto gpg = [&](std::vector<std::string> arguments, std::string input = {}) {
    arguments.insert(arguments.begin(), {"gpg", "--homedir", home, "--batch", "--quiet", "--pinentry-mode", "loopback",
                                         "--passphrase", ""});
    return test::run_program(arguments, std::move(input));
  };
  gpg({"--quick-gen-key", "Eve <eve@example.org>", "ed25519", "sign", "never"});
  gpg({"--export", "--output", key("keyring.gpg"), "eve@example.org"});
  std::ofstream(key("gpg")) << "#!/bin/sh\nexec gpg --homedir " << home << " \"$@\"\n";
  std::filesystem::permissions(key("gpg"), std::filesystem::perms::owner_all);
  auto with = settings(VerifyMode::head);
  with.verification = {.mode = VerifyMode::head, .openpgp_keyring_file = key("keyring.gpg")};
  Mirror mirror(with, Logger());
  const auto good = commit_signed("1", {"-c", "gpg.program=" + key("gpg"), "-c", "user.signingKey=eve@example.org"});
  const auto first = fetch(mirror);
  EXPECT_EQ(first.commit, good) << (first.refused ? first.refused->error.to_string() : "");
  commit_by("eve", "2");
  const auto second = fetch(mirror);
  EXPECT_EQ(second.commit, good);
  EXPECT_THAT(second.refused->error.to_string(), HasSubstr("no keys are given")) << "an SSH signature";
  run_coroutine(context, mirror.close());
  test::run_program({"gpgconf", "--homedir", home, "--kill", "all"});
}

}  // namespace
}  // namespace opi::git
