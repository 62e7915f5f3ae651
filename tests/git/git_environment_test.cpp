#include "git/git_environment.hpp"

#include <gtest/gtest.h>

namespace opi::git {
namespace {

TEST(ParseRemote, takes_the_known_transports) {
  EXPECT_EQ(parse_remote("https://example.org/a.git")->scheme, "https");
  EXPECT_EQ(parse_remote("ssh://git@example.org:22/a.git")->scheme, "ssh");
  EXPECT_EQ(parse_remote("git@example.org:a/b.git")->scheme, "ssh");
  EXPECT_EQ(parse_remote("git://127.0.0.1:9418/a")->scheme, "git");
  EXPECT_EQ(parse_remote("file:///srv/a.git")->scheme, "file");
  EXPECT_EQ(parse_remote("/srv/a.git")->url, "file:///srv/a.git");
}

TEST(ParseRemote, refuses_what_could_run_programs_or_hold_secrets) {
  for (const char* url : {"", "-u./evil", "--upload-pack=x", "ext::sh -c id", "ext://x", "fd::17", "relative/path",
                          "https://user:secret@example.org/a", "https://token@example.org/a", "ssh://u:p@host/a",
                          "ssh://-oProxyCommand=id/a", "https://", "https://exa\nmple.org/a"}) {
    const auto remote = parse_remote(url);
    ASSERT_FALSE(remote) << url;
    EXPECT_EQ(remote.error().kind, ErrorKind::invalid);
    EXPECT_FALSE(remote.error().to_string().contains("secret")) << remote.error().to_string();
  }
}

TEST(CheckBranch, takes_names_and_refuses_refspecs) {
  for (const char* good : {"main", "feature/x", "v1.0", "a_b-c"}) EXPECT_TRUE(check_branch(good)) << good;
  for (const char* bad : {"", "-x", "a..b", "a:b", "a b", "/a", "a/", "a.lock", "*", "a@{1}", ".a", "a\nb"})
    EXPECT_FALSE(check_branch(bad)) << bad;
}

MirrorSettings with_password() {
  MirrorSettings settings;
  settings.directory = "/somewhere";
  settings.http = HttpCredentials{.username = "bot", .password = [] { return SecretString("hush"); }};
  return settings;
}

TEST(Environment, is_closed_and_names_the_one_protocol) {
  const auto environment = environment_of(with_password(), {.url = "https://example.org/a", .scheme = "https"});
  EXPECT_THAT(environment, testing::Contains("GIT_ALLOW_PROTOCOL=https"));
  EXPECT_THAT(environment, testing::Contains("GIT_TERMINAL_PROMPT=0"));
  EXPECT_THAT(environment, testing::Contains("GIT_CONFIG_NOSYSTEM=1"));
  EXPECT_THAT(environment, testing::Contains("HOME=/somewhere/home"));
  EXPECT_THAT(environment, testing::Each(testing::Not(testing::HasSubstr("hush"))));
}

TEST(Credentials, go_to_the_origin_of_the_url_only_and_only_over_http) {
  const auto entries = credentials_of(with_password(), {.url = "https://example.org/deep/a", .scheme = "https"});
  ASSERT_TRUE(entries);
  ASSERT_EQ(entries->size(), 3U);
  EXPECT_EQ((*entries)[1].reveal(), "GIT_CONFIG_KEY_0=http.https://example.org/.extraHeader");
  EXPECT_EQ((*entries)[2].reveal(), "GIT_CONFIG_VALUE_0=Authorization: Basic Ym90Omh1c2g=");
  EXPECT_TRUE(credentials_of(with_password(), {.url = "git@example.org:a", .scheme = "ssh"})->empty());
}

TEST(Credentials, a_provider_that_fails_or_smuggles_a_header_is_an_error) {
  auto settings = with_password();
  settings.http->password = [] { return failure(ErrorKind::not_found, "no file"); };
  EXPECT_FALSE(credentials_of(settings, {.url = "https://example.org/a", .scheme = "https"}));
  settings.http->password = [] { return SecretString("a\r\nX-Evil: 1"); };
  EXPECT_FALSE(credentials_of(settings, {.url = "https://example.org/a", .scheme = "https"}));
}

TEST(Configuration, holds_no_secret_and_switches_hooks_off) {
  auto settings = with_password();
  settings.ssh = SshCredentials{.key_file = "/keys/it's mine", .known_hosts_file = "/keys/known"};
  const auto text = configuration_text(settings, {.url = "ssh://h/a", .scheme = "ssh"}, "/somewhere/mirror.git");
  EXPECT_THAT(text, testing::HasSubstr("hooksPath = /dev/null"));
  EXPECT_THAT(text, testing::HasSubstr("StrictHostKeyChecking=yes"));
  EXPECT_THAT(text, testing::HasSubstr("BatchMode=yes"));
  EXPECT_THAT(text, testing::HasSubstr("directory = \"/somewhere/mirror.git\""));
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("hush")));
}

TEST(Classify, knows_what_git_says) {
  const auto kind = [](const std::string& text) { return classify("x", 128, text, true).kind; };
  EXPECT_EQ(kind("fatal: Authentication failed for 'https://example.org/a'\n"), ErrorKind::denied);
  EXPECT_EQ(kind("fatal: could not read Username for 'https://x': terminal prompts disabled\n"), ErrorKind::denied);
  EXPECT_EQ(kind("Host key verification failed.\nfatal: Could not read from remote repository.\n"), ErrorKind::denied);
  EXPECT_EQ(kind("fatal: '/x' does not appear to be a git repository\n"), ErrorKind::not_found);
  EXPECT_EQ(kind("fatal: unable to connect to 127.0.0.1: Connection refused\n"), ErrorKind::unavailable);
  EXPECT_EQ(kind("error: file write error: No space left on device\n"), ErrorKind::exhausted);
  EXPECT_EQ(classify("x", 1, "whatever", false).kind, ErrorKind::internal);
  EXPECT_EQ(classify("x", 128, "warning: a\nfatal: the reason\x1b[1m\n\n", true).causes,
            std::vector<std::string>{"fatal: the reason [1m"});
}

}  // namespace
}  // namespace opi::git
