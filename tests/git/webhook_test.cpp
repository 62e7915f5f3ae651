#include "git/webhook.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>

namespace opi::git {
namespace {

const SecretString secret("s3cret");

std::string hmac(std::string_view key, const std::string& body, const EVP_MD* digest = ::EVP_sha256()) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned int size = 0;
  ::HMAC(digest, key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(body.data()),
         body.size(), bytes.data(), &size);
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) hex += fmt::format("{:02x}", bytes[i]);
  return hex;
}

const std::string github = R"({"ref": "refs/heads/main", "repository": {"full_name": "Team/Projects",
  "clone_url": "https://github.com/Team/Projects.git", "ssh_url": "git@github.com:Team/Projects.git"}})";
const std::string gitlab = R"({"object_kind": "push", "ref": "refs/heads/main", "project":
  {"git_http_url": "https://gitlab.example.org/team/projects.git", "path_with_namespace": "team/projects"}})";
const std::string bitbucket_cloud = R"({"push": {"changes": [{"new": {"type": "branch", "name": "main"}, "old": null}]},
  "repository": {"full_name": "team/projects", "links": {"html": {"href": "https://bitbucket.org/team/projects"}}}})";
const std::string bitbucket_server = R"({"changes": [{"ref": {"id": "refs/heads/main", "type": "BRANCH"}}],
  "repository": {"links": {"clone": [{"href": "https://bitbucket.example.org/scm/team/projects.git"}]}}})";

WebhookRequest request(std::string body, std::vector<std::pair<std::string, std::string>> headers) {
  return {.headers = std::move(headers), .body = std::move(body)};
}
WebhookRequest from_github(const std::string& body, const std::string& event = "push") {
  return request(body, {{"x-github-event", event}, {"x-hub-signature-256", "sha256=" + hmac("s3cret", body)}});
}

TEST(Webhook, each_host_proves_the_secret_in_its_own_way) {
  EXPECT_TRUE(proves(from_github(github), secret));
  EXPECT_TRUE(proves(request(github, {{"x-gitea-signature", hmac("s3cret", github)}}), secret));
  EXPECT_TRUE(proves(request(github, {{"x-forgejo-signature", hmac("s3cret", github)}}), secret));
  EXPECT_TRUE(proves(request(gitlab, {{"x-gitlab-token", "s3cret"}}), secret));
  EXPECT_TRUE(
      proves(request(bitbucket_cloud, {{"x-hub-signature", "sha256=" + hmac("s3cret", bitbucket_cloud)}}), secret));
  EXPECT_TRUE(proves(request("", {{"x-signature", "sha512=" + hmac("s3cret", "", ::EVP_sha512())}}), secret));
}

TEST(Webhook, nothing_else_is_a_proof) {
  EXPECT_FALSE(proves(request(github, {}), secret)) << "no signature at all";
  EXPECT_FALSE(proves(request(github, {{"x-hub-signature-256", hmac("s3cret", github)}}), secret)) << "no name";
  EXPECT_FALSE(proves(request(github, {{"x-hub-signature-256", "sha256=" + hmac("other", github)}}), secret));
  EXPECT_FALSE(proves(request(github + " ", {{"x-hub-signature-256", "sha256=" + hmac("s3cret", github)}}), secret));
  EXPECT_FALSE(proves(request(github, {{"x-hub-signature", "sha1=" + hmac("s3cret", github, ::EVP_sha1())}}), secret));
  EXPECT_FALSE(proves(request(github, {{"x-hub-signature-256", "sha256="}}), secret));
  EXPECT_FALSE(proves(request(github, {{"x-hub-signature-256", "sha256=" + std::string(64, 'z')}}), secret));
  EXPECT_FALSE(proves(request(github, {{"x-gitlab-token", "s3cre"}}), secret));
  EXPECT_FALSE(proves(request(github, {{"x-gitlab-token", ""}}), secret));
  EXPECT_FALSE(proves(request("", {{"x-signature", "sha256=" + hmac("", "")}}), SecretString())) << "an empty secret";
}

TEST(Webhook, each_host_names_repository_and_branch_in_its_own_way) {
  const auto hint = parse_push(from_github(github));
  ASSERT_TRUE(hint);
  EXPECT_EQ(hint->provider, "github");
  EXPECT_THAT(hint->paths, testing::ElementsAre("team/projects"));
  EXPECT_THAT(hint->branches, testing::ElementsAre("main"));
  EXPECT_EQ(parse_push(request(github, {{"x-github-event", "push"}, {"x-forgejo-event", "push"}}))->provider,
            "forgejo");
  EXPECT_THAT(parse_push(request(gitlab, {{"x-gitlab-event", "Push Hook"}}))->paths,
              testing::ElementsAre("team/projects"));
  const auto cloud = parse_push(request(bitbucket_cloud, {{"x-event-key", "repo:push"}}));
  EXPECT_THAT(cloud->paths, testing::ElementsAre("team/projects"));
  EXPECT_THAT(cloud->branches, testing::ElementsAre("main"));
  const auto server = parse_push(request(bitbucket_server, {{"x-event-key", "repo:refs_changed"}}));
  EXPECT_THAT(server->paths, testing::ElementsAre("scm/team/projects"));
  EXPECT_THAT(server->branches, testing::ElementsAre("main"));
  const auto form =
      parse_push(request("payload=%7B%22ref%22%3A+%22refs%2Fheads%2Fx%22%7D",
                         {{"content-type", "application/x-www-form-urlencoded"}, {"x-github-event", "push"}}));
  ASSERT_TRUE(form);
  EXPECT_THAT(form->branches, testing::ElementsAre("x"));
}

TEST(Webhook, hostile_bodies_are_invalid_or_say_nothing) {
  EXPECT_FALSE(parse_push(request("{", {{"x-github-event", "push"}})));
  EXPECT_FALSE(parse_push(request(std::string(100, '['), {{"x-github-event", "push"}}))) << "too deep";
  EXPECT_FALSE(parse_push(request("", {{"x-github-event", "push"}})));
  for (const char* odd :
       {"[]", "7", "{\"ref\": 7, \"repository\": []}", "{\"push\": {\"changes\": [1, {\"new\": 2}]}}"}) {
    const auto hint = parse_push(request(odd, {{"x-event-key", "repo:push"}}));
    ASSERT_TRUE(hint) << odd;
    EXPECT_TRUE(hint->paths.empty() && hint->branches.empty()) << odd;
  }
  std::string many = "{\"push\": {\"changes\": [";
  for (int i = 0; i < 1'000; ++i) many += "{\"new\": {\"name\": \"b\"}},";
  many += "{}]}}";
  EXPECT_LE(parse_push(request(many, {{"x-event-key", "repo:push"}}))->branches.size(), 64U);
}

TEST(Webhook, urls_of_one_repository_have_one_path) {
  for (const char* url : {"https://github.com/Team/Projects.git", "git@github.com:team/projects", "team/projects",
                          "ssh://git@github.com:22/team/projects.git/", "git://h/team/projects"})
    EXPECT_EQ(repository_path(url), "team/projects") << url;
  EXPECT_EQ(repository_path("https://host"), "");
  EXPECT_EQ(repository_path(""), "");
}

class ReceiverTest : public testing::Test {
 protected:
  WebhookTarget target(const std::string& name, const std::string& url, const char* key) {
    return {.name = name,
            .url = url,
            .branches = {"main"},
            .secret = [key]() -> Result<SecretString> { return SecretString(key); },
            .wake = [this, name] { woken.push_back(name); }};
  }
  std::vector<std::string> woken;
};

TEST_F(ReceiverTest, the_repository_that_is_named_is_woken_and_no_other) {
  WebhookReceiver receiver({target("a", "https://github.com/team/projects.git", "s3cret"),
                            target("b", "https://github.com/team/other.git", "s3cret"),
                            target("c", "https://mirror.example.org/team/projects", "another")});
  EXPECT_EQ(receiver.receive(from_github(github)), WebhookOutcome::woken);
  EXPECT_THAT(woken, testing::ElementsAre("a"));
  EXPECT_EQ(receiver.receive(from_github(github), "b"), WebhookOutcome::woken) << "by name, whatever the body says";
  EXPECT_THAT(woken, testing::ElementsAre("a", "b"));
  EXPECT_EQ(receiver.receive(from_github(github), "c"), WebhookOutcome::refused) << "its secret is another";
  EXPECT_EQ(receiver.receive(from_github(github), "nobody"), WebhookOutcome::refused);
}

TEST_F(ReceiverTest, what_is_about_nothing_that_is_followed_is_ignored) {
  WebhookReceiver receiver({target("a", "https://github.com/team/projects.git", "s3cret")});
  const std::string other = R"({"ref": "refs/heads/other", "repository": {"full_name": "team/projects"}})";
  const std::string tag = R"({"ref": "refs/tags/v1", "repository": {"full_name": "team/projects"}})";
  const std::string elsewhere = R"({"ref": "refs/heads/main", "repository": {"full_name": "team/elsewhere"}})";
  for (const auto& body : {other, tag, elsewhere})
    EXPECT_EQ(receiver.receive(from_github(body)), WebhookOutcome::ignored) << body;
  EXPECT_EQ(receiver.receive(from_github(github, "ping")), WebhookOutcome::ignored);
  EXPECT_THAT(woken, testing::IsEmpty());
  EXPECT_EQ(receiver.receive(from_github("{")), WebhookOutcome::invalid);
  EXPECT_EQ(receiver.receive(request("{", {})), WebhookOutcome::refused) << "unsigned: not even looked into";
  EXPECT_EQ(receiver.receive(request("", {{"x-signature", "sha256=" + hmac("s3cret", "")}})), WebhookOutcome::woken)
      << "generic, and says nothing more";
  const auto counters = receiver.counters();
  EXPECT_EQ(counters.ignored, 4U);
  EXPECT_EQ(counters.invalid, 1U);
  EXPECT_EQ(counters.refused, 1U);
  EXPECT_EQ(counters.woken, 1U);
}

TEST_F(ReceiverTest, a_secret_that_cannot_be_read_refuses) {
  auto broken = target("a", "https://github.com/team/projects.git", "s3cret");
  broken.secret = []() -> Result<SecretString> { return failure(ErrorKind::not_found, "no file"); };
  WebhookReceiver receiver({broken});
  EXPECT_EQ(receiver.receive(from_github(github)), WebhookOutcome::refused);
}

}  // namespace
}  // namespace opi::git
