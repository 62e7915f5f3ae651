// The scenarios of every cluster, on one that is really there: what we wrote is read, changed and deleted with kubectl,
// and opi has the rights of deploy/kubernetes/rbac.yaml and no others.
//
// KUBECONFIG names the cluster, as an administrator. Everything that is made there begins with "opi-e2e-" and a random
// number, and is removed again. The same runs on our own API server, so that it is known to work.
#include <boost/asio/executor_work_guard.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <fstream>
#include <random>
#include <set>
#include <thread>

#include "aio/subprocess.hpp"
#include "integration/provision/cluster_world.hpp"
#include "kube/kubeconfig.hpp"
#include "secrets/base64.hpp"
#include "support/kubernetes/api_server.hpp"
#include "support/temporary_directory.hpp"
#include "support/tls_identity.hpp"

namespace opi::provision {
namespace {

using ::testing::HasSubstr;

namespace json = boost::json;

std::string variable(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets the environment
  return value == nullptr ? "" : value;
}

std::string file_text(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Replaces every `from`.
std::string renamed(std::string text, std::string_view from, std::string_view to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

/// kubectl, as the administrator that a kubeconfig names.
class Kubectl {
 public:
  Kubectl(std::string kubeconfig, const std::filesystem::path& directory)
      : environment_{"PATH=" + variable("PATH"), "HOME=" + directory.string(), "KUBECONFIG=" + std::move(kubeconfig)} {}

  aio::CommandResult run(std::vector<std::string> arguments, std::string input = {}) const {
    arguments.insert(arguments.begin(), {"kubectl", "--request-timeout=60s"});
    auto ended = test::run_coroutine(aio::run_command(
        {.argv = std::move(arguments), .environment = environment_, .input = std::move(input)}, in(120s)));
    if (!ended) throw std::runtime_error("kubectl: " + ended.error().to_string());
    return *std::move(ended);
  }
  std::string operator()(std::vector<std::string> arguments, std::string input = {}) const {
    const auto what = fmt::format("kubectl {}", fmt::join(arguments, " "));
    auto ended = run(std::move(arguments), std::move(input));
    if (ended.exit_code != 0) throw std::runtime_error(what + ": " + ended.error_output);
    return std::move(ended.output);
  }
  /// Nothing when it is not there; every other failure is one.
  std::optional<std::string> get(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "get");
    auto ended = run(arguments);
    if (ended.exit_code == 0) return std::move(ended.output);
    if (ended.error_output.contains("NotFound")) return std::nullopt;
    throw std::runtime_error(fmt::format("kubectl {}: {}", fmt::join(arguments, " "), ended.error_output));
  }

 private:
  std::vector<std::string> environment_;
};

/// Our own API server, on a thread of its own, as an administrator finds it.
class OwnServer {
 public:
  explicit OwnServer(const std::filesystem::path& kubeconfig)
      : identity_(test::make_identity()),
        server_(context_, aio::TlsContext::server({.certificate_pem = identity_.certificate,
                                                   .key_pem = SecretString(std::string_view(identity_.key))})
                              .value()),
        work_(context_.get_executor()) {
    server_.tokens().insert("Bearer administrator");
    std::ofstream(kubeconfig) << json::serialize(json::object{
        {"apiVersion", "v1"},
        {"kind", "Config"},
        {"current-context", "own"},
        {"contexts",
         json::array{json::object{{"name", "own"}, {"context", json::object{{"cluster", "own"}, {"user", "own"}}}}}},
        {"clusters", json::array{json::object{
                         {"name", "own"},
                         {"cluster", json::object{{"server", fmt::format("https://127.0.0.1:{}", server_.port())},
                                                  {"certificate-authority-data",
                                                   secrets::base64_encode(identity_.certificate)}}}}}},
        {"users", json::array{json::object{{"name", "own"}, {"user", json::object{{"token", "administrator"}}}}}}});
    thread_ = std::thread([this] { context_.run(); });
  }
  ~OwnServer() {
    context_.stop();
    thread_.join();
  }
  OwnServer(const OwnServer&) = delete;
  OwnServer& operator=(const OwnServer&) = delete;

 private:
  test::TlsIdentity identity_;
  asio::io_context context_;
  test::ApiServer server_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::thread thread_;
};

/// A target that counts for longer than it lives.
class Counted final : public ClusterTarget {
 public:
  Counted(std::unique_ptr<KubernetesTarget> target, std::shared_ptr<std::map<const Counted*, std::size_t>> writes)
      : target_(std::move(target)), writes_(std::move(writes)) {}

  std::string describe() const override { return target_->describe(); }
  bool writes_together() const noexcept override { return target_->writes_together(); }
  Task<Result<std::vector<ObservedObject>>> observe(std::vector<LookedAt> objects, SteadyTime deadline) override {
    return target_->observe(std::move(objects), deadline);
  }
  Task<std::vector<Result<Written>>> write(std::vector<ClusterWrite> writes, std::string message,
                                           SteadyTime deadline) override {
    auto written = co_await target_->write(std::move(writes), std::move(message), deadline);
    (*writes_)[this] = target_->stats().writes;
    co_return written;
  }
  Task<std::vector<Result<Written>>> rehearse(std::vector<ClusterWrite> writes, SteadyTime deadline) override {
    return target_->rehearse(std::move(writes), deadline);
  }
  Task<> tell(std::vector<ClusterEvent> events, SteadyTime deadline) override {
    co_await target_->tell(std::move(events), deadline);
    (*writes_)[this] = target_->stats().writes;
  }

 private:
  std::unique_ptr<KubernetesTarget> target_;
  std::shared_ptr<std::map<const Counted*, std::size_t>> writes_;
};

class KubectlWorld final : public World {
 public:
  /// Empty: our own server.
  KubectlWorld(std::string kubeconfig, aio::BlockingPool& blocking)
      : own_(kubeconfig.empty() ? std::make_unique<OwnServer>(directory_.path() / "administrator") : nullptr),
        kubectl_(own_ ? (directory_.path() / "administrator").string() : std::move(kubeconfig), directory_.path()),
        blocking_(blocking) {
    std::random_device random;
    name_ = fmt::format("opi-e2e-{:08x}", random());
    // The manifest as it is deployed, under a name of our own.
    const auto manifest =
        renamed(file_text(OPI_SOURCE_DIR "/deploy/kubernetes/rbac.yaml"), "operations-manager", name_);
    make(fmt::format("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {}}}\n---\n{}", name_, manifest));
    const auto path = fmt::format("/api/v1/namespaces/{0}/serviceaccounts/{0}/token", name_);
    const auto answer = json::parse(kubectl_(
        {"create", "--raw", path, "-f", "-"},
        R"({"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"expirationSeconds":3600}})"));
    write_kubeconfig(std::string(answer.at("status").at("token").as_string()));
  }
  ~KubectlWorld() override {
    try {
      remove_all();
    } catch (const std::exception& problem) {
      ADD_FAILURE() << "what was made may still be there: " << problem.what();
    }
  }
  KubectlWorld(const KubectlWorld&) = delete;
  KubectlWorld& operator=(const KubectlWorld&) = delete;

  std::unique_ptr<ClusterTarget> target(HashSource hash) override {
    const kube::ReadFile read = [](const std::string& path) -> Result<std::string> { return file_text(path); };
    auto access = kube::load_kubeconfig({kubeconfig().string()}, {.allow_insecure = insecure_}, read, blocking_);
    if (!access) throw std::runtime_error(access.error().to_string());
    auto client = std::make_unique<kube::Client>(*std::move(access), kube::ClientOptions{}, blocking_, Logger{});
    return std::make_unique<Counted>(
        std::make_unique<KubernetesTarget>(std::move(client), KubernetesOptions{}, std::move(hash), Logger{}), writes_);
  }
  std::string prefix() const override { return name_ + "-"; }
  bool has_namespace(const std::string& /*project*/, const std::string& name) override {
    const auto text = kubectl_.get({"namespace", name, "-o", "json"});  // one that is ending is not there any more
    return text && !json::parse(*text).at("metadata").as_object().contains("deletionTimestamp");
  }
  std::optional<Values> read(const SecretRef& secret) override {
    const auto text = kubectl_.get({"secret", secret.name, "-n", secret.name_space, "-o", "json"});
    if (!text) return std::nullopt;
    Values values;
    for (const auto& [name, value] : json::parse(*text).at("data").as_object())
      values[std::string(name)] = *secrets::base64_decode(std::string_view(value.as_string()));
    return values;
  }
  void erase(const SecretRef& secret) override {
    kubectl_({"delete", "secret", secret.name, "-n", secret.name_space, "--wait=false"});
  }
  void spoil(const SecretRef& secret) override {
    kubectl_({"patch", "secret", secret.name, "-n", secret.name_space, "--type=merge", "-p",
              R"({"data":{"DATABASE_PASSWORD":"c3BvaWxlZA=="}})"});
  }
  void plant(const SecretRef& secret) override {
    make(
        fmt::format("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {0}\n  labels: {{created-by: "
                    "operations-manager, operations-manager/project: {1}}}\n---\napiVersion: v1\nkind: "
                    "Secret\nmetadata: {{name: {2}, namespace: {0}}}\ndata: {{theirs: aGVycw==}}\n",
                    secret.name_space, secret.project, secret.name));
  }
  std::size_t writes() override {
    std::size_t all = 0;
    for (const auto& [target, count] : *writes_) all += count;
    return all;
  }
  const Kubectl& kubectl() const { return kubectl_; }
  const std::string& name() const { return name_; }
  std::filesystem::path kubeconfig() const { return directory_.path() / "opi"; }

 private:
  void make(const std::string& manifests) { kubectl_({"create", "--validate=false", "-f", "-"}, manifests); }

  /// The administrator's server, and the token of the account.
  void write_kubeconfig(const std::string& token) {
    auto config = json::parse(kubectl_({"config", "view", "--raw", "--minify", "--flatten", "-o", "json"}));
    auto cluster = config.at("clusters").as_array().at(0).at("cluster").as_object();
    cluster.erase("proxy-url");
    insecure_ = cluster.contains("insecure-skip-tls-verify");
    const json::object user{{"name", "opi"}, {"user", json::object{{"token", token}}}};
    const json::object context{{"name", "opi"}, {"context", json::object{{"cluster", "opi"}, {"user", "opi"}}}};
    std::ofstream(kubeconfig()) << json::serialize(
        json::object{{"apiVersion", "v1"},
                     {"kind", "Config"},
                     {"current-context", "opi"},
                     {"clusters", json::array{json::object{{"name", "opi"}, {"cluster", cluster}}}},
                     {"users", json::array{user}},
                     {"contexts", json::array{context}}});
  }

  void remove_all() {
    std::vector<std::string> namespaces{"delete", "--ignore-not-found", "--wait=false"};
    std::string name;
    for (const char c : kubectl_({"get", "namespaces", "-o", "name"}) + "\n") {
      if (c != '\n') {
        name += c;
        continue;
      }
      if (name.starts_with("namespace/" + name_)) namespaces.push_back(name);
      name.clear();
    }
    namespaces.push_back("clusterrole/" + name_);
    namespaces.push_back("clusterrolebinding/" + name_);
    kubectl_(namespaces);
  }

  test::TemporaryDirectory directory_;
  std::unique_ptr<OwnServer> own_;
  Kubectl kubectl_;
  aio::BlockingPool& blocking_;
  std::string name_;
  bool insecure_ = false;
  std::shared_ptr<std::map<const Counted*, std::size_t>> writes_ =
      std::make_shared<std::map<const Counted*, std::size_t>>();
};

bool kubeconfig_names_nothing() {
  return variable("KUBECONFIG").empty();
}

/// Our own API server and, where there is one, the cluster of KUBECONFIG.
std::vector<WorldKind> clusters() {
  std::vector<WorldKind> kinds{
      {.name = "OwnApiServer", .make = [](asio::io_context&, aio::BlockingPool& blocking) -> std::unique_ptr<World> {
         return std::make_unique<KubectlWorld>("", blocking);
       }}};
  if (kubeconfig_names_nothing()) return kinds;
  kinds.push_back(
      {.name = "KUBECONFIG", .make = [](asio::io_context&, aio::BlockingPool& blocking) -> std::unique_ptr<World> {
         return std::make_unique<KubectlWorld>(variable("KUBECONFIG"), blocking);
       }});
  return kinds;
}

TEST(RealCluster, IsWhatKubeconfigNames) {
  if (kubeconfig_names_nothing()) GTEST_SKIP() << "KUBECONFIG names no cluster: only our own API server is tested";
  const test::TemporaryDirectory directory;
  EXPECT_NE(Kubectl(variable("KUBECONFIG"), directory.path())({"version", "-o", "json"}).find("serverVersion"),
            std::string::npos);
}

const auto name_of_kind = [](const auto& one) { return one.param.name; };
INSTANTIATE_TEST_SUITE_P(Clusters, Cluster, ::testing::ValuesIn(clusters()), name_of_kind);

/// What only a cluster shows: what stands in the objects beside the data, and what the account may not do.
class KubectlCluster : public Cluster {
 protected:
  KubectlWorld& here() { return dynamic_cast<KubectlWorld&>(*world_); }
  json::value shown(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"-o", "json"});
    return json::parse(here().kubectl().get(std::move(arguments)).value_or("{}"));
  }
};
INSTANTIATE_TEST_SUITE_P(Clusters, KubectlCluster, ::testing::ValuesIn(clusters()), name_of_kind);

TEST_P(KubectlCluster, KubectlShowsLabelsPoliciesOwnersAndEvents) {
  const auto shop = unique("shop");
  declare(shop, {"prod"});
  apply_all(*databases_);
  ClusterRules rules{.quota = {{"requests.cpu", "500m"}}, .limits_default = {{"memory", "1Gi"}}};
  rules.traffic = ClusterRules::Traffic::deny_ingress;
  for (const auto& [title, outcome] : pass(*cluster(rules)))
    EXPECT_FALSE(outcome.error) << title << outcome.error->to_string();
  const auto name_space = shown({"namespace", home(shop)});
  const auto& labels = name_space.at("metadata").at("labels").as_object();
  EXPECT_EQ(labels.at("created-by").as_string(), "operations-manager");
  EXPECT_EQ(labels.at("operations-manager/project").as_string(), shop);
  EXPECT_EQ(labels.at("pod-security.kubernetes.io/enforce").as_string(), "baseline");
  for (const std::string kind : {"resourcequota", "limitrange", "networkpolicy"})
    EXPECT_EQ(shown({kind, "-n", home(shop)}).at("items").as_array().size(), 1U) << kind;
  const auto secret = json::parse(
      here().kubectl()({"get", "--raw", fmt::format("/api/v1/namespaces/{}/secrets/prod-database", home(shop))}));
  EXPECT_EQ(secret.at("type").as_string(), "Opaque");
  EXPECT_EQ(secret.at("metadata").at("managedFields").as_array().at(0).at("manager").as_string(), "operations-manager");
  const auto events = json::serialize(shown({"events", "-n", home(shop)}));
  EXPECT_THAT(events, HasSubstr("\"reason\":\"Created\""));
  EXPECT_EQ(events.find(credentials(*databases_, shop, "prod").password.reveal()), std::string::npos);
}

TEST_P(KubectlCluster, TheAccountMayDoWhatItsManifestSaysAndNothingElse) {
  const Kubectl account(here().kubeconfig().string(), here().kubeconfig().parent_path());
  for (const std::vector<std::string>& beyond : {std::vector<std::string>{"get", "clusterroles"},
                                                 {"get", "events", "-n", here().name()},
                                                 {"get", "serviceaccounts", "-n", here().name()}}) {
    const auto refused = account.run(beyond);
    EXPECT_NE(refused.exit_code, 0) << fmt::format("{}", fmt::join(beyond, " "));
    EXPECT_THAT(refused.error_output, HasSubstr("forbidden")) << fmt::format("{}", fmt::join(beyond, " "));
  }
  EXPECT_NO_THROW(account({"get", "namespaces", "-o", "name"}));
}

}  // namespace
}  // namespace opi::provision
