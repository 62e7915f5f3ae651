#include "kube/client.hpp"

#include "kube/api_error.hpp"
#include "kube/api_server_fixture.hpp"
#include "support/tls_identity.hpp"

namespace opi::kube {
namespace {

using test::ApiFault;
using ::testing::AllOf;
using testing::ApiClientTest;
using ::testing::HasSubstr;
using testing::in;
using testing::long_enough;
using ::testing::Not;

using KubeClientTest = ApiClientTest;

TEST_F(KubeClientTest, AppliesAndReadsBack) {
  make_namespace("rig-shop");
  const Object stored = applied(secrets, secret("rig-shop", "prod-database", "s3cret"));
  EXPECT_EQ(stored.at("data").at("password").as_string(), "czNjcmV0");
  EXPECT_FALSE(metadata_text(stored, "uid").empty());
  const auto read = run(client().get({secrets, "rig-shop", "prod-database"}, in(long_enough)));
  ASSERT_TRUE(read);
  EXPECT_EQ(*read, stored);
}

TEST_F(KubeClientTest, TheSameAppliedAgainChangesNothing) {
  make_namespace("rig-shop");
  const auto first = applied(secrets, secret("rig-shop", "a", "x"));
  const auto again = applied(secrets, secret("rig-shop", "a", "x"));
  EXPECT_EQ(metadata_text(first, "resourceVersion"), metadata_text(again, "resourceVersion"));
  EXPECT_EQ(server_.connections(), 1U);
}

TEST_F(KubeClientTest, AFieldThatIsNotAppliedAnyMoreGoesAndWhatOthersOwnStays) {
  make_namespace("a");
  const test::ApiKey key{.plural = "namespaces", .name_space = {}, .name = "a"};
  auto object = std::get<Object>(server_.store().get(key));
  object["metadata"].as_object()["labels"].as_object()["theirs"] = "1";
  server_.store().update(key, object, "kubectl");
  const Object stored = applied(namespaces, {{"metadata", Object{{"name", "a"}, {"labels", Object{{"new", "2"}}}}}});
  EXPECT_EQ(metadata_entry(stored, "labels", "created-by"), "");
  EXPECT_EQ(metadata_entry(stored, "labels", "new"), "2");
  EXPECT_EQ(metadata_entry(stored, "labels", "theirs"), "1");
}

TEST_F(KubeClientTest, AConflictNamesTheOtherManagerAndTheFieldAndForceTakesIt) {
  make_namespace("a");
  const test::ApiKey key{.plural = "namespaces", .name_space = {}, .name = "a"};
  auto object = std::get<Object>(server_.store().get(key));
  object["metadata"].as_object()["labels"].as_object()["created-by"] = "somebody";
  server_.store().update(key, object, "argocd-controller");
  const Object ours{{"metadata", Object{{"name", "a"}, {"labels", Object{{"created-by", "test"}}}}}};
  const auto refused = run(client().apply(namespaces, ours, {}, in(long_enough)));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::conflict);
  EXPECT_EQ(refused.error().handling(), Handling::needs_person);
  EXPECT_THAT(refused.error().to_string(), AllOf(HasSubstr("namespace a"), HasSubstr("argocd-controller"),
                                                 HasSubstr(".metadata.labels.created-by")));
  const auto forced = run(client().apply(namespaces, ours, {.force = true}, in(long_enough)));
  ASSERT_TRUE(forced);
  EXPECT_EQ(metadata_entry(*forced, "labels", "created-by"), "test");
}

TEST_F(KubeClientTest, ADryRunSaysWhatWouldBeAndStoresNothing) {
  const auto planned =
      run(client().apply(namespaces, {{"metadata", Object{{"name", "a"}}}}, {.dry_run = true}, in(long_enough)));
  ASSERT_TRUE(planned);
  EXPECT_EQ(server_.store().size(), 0U);
}

TEST_F(KubeClientTest, UnknownFieldsAreRefusedByTheServer) {
  make_namespace("a");
  Object wrong = secret("a", "b", "c");
  wrong["dat"] = "typo";
  const auto refused = run(client().apply(secrets, wrong, {}, in(long_enough)));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::invalid);
  EXPECT_THAT(refused.error().to_string(), HasSubstr("unknown field \"dat\""));
}

TEST_F(KubeClientTest, ForbiddenIsNotMissing) {
  server_.forbidden().insert("get secrets");
  make_namespace("a");
  const auto forbidden = run(client().get({secrets, "a", "b"}, in(long_enough)));
  ASSERT_FALSE(forbidden);
  EXPECT_EQ(forbidden.error().kind, ErrorKind::denied);
  EXPECT_TRUE(has_status(forbidden.error(), 403));
  server_.forbidden().clear();
  const auto missing = run(client().get({secrets, "a", "b"}, in(long_enough)));
  EXPECT_EQ(missing.error().kind, ErrorKind::not_found);
}

TEST_F(KubeClientTest, ATerminatingNamespaceIsWaitedForNotFailed) {
  make_namespace("a");
  server_.store().begin_termination("a");
  const auto refused = run(client().apply(secrets, secret("a", "b", "c"), {}, in(long_enough)));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::unavailable);
  EXPECT_EQ(refused.error().handling(), Handling::wait);
}

TEST_F(KubeClientTest, TooManyRequestsAreSentAgainAfterTheTimeTheServerNames) {
  server_.faults().push_back({.status = 429, .retry_after = "0"});
  server_.faults().push_back({.status = 503, .retry_after = "0"});
  make_namespace("a");
  EXPECT_EQ(client().stats().retries, 2U);
  EXPECT_EQ(client().stats().throttled, 1U);
}

TEST_F(KubeClientTest, ARetryThatWouldComeAfterTheDeadlineIsNotWaitedFor) {
  server_.faults().push_back({.status = 429, .retry_after = "300"});
  const auto refused = run(client().get({namespaces, "", "a"}, in(long_enough)));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::exhausted);
  EXPECT_EQ(server_.requests().size(), 1U);
}

TEST_F(KubeClientTest, AnApplyWhoseAnswerWasLostIsDoneAgainAndEndsInOneState) {
  for (const auto kind : {ApiFault::Kind::cut_before, ApiFault::Kind::cut_after, ApiFault::Kind::cut_within})
    server_.faults().push_back({.kind = kind, .method = "PATCH"});
  make_namespace("a");
  EXPECT_EQ(server_.count("PATCH"), 4U);
  EXPECT_EQ(server_.store().size(), 1U);
}

TEST_F(KubeClientTest, ACreateWhoseAnswerWasLostIsNotDoneAgain) {
  make_namespace("a");
  server_.faults().push_back({.kind = ApiFault::Kind::cut_after, .method = "POST"});
  const Object event{{"metadata", Object{{"generateName", "shop."}, {"namespace", "a"}}}, {"reason", "Created"}};
  const auto lost = run(client().create(events, event, in(long_enough)));
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().kind, ErrorKind::unavailable);
  EXPECT_EQ(server_.count("POST"), 1U);
}

TEST_F(KubeClientTest, GivesUpAfterSoManyAttempts) {
  options_.attempts_max = 3;
  for (int i = 0; i < 10; ++i) server_.faults().push_back({.status = 500});
  const auto failed = run(client().get({namespaces, "", "a"}, in(long_enough)));
  ASSERT_FALSE(failed);
  EXPECT_TRUE(failed.error().retryable());
  EXPECT_EQ(server_.requests().size(), 3U);
}

TEST_F(KubeClientTest, AfterA401ItAsksForCredentialsAgainOnce) {
  const auto source = std::make_shared<testing::CountingSource>();
  credentials_ = source;
  server_.tokens() = {"Bearer token-2"};
  make_namespace("a");
  EXPECT_EQ(source->asked, 2);
  server_.tokens() = {"Bearer nobody has this"};
  const auto refused = run(client().get({namespaces, "", "a"}, in(long_enough)));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::denied);
  EXPECT_EQ(source->asked, 3);
  EXPECT_THAT(refused.error().to_string(), Not(HasSubstr("token-")));
}

/// Shows one certificate after the other, as files do that somebody rotates.
class CertificateSource final : public CredentialSource {
 public:
  explicit CertificateSource(std::vector<test::TlsIdentity> identities) : identities_(std::move(identities)) {}
  Task<Result<Credential>> get(SteadyTime) override {
    const auto& now = identities_.at(std::min(asked++, identities_.size() - 1));
    co_return Credential{.certificate_pem = now.certificate, .key_pem = SecretString(std::string_view(now.key))};
  }
  std::size_t asked = 0;

 private:
  std::vector<test::TlsIdentity> identities_;
};

TEST_F(KubeClientTest, RotatedCertificatesOfEitherSideAreTakenUpAndUnknownOnesAreNot) {
  const auto mine = test::make_identity();
  const auto my_next = test::make_identity();
  const auto theirs = test::make_identity();
  const auto their_next = test::make_identity("the next one");
  const auto lets_in = [](const test::TlsIdentity& server, const test::TlsIdentity& whom) {
    return aio::TlsContext::server({.certificate_pem = server.certificate,
                                    .key_pem = SecretString(std::string_view(server.key)),
                                    .client_ca_pem = whom.certificate})
        .value();
  };
  const auto source = std::make_shared<CertificateSource>(std::vector{mine, my_next});
  server_.use_tls(lets_in(theirs, mine));
  Client secured(
      {.server = {.host = "127.0.0.1", .port = server_.port(), .ca_pem = theirs.certificate + their_next.certificate},
       .credentials = source},
      options_, blocking_, Logger{});
  const auto ask = [&] { return run(secured.list(namespaces, "", "", in(long_enough))); };
  auto listed = ask();
  ASSERT_TRUE(listed) << listed.error().to_string();
  EXPECT_EQ(source->asked, 1U);
  // The server is restarted with another certificate, and no longer takes ours.
  server_.use_tls(lets_in(their_next, my_next));
  server_.faults().push_back({.kind = ApiFault::Kind::cut_before});
  listed = ask();
  ASSERT_TRUE(listed) << listed.error().to_string();
  EXPECT_EQ(source->asked, 2U);
  // Somebody else answers there.
  server_.use_tls(lets_in(test::make_identity(), my_next));
  server_.faults().push_back({.kind = ApiFault::Kind::cut_before});
  listed = ask();
  ASSERT_FALSE(listed);
  EXPECT_EQ(listed.error().kind, ErrorKind::denied) << listed.error().to_string();
}

TEST_F(KubeClientTest, ListsAllPagesWithOneRequestEach) {
  for (int i = 0; i < 7; ++i) make_namespace("ns-" + std::to_string(i));
  server_.limit_pages(3);
  const auto before = server_.count("GET");
  const auto listing = run(client().list(namespaces, "", "created-by=test", in(long_enough)));
  ASSERT_TRUE(listing);
  EXPECT_EQ(listing->objects.size(), 7U);
  EXPECT_EQ(server_.count("GET") - before, 3U);
  EXPECT_FALSE(listing->resource_version.empty());
  EXPECT_THAT(run(client().list(namespaces, "", "created-by=others", in(long_enough)))->objects, ::testing::IsEmpty());
}

TEST_F(KubeClientTest, APageThatIsGoneBeginsTheListAnew) {
  for (int i = 0; i < 4; ++i) make_namespace("ns-" + std::to_string(i));
  server_.limit_pages(2);
  server_.faults().push_back({.status = 410, .fragment = "continue="});
  const auto listing = run(client().list(namespaces, "", "", in(long_enough)));
  ASSERT_TRUE(listing);
  EXPECT_EQ(listing->objects.size(), 4U);
}

TEST_F(KubeClientTest, RemovesOnlyTheObjectWithThatUid) {
  make_namespace("a");
  const auto stored = applied(secrets, secret("a", "b", "c"));
  const auto other = run(client().remove({secrets, "a", "b"}, "another-uid", in(long_enough)));
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().kind, ErrorKind::conflict);
  const std::string uid(metadata_text(stored, "uid"));
  EXPECT_TRUE(run(client().remove({secrets, "a", "b"}, uid, in(long_enough))));
  EXPECT_EQ(run(client().remove({secrets, "a", "b"}, uid, in(long_enough))).error().kind, ErrorKind::not_found);
}

TEST_F(KubeClientTest, ASilentServerCostsTheDeadline) {
  server_.faults().push_back({.kind = ApiFault::Kind::stall});
  const auto silent = run(client().server_version(in(std::chrono::milliseconds(50))));
  ASSERT_FALSE(silent);
  EXPECT_EQ(silent.error().kind, ErrorKind::timed_out);
  EXPECT_EQ(run(client().server_version(in(long_enough))).value(), "v1.31.2");
}

TEST_F(KubeClientTest, NamesThatWouldLeadElsewhereAreRefusedBeforeAnyRequest) {
  for (const std::string name : {"", "a/b", "../x", "A", "a?b", "-a", "a..b", "a%2fb"}) {
    EXPECT_EQ(run(client().get({secrets, "a", name}, in(long_enough))).error().kind, ErrorKind::invalid) << name;
    EXPECT_EQ(run(client().get({secrets, name, "a"}, in(long_enough))).error().kind, ErrorKind::invalid) << name;
  }
  EXPECT_TRUE(server_.requests().empty());
}

TEST_F(KubeClientTest, ErrorsNeverHoldWhatWasSent) {
  make_namespace("a");
  server_.forbidden().insert("patch secrets");
  const auto refused = run(client().apply(secrets, secret("a", "b", "hunter2"), {}, in(long_enough)));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().to_string(), Not(HasSubstr("hunter2")));
}

}  // namespace
}  // namespace opi::kube
