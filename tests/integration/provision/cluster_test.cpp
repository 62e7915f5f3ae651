// Namespaces, keys and credential Secrets: on an API server's double and in a repository.
#include "provision/cluster_manager.hpp"

#include <boost/json/parse.hpp>
#include <fstream>
#include <set>

#include "integration/provision/cluster_world.hpp"
#include "provision/gitops_target.hpp"
#include "secrets/base64.hpp"
#include "secrets/sops.hpp"
#include "support/git_repository.hpp"
#include "support/kubernetes/api_server.hpp"
#include "support/temporary_directory.hpp"
#include "yaml/parse.hpp"

namespace opi::provision {
namespace {

using ::testing::HasSubstr;

namespace json = boost::json;

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

std::vector<WorldKind> kinds() {
  return {{.name = "Kubernetes",
           .make = [](asio::io_context& context,
                      aio::BlockingPool& blocking) { return std::make_unique<KubernetesWorld>(context, blocking); }},
          {.name = "Gitops", .make = [](asio::io_context&, aio::BlockingPool& blocking) {
             return std::make_unique<GitopsWorld>(blocking);
           }}};
}

INSTANTIATE_TEST_SUITE_P(Targets, Cluster, ::testing::ValuesIn(kinds()),
                         [](const auto& one) { return one.param.name; });

class KubernetesCluster : public ClusterBase {
 protected:
  void SetUp() override {
    auto world = std::make_unique<KubernetesWorld>(io_, blocking_);
    api_ = &world->server();
    start(std::move(world));
  }
  test::ApiServer* api_ = nullptr;
};

TEST_F(KubernetesCluster, CostsOneWriteForEachObjectFewConnectionsAndOneListForEachKind) {
  for (int i = 0; i < 12; ++i) declare(unique("p" + std::to_string(i) + "x"), {"prod"});
  apply_all(*databases_);
  pass(*cluster());
  const auto objects = api_->count("PATCH");
  EXPECT_EQ(objects, 36U) << "twelve namespaces with two Secrets each: one write for each";
  EXPECT_EQ(api_->count("POST"), 12U) << "and one event for each transition, which is all of a namespace at once";
  EXPECT_LE(api_->connections(), 8U);
  auto before = api_->requests().size();
  pass(*cluster());
  EXPECT_EQ(api_->requests().size() - before, 2U) << "with nothing to do: namespaces and Secrets, listed once";
  before = api_->requests().size();
  api_->limit_pages(6);
  pass(*cluster());
  EXPECT_EQ(api_->requests().size() - before, 2U + 4U) << "twelve and twenty-four objects in pages of six";
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

TEST_F(KubernetesCluster, APlanIsTriedOnTheServerWhichStoresNothing) {
  const auto shop = unique("shop");
  declare(shop, {"prod"});
  const auto version = api_->store().version();
  ASSERT_TRUE(await(cluster()->plan({}, in(30s))));
  EXPECT_EQ(api_->store().version(), version);
  EXPECT_TRUE(api_->requests().back().target.contains("dryRun=All"));
  pass(*cluster());
  const test::ApiKey name{"namespaces", "", "rig-" + shop};
  auto found = std::get<json::object>(api_->store().get(name));
  found["metadata"].as_object()["labels"].as_object()["pod-security.kubernetes.io/enforce"] = "privileged";
  api_->store().update(name, found, "kubectl-edit");
  auto planned = await(cluster()->plan({}, in(30s)));
  ASSERT_TRUE(planned);
  EXPECT_THAT(planned->at(shop + "/prod").notes, ::testing::Contains(HasSubstr("kubectl-edit")));
  api_->forbidden().insert("patch namespaces");
  planned = await(cluster()->plan({}, in(30s)));
  ASSERT_TRUE(planned);
  ASSERT_TRUE(planned->at(shop + "/prod").error);
  EXPECT_EQ(planned->at(shop + "/prod").error->kind, ErrorKind::denied);
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
  ASSERT_TRUE(await(cluster()->let_namespace_go("rig-" + shop, cause_, in(30s))));
  pass(*cluster());
  EXPECT_FALSE(world_->has_namespace(shop, "rig-" + shop)) << "until somebody lets them go";
  EXPECT_EQ(needed_by(api_->requests()), granted());
}

class GitopsCluster : public ClusterBase {
 protected:
  void SetUp() override { start(std::make_unique<GitopsWorld>(blocking_)); }
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
