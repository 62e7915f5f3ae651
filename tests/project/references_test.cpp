#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include <string>

#include "project/errors_of.hpp"

namespace opi::project {
namespace {

using test::errors_of;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(ProjectReferences, CloneFromIsATextIn2025AndARecordIn2026) {
  const std::string tail = "name: x\nclusters: [c]\ndeployments:\n  - {name: a}\n";
  EXPECT_THAT(errors_of("schema-version: 2.9\n" + tail + "  - {name: b, clone-from: a}\n"),
              ElementsAre("p.yaml:6:27: deployments[1].clone-from: expected mapping, got string"));
  EXPECT_THAT(errors_of(tail + "  - {name: b, clone-from: {reference: a}}\n"),
              ElementsAre("p.yaml:5:27: deployments[1].clone-from: expected string, got mapping"));
  EXPECT_THAT(errors_of(tail + "  - {name: b, clone-from: b}\n"),
              ElementsAre("p.yaml:5:27: deployments[1].clone-from: a deployment cannot be cloned from itself"));
  EXPECT_THAT(
      errors_of(tail + "  - {name: b, clone-from: c}\n"),
      ElementsAre("p.yaml:5:27: deployments[1].clone-from: \"c\" is not a deployment of this project (known: a, b)"));
  EXPECT_THAT(
      errors_of("schema-version: 2\n" + tail + "  - {name: b, clone-from: {type: remote-source, reference: r}}\n"),
      ElementsAre("p.yaml:6:60: deployments[1].clone-from.reference: \"r\" is not one of the remote-sources (there "
                  "is none)"));
}

TEST(ProjectReferences, NamesAreUnique) {
  EXPECT_THAT(errors_of("name: x\nclusters: [c, c]\ncomponents: [{name: a}, {name: a}]\n"
                        "deployments: [{name: d}, {name: d, components: [{reference: a}, {reference: a}]}]\n"
                        "repositories: [{name: r, url: 'https://x'}, {name: r, url: 'https://y'}]\n"),
              ElementsAre("p.yaml:2:15: clusters[1]: \"c\" is here twice, first in line 2, column 12",
                          "p.yaml:3:32: components[1].name: \"a\" is here twice, first in line 3, column 21",
                          "p.yaml:4:15: deployments[0].cluster: is required: the project has several clusters",
                          "p.yaml:4:26: deployments[1].cluster: is required: the project has several clusters",
                          "p.yaml:4:33: deployments[1].name: \"d\" is here twice, first in line 4, column 22",
                          "p.yaml:4:77: deployments[1].components[1].reference: \"a\" is here twice, first in line 4, "
                          "column 61",
                          "p.yaml:5:52: repositories[1].name: \"r\" is here twice, first in line 5, column 23"));
}

TEST(ProjectReferences, DatabaseNamesThatWouldCollideAreRefused) {
  const std::string head =
      "name: s\nclusters: [c]\ncomponents: [{name: a, uses-services: [postgresql-database]}, {name: b}]\n"
      "deployments:\n";
  const auto deployment = [](const char* name, const char* component = "a") {
    return std::string("  - {name: ") + name + ", components: [{reference: " + component + "}]}\n";
  };
  EXPECT_THAT(
      errors_of(head + deployment("api") + deployment("api-v1")),
      ElementsAre("p.yaml:6:12: deployments.name: the database name \"s_api_v1\" of s/api-v1 is a name that is made "
                  "from that of s/api: declared at p.yaml:5:12; rename one of the two deployments"));
  EXPECT_EQ(errors_of(head + deployment("x-ro") + deployment("x")).size(), 1U);
  EXPECT_EQ(errors_of(head + deployment("x") + deployment("x--a")).size(), 1U);
  EXPECT_THAT(errors_of(head + deployment("api-v1") + deployment("x-ro")), IsEmpty()) << "alone they are fine";
  EXPECT_THAT(errors_of(head + deployment("api") + deployment("api-v1", "b")), IsEmpty()) << "the second has none";
}

TEST(ProjectReferences, ClustersAreOfTheProjectAndOfTheSettings) {
  const ParseContext context{.known_clusters = {"local", "odcn-production"}};
  EXPECT_THAT(
      errors_of("name: x\ndeployments:\n  - name: a\n    cluster: local\n  - name: b\n    cluster: locl\n", context),
      ElementsAre("p.yaml:6:14: deployments[1].cluster: \"locl\" is not a known cluster (known: local, "
                  "odcn-production); did you mean \"local\"?"));
  EXPECT_THAT(
      errors_of("name: x\nclusters: [local, odcn-production]\ndeployments: [{name: a, cluster: lab}]\n"),
      ElementsAre("p.yaml:3:34: deployments[0].cluster: \"lab\" is not one of the project's clusters (known: local, "
                  "odcn-production)"));
  EXPECT_THAT(errors_of("name: x\nclusters: [lab]\ndeployments: [{name: a, cluster: lab}]\n", context),
              ElementsAre("p.yaml:2:12: clusters[0]: \"lab\" is not a known cluster (known: local, odcn-production)"))
      << "said once, where it is declared";
  EXPECT_THAT(errors_of("name: x\ndeployments: [{name: a}]\n"),
              ElementsAre("p.yaml:2:15: deployments[0].cluster: is required"));
}

TEST(ProjectReferences, PoolsAreThoseOfTheSettings) {
  const std::string text = "name: x\nservices: [{name: postgresql-database, config: {pool: analitics}}]\n";
  EXPECT_THAT(errors_of(text), IsEmpty());
  EXPECT_THAT(
      errors_of(text, {.known_pools = {"main", "analytics"}}),
      ElementsAre("p.yaml:2:55: services.postgresql-database.config.pool: \"analitics\" is not a known pool (known: "
                  "main, analytics); did you mean \"analytics\"?"));
}

TEST(ProjectReferences, TheNamespaceIsPinnedToTheProjectIn2026) {
  const std::string text = "name: shop\nclusters: [c]\ndeployments: [{name: a, namespace: kube-system}]\n";
  EXPECT_THAT(
      errors_of("schema-version: 2\n" + text),
      ElementsAre("p.yaml:4:36: deployments[0].namespace: \"kube-system\" is not the project's name; leave it out or "
                  "write \"shop\""));
  EXPECT_THAT(errors_of(text), IsEmpty());
}

TEST(ProjectReferences, SchemasThatDoNotFitBehindADeploymentsNameAreRefusedNeverCut) {
  const std::string text =
      "schema-version: 2\nname: " + std::string(30, 'p') +
      "\nclusters: [c]\nservices: [{postgresql-database: {config: {schemas: [{postfix: " + std::string(32, 's') +
      "}]}}}]\ncomponents: [{name: a, services: [postgresql-database]}]\n"
      "deployments: [{name: prod, components: [{reference: a}]}]\n";
  const auto errors = errors_of(text);
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_THAT(errors[0], HasSubstr("has 68 bytes; PostgreSQL takes 63"));
}

TEST(ProjectReferences, NamesThatAMessageListsAreEscapedAndCut) {
  const auto errors = errors_of(
      "name: x\nclusters: [c]\ncomponents: [{name: \"we\\tb\\e[2J\"}]\n"
      "deployments: [{name: prod, components: [{reference: web}]}]\n");
  ASSERT_FALSE(errors.empty());
  for (const std::string& error : errors) {
    EXPECT_TRUE(std::ranges::all_of(error, [](char c) { return static_cast<unsigned char>(c) >= 0x20; })) << error;
  }
}

TEST(ProjectReferences, AMistypedAgeKeyShowsInItsChecksum) {
  const std::string key = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
  EXPECT_THAT(errors_of("name: x\nconfig: {age-public-key: " + key + "}\n"), IsEmpty());
  std::string typo = key;
  typo[20] = typo[20] == 'q' ? 'p' : 'q';
  EXPECT_THAT(errors_of("name: x\nconfig: {age-public-key: " + typo + "}\n"),
              ElementsAre("p.yaml:2:26: config.age-public-key: is mistyped: its checksum does not fit"));
  EXPECT_THAT(errors_of("name: x\nconfig: {age-public-key: age1short}\n"),
              ElementsAre("p.yaml:2:26: config.age-public-key: \"age1short\" is not valid: expected an age public key "
                          "(age1…, 62 characters)"));
}

}  // namespace
}  // namespace opi::project
