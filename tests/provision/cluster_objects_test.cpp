// What has to stand in the cluster, and what becomes of what is found there: pure functions, by table.
#include "provision/cluster_objects.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "provision/cluster_plan.hpp"
#include "provision/gitops_manifests.hpp"
#include "secrets/sops.hpp"

namespace opi::provision {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

SourcedProject project_of(const std::string& name, const std::vector<std::string>& deployments,
                          const std::string& name_space) {
  SourcedProject from;
  from.source = {.file = "projects/" + name + ".yaml", .blob = "b1", .commit = "c1"};
  from.project.name = {name, {}};
  for (const auto& one : deployments) {
    project::Deployment deployment;
    deployment.name = {one, {}};
    deployment.cluster = {"local", {}};
    deployment.namespace_ = {name_space, {.file = from.source.file, .line = 7, .column = 5}};
    from.project.deployments.push_back(std::move(deployment));
  }
  return from;
}

Credentials credentials() {
  Credentials with{.project = "shop", .deployment = "prod", .hosts = {{"db.example", 5432}}};
  with.database = with.schema = "shop_prod";
  with.schemas = {"shop_prod"};
  with.user = "shop_prod__a";
  with.password = SecretString("p:a\\s&s");
  return with;
}

kube::Object parsed(std::string_view text) {
  return boost::json::parse(text).as_object();
}

TEST(ClusterObjects, ANamespaceOfSeveralDeploymentsIsOneNamespace) {
  const auto all = desired_namespaces({project_of("shop", {"staging", "prod"}, "shop")}, {}, {});
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].name, "rig-shop");
  EXPECT_THAT(all[0].titles(), ElementsAre("shop/prod", "shop/staging"));
  EXPECT_FALSE(all[0].refusal);
}

TEST(ClusterObjects, NamespacesOfThePlatformAndOfOtherProjectsAreRefused) {
  ClusterRules bare{.namespace_prefix = ""};
  const auto platform = desired_namespaces({project_of("shop", {"prod"}, "kube-system")}, bare, {});
  ASSERT_TRUE(platform.at(0).refusal);
  EXPECT_THAT(platform[0].refusal->to_string(), HasSubstr("projects/shop.yaml:7:5"));

  const std::vector both{project_of("shop", {"prod"}, "one"), project_of("wiki", {"prod"}, "one")};
  const auto unowned = desired_namespaces(both, {}, {});
  EXPECT_TRUE(unowned.at(0).refusal && unowned.at(1).refusal) << "nobody has it, so nobody gets it";
  const auto owned = desired_namespaces(both, {}, {{"rig-one", "wiki"}});
  EXPECT_TRUE(owned.at(0).refusal) << "a new file takes nothing from who was there";
  EXPECT_FALSE(owned.at(1).refusal);
}

TEST(ClusterObjects, ANamespaceCarriesItsLabelsAndTheWantedPolicies) {
  ClusterRules rules{.labels = {{"team", "a"}, {"created-by", "somebody"}}, .argocd_namespace = "argo"};
  rules.quota = {{"requests.cpu", "4"}};
  rules.limits_default = {{"memory", "256Mi"}};
  rules.traffic = ClusterRules::Traffic::deny_all;
  const auto wanted = desired_namespaces({project_of("shop", {"prod"}, "shop")}, rules, {}).at(0);
  const auto objects = namespace_objects(wanted, rules);
  ASSERT_EQ(objects.size(), 4U);
  const auto label = [&](std::string_view key) { return kube::metadata_entry(objects[0].body, "labels", key); };
  EXPECT_EQ(label("created-by"), "operations-manager") << "ours win";
  EXPECT_EQ(label("operations-manager/deployment"), "prod");
  EXPECT_EQ(label("pod-security.kubernetes.io/enforce"), "baseline");
  EXPECT_EQ(label("argocd.argoproj.io/managed-by"), "argo");
  EXPECT_EQ(label("team"), "a");
  EXPECT_EQ(objects[1].body.at("spec"), parsed(R"({"hard": {"requests.cpu": "4"}})"));
  EXPECT_EQ(objects[3].body.at("spec"), parsed(R"({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})"));
  EXPECT_EQ(namespace_objects(wanted, {}).size(), 1U);
}

TEST(ClusterObjects, ACredentialSecretHasTheKeysThatApplicationsKnowAndTheTemplates) {
  const ClusterRules rules{.secret_templates = {{"SPRING_URL", "jdbc:postgresql://{host}:{port}/{database}?{x}"}}};
  const auto data = credentials_data(credentials(), rules);
  const auto value = [&](std::string_view key) { return std::string(data.at(std::string(key)).reveal()); };
  for (const auto* key : {"DATABASE_SERVER_HOST", "APP_DATABASE_SERVER", "APP_DATABASE_PORT", "DATABASE_SERVER_USER",
                          "APP_DATABASE_PASSWORD", "DATABASE_DB", "APP_DATABASE_SCHEMA", "DATABASE_SERVER_FULL"})
    EXPECT_TRUE(data.contains(key)) << key;
  EXPECT_EQ(value("uri"), "postgresql://shop_prod__a:p%3Aa%5Cs%26s@db.example:5432/shop_prod");
  EXPECT_EQ(
      value("jdbc-uri"),
      "jdbc:postgresql://db.example:5432/shop_prod?user=shop_prod__a&password=p%3Aa%5Cs%26s&currentSchema=shop_prod");
  EXPECT_EQ(value("pgpass"), "db.example:5432:shop_prod:shop_prod__a:p\\:a\\\\s&s\n");
  EXPECT_EQ(value("SPRING_URL"), "jdbc:postgresql://db.example:5432/shop_prod?{x}") << "what is no name stays";
}

TEST(ClusterObjects, TheHashOfAContentIsTheSameFromTheClusterAndTellsEveryChange) {
  const auto hash = *secrets::KeyedHash::create(SecretString(std::string(32, 'k')));
  const auto data = credentials_data(credentials(), {});
  const auto object = credentials_object("rig-shop", credentials(), 7, {});
  const auto content = content_hash(hash, data);
  auto secret = with_data(object, data, content);
  EXPECT_EQ(content_hash_of(hash, secret), content);
  EXPECT_EQ(kube::metadata_entry(secret, "annotations", hash_annotation), content);
  secret["data"].as_object()["pgpass"] = "AAAA";
  EXPECT_NE(content_hash_of(hash, secret), content);
  EXPECT_NE(credentials_object("rig-shop", credentials(), 8, {}).inputs, object.inputs) << "another login";
  EXPECT_THAT(boost::json::serialize(object.body), Not(HasSubstr("s&s")));
}

TEST(ClusterObjects, BothKeysOfARotationAreThereUnderBothSpellings) {
  std::vector<store::ProjectKey> keys;
  std::vector<SecretString> opened;
  for (const auto* created : {"2026-02-02", "2026-01-01"}) {
    const auto identity = secrets::AgeIdentity::generate();
    keys.push_back({.project = "shop", .recipient = identity.recipient().to_string(), .current = keys.empty()});
    opened.push_back(identity.to_key_file(created));
  }
  const auto data = key_data(keys, opened);
  ASSERT_EQ(data.size(), 3U);
  const auto together = std::string(data.at("key").reveal());
  EXPECT_LT(together.find(keys[0].recipient), together.find(keys[1].recipient)) << "the current one first";
  for (const auto& key : keys) EXPECT_TRUE(data.contains(key.recipient.substr(key.recipient.size() - 12) + ".agekey"));
}

TEST(ClusterObjects, OnlyWhatWeSetIsComparedAndQuantitiesAsSuch) {
  const auto wanted =
      parsed(R"({"spec": {"hard": {"cpu": "0.5", "memory": "1Gi"}}, "metadata": {"labels": {"a": "b"}}})");
  EXPECT_FALSE(first_difference(wanted, parsed(R"({"spec": {"hard": {"cpu": "500m", "memory": "1024Mi", "pods": "4"}},
      "metadata": {"labels": {"a": "b", "c": "d"}, "uid": "1"}, "status": {}})")));
  EXPECT_EQ(first_difference(wanted, parsed(R"({"spec": {"hard": {"cpu": "2", "memory": "1Gi"}},
      "metadata": {"labels": {"a": "b"}}})")),
            "spec.hard.cpu");
  EXPECT_EQ(first_difference(wanted, parsed(R"({"spec": {"hard": {"cpu": "0.5", "memory": "1Gi"}}})")), "metadata");
}

struct DecisionCase {
  std::string name;
  Presence presence;
  std::string known;  ///< inputs of the record: "" for none, "same" or "other"
  DriftPolicy policy;
  ClusterStep step;
};
class Decision : public ::testing::TestWithParam<DecisionCase> {};

TEST_P(Decision, FollowsFromWhatIsWantedFoundAndKnown) {
  const auto& given = GetParam();
  const auto object = credentials_object("rig-shop", credentials(), 7, {});
  store::ClusterObjectRow row{.version = "uid"};
  row.inputs = given.known == "same" ? object.inputs : "other";
  const ClusterRules rules{.secret_drift = given.policy};
  const auto decision =
      decide(object, {.presence = given.presence, .detail = "data"}, given.known.empty() ? nullptr : &row, rules);
  EXPECT_EQ(decision.step, given.step);
  EXPECT_EQ(decision.error.has_value(), given.step == ClusterStep::refuse || given.step == ClusterStep::wait);
}

INSTANTIATE_TEST_SUITE_P(
    All, Decision,
    ::testing::Values(DecisionCase{"New", Presence::absent, "", DriftPolicy::fix, ClusterStep::create},
                      DecisionCase{"Deleted", Presence::absent, "same", DriftPolicy::fix, ClusterStep::restore},
                      DecisionCase{"Good", Presence::same, "same", DriftPolicy::fix, ClusterStep::nothing},
                      DecisionCase{"Rotated", Presence::same, "other", DriftPolicy::warn, ClusterStep::change},
                      DecisionCase{"Touched", Presence::different, "same", DriftPolicy::fix, ClusterStep::correct},
                      DecisionCase{"TouchedAndLeft", Presence::different, "same", DriftPolicy::warn, ClusterStep::warn},
                      DecisionCase{"Ignored", Presence::different, "same", DriftPolicy::ignore, ClusterStep::nothing},
                      DecisionCase{"TouchedAndRotated", Presence::different, "other", DriftPolicy::warn,
                                   ClusterStep::change},
                      DecisionCase{"Foreign", Presence::foreign, "", DriftPolicy::fix, ClusterStep::refuse},
                      DecisionCase{"Ending", Presence::terminating, "same", DriftPolicy::fix, ClusterStep::wait}),
    [](const auto& one) { return one.param.name; });

TEST(GitopsManifests, ASealedSecretOpensWithTheProjectsKeyAndOnlyItsValuesAreSealed) {
  const auto identity = secrets::AgeIdentity::generate();
  const auto object = credentials_object("rig-shop", credentials(), 7, {});
  const auto sealed =
      sealed_manifest(object, credentials_data(credentials(), {}), "hash", {identity.recipient()}, WallTime{});
  ASSERT_TRUE(sealed) << sealed.error().to_string();
  EXPECT_THAT(*sealed, HasSubstr("prod-database"));
  EXPECT_THAT(*sealed, Not(HasSubstr("shop_prod__a")));
  const auto opened = secrets::sops::decrypt(*sealed, secrets::sops::Format::yaml, {.identities = {&identity, 1}});
  ASSERT_TRUE(opened) << opened.error().to_string();
  EXPECT_THAT(std::string(opened->reveal()), HasSubstr("DATABASE_PASSWORD: "));
  EXPECT_TRUE(is_manifest_of(*sealed, "shop"));
  EXPECT_FALSE(is_manifest_of(*sealed, "wiki"));
  EXPECT_FALSE(sealed_manifest(object, credentials_data(credentials(), {}), "hash", {}, WallTime{})) << "for nobody";
}

TEST(GitopsManifests, ASecretInTheClearIsNeverLetThrough) {
  const std::string clear = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {password: hush}\n";
  for (const std::string& text : std::vector<std::string>{
           clear, "---\nkind: ConfigMap\n---\n" + clear,
           std::string(R"({"apiVersion": "v1", "kind": "Secret", "data": {"a": "aHVzaA=="}})"),
           "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  data: {a: aHVzaA==}\n",
           clear + "sops: {mac: \"ENC[AES256_GCM,data:x]\"}\n", std::string("kind: Secret\n\tbroken"),
           std::string("key: AGE-SECRET-KEY-1QQQ")}) {
    const auto verdict = refuse_plain_secret("a.yaml", text);
    ASSERT_FALSE(verdict) << text;
    EXPECT_EQ(verdict.error().kind, ErrorKind::denied);
    EXPECT_THAT(verdict.error().to_string(), Not(HasSubstr("hush")));
  }
  EXPECT_TRUE(refuse_plain_secret("a.yaml", "kind: ConfigMap\ndata: {a: b}\n"));
  EXPECT_TRUE(refuse_plain_secret("a.yaml", "kind: Kustomization\nspec: {secretRef: {name: Secret}}\n"));
}

TEST(GitopsManifests, TheWiringNamesEverythingThatStandsThereAndNothingElse) {
  const std::vector<std::string> paths{
      "apps/local/shop/_flux/old.yaml", "apps/local/shop/_namespaces/rig-shop/namespace.yaml",
      "apps/local/shop/_namespaces/rig-shop/sops-age-key.sops.yaml", "apps/local/shop/prod/database.sops.yaml"};
  GitopsRules rules{.path = "apps"};
  const auto flux = wiring_files(paths, {{"shop/prod", "rig-shop"}}, rules);
  EXPECT_EQ(flux.at("apps/local/shop/_flux/old.yaml"), std::nullopt) << "its deployment is gone";
  EXPECT_EQ(flux.at("apps/local/shop/kustomization.yaml"),
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n  - _flux/prod.yaml\n"
            "  - _namespaces/rig-shop\n");
  EXPECT_THAT(*flux.at("apps/local/shop/_flux/prod.yaml"), HasSubstr("name: sops-age-key"));
  EXPECT_THAT(*flux.at("apps/local/shop/prod/kustomization.yaml"), HasSubstr("resources:\n  - database.sops.yaml"));
  rules.wiring = GitopsWiring::ksops;
  const auto ksops = wiring_files(paths, {}, rules);
  EXPECT_THAT(*ksops.at("apps/local/shop/prod/kustomization.yaml"),
              HasSubstr("generators:\n  - secrets.generator.yaml"));
  EXPECT_THAT(*ksops.at("apps/local/shop/prod/secrets.generator.yaml"), HasSubstr("kind: ksops"));
  EXPECT_EQ(wiring_files(paths, {}, rules), ksops) << "the same for the same files";
}

}  // namespace
}  // namespace opi::provision
