#include "project/parser.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "project/errors_of.hpp"

namespace opi::project {
namespace {

using test::errors_of;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Project project_of(std::string_view text, const ParseContext& context = {}) {
  auto parsed = parse_project(text, "p.yaml", context);
  if (parsed) return std::move(*parsed);
  for (const Error& error : parsed.error()) ADD_FAILURE() << error.to_string();
  return {};
}

constexpr std::string_view armored =
    "|\n    -----BEGIN AGE ENCRYPTED FILE-----\n    YWdlLWVuY3J5cHRpb24\n    -----END AGE ENCRYPTED FILE-----\n";

std::string whole_2025() {
  return "name: shop-x7k\n"
         "display-name: Shop\n"
         "description: |\n  Two\n  lines\n"
         "clusters: [local]\n"
         "services: [postgresql-database, publish-on-web]\n"
         "config:\n"
         "  age-public-key: age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\n"
         "  age-private-key: " +
         std::string(armored) + "  api-key: " + std::string(armored) +
         "  keycloak: [{host: h, realm: r, username: u, password: 'plain:x'}]\n"
         "users: [{email: a@b.example, role: whatever they like}]\n"
         "repositories: [{name: main repo, url: 'git@host.example:org/repo.git', username: git, password: x,\n"
         "                branch: release/1, path: deploy/here, ssh_key_path: /k}]\n"
         "components:\n"
         "  - name: web\n"
         "    type: deployment\n"
         "    ports: {inbound: [8080, 9090], outbound: [5432]}\n"
         "    uses-services: [publish-on-web, postgresql-database]\n"
         "    uses-components: [job]\n"
         "    storage: [{name: data, type: persistent, size: 1Gi, mount-path: /data}]\n"
         "    resources: {cpu: 0.5, memory: 512Mi}\n"
         "    user-env-vars: {LOG_LEVEL: debug, WORKERS: 4, VERBOSE: true, EMPTY: }\n"
         "    publish-on-web: true\n"
         "    sso-rijk: false\n"
         "  - {name: job, type: cronjob, user-env-vars: 'age:x'}\n"
         "deployments:\n"
         "  - name: prod\n"
         "    repository: main repo\n"
         "    components: [{reference: web, image: 'x:1'}, {reference: job, env-vars: {A: b}}]\n"
         "  - {name: jobs, cluster: local, namespace: other, components: [{reference: job}], subdomain: jobs}\n"
         "  - {name: copy, components: [{reference: web}], clone-from: prod, force-clone: true, configuration: "
         "'age:x'}\n";
}

TEST(ProjectParser, ReadsEveryPartOfTheLayoutOf2025) {
  const Project project = project_of(whole_2025());
  EXPECT_EQ(project.name.value, "shop-x7k");
  EXPECT_EQ(project.name.place.to_string(), "p.yaml:1:7");
  EXPECT_EQ(project.schema_version, "");
  EXPECT_EQ(project.description, "Two\nlines\n");
  EXPECT_THAT(project.clusters, ElementsAre("local"));
  EXPECT_TRUE(project.database.wanted_by_project);
  EXPECT_THAT(project.config.age_private_key->value, HasSubstr("-----BEGIN AGE"));
  ASSERT_EQ(project.repositories.size(), 1U);
  EXPECT_EQ(project.repositories[0].branch, "release/1");
  EXPECT_EQ(project.users.at(0).role, "whatever they like");
  ASSERT_EQ(project.components.size(), 2U);
  EXPECT_THAT(project.components[0].ports, ElementsAre(8080, 9090));
  EXPECT_EQ(project.components[1].type, "cronjob");
  ASSERT_EQ(project.deployments.size(), 3U);
  const Deployment& prod = project.deployments[0];
  EXPECT_TRUE(prod.uses_database);
  EXPECT_EQ(prod.cluster.value, "local") << "the only cluster is the default";
  EXPECT_EQ(prod.namespace_.value, "shop-x7k") << "the project's name is the default";
  EXPECT_EQ(prod.components.size(), 2U);
  EXPECT_FALSE(project.deployments[1].uses_database);
  EXPECT_EQ(project.deployments[1].namespace_.value, "other");
  const Deployment& copy = project.deployments[2];
  ASSERT_TRUE(copy.clone_from.has_value());
  EXPECT_EQ(copy.clone_from->reference.value, "prod");
  EXPECT_EQ(copy.clone_from->type, CloneFrom::Type::deployment);
  EXPECT_TRUE(copy.force_clone);
}

constexpr std::string_view whole_2026 = R"(schema-version: 2.9
name: a-name-of-up-to-thirty-letters
display-name: Wiki
clusters: [local, odcn-production]
services:
  - keycloak
  - name: redis
    config: {any: thing}
  - postgresql-database:
      config:
        scope: shared
        schemas: [{postfix: audit, description: who, marked-for-deletion: true}, {postfix: import_2}]
        pool: analytics
        connection-limit: 50
        extensions: [pg_trgm, uuid-ossp]
        encoding: LATIN1
        locale: de_DE.UTF-8
        read-only-login: true
        deletion: remove
users: [{email: a@b.example, role: owner}]
repositories: [{name: main, url: https://git.example/r.git}]
registries: [{name: own, url: registry.example, password: x}]
helm-charts: [{name: chart, values: {a: [1]}}]
helmfile: {anything: goes}
remote-sources:
  - name: legacy
    chisel: {server-url: https://t.example, username: u, password: p}
    services:
      postgresql-database: {host: db.example, port: 5432, username: u, password: p, database: d, schema: public}
      minio-storage: {bucket: b, secure: true}
invites: [{email: x}]
backup: {enabled: true}
domains: {allowed-subdomains: [a], allowed-domains: [{domain: d.example, status: approved, history: []}]}
components:
  - name: api
    services: [publish-on-web, {name: postgresql-database}, {temp-storage: {config: {size: 500Mi, mount-path: /tmp}}}]
    path: {match: /api, rewrite: /}
    security: {run-as-user: 1001, run-as-group: 1001, fs-group: 0}
    command: [serve, --port, "80"]
    aliases: [x]
    auto-tune-resources: false
    disabled: true
    disabled-reason: broken
    resources: {requests: {cpu: 1, memory: 1Gi}, limits: {memory: 1.5Gi}, history: []}
    user-env-vars: {A_B: c}
deployments:
  - name: prod
    cluster: local
    namespace: a-name-of-up-to-thirty-letters
    repository: main
    components: [{reference: api, image: "x@sha256:0", imagePullPolicy: Always, registry: own, disabled: false, services: []}]
    base-domain: apps.example
    domain-mode: nice
    domain-format: "{component}"
    root-component: api
    issuer: letsencrypt
    backup: {enabled: false}
    sleep: {state: awake, expires-at: "2026-01-01", wake-token: t}
    services:
      - reference: postgresql-database
        config:
          generation: 3
          revisions: [{generation: 2, resource-name: x, status: superseded, created_at: t, superseded_at: t, actions: {type: clone}}]
  - name: next
    cluster: odcn-production
    components: [{reference: api}]
    clone-from: {type: deployment, reference: prod, mode: always, status: {completed: true, timestamp: t, in-progress: false}}
  - {name: old, cluster: local, components: [{reference: api}], clone-from: {type: remote-source, reference: legacy}}
  - {name: saved, cluster: local, components: [{reference: api}], clone-from: {type: backup, reference: b1, backup_items: [x]}}
)";

TEST(ProjectParser, ReadsEveryPartOfTheLayoutsOf2026) {
  const Project project = project_of(whole_2026);
  EXPECT_EQ(project.schema_version, "2.9");
  const DatabaseService& database = project.database;
  EXPECT_TRUE(database.wanted_by_project);
  EXPECT_EQ(database.place.to_string(), "p.yaml:9:5");
  EXPECT_EQ(database.scope, "shared");
  EXPECT_EQ(database.pool->value, "analytics");
  EXPECT_EQ(database.connection_limit, 50);
  EXPECT_EQ(database.encoding->value, "LATIN1");
  EXPECT_EQ(database.locale->value, "de_DE.UTF-8");
  EXPECT_TRUE(database.read_only_login);
  EXPECT_EQ(database.deletion->value, "remove");
  ASSERT_EQ(database.schemas.size(), 2U);
  EXPECT_EQ(database.schemas[0].postfix.value, "audit");
  EXPECT_EQ(database.schemas[0].description, "who");
  EXPECT_TRUE(database.schemas[0].marked_for_deletion);
  EXPECT_FALSE(database.schemas[1].marked_for_deletion);
  EXPECT_EQ(database.extensions.at(1).value, "uuid-ossp");
  ASSERT_EQ(project.components.size(), 1U);
  EXPECT_EQ(project.components[0].services.size(), 3U);
  EXPECT_EQ(project.components[0].services[2].value, "temp-storage");
  ASSERT_EQ(project.deployments.size(), 4U);
  EXPECT_EQ(project.deployments[0].database_generation, 3);
  EXPECT_TRUE(project.deployments[0].uses_database);
  const CloneFrom& clone = *project.deployments[1].clone_from;
  EXPECT_EQ(clone.mode, CloneFrom::Mode::always);
  EXPECT_TRUE(clone.completed);
  EXPECT_EQ(project.deployments[2].clone_from->type, CloneFrom::Type::remote_source);
  EXPECT_EQ(project.deployments[3].clone_from->type, CloneFrom::Type::backup);
}

TEST(ProjectParser, ASmallestProjectIsAName) {
  const Project project = project_of("name: x\n");
  EXPECT_TRUE(project.deployments.empty());
  EXPECT_EQ(project.file, "p.yaml");
  EXPECT_FALSE(project.database.wanted_by_project);
}

TEST(ProjectParser, NullIsAsGoodAsAbsentButNotForWhatIsRequired) {
  EXPECT_THAT(errors_of("name: x\nconfig:\nrepositories: ~\ndeployments: null\n"), IsEmpty());
  EXPECT_THAT(errors_of("name:\n"), ElementsAre("p.yaml:1:6: name: is required and has no value"));
}

TEST(ProjectParser, EverySchemaVersionOfTheChainIsKnownAndNoOther) {
  for (const char* version : {"1", "2", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "2.7", "2.8", "2.9"}) {
    EXPECT_EQ(project_of(std::string("schema-version: ") + version + "\nname: x\n").schema_version, version);
  }
  EXPECT_EQ(project_of("schema-version: 2.0\nname: x\n").schema_version, "2");
  for (const char* version : {"0", "3", "2.10000001", "-2", "1.5", "99999999999999999999", ".nan", ".inf"}) {
    const auto errors = errors_of(std::string("name: x\nschema-version: ") + version + "\n");
    ASSERT_EQ(errors.size(), 1U) << version;
    EXPECT_THAT(errors[0], HasSubstr("p.yaml:2:17: schema-version: \"" + std::string(version) +
                                     "\" is not a known version (1, 2, 2.1, 2.2, 2.3, 2.4, 2.5, 2.6, 2.7, 2.8, 2.9)"));
  }
  EXPECT_THAT(errors_of("schema-version: '2.9'\nname: x\n")[0], HasSubstr("schema-version: expected a number"));
  EXPECT_THAT(errors_of("schema-version:\nname: x\n")[0], HasSubstr("got null"));
}

TEST(ProjectParser, EveryErrorOfTheFileIsToldInTheOrderOfItsPlace) {
  EXPECT_THAT(
      errors_of("nmae: shop\n"
                "clusters: local\n"
                "components:\n"
                "  - name: Web\n"
                "    ports: {inbound: [80, 70000, x]}\n"
                "    uses-services: [postgresql-databse]\n"
                "  - name: api\n"
                "deployments:\n"
                "  - name: prod\n"
                "    cluster: 5\n"
                "    components: [{reference: ap}]\n"
                "    repository: nowhere\n"),
      ElementsAre("p.yaml:1:1: nmae: unknown field; did you mean \"name\"?", "p.yaml:1:1: name: is required",
                  "p.yaml:2:11: clusters: expected list, got string",
                  "p.yaml:4:11: components[0].name: \"Web\" is not valid: expected lower-case letters, digits and "
                  "dashes, with a letter first and no dash last",
                  "p.yaml:5:27: components[0].ports.inbound[1]: \"70000\" is out of range: 1 to 65535",
                  "p.yaml:5:34: components[0].ports.inbound[2]: expected integer, got string",
                  testing::AllOf(testing::StartsWith("p.yaml:6:21: components[0].uses-services[0]: "
                                                     "\"postgresql-databse\" is not one of publish-on-web, "),
                                 testing::EndsWith("; did you mean \"postgresql-database\"?")),
                  "p.yaml:10:14: deployments[0].cluster: expected string, got integer; put it in quotes",
                  "p.yaml:11:30: deployments[0].components[0].reference: \"ap\" is not a component of this project "
                  "(known: Web, api); did you mean \"api\"?",
                  "p.yaml:12:17: deployments[0].repository: \"nowhere\" is not one of the repositories (there is "
                  "none)"));
}

TEST(ProjectParser, KeysTwiceAreToldBesideTheOtherErrors) {
  EXPECT_THAT(errors_of("name: x\nusers: 5\nname: y\n"),
              ElementsAre("p.yaml:2:8: users: expected list, got integer",
                          "p.yaml:3:1: the key \"name\" is here twice, first in line 1, column 1"));
}

TEST(ProjectParser, ErrorsAreCutAtTheLimitAndTheLastSaysSo) {
  std::string text = "name: x\n";
  for (int i = 0; i < 50; ++i) text += "field" + std::to_string(i) + ": 1\n";
  const auto errors = errors_of(text, {}, {.errors_max = 3});
  ASSERT_EQ(errors.size(), 4U);
  EXPECT_EQ(errors[2], "p.yaml:4:1: field2: unknown field");
  EXPECT_EQ(errors[3], "p.yaml:4:1: 47 more errors are not shown");
}

TEST(ProjectParser, NamesHaveTheLengthOfTheirLayout) {
  EXPECT_THAT(errors_of("name: " + std::string(20, 'a') + "\n"), IsEmpty());
  EXPECT_THAT(errors_of("name: " + std::string(21, 'a') + "\n"),
              ElementsAre("p.yaml:1:7: name: \"aaaaaaaaaaaaaaaaaaaaa\" is too long: 21 characters, at most 20"));
  EXPECT_THAT(errors_of("schema-version: 2\nname: " + std::string(30, 'a') + "\n"), IsEmpty());
  EXPECT_THAT(errors_of("schema-version: 2\nname: " + std::string(31, 'a') + "\n")[0], HasSubstr("at most 30"));
  for (const char* bad : {"Shop", "1shop", "-shop", "shop-", "sh_op", "sh.op", "'sh op'", "'shop\n'", "schön"}) {
    EXPECT_EQ(errors_of(std::string("name: ") + bad + "\n").size(), 1U) << bad;
  }
  EXPECT_THAT(errors_of("name: ''\n"), ElementsAre("p.yaml:1:7: name: is empty"));
}

TEST(ProjectParser, FieldsOfTheOtherLayoutAreNamedAsSuch) {
  EXPECT_THAT(
      errors_of("name: x\nbackup: {enabled: true}\n"),
      ElementsAre("p.yaml:2:1: backup: is a field of the layouts with a schema-version, not of the layout of 2025 "
                  "(no schema-version)"));
  EXPECT_THAT(
      errors_of("schema-version: 2.3\nname: x\ncomponents: [{name: a, uses-services: [redis]}]\n"),
      ElementsAre("p.yaml:3:24: components[0].uses-services: is a field of the layout of 2025 (no schema-version), "
                  "not of schema-version 2"));
  EXPECT_THAT(errors_of("schema-version: 1\nname: x\ncomponents: [{name: a, uses-services: [redis]}]\n"), IsEmpty());
}

TEST(ProjectParser, ServicesTakeThreeFormsAndNoOther) {
  const auto services = [](const char* list) { return errors_of(std::string("name: x\nservices: ") + list + "\n"); };
  EXPECT_THAT(services("[redis, {name: redis}, {redis: }, {redis: {config: {a: b}}}, {name: redis, config: {}}]"),
              IsEmpty());
  EXPECT_THAT(services("[rediss]")[0], HasSubstr("services[0]: \"rediss\" is not one of "));
  EXPECT_THAT(services("[{rediss: {}}]")[0], HasSubstr("did you mean \"redis\"?"));
  EXPECT_THAT(services("[{name: redis, confg: {}}]"),
              ElementsAre("p.yaml:2:26: services[0].confg: unknown field; did you mean \"config\"?"));
  EXPECT_THAT(
      services("[{redis: {}, vlam: {}}]"),
      ElementsAre("p.yaml:2:12: services[0]: expected {name, config} or the name of one service with its config"));
  EXPECT_THAT(services("[{redis: {cfg: 1}}]"), ElementsAre("p.yaml:2:21: services[0].redis.cfg: unknown field"));
  EXPECT_THAT(services("[5]"), ElementsAre("p.yaml:2:12: services[0]: expected string, got integer; put it in quotes"));
  EXPECT_THAT(services("[[]]")[0], HasSubstr("got list"));
  EXPECT_THAT(services("[~]")[0], HasSubstr("got null"));
  EXPECT_THAT(services("[postgresql-database, {postgresql-database: {config: {}}}]"),
              ElementsAre("p.yaml:2:33: services[1]: postgresql-database is here twice"));
}

TEST(ProjectParser, TheDatabaseServiceIsClosedAndSpeaksForTheWholeProject) {
  EXPECT_THAT(
      errors_of("name: x\nservices:\n  - postgresql-database:\n      config:\n        conection-limit: 5\n"
                "        deletion: maybe\n        connection-limit: 0\n        extensions: [Bad, pg_trgm, pg_trgm]\n"
                "        schemas: [{postfix: a}, {postfix: a}, {postfix: 1a}]\n"),
      ElementsAre("p.yaml:5:9: services[0].postgresql-database.config.conection-limit: unknown field; did you mean "
                  "\"connection-limit\"?",
                  "p.yaml:6:19: services[0].postgresql-database.config.deletion: \"maybe\" is not one of keep, remove",
                  "p.yaml:7:27: services[0].postgresql-database.config.connection-limit: \"0\" is out of range: 1 to "
                  "100000",
                  "p.yaml:8:22: services[0].postgresql-database.config.extensions[0]: \"Bad\" is not valid: expected "
                  "the name of a PostgreSQL extension in lower case",
                  "p.yaml:8:36: services.postgresql-database.config.extensions: \"pg_trgm\" is here twice, first in "
                  "line 8, column 27",
                  "p.yaml:9:43: services.postgresql-database.config.schemas: \"a\" is here twice, first in line 9, "
                  "column 29",
                  "p.yaml:9:57: services[0].postgresql-database.config.schemas[2].postfix: \"1a\" is not valid: "
                  "expected lower-case letters, digits and underscores, with a letter first"));
  EXPECT_THAT(
      errors_of("schema-version: 2\nname: x\ncomponents:\n  - name: a\n    services:\n"
                "      - {name: postgresql-database, config: {pool: p}}\n"),
      ElementsAre("p.yaml:6:46: components[0].services[0].config.pool: belongs to postgresql-database in the project's "
                  "services"));
}

TEST(ProjectParser, SecretsAreNeverShown) {
  for (const std::string& text :
       {std::string("name: x\nconfig: {api-key: hunter2}\n"),
        std::string("name: x\nconfig: {age-private-key: hunter2}\n"),
        std::string("name: x\nconfig: {api-key: [hunter2]}\n"),
        std::string("name: x\nrepositories: [{name: a, url: 'https://x', password: {p: hunter2}}]\n"),
        std::string("schema-version: 2\nname: x\ncomponents: [{name: a, user-env-vars: {A: \"hunter2\\n\"}}]\n"),
        "name: x\nconfig: {api-key: 'age:" + std::string(100'001, 'x') + "hunter2'}\n"}) {
    const auto errors = errors_of(text);
    ASSERT_EQ(errors.size(), 1U) << text.substr(0, 200);
    EXPECT_THAT(errors[0], testing::Not(HasSubstr("hunter2")));
  }
  EXPECT_THAT(
      errors_of("name: x\nconfig: {api-key: hunter2}\n"),
      ElementsAre("p.yaml:2:19: config.api-key: the value is not valid: expected an encrypted value: an armored AGE "
                  "block, or one behind age: or base64+age:"));
}

TEST(ProjectParser, HostileValuesAreRefused) {
  const auto one = [](const std::string& line) {
    return errors_of("schema-version: 2\nname: x\n" + line + "\n").size();
  };
  EXPECT_EQ(one("repositories: [{name: a, url: 'file:///etc'}]"), 1U);
  EXPECT_EQ(one("repositories: [{name: a, url: 'ext::sh -c id'}]"), 1U);
  EXPECT_EQ(one("repositories: [{name: a, url: 'ssh://-oProxyCommand=x'}]"), 1U);
  EXPECT_EQ(one("repositories: [{name: a, url: 'https://x', path: ../../etc}]"), 1U);
  EXPECT_EQ(one("repositories: [{name: a, url: 'https://x', branch: --upload-pack=x}]"), 1U);
  EXPECT_EQ(one("components: [{name: a, image: 'x; rm -rf /'}]"), 1U);
  EXPECT_EQ(one("components: [{name: a, user-env-vars: {'A B': c}}]"), 1U);
  EXPECT_EQ(one("components: [{name: a, user-env-vars: {A: \"b\\nc\"}}]"), 1U);
  EXPECT_EQ(one("components: [{name: a, path: '/x/../y'}]"), 1U);
  EXPECT_EQ(one("users: [{email: 'a b'}]"), 1U);
  EXPECT_EQ(one("users: [{email: a@b, role: root}]"), 1U);
  EXPECT_EQ(one("components: [{name: a, resources: {cpu: -1}}]"), 1U);
}

TEST(ProjectParser, WhatIsNoProjectAtAllIsSaidInOneLine) {
  EXPECT_THAT(errors_of(""), ElementsAre("p.yaml:1:1: the file is empty; a project needs at least a name"));
  EXPECT_THAT(errors_of("# only this\n"),
              ElementsAre("p.yaml:1:1: the file is empty; a project needs at least a name"));
  EXPECT_THAT(errors_of("- a\n"), ElementsAre("p.yaml:1:1: expected mapping, got list"));
  EXPECT_THAT(errors_of("hello\n"), ElementsAre("p.yaml:1:1: expected mapping, got string"));
  EXPECT_THAT(errors_of("name: x\n---\nname: y\n"),
              ElementsAre("p.yaml:3:1: a second document starts here; a project file has one"));
  EXPECT_THAT(errors_of("name: x\n\tuses: y\n")[0], HasSubstr("p.yaml:2:1: not valid YAML"));
  EXPECT_THAT(errors_of("name: x\n<<: {a: b}\n"),
              ElementsAre("p.yaml:2:1: \"<<\": merge keys are not supported; write the fields out"));
}

TEST(ProjectParser, LimitsHoldForTheWholeFile) {
  EXPECT_THAT(errors_of("name: x\ndescription: " + std::string(5'000, 'x') + "\n", {}, {.bytes_max = 1'000})[0],
              HasSubstr("the file has 5022 bytes; at most 1000 are read"));
  EXPECT_THAT(errors_of("name: x\nhelmfile: " + std::string(60, '[') + "\n")[0],
              HasSubstr("nested deeper than 40 levels"));
  EXPECT_THAT(errors_of("name: x\ndescription: " + std::string(20'001, 'x') + "\n"),
              ElementsAre("p.yaml:2:14: description: \"" + std::string(40, 'x') +
                          "…\" is too long: 20001 characters, at most 20000"));
}

TEST(ProjectParser, TheExamplesAreValid) {
  for (const char* name : {"shop", "wiki", "atlas"}) {
    const std::string path = std::string(OPI_SOURCE_DIR) + "/examples/projects/" + name + ".yaml";
    std::ifstream file(path);
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    const auto parsed =
        parse_project(text, path, {.known_clusters = {"local", "odcn-production"}, .known_pools = {"main"}});
    if (!parsed) ADD_FAILURE() << parsed.error().front().to_string();
    if (!parsed) continue;
    EXPECT_EQ(parsed->name.value, name);
    EXPECT_FALSE(parsed->deployments.empty());
    for (const Deployment& deployment : parsed->deployments) EXPECT_TRUE(deployment.uses_database);
  }
}

}  // namespace
}  // namespace opi::project
