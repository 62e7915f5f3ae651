// Signed commits: who may sign, and what becomes of a head that nobody did.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "integration/git/git_fixture.hpp"
#include "support/git_servers.hpp"

namespace opi::git {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class SignatureTest : public GitFixture {
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
    auto settings = mirror_of(source.url());
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
};

/// A key ring with one key, and everything that signs with it, in a folder that goes with it. Its agent is ended.
class OpenPgp {
 public:
  OpenPgp() {
    fs::permissions(home_.path(), fs::perms::owner_all);
    gpg({"--quick-gen-key", "Eve <eve@example.org>", "ed25519", "sign", "never"});
    gpg({"--export", "--output", keyring(), "eve@example.org"});
    std::ofstream(program()) << "#!/bin/sh\nexec gpg --homedir " << home() << " \"$@\"\n";
    fs::permissions(program(), fs::perms::owner_all);
  }
  OpenPgp(const OpenPgp&) = delete;
  OpenPgp& operator=(const OpenPgp&) = delete;
  ~OpenPgp() { test::run_program({"gpgconf", "--homedir", home(), "--kill", "all"}); }

  std::string keyring() const { return home() + "/keyring.gpg"; }
  /// What git is told to sign with it.
  std::vector<std::string> options() const {
    return {"-c", "gpg.program=" + program(), "-c", "user.signingKey=eve@example.org"};
  }

 private:
  std::string home() const { return home_.path().string(); }
  std::string program() const { return home() + "/gpg"; }
  void gpg(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"gpg", "--homedir", home(), "--batch", "--quiet", "--pinentry-mode",
                                         "loopback", "--passphrase", ""});
    test::run_program(arguments);
  }
  test::TemporaryDirectory home_;  // a short path: gpg's agent listens on a socket in it
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
  const OpenPgp pgp;
  auto with = settings(VerifyMode::head);
  with.verification = {.mode = VerifyMode::head, .openpgp_keyring_file = pgp.keyring()};
  Mirror mirror(with, Logger());
  const auto good = commit_signed("1", pgp.options());
  const auto first = fetch(mirror);
  EXPECT_EQ(first.commit, good) << (first.refused ? first.refused->error.to_string() : "");
  commit_by("eve", "2");
  const auto second = fetch(mirror);
  EXPECT_EQ(second.commit, good);
  EXPECT_THAT(second.refused->error.to_string(), HasSubstr("no keys are given")) << "an SSH signature";
  run_coroutine(context, mirror.close());
}

TEST_F(SignatureTest, every_commit_is_checked_by_openpgp_and_a_strange_one_between_is_found) {
  const OpenPgp pgp;
  const OpenPgp strange;
  auto with = settings(VerifyMode::every);
  with.verification.openpgp_keyring_file = pgp.keyring();
  Mirror mirror(with, Logger());
  const auto start = commit_signed("1", pgp.options());
  EXPECT_EQ(fetch(mirror).commit, start);
  commit_signed("2", pgp.options());
  commit_by("eve", "3");
  const auto four = commit_signed("4", pgp.options());
  EXPECT_EQ(fetch(mirror).commit, four) << "each kind of signature by its own keys";
  const auto bad = commit_signed("5", strange.options());
  commit_signed("6", pgp.options());
  const auto refused = fetch(mirror);
  EXPECT_EQ(refused.commit, four);
  ASSERT_TRUE(refused.refused);
  EXPECT_THAT(refused.refused->error.to_string(), HasSubstr(bad.substr(0, 7)));
  run_coroutine(context, mirror.close());
}

}  // namespace
}  // namespace opi::git
