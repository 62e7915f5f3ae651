// Namespaces, keys and credential Secrets: the same scenarios on an API server and in a repository.
#include "provision/cluster_manager.hpp"

#include <boost/json/parse.hpp>
#include <fstream>
#include <functional>
#include <set>

#include "integration/provision/provision_fixture.hpp"
#include "provision/gitops_target.hpp"
#include "provision/kubernetes_target.hpp"
#include "secrets/base64.hpp"
#include "secrets/sops.hpp"
#include "support/git_repository.hpp"
#include "support/kubernetes/api_server.hpp"
#include "support/temporary_directory.hpp"
#include "yaml/parse.hpp"

namespace opi::provision {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Key;

namespace json = boost::json;
using Values = std::map<std::string, std::string>;

/// Which Secret, and of which project and deployment.
struct SecretRef {
  std::string name_space;
  std::string name;
  std::string project;
  std::string deployment = {};
};

/// A cluster as somebody beside us sees and changes it.
class World {
 public:
  virtual ~World() = default;
  virtual std::unique_ptr<ClusterTarget> target(HashSource hash) = 0;
  virtual bool has_namespace(const std::string& project, const std::string& name) = 0;
  /// Decrypted and decoded; nothing when it is not there.
  virtual std::optional<Values> read(const SecretRef& secret) = 0;
  virtual void erase(const SecretRef& secret) = 0;
  virtual void spoil(const SecretRef& secret) = 0;
  /// Somebody else's, before we come.
  virtual void plant(const SecretRef& secret) = 0;
  /// Writes to the cluster, or commits.
  virtual std::size_t writes() = 0;
};

class KubernetesWorld final : public World {
 public:
  explicit KubernetesWorld(asio::io_context& context, aio::BlockingPool& blocking)
      : server_(context), blocking_(blocking) {}

  std::unique_ptr<ClusterTarget> target(HashSource hash) override {
    kube::ClusterAccess access{.server = {.host = "127.0.0.1", .port = server_.port(), .tls = false},
                               .credentials = kube::fixed_credential({})};
    kube::ClientOptions options{.requests_per_second = 0, .first_backoff = 1ms};
    auto client = std::make_unique<kube::Client>(std::move(access), options, blocking_, Logger{});
    return std::make_unique<KubernetesTarget>(std::move(client), KubernetesOptions{.list_from = list_from},
                                              std::move(hash), Logger{});
  }
  bool has_namespace(const std::string& /*project*/, const std::string& name) override {
    return std::holds_alternative<json::object>(server_.store().get({"namespaces", "", name}));
  }
  std::optional<Values> read(const SecretRef& secret) override {
    auto found = server_.store().get(key(secret));
    auto* object = std::get_if<json::object>(&found);
    if (object == nullptr) return std::nullopt;
    Values values;
    for (const auto& [name, value] : object->at("data").as_object())
      values[std::string(name)] = *secrets::base64_decode(std::string_view(value.as_string()));
    return values;
  }
  void erase(const SecretRef& secret) override {
    auto found = std::get<json::object>(server_.store().get(key(secret)));
    server_.store().remove(key(secret), std::string(kube::metadata_text(found, "uid")));
  }
  void spoil(const SecretRef& secret) override {
    auto found = std::get<json::object>(server_.store().get(key(secret)));
    found["data"].as_object()["DATABASE_PASSWORD"] = "c3BvaWxlZA==";
    server_.store().update(key(secret), std::move(found), "kubectl-edit");
  }
  void plant(const SecretRef& secret) override {
    json::object labels{{"created-by", "operations-manager"}, {"operations-manager/project", secret.project}};
    make({"namespaces", "", secret.name_space}, {{"metadata", json::object{{"labels", labels}}}});
    make(key(secret), {{"metadata", json::object{{"namespace", secret.name_space}}},
                       {"data", json::object{{"theirs", "aGVycw=="}}}});
  }
  /// As kubectl would.
  void make(const test::ApiKey& at, json::object object) {
    const auto& kind = *std::ranges::find(test::api_kinds(), at.plural, &test::ApiKind::plural);
    object["apiVersion"] = kind.api_version;
    object["kind"] = kind.kind;
    const auto made = server_.store().create(kind, at, std::move(object), "kubectl");
    if (!std::holds_alternative<json::object>(made)) throw std::runtime_error("it could not be made");
  }
  std::size_t writes() override { return server_.count("PATCH") + server_.count("POST") + server_.count("DELETE"); }
  test::ApiServer& server() { return server_; }
  std::size_t list_from = KubernetesOptions{}.list_from;

 private:
  static test::ApiKey key(const SecretRef& secret) { return {"secrets", secret.name_space, secret.name}; }
  test::ApiServer server_;
  aio::BlockingPool& blocking_;
};

class GitopsWorld final : public World {
 public:
  explicit GitopsWorld(aio::BlockingPool& blocking) : blocking_(blocking) {}

  std::unique_ptr<ClusterTarget> target(HashSource /*hash*/) override {
    git::PushSettings push;
    push.remote.url = repository_.url();
    push.remote.directory = directory_.path() / ("push" + std::to_string(++targets_));
    return std::make_unique<GitopsTarget>(std::move(push), GitopsRules{.key_recipients = {cluster_.recipient()}},
                                          blocking_, Logger{});
  }
  bool has_namespace(const std::string& project, const std::string& name) override {
    return show(fmt::format("local/{}/_namespaces/{}/namespace.yaml", project, name)).has_value();
  }
  std::optional<Values> read(const SecretRef& secret) override {
    const auto text = show(path(secret));
    if (!text) return std::nullopt;
    if (secret.deployment.empty()) return opened(*text, cluster_);
    const auto keys = read({.name_space = secret.name_space, .name = "sops-age-key", .project = secret.project});
    if (!keys) return Values{{"raw", *text}};
    auto values = opened(*text, *secrets::AgeIdentity::parse_file(keys->at("key")));
    return values ? values : Values{{"raw", *text}};
  }
  void erase(const SecretRef& secret) override { repository_.commit({{.path = path(secret), .remove = true}}); }
  void spoil(const SecretRef& secret) override { repository_.commit({{path(secret), "spoiled: true\n"}}); }
  void plant(const SecretRef& secret) override {
    repository_.commit({{path(secret), "apiVersion: v1\nkind: Secret\nmetadata: {name: theirs}\n"}});
  }
  std::size_t writes() override {
    try {
      return std::stoul(test::run_git({"--git-dir", repository_.path().string(), "rev-list", "--count", "main"}));
    } catch (const std::exception&) {
      return 0;
    }
  }
  test::GitRepository& repository() { return repository_; }

 private:
  static std::string path(const SecretRef& secret) {
    if (secret.deployment.empty())
      return fmt::format("local/{}/_namespaces/{}/{}.sops.yaml", secret.project, secret.name_space, secret.name);
    return fmt::format("local/{}/{}/database.sops.yaml", secret.project, secret.deployment);
  }
  std::optional<std::string> show(const std::string& file) {
    try {
      return test::run_git({"--git-dir", repository_.path().string(), "show", "main:" + file});
    } catch (const std::exception&) {
      return std::nullopt;
    }
  }
  static std::optional<Values> opened(const std::string& text, const secrets::AgeIdentity& identity) {
    const auto plain = secrets::sops::decrypt(text, secrets::sops::Format::yaml, secrets::sops::Format::json,
                                              {.identities = {&identity, 1}});
    if (!plain) return std::nullopt;
    Values values;
    for (const auto& [name, value] : json::parse(plain->reveal()).at("stringData").as_object())
      values[std::string(name)] = value.as_string();
    return values;
  }

  test::TemporaryDirectory directory_;
  test::GitRepository repository_{directory_.path() / "cluster.git"};
  secrets::AgeIdentity cluster_ = secrets::AgeIdentity::generate();
  aio::BlockingPool& blocking_;
  int targets_ = 0;
};

enum class Where { kubernetes, gitops };

class ClusterBase : public ProvisionTest {
 protected:
  void start(Where where) {
    if (where == Where::kubernetes) {
      auto world = std::make_unique<KubernetesWorld>(io_, blocking_);
      api_ = &world->server();
      world_ = std::move(world);
    } else {
      world_ = std::make_unique<GitopsWorld>(blocking_);
    }
    open();
    databases_ = manager();
  }
  /// A manager as a process has it after its start.
  std::unique_ptr<ClusterManager> cluster(const ClusterRules& rules = {}) {
    auto made = std::make_unique<ClusterManager>(projects_, DesiredRules{.control_database = control_}, rules,
                                                 ClusterTools{.main = &main(), .key = &key_});
    made->set_target(world_->target([cluster = made.get()] { return cluster->hash_key(); }));
    return made;
  }
  /// One pass; what went wrong is in the outcomes.
  ClusterOutcomes pass(ClusterManager& cluster, const std::string& only = {}) {
    ClusterSelection selection;
    if (!only.empty()) selection = [only](const std::string& project, const std::string&) { return project == only; };
    auto outcomes = await(cluster.begin_pass(std::move(selection), cause_, in(30s)));
    if (!outcomes) throw std::runtime_error(outcomes.error().to_string());
    auto landed = await(cluster.end_pass(&*outcomes, cause_, in(30s)));
    if (!landed) throw std::runtime_error(landed.error().to_string());
    return *std::move(outcomes);
  }
  /// Databases and cluster in one pass, as the program has it.
  std::unique_ptr<DatabaseManager> with(ClusterManager& cluster, StepHook hook = {}) {
    auto both = tools(std::move(hook));
    both.cluster = &cluster;
    return std::make_unique<DatabaseManager>(projects_, main(), settings(), std::move(both));
  }
  SecretRef database_secret(const std::string& project, const std::string& deployment) const {
    return {
        .name_space = "rig-" + project, .name = deployment + "-database", .project = project, .deployment = deployment};
  }
  SecretRef key_secret(const std::string& project) const {
    return {.name_space = "rig-" + project, .name = "sops-age-key", .project = project};
  }
  std::vector<std::string> history(const std::string& project) {
    auto lease = await(main().acquire());
    auto records = await(store::read_history(&**lease, {.project = project}));
    std::vector<std::string> actions;
    for (const auto& one : *records)
      if (one.event.action.starts_with("cluster")) actions.push_back(one.event.action + " " + one.event.statement);
    return actions;
  }

  std::unique_ptr<World> world_;
  test::ApiServer* api_ = nullptr;
  std::unique_ptr<DatabaseManager> databases_;
};

class Cluster : public ClusterBase, public ::testing::WithParamInterface<Where> {
 protected:
  void SetUp() override { start(GetParam()); }
};

TEST_P(Cluster, ADeploymentGetsItsNamespaceItsKeyAndItsCredentials) {
  const auto shop = unique("shop");
  declare(shop, {"prod", "staging"});
  apply_all(*databases_);
  auto manager = cluster();
  for (const auto& [title, outcome] : pass(*manager))
    EXPECT_FALSE(outcome.error) << title << outcome.error->to_string();
  EXPECT_TRUE(world_->has_namespace(shop, "rig-" + shop));
  const auto keys = world_->read(key_secret(shop));
  ASSERT_TRUE(keys);
  EXPECT_EQ(keys->size(), 2U);
  EXPECT_THAT(keys->at("key"), HasSubstr("AGE-SECRET-KEY-1"));
  for (const std::string deployment : {"prod", "staging"}) {
    const auto secret = world_->read(database_secret(shop, deployment));
    ASSERT_TRUE(secret) << deployment;
    const auto expected = credentials(*databases_, shop, deployment);
    EXPECT_EQ(secret->at("DATABASE_PASSWORD"), expected.password.reveal());
    EXPECT_EQ(secret->at("uri"), expected.uri().reveal());
    EXPECT_TRUE(log_in(expected));
  }
  EXPECT_THAT(history(shop), Contains(HasSubstr("cluster Created secret rig-" + shop + "/prod-database")));
}

TEST_P(Cluster, APassWithNothingToDoWritesNothing) {
  const auto shop = unique("shop");
  declare(shop, {"prod"});
  apply_all(*databases_);
  pass(*cluster());
  const auto before = world_->writes();
  EXPECT_GT(before, 0U);
  auto again = cluster();  // as after a restart
  for (const auto& [title, outcome] : pass(*again)) EXPECT_EQ(outcome.written, 0U) << title;
  EXPECT_EQ(world_->writes(), before);
  auto planned = await(again->plan({}, in(30s)));
  ASSERT_TRUE(planned);
  EXPECT_TRUE(planned->at(shop + "/prod").actions.empty());
}

TEST_P(Cluster, ASecretThatSomebodyDeletedComesBackWithTheSameBytes) {
  const auto shop = unique("shop");
  declare(shop, {"prod"});
  apply_all(*databases_);
  auto manager = cluster();
  pass(*manager);
  const auto secret = database_secret(shop, "prod");
  const auto before = world_->read(secret);
  const auto keys = world_->read(key_secret(shop));
  world_->erase(secret);
  world_->erase(key_secret(shop));
  ASSERT_FALSE(world_->read(key_secret(shop)));
  auto planned = await(manager->plan({}, in(30s)));
  ASSERT_TRUE(planned);
  EXPECT_EQ(planned->at(shop + "/prod").actions.size(), 2U);
  pass(*manager);
  EXPECT_EQ(world_->read(key_secret(shop)), keys);
  EXPECT_EQ(world_->read(secret), before);
  EXPECT_THAT(history(shop), Contains(HasSubstr("cluster Restored secret")));
}

TEST_P(Cluster, ASecretThatSomebodyChangedIsPutRightOrReportedAsThePolicySays) {
  const auto shop = unique("shop");
  declare(shop, {"prod"});
  apply_all(*databases_);
  pass(*cluster());
  const auto secret = database_secret(shop, "prod");
  const auto before = world_->read(secret);
  world_->spoil(secret);
  auto lenient = cluster({.secret_drift = DriftPolicy::warn});
  const auto warned = pass(*lenient);
  EXPECT_THAT(warned.at(shop + "/prod").notes, Contains(HasSubstr("prod-database")));
  EXPECT_NE(world_->read(secret), before) << "it is left as it is";
  EXPECT_THAT(history(shop), Contains(HasSubstr("cluster Drifted")));
  const auto told = history(shop).size();
  pass(*lenient);
  EXPECT_EQ(history(shop).size(), told) << "once for each transition, not for each pass";
  pass(*cluster());
  EXPECT_EQ(world_->read(secret), before);
  EXPECT_THAT(history(shop), Contains(HasSubstr("cluster Corrected")));
}

TEST_P(Cluster, ASecretOfSomebodyElseIsNeverOverwrittenAndStopsNobodyElse) {
  const auto shop = unique("shop");
  const auto wiki = unique("wiki");
  declare(shop, {"prod"});
  declare(wiki, {"prod"});
  apply_all(*databases_);
  const auto secret = database_secret(shop, "prod");
  world_->plant(secret);
  const auto theirs = world_->read(secret);
  const auto outcomes = pass(*cluster());
  ASSERT_TRUE(outcomes.at(shop + "/prod").error);
  EXPECT_TRUE(outcomes.at(shop + "/prod").refused);
  EXPECT_THAT(outcomes.at(shop + "/prod").error->to_string(), HasSubstr("not ours"));
  EXPECT_EQ(world_->read(secret), theirs);
  EXPECT_FALSE(outcomes.at(wiki + "/prod").error);
  EXPECT_TRUE(world_->read(database_secret(wiki, "prod")));
}

TEST_P(Cluster, ARotatedLoginIsHandedOverAndARotatedKeyStandsBesideTheOldOne) {
  const auto shop = unique("shop");
  declare(shop, {"prod"});
  apply_all(*databases_);
  auto manager = cluster({.key_overlap = std::chrono::seconds(0)});
  pass(*manager);
  const auto first = world_->read(database_secret(shop, "prod"));
  auto rotated = await(databases_->rotate({.project = shop}, cause_, RotationPace::seamless));
  ASSERT_TRUE(rotated);
  pass(*manager);
  const auto second = world_->read(database_secret(shop, "prod"));
  EXPECT_NE(second->at("DATABASE_SERVER_USER"), first->at("DATABASE_SERVER_USER"));
  EXPECT_EQ(second->at("DATABASE_PASSWORD"), credentials(*databases_, shop, "prod").password.reveal());

  const auto rotate_key = [&](std::chrono::seconds overlap) {
    auto lease = await(main().acquire());
    auto made = await(store::set_project_key(&**lease, &key_, {.project = shop, .overlap = overlap}, true));
    ASSERT_TRUE(made) << made.error().to_string();
  };
  rotate_key(std::chrono::hours(1));
  pass(*manager);
  EXPECT_EQ(world_->read(key_secret(shop))->size(), 3U) << "old and new together, and both under `key`";
  EXPECT_TRUE(world_->read(database_secret(shop, "prod")));
  execute("UPDATE opi.project_keys SET retire_after = now() - interval '1 s' WHERE retire_after IS NOT NULL", control_);
  pass(*manager);
  EXPECT_EQ(world_->read(key_secret(shop))->size(), 2U) << "then the old one goes";
}

TEST_P(Cluster, CredentialsAreHandedOverBeforeTheJournalSaysDone) {
  const auto shop = unique("shop");
  declare(shop, {"prod"});
  auto manager = cluster();
  pass(*manager);
  const DesiredDeployment desired = desired_state(projects_.projects(), {.control_database = control_}).at(0);
  apply_all(*databases_);
  auto lease = await(main().acquire());
  const auto published = await(store::published_credentials(&**lease, "local"));
  ASSERT_EQ(published->size(), 1U);
  const auto hand_over = [&] {
    return await(
        manager->hand_over(&**lease, &desired, published->front().database, &published->front().credential, in(30s)));
  };
  auto handed = hand_over();
  ASSERT_TRUE(handed) << handed.error().to_string();
  if (*handed == HandOver::later) {
    EXPECT_FALSE(world_->read(database_secret(shop, "prod"))) << "it is collected with others";
    ClusterOutcomes outcomes;
    auto landed = await(manager->end_pass(&outcomes, cause_, in(30s)));
    ASSERT_TRUE(landed);
    EXPECT_THAT(*landed, Contains(shop + "/prod"));
    handed = hand_over();
  }
  EXPECT_EQ(*handed, HandOver::done);
  EXPECT_TRUE(world_->read(database_secret(shop, "prod")));
  const auto writes = world_->writes();
  EXPECT_EQ(*hand_over(), HandOver::done);
  EXPECT_EQ(world_->writes(), writes) << "the same again writes nothing";
}

TEST_P(Cluster, OnePassMakesDatabaseNamespaceKeyAndSecretAndTheNextOneNothing) {
  const auto shop = unique("shop");
  declare(shop, {"prod", "staging"});
  const auto bare = unique("bare");
  for (const auto& error : projects_.replace(
           "projects/" + bare + ".yaml", "b0", "c1",
           "name: " + bare +
               "\nclusters: [local]\ncomponents:\n  - name: web\ndeployments:\n  - name: "
               "prod\n    cluster: local\n    components: [{reference: web, image: registry.example/web:1}]\n"))
    ADD_FAILURE() << error.to_string();
  auto cluster_side = cluster();
  auto manager = with(*cluster_side);
  const auto text = to_text(plan(*manager));
  EXPECT_THAT(text, HasSubstr("+ namespace rig-" + shop));
  EXPECT_THAT(text, HasSubstr("+ secret    rig-" + shop + "/prod-database"));
  const auto report = apply_all(*manager);
  EXPECT_EQ(report.deployments.size(), 3U) << "the one without a database has a namespace as well";
  EXPECT_TRUE(world_->has_namespace(bare, "rig-" + bare));
  for (const std::string deployment : {"prod", "staging"}) {
    const auto expected = credentials(*manager, shop, deployment);
    const auto secret = world_->read(database_secret(shop, deployment));
    ASSERT_TRUE(secret);
    EXPECT_EQ(secret->at("uri"), expected.uri().reveal());
  }
  const auto writes = world_->writes();
  for (const auto& row : apply_all(*manager).deployments)
    EXPECT_EQ(row.outcome, DeploymentOutcome::unchanged) << row.title();
  EXPECT_EQ(world_->writes(), writes);
  EXPECT_TRUE(plan(*manager).empty()) << to_text(plan(*manager));
}

TEST_P(Cluster, WhatCannotBeHandedOverIsNotDoneAndGoesOnWithTheSameBytes) {
  const auto shop = unique("shop");
  const auto wiki = unique("wiki");
  declare(shop, {"prod"});
  declare(wiki, {"prod"});
  const auto secret = database_secret(shop, "prod");
  world_->plant(secret);
  auto cluster_side = cluster();
  std::vector<std::string> steps;
  auto manager = with(*cluster_side, [&](std::string_view step) { steps.emplace_back(step); });
  const auto report = apply(*manager);
  ASSERT_EQ(report.deployments.size(), 2U);
  ASSERT_TRUE(report.deployments[0].error);
  EXPECT_THAT(report.deployments[0].error->to_string(), HasSubstr("not ours"));
  EXPECT_FALSE(report.deployments[1].error) << "the other project is not held up";
  EXPECT_FALSE(await(manager->credentials(shop, "prod"))) << "the journal does not say done";
  world_->erase(secret);
  apply_all(*manager);
  const auto expected = credentials(*manager, shop, "prod");
  EXPECT_EQ(world_->read(secret)->at("DATABASE_PASSWORD"), expected.password.reveal());
  EXPECT_EQ(query("SELECT max(c.generation) FROM opi.credentials c JOIN opi.deployments d ON d.id = c.deployment_id "
                  "WHERE d.project = '" +
                      shop + "'",
                  control_),
            "1");
  const auto at = [&](std::string_view name) { return std::ranges::find(steps, name) - steps.begin(); };
  EXPECT_LT(at("verified"), at("handed over")) << "the login was proven before";
  EXPECT_LT(at("handed over"), at("recorded")) << "and the journal ends after";
}

TEST_P(Cluster, ARotationThroughThePassHandsTheNewLoginOver) {
  const auto shop = unique("shop");
  declare(shop, {"prod"});
  auto cluster_side = cluster();
  auto manager = with(*cluster_side);
  apply_all(*manager);
  const auto before = world_->read(database_secret(shop, "prod"));
  for (const auto pace : {RotationPace::seamless, RotationPace::immediately}) {
    auto rotated = await(manager->rotate({.project = shop}, cause_, pace));
    ASSERT_TRUE(rotated);
    for (const auto& row : rotated->deployments) EXPECT_FALSE(row.error) << row.error->to_string();
    const auto now_there = world_->read(database_secret(shop, "prod"));
    const auto expected = credentials(*manager, shop, "prod");
    EXPECT_EQ(now_there->at("uri"), expected.uri().reveal());
    EXPECT_TRUE(log_in(expected));
  }
  EXPECT_NE(world_->read(database_secret(shop, "prod")), before);
}

INSTANTIATE_TEST_SUITE_P(Targets, Cluster, ::testing::Values(Where::kubernetes, Where::gitops),
                         [](const auto& one) { return one.param == Where::kubernetes ? "Kubernetes" : "Gitops"; });

class KubernetesCluster : public ClusterBase {
 protected:
  void SetUp() override { start(Where::kubernetes); }
};

TEST_F(KubernetesCluster, CostsOneWriteForEachObjectFewConnectionsAndOneListForEachKind) {
  for (int i = 0; i < 12; ++i) declare(unique("p" + std::to_string(i) + "x"), {"prod"});
  apply_all(*databases_);
  pass(*cluster());
  const auto objects = api_->count("PATCH");
  EXPECT_EQ(objects, 36U) << "twelve namespaces with two Secrets each: one write for each";
  EXPECT_EQ(api_->count("POST"), 12U) << "and one event for each transition, which is all of a namespace at once";
  EXPECT_LE(api_->connections(), 8U);
  const auto before = api_->requests().size();
  pass(*cluster());
  EXPECT_EQ(api_->requests().size() - before, 2U) << "with nothing to do: namespaces and Secrets, listed once";
}

TEST_F(KubernetesCluster, NamespacesOfOthersAreRefusedAndThoseThatEndAreWaitedFor) {
  const auto shop = unique("shop");
  const auto wiki = unique("wiki");
  const auto news = unique("news");
  for (const auto& one : {shop, wiki, news}) declare(one, {"prod"});
  apply_all(*databases_);
  dynamic_cast<KubernetesWorld&>(*world_).make({"namespaces", "", "rig-" + shop}, {{"metadata", json::object{}}});
  auto manager = cluster();
  pass(*manager, wiki);
  api_->store().begin_termination("rig-" + wiki);
  const auto outcomes = pass(*manager);
  EXPECT_TRUE(outcomes.at(shop + "/prod").refused);
  EXPECT_FALSE(world_->read(key_secret(shop))) << "nothing is written into it";
  ASSERT_TRUE(outcomes.at(wiki + "/prod").error);
  EXPECT_EQ(outcomes.at(wiki + "/prod").error->kind, ErrorKind::unavailable);
  EXPECT_FALSE(outcomes.at(wiki + "/prod").refused);
  EXPECT_FALSE(outcomes.at(news + "/prod").error);
}

TEST_F(KubernetesCluster, DriftOfANamespaceIsPutRightAndPoliciesThatAreNotWantedAnyMoreGo) {
  const auto shop = unique("shop");
  declare(shop, {"prod"});
  ClusterRules rules{.quota = {{"requests.cpu", "0.5"}}, .traffic = ClusterRules::Traffic::deny_ingress};
  pass(*cluster(rules));
  const test::ApiKey name{"namespaces", "", "rig-" + shop};
  auto found = std::get<json::object>(api_->store().get(name));
  found["metadata"].as_object()["labels"].as_object().erase("pod-security.kubernetes.io/enforce");
  api_->store().update(name, found, "kubectl-edit");
  rules.quota.clear();
  pass(*cluster(rules));
  found = std::get<json::object>(api_->store().get(name));
  EXPECT_EQ(kube::metadata_entry(found, "labels", "pod-security.kubernetes.io/enforce"), "baseline");
  EXPECT_TRUE(api_->store().list("resourcequotas", "rig-" + shop).empty());
  EXPECT_EQ(api_->store().list("networkpolicies", "rig-" + shop).size(), 1U);
}

TEST_F(KubernetesCluster, WhatIsForbiddenIsSaidOfWhoItConcernsAndNeverTakenForMissing) {
  const auto shop = unique("shop");
  declare(shop, {"prod"});
  apply_all(*databases_);
  pass(*cluster());
  world_->erase(key_secret(shop));
  api_->forbidden().insert("get secrets");
  auto denied = await(cluster()->begin_pass({}, cause_, in(30s)));
  ASSERT_FALSE(denied);
  EXPECT_EQ(denied.error().kind, ErrorKind::denied);
  EXPECT_FALSE(world_->read(key_secret(shop)));
}

using Rights = std::set<std::pair<std::string, std::string>>;  ///< verb and resource

/// What the requests needed. Source: Kubernetes documentation, "Determine the Request Verb"; an apply may create.
Rights needed_by(const std::vector<test::ApiRequest>& requests) {
  Rights needed;
  for (const auto& request : requests) {
    auto path = request.target.substr(0, request.target.find('?'));
    for (const std::string_view root : {"/apis/networking.k8s.io/v1/", "/api/v1/"})
      if (path.starts_with(root)) path.erase(0, root.size());
    std::vector<std::string> parts;
    for (std::size_t at = 0; at <= path.size();) {
      const auto end = std::min(path.find('/', at), path.size());
      parts.push_back(path.substr(at, end - at));
      at = end + 1;
    }
    if (parts.size() > 2 && parts[0] == "namespaces") parts.erase(parts.begin(), parts.begin() + 2);
    const bool named = parts.size() > 1;
    if (request.method == "GET") needed.emplace(named ? "get" : "list", parts[0]);
    if (request.method == "DELETE") needed.emplace("delete", parts[0]);
    if (request.method == "POST" || request.method == "PATCH") needed.emplace("create", parts[0]);
    if (request.method == "PATCH") needed.emplace("patch", parts[0]);
  }
  return needed;
}

Rights granted() {
  std::ifstream file(OPI_SOURCE_DIR "/deploy/kubernetes/rbac.yaml");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto documents = yaml::parse_all(text, "rbac.yaml");
  Rights all;
  for (const auto& document : documents.value()) {
    const auto* rules = document.root.find("rules");
    if (rules == nullptr) continue;
    for (const auto& rule : rules->items)
      for (const auto& resource : rule.find("resources")->items)
        for (const auto& verb : rule.find("verbs")->items) all.emplace(verb.value, resource.value);
  }
  return all;
}

TEST_F(KubernetesCluster, NeedsTheRightsOfItsManifestAndNoOthers) {
  const auto shop = unique("shop");
  declare(shop, {"prod"});
  apply_all(*databases_);
  ClusterRules rules{.quota = {{"requests.cpu", "1"}}, .limits_default = {{"memory", "1Gi"}}};
  rules.traffic = ClusterRules::Traffic::deny_ingress;
  for (const std::size_t list_from : {std::size_t{20}, std::size_t{1}}) {
    dynamic_cast<KubernetesWorld&>(*world_).list_from = list_from;
    pass(*cluster(rules));
    pass(*cluster(rules));
  }
  pass(*cluster());
  // It went the whole way out.
  projects_.remove("projects/" + shop + ".yaml");
  execute("DELETE FROM opi.deployments WHERE project = '" + shop + "'", control_);
  pass(*cluster());
  EXPECT_FALSE(world_->read(database_secret(shop, "prod")));
  EXPECT_TRUE(world_->has_namespace(shop, "rig-" + shop)) << "namespaces stay";
  EXPECT_EQ(needed_by(api_->requests()), granted());
}

class GitopsCluster : public ClusterBase {
 protected:
  void SetUp() override { start(Where::gitops); }
};

TEST_F(GitopsCluster, EverythingThatIsDirtyIsOneCommitThatSaysWhereItComesFrom) {
  const auto shop = unique("shop");
  const auto wiki = unique("wiki");
  for (const auto& one : {shop, wiki}) declare(one, {"prod", "staging"});
  apply_all(*databases_);
  pass(*cluster());
  EXPECT_EQ(world_->writes(), 1U);
  auto& repository = dynamic_cast<GitopsWorld&>(*world_).repository();
  const auto git = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--git-dir", repository.path().string()});
    return test::run_git(arguments);
  };
  const auto message = git({"log", "-1", "--format=%B", "main"});
  EXPECT_THAT(message, HasSubstr(shop));
  EXPECT_THAT(message, HasSubstr(wiki));
  EXPECT_THAT(message, HasSubstr("Source-Commit: c1"));
  const auto everything = git({"grep", "-h", "-e", ".", "main"});
  EXPECT_EQ(everything.find("AGE-SECRET-KEY"), std::string::npos);
  for (const auto& one : {shop, wiki})
    EXPECT_EQ(everything.find(credentials(*databases_, one, "prod").password.reveal()), std::string::npos);
  const auto flux = git({"show", fmt::format("main:local/{}/_flux/prod.yaml", shop)});
  EXPECT_THAT(flux, HasSubstr(fmt::format("./local/{}/prod", shop)));
  // A change of one deployment touches its own file and nothing else.
  ASSERT_TRUE(await(databases_->rotate({.project = shop, .deployment = "prod"}, cause_, RotationPace::seamless)));
  pass(*cluster());
  EXPECT_EQ(git({"diff", "--name-only", "main^", "main"}), fmt::format("local/{}/prod/database.sops.yaml\n", shop));
}

}  // namespace
}  // namespace opi::provision
