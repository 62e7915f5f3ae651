// Namespaces, keys and credential Secrets: the same scenarios for every kind of cluster. The programs that this is
// linked into say which ones.
#include "integration/provision/cluster_world.hpp"
#include "secrets/age.hpp"

namespace opi::provision {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

TEST_P(Cluster, ADeploymentGetsItsNamespaceItsKeyAndItsCredentials) {
  const auto shop = unique("shop");
  declare(shop, {"prod", "staging"});
  apply_all(*databases_);
  auto manager = cluster();
  for (const auto& [title, outcome] : pass(*manager))
    EXPECT_FALSE(outcome.error) << title << outcome.error->to_string();
  EXPECT_TRUE(world_->has_namespace(shop, home(shop)));
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
  EXPECT_THAT(history(shop), Contains(HasSubstr("cluster Created secret " + home(shop) + "/prod-database")));
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

  ASSERT_TRUE(await(cluster({.key_overlap = std::chrono::hours(1)})->replace_key(shop, cause_, in(30s))));
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
  const DesiredDeployment desired = desired_state(projects_.projects(), desired_rules()).at(0);
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
  EXPECT_THAT(text, HasSubstr("+ namespace " + home(shop)));
  EXPECT_THAT(text, HasSubstr("+ secret    " + home(shop) + "/prod-database"));
  const auto report = apply_all(*manager);
  EXPECT_EQ(report.deployments.size(), 3U) << "the one without a database has a namespace as well";
  EXPECT_TRUE(world_->has_namespace(bare, home(bare)));
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

TEST_P(Cluster, WhatIsApprovedIsTheClustersPartAsWellAndNothingElse) {
  const auto shop = unique("shop");
  declare(shop, {"prod"});
  auto cluster_side = cluster();
  auto manager = with(*cluster_side);
  const auto approve = [&](const std::string& digest) { return await(manager->apply({}, cause_, {}, digest)); };
  const auto first = approve(plan(*manager).digest());
  ASSERT_TRUE(first) << first.error().to_string();
  const auto secret = database_secret(shop, "prod");
  const auto before = world_->read(secret);
  ASSERT_TRUE(before);
  EXPECT_EQ(before->at("uri"), credentials(*manager, shop, "prod").uri().reveal());

  world_->spoil(secret);
  const auto seen = plan(*manager).digest();
  world_->erase(secret);
  EXPECT_NE(plan(*manager).digest(), seen) << "to correct it is not to make it again";
  const auto moved = approve(seen);
  ASSERT_FALSE(moved);
  EXPECT_THAT(moved.error().to_string(), HasSubstr("the world has moved"));
  EXPECT_FALSE(world_->read(secret)) << "nothing was done";
  // Between the plan and the writing it moves too.
  const auto refused = await(cluster_side->begin_pass({}, cause_, in(30s), ApprovedObjects{}));
  ASSERT_TRUE(refused);
  EXPECT_TRUE(refused->at(shop + "/prod").refused);
  EXPECT_THAT(refused->at(shop + "/prod").error->to_string(), HasSubstr("was not in it"));
  EXPECT_FALSE(world_->read(secret));
  ASSERT_TRUE(approve(plan(*manager).digest()));
  EXPECT_EQ(world_->read(secret), before);

  // Another declaration of the same object is another plan.
  const ClusterRules dearer{.labels = {{"cost-centre", "12"}}};
  const ClusterRules cheaper{.labels = {{"cost-centre", "13"}}};
  EXPECT_NE(plan(*with(*cluster(dearer))).digest(), plan(*with(*cluster(cheaper))).digest());
}

TEST_P(Cluster, ACopyThatReplacesItsDatabaseAndATakenOverOneGetTheirRightSecrets) {
  const auto shop = unique("shop");
  const auto base = shop + "_old";
  execute("CREATE ROLE " + base + " LOGIN PASSWORD 'tiger'");
  execute("CREATE DATABASE " + base + " OWNER " + base);
  execute("CREATE SCHEMA " + base + " AUTHORIZATION " + base, base);
  const auto declare_with = [&](const std::string& of_copy) {
    const auto text = project_text(shop, {"prod", "old"}) + "  - name: copy\n    cluster: local\n" +
                      "    components: [{reference: web, image: registry.example/web:1}]\n    clone-from: prod\n" +
                      of_copy;
    for (const auto& error :
         projects_.replace("projects/" + shop + ".yaml", "b" + std::to_string(++blobs_), "c1", text))
      ADD_FAILURE() << error.to_string();
  };
  auto cluster_side = cluster();
  auto settings = this->settings();
  settings.clone.pg_dump = test::postgres_program_directory() / "pg_dump";
  settings.clone.pg_restore = test::postgres_program_directory() / "pg_restore";
  auto both = tools();
  both.cluster = cluster_side.get();
  auto manager = std::make_unique<DatabaseManager>(projects_, main(), settings, std::move(both));
  const auto right = [&](const std::string& deployment) {
    const auto expected = credentials(*manager, shop, deployment);
    const auto secret = world_->read(database_secret(shop, deployment));
    ASSERT_TRUE(secret) << deployment;
    EXPECT_EQ(secret->at("uri"), expected.uri().reveal());
    EXPECT_EQ(secret->at("DATABASE_DB"), expected.database);
    EXPECT_TRUE(log_in(expected)) << deployment;
  };
  declare_with("");
  const auto adopted = await(
      manager->adopt(shop, "old", {.how_far = store::Adoption::additive, .password = SecretString("tiger")}, cause_));
  ASSERT_TRUE(adopted) << adopted.error().to_string();
  ASSERT_FALSE(adopted->error) << adopted->error->to_string();
  right("old");
  EXPECT_EQ(world_->read(database_secret(shop, "old"))->at("DATABASE_PASSWORD"), "tiger");
  const auto report = apply_all(*manager);  // the copy and what it is copied from, in one pass
  EXPECT_EQ(report.count(DeploymentOutcome::created), 2U);
  right("copy");
  declare_with("    force-clone: true\n");
  apply_all(*manager);
  EXPECT_EQ(credentials(*manager, shop, "copy").database, shop + "_copy_v1");
  right("copy");
  const auto writes = world_->writes();
  apply_all(*manager);
  EXPECT_EQ(world_->writes(), writes);
}

TEST_P(Cluster, ANamespaceGoesOnlyWhenSomebodySaysSoAndNobodyIsInIt) {
  const auto shop = unique("shop");
  declare(shop, {"prod"});
  apply_all(*databases_);
  pass(*cluster());
  const auto let_go = [&] { return await(cluster()->let_namespace_go(home(shop), cause_, in(30s))); };
  auto refused = let_go();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::conflict);
  const auto nobodys = await(cluster()->let_namespace_go("kube-system", cause_, in(30s)));
  ASSERT_FALSE(nobodys);
  EXPECT_EQ(nobodys.error().kind, ErrorKind::not_found);

  projects_.remove("projects/" + shop + ".yaml");
  EXPECT_FALSE(let_go()) << "its data is still kept";
  execute("DELETE FROM opi.deployments WHERE project = '" + shop + "'", control_);
  pass(*cluster());
  EXPECT_TRUE(world_->has_namespace(shop, home(shop))) << "nobody said so";
  ASSERT_TRUE(let_go());
  declare(shop, {"next"});
  pass(*cluster());
  projects_.remove("projects/" + shop + ".yaml");
  pass(*cluster());
  EXPECT_TRUE(world_->has_namespace(shop, home(shop))) << "what was said before it was used again does not count";
  ASSERT_TRUE(let_go());
  const auto planned = await(cluster()->plan({}, in(30s)));
  ASSERT_TRUE(planned);
  std::vector<std::string> going;
  for (const auto& [title, outcome] : *planned)
    for (const auto& action : outcome.actions) going.push_back(action.object + " " + action.name);
  EXPECT_THAT(going, Contains("namespace " + home(shop)));
  pass(*cluster());
  EXPECT_FALSE(world_->has_namespace(shop, home(shop)));
  EXPECT_THAT(history(shop), Contains(HasSubstr("cluster Removed namespace " + home(shop))));
  const auto writes = world_->writes();
  pass(*cluster());
  EXPECT_EQ(world_->writes(), writes);
}

TEST_P(Cluster, TheKeyOfTheProjectFileIsTakenAndOneThatCannotBeOpenedTakesTheLastGoodOneFromNobody) {
  const auto shop = unique("shop");
  const auto identity = secrets::AgeIdentity::generate();
  const auto declare_key = [&](const std::string& sealed) {
    std::string indented = "  age-private-key: |\n    ";
    for (const char c : sealed) indented += c == '\n' ? std::string("\n    ") : std::string(1, c);
    auto text = project_text(shop, {"prod"});
    text.insert(text.find("clusters:"), "config:\n" + indented + "\n");
    for (const auto& error :
         projects_.replace("projects/" + shop + ".yaml", "b" + std::to_string(++blobs_), "c1", text))
      ADD_FAILURE() << error.to_string();
  };
  declare(shop, {"prod"});
  apply_all(*databases_);
  auto manager = cluster();
  pass(*manager);
  const auto made = world_->read(key_secret(shop));
  declare_key(secrets::age_armor(*key_.seal(identity.to_secret().reveal())));
  const auto planned = await(manager->plan({}, in(30s)));
  ASSERT_TRUE(planned);
  EXPECT_FALSE(planned->at(shop + "/prod").actions.empty()) << "the plan shows it";
  pass(*manager);
  const auto both = world_->read(key_secret(shop));
  ASSERT_TRUE(both);
  EXPECT_THAT(both->at("key"), HasSubstr(std::string(identity.to_secret().reveal())));
  EXPECT_EQ(both->size(), 3U) << "the one before stands beside it";
  EXPECT_FALSE(await(manager->replace_key(shop, cause_, in(30s)))) << "its file says which";
  EXPECT_TRUE(world_->read(database_secret(shop, "prod")));
  declare_key(secrets::age_armor(*secrets::PlatformKey::generate().seal("nothing of ours")));
  const auto broken = pass(*manager);
  ASSERT_TRUE(broken.at(shop + "/prod").error);
  EXPECT_THAT(broken.at(shop + "/prod").error->to_string(), HasSubstr("age-private-key"));
  EXPECT_EQ(world_->read(key_secret(shop)), both);
}

}  // namespace
}  // namespace opi::provision
