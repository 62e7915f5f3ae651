#include <gmock/gmock.h>

#include <map>

#include "kube/api_error.hpp"
#include "kube/exec_credential.hpp"
#include "kube/kubeconfig.hpp"
#include "kube/rate_limit.hpp"
#include "kube/token_file.hpp"
#include "support/run_coroutine.hpp"

namespace opi::kube {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

/// Files in memory.
struct Files {
  std::map<std::string, std::string> texts;
  ReadFile reader() const {
    return [this](const std::string& path) -> Result<std::string> {
      const auto found = texts.find(path);
      if (found == texts.end()) return failure(ErrorKind::not_found, "no such file");
      return found->second;
    };
  }
};

constexpr const char* config = R"(apiVersion: v1
kind: Config
current-context: prod
clusters:
- name: c1
  cluster:
    server: https://k8s.example.org:6443/prefix/
    certificate-authority: ca.crt
    tls-server-name: api.internal
contexts:
- name: prod
  context: {cluster: c1, user: u1, namespace: x}
- name: lost
  context: {cluster: c1, user: nobody}
users:
- name: u1
  user: {token: s3cret-token}
)";

class KubeconfigTest : public ::testing::Test {
 protected:
  Result<ClusterAccess> load(KubeconfigOptions options = {}, std::vector<std::string> paths = {"/k/config"}) {
    return load_kubeconfig(paths, options, files_.reader(), blocking_);
  }
  /// The error of a config in which `from` stands as `to`.
  std::string refused(const std::string& from, const std::string& to, const KubeconfigOptions& options = {}) {
    std::string text = config;
    text.replace(text.find(from), from.size(), to);
    files_.texts["/k/config"] = text;
    const auto access = load(options);
    return access ? "accepted" : access.error().to_string();
  }
  Credential credential(const ClusterAccess& access) {
    return test::run_coroutine(access.credentials->get(SteadyTime::max())).value();
  }

  aio::BlockingPool blocking_{1};
  Files files_{{{"/k/config", config}, {"/k/ca.crt", "PEM"}}};
};

TEST_F(KubeconfigTest, GivesServerAuthorityAndToken) {
  const auto access = load();
  ASSERT_TRUE(access) << access.error().to_string();
  EXPECT_EQ(access->server.host, "k8s.example.org");
  EXPECT_EQ(access->server.port, 6443);
  EXPECT_EQ(access->server.path, "/prefix");
  EXPECT_EQ(access->server.ca_pem, "PEM");
  EXPECT_EQ(access->server.tls_name, "api.internal");
  EXPECT_TRUE(access->server.verify);
  EXPECT_EQ(access->name, "prod");
  EXPECT_EQ(credential(*access).token.reveal(), "s3cret-token");
}

TEST_F(KubeconfigTest, DataStandsBeforeFilesAndCertificatesNeedTheirKeys) {
  EXPECT_EQ(refused("{token: s3cret-token}", "{client-certificate-data: Q0VSVA==, client-key-data: S0VZ}"), "accepted");
  const auto access = load();
  EXPECT_EQ(credential(*access).certificate_pem, "CERT");
  EXPECT_EQ(credential(*access).key_pem.reveal(), "KEY");
  EXPECT_THAT(refused("{token: s3cret-token}", "{client-certificate-data: Q0VSVA==}"), HasSubstr("belong together"));
  EXPECT_THAT(refused("{token: s3cret-token}", "{client-certificate-data: '?', client-key-data: S0VZ}"),
              AllOf(HasSubstr("/k/config:17:"), HasSubstr("not base64")));
}

TEST_F(KubeconfigTest, InsecureIsRefusedUnlessAskedFor) {
  const std::string insecure = "insecure-skip-tls-verify: true";
  EXPECT_THAT(refused("certificate-authority: ca.crt", insecure), HasSubstr("allow_insecure"));
  EXPECT_EQ(refused("certificate-authority: ca.crt", insecure, {.allow_insecure = true}), "accepted");
  EXPECT_FALSE(load({.allow_insecure = true})->server.verify);
}

TEST_F(KubeconfigTest, WhatIsNotSupportedIsNamedNeverIgnored) {
  EXPECT_THAT(refused("tls-server-name: api.internal", "proxy-url: http://p:1"), HasSubstr("proxy-url"));
  EXPECT_THAT(refused("{token: s3cret-token}", "{username: a, password: b}"), HasSubstr("username is not supported"));
  EXPECT_THAT(refused("{token: s3cret-token}", "{token: t, as: admin}"), HasSubstr("as is not supported"));
  EXPECT_THAT(refused("{token: s3cret-token}", "{auth-provider: {name: gcp}}"), HasSubstr("auth-provider"));
  EXPECT_THAT(refused("{token: s3cret-token}", "{exec: {apiVersion: x/v1, command: a}}"), HasSubstr("apiVersion"));
  EXPECT_THAT(refused("https://k8s", "http://k8s"), HasSubstr("http://"));
  EXPECT_THAT(refused("https://k8s", "https://me:pw@k8s"), AllOf(HasSubstr("credentials"), Not(HasSubstr("pw"))));
}

TEST_F(KubeconfigTest, WhatIsMissingIsNamed) {
  EXPECT_THAT(load({.context = "lost"}).error().to_string(), HasSubstr("there is no user \"nobody\""));
  EXPECT_THAT(load({.context = "other"}).error().to_string(), HasSubstr("there is no context \"other\""));
  EXPECT_THAT(refused("current-context: prod", "preferences: {}"), HasSubstr("no current-context"));
  EXPECT_EQ(load({}, {"/nowhere"}).error().kind, ErrorKind::not_found);
  files_.texts.erase("/k/ca.crt");
  files_.texts["/k/config"] = config;
  EXPECT_THAT(load().error().to_string(), AllOf(HasSubstr("/k/config:8:"), HasSubstr("certificate-authority")));
}

TEST_F(KubeconfigTest, OfSeveralFilesTheFirstThatNamesSomethingWinsAndMissingOnesArePassedOver) {
  files_.texts["/k/first"] = "users:\n- name: u1\n  user: {token: of-the-first}\n";
  const auto access = load({}, {"/k/none", "/k/first", "/k/config"});
  ASSERT_TRUE(access) << access.error().to_string();
  EXPECT_EQ(credential(*access).token.reveal(), "of-the-first");
}

TEST_F(KubeconfigTest, ATokenFileIsReadEachTimeItIsAskedFor) {
  files_.texts["/k/tok"] = "first\n";
  EXPECT_EQ(refused("{token: s3cret-token}", "{token: older, tokenFile: tok}"), "accepted");
  const auto access = load();
  asio::io_context context;
  const auto token = [&] {
    const auto credential = test::run_coroutine(context, access->credentials->get(SteadyTime::max()));
    return credential ? std::string(credential->token.reveal()) : credential.error().to_string();
  };
  EXPECT_EQ(token(), "first");
  files_.texts["/k/tok"] = "second\n";
  EXPECT_EQ(token(), "second");
  files_.texts["/k/tok"] = "\n";
  EXPECT_THAT(token(), HasSubstr("/k/tok is empty"));
}

TEST(InCluster, ReadsAuthorityAndTokenOfThePod) {
  aio::BlockingPool blocking(1);
  Files files{{{"/sa/ca.crt", "CA"}, {"/sa/token", "pod-token\n"}}};
  const auto access = in_cluster_access("fd00::1", "443", "/sa", files.reader(), blocking);
  ASSERT_TRUE(access) << access.error().to_string();
  EXPECT_EQ(access->server.host, "fd00::1");
  EXPECT_EQ(access->server.ca_pem, "CA");
  asio::io_context context;
  const auto credential = test::run_coroutine(context, access->credentials->get(SteadyTime::max()));
  EXPECT_EQ(credential->token.reveal(), "pod-token");
  EXPECT_TRUE(credential->expires.has_value());
  EXPECT_EQ(in_cluster_access("", "", "/sa", files.reader(), blocking).error().kind, ErrorKind::not_found);
}

TEST(ExecCredentialTest, ReadsWhatAPluginPrints) {
  const auto credential = parse_exec_credential(
      R"({"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",
          "status":{"token":"t","expirationTimestamp":"2026-11-24T12:00:00.5+01:00"}})",
      "client.authentication.k8s.io/v1");
  ASSERT_TRUE(credential) << credential.error().to_string();
  EXPECT_EQ(credential->token.reveal(), "t");
  EXPECT_EQ(std::chrono::system_clock::to_time_t(*credential->expires), 1795518000);
}

TEST(ExecCredentialTest, RefusesEverythingElseWithoutShowingIt) {
  const std::string version = "client.authentication.k8s.io/v1";
  const std::string head = R"({"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential")";
  for (const std::string& text :
       {std::string(), std::string("s3cret"), std::string(R"({"kind":"ExecCredential","apiVersion":"v0"})"), head + "}",
        head + R"(,"status":{}})", head + R"(,"status":{"clientKeyData":"s3cret"}})",
        head + R"(,"status":{"token":"s3cret","expirationTimestamp":"soon"}})"}) {
    const auto refused = parse_exec_credential(text, version);
    ASSERT_FALSE(refused) << text;
    EXPECT_THAT(refused.error().to_string(), Not(HasSubstr("s3cret")));
  }
}

TEST(ExecCredentialTest, RunsThePluginWithoutAShellAndShowsWhyItFailed) {
  asio::io_context context;
  const std::string answer =
      R"({"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"'$WHO'"}})";
  const ApiServer server{.host = "h", .port = 6443};
  const auto get = [&](ExecPlugin plugin) {
    const auto source = exec_credential(std::move(plugin), server, {"PATH=/usr/bin:/bin"});
    return test::run_coroutine(context, source->get(system_clock().steady() + std::chrono::seconds(20)));
  };
  const std::string version = "client.authentication.k8s.io/v1";
  const auto credential =
      get({.api_version = version, .argv = {"sh", "-c", "echo '" + answer + "'"}, .environment = {{"WHO", "me"}}});
  ASSERT_TRUE(credential) << credential.error().to_string();
  EXPECT_EQ(credential->token.reveal(), "me");
  const auto info = get({.api_version = version,
                         .argv = {"sh", "-c", "echo \"$KUBERNETES_EXEC_INFO\" >&2; exit 3"},
                         .provide_cluster_info = true});
  ASSERT_FALSE(info);
  EXPECT_THAT(info.error().to_string(), AllOf(HasSubstr("ended with 3"), HasSubstr("https://h:6443")));
  const auto absent = get({.api_version = version, .argv = {"no-such-plugin"}, .install_hint = "install it so"});
  EXPECT_EQ(absent.error().kind, ErrorKind::not_found);
  EXPECT_THAT(absent.error().to_string(), HasSubstr("install it so"));
}

TEST(ApiErrorTest, EachStatusIsToldApart) {
  const auto of = [](int status) { return error_of({.status = status, .body = "{}"}); };
  EXPECT_EQ(of(401).kind, ErrorKind::denied);
  EXPECT_EQ(of(403).kind, ErrorKind::denied);
  EXPECT_EQ(of(404).kind, ErrorKind::not_found);
  EXPECT_EQ(of(409).kind, ErrorKind::conflict);
  EXPECT_EQ(of(410).kind, ErrorKind::closed);
  EXPECT_EQ(of(422).kind, ErrorKind::invalid);
  EXPECT_TRUE(of(429).retryable());
  EXPECT_TRUE(of(503).retryable());
  EXPECT_TRUE(has_status(of(410), 410));
  EXPECT_FALSE(has_status(of(410), 41));
}

TEST(ApiErrorTest, TheServersWordsAreOneBoundedLine) {
  const auto error =
      error_of({.status = 500, .body = R"({"kind":"Status","message":"a\nb)" + std::string(5000, 'x') + "\"}"});
  EXPECT_LT(error.to_string().size(), 700U);
  EXPECT_THAT(error.to_string(), Not(HasSubstr("\n")));
}

TEST(ApiErrorTest, RetryAfterIsBoundedAndOnlyInSeconds) {
  const auto after = [](std::string text) { return retry_after({.headers = {{"retry-after", std::move(text)}}}); };
  EXPECT_EQ(after("7"), std::chrono::seconds(7));
  EXPECT_EQ(after("999999"), std::chrono::seconds(600));
  EXPECT_EQ(after("-1"), std::nullopt);
  EXPECT_EQ(after("soon"), std::nullopt);
  EXPECT_EQ(retry_after({}), std::nullopt);
}

TEST(RateLimitTest, LetsABurstThroughAndThenOneByOneInOrder) {
  RateLimit limit(10, 3);
  const SteadyTime start{std::chrono::hours(1)};
  for (int i = 0; i < 3; ++i) EXPECT_EQ(limit.reserve(start), start);
  EXPECT_EQ(limit.reserve(start), start + std::chrono::milliseconds(100));
  EXPECT_EQ(limit.reserve(start), start + std::chrono::milliseconds(200));
  const SteadyTime later = start + std::chrono::seconds(10);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(limit.reserve(later), later);
  EXPECT_GT(limit.reserve(later), later);
  RateLimit none(0, 0);
  EXPECT_EQ(none.reserve(start), start);
}

}  // namespace
}  // namespace opi::kube
