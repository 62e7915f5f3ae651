// Who owns which name on which server, and that a pass over a large estate stays three statements.
#include "store/inventory.hpp"

#include "integration/store/store_test.hpp"
#include "store/credential_journal.hpp"

namespace opi::store {
namespace {

TEST_F(StoreTest, ADeclarationGetsAStampThatStays) {
  const DeploymentRecord first = declared("shop", "prod");
  EXPECT_EQ(first.stamp.size(), 32U);
  EXPECT_EQ(first.state, DeploymentState::wanted);
  EXPECT_EQ(first.database_name, "shop_prod");
  EXPECT_EQ(first.pool, "main");
  Declaration moved = declaration("shop", "prod");
  moved.blob_id = "b2";
  moved.commit_id = "c2";
  const auto second = await(declare_deployment(connection_, moved));
  ASSERT_TRUE(second) << second.error().to_string();
  EXPECT_EQ(second->id, first.id);
  EXPECT_EQ(second->stamp, first.stamp);
  EXPECT_EQ(second->blob_id, "b2");
  EXPECT_EQ(second->commit_id, "c2");
}

TEST_F(StoreTest, DeclaringTheSameAgainWritesNothing) {
  declared("shop", "prod");
  const std::string before = query("SELECT xmin::text || ctid::text FROM opi.deployments");
  declared("shop", "prod");
  EXPECT_EQ(query("SELECT xmin::text || ctid::text FROM opi.deployments"), before);
}

TEST_F(StoreTest, TwoDeclarationsOfOneNameCollideWhicheverComesSecond) {
  // "a-b"/"c" and "a"/"b-c" have one name.
  Declaration one = declaration("a", "b-c");
  Declaration two = declaration("a-b", "c");
  one.base_name = two.base_name = "a_b_c";
  const auto outcomes = await(declare_deployments(connection_, {two, one}));
  ASSERT_TRUE(outcomes) << outcomes.error().to_string();
  ASSERT_EQ(outcomes->size(), 2U);
  ASSERT_FALSE((*outcomes)[0]);  // the first by key has it, in whatever order they came
  EXPECT_TRUE((*outcomes)[1]);
  EXPECT_EQ((*outcomes)[0].error().kind, ErrorKind::conflict);
  EXPECT_NE((*outcomes)[0].error().message.find("belongs to a/b-c"), std::string::npos);
  const auto later = await(declare_deployment(connection_, two));
  EXPECT_FALSE(later);
  EXPECT_EQ(query("SELECT count(*) FROM opi.deployments"), "1");
}

TEST_F(StoreTest, OneNameOnTwoServersIsNoCollision) {
  declared("shop", "prod");
  const auto other = await(register_server(connection_, "analytics", {.system_identifier = "2", .version = 150000}));
  ASSERT_TRUE(other);
  Declaration elsewhere = declaration("shop", "copy");
  elsewhere.base_name = "shop_prod";
  elsewhere.server_id = other->id;
  const auto record = await(declare_deployment(connection_, elsewhere));
  ASSERT_TRUE(record) << record.error().to_string();
  EXPECT_EQ(record->pool, "analytics");
}

TEST_F(StoreTest, ADeploymentDoesNotMoveByDeclaration) {
  declared("shop", "prod");
  const auto other = await(register_server(connection_, "analytics", {.system_identifier = "2", .version = 150000}));
  ASSERT_TRUE(other);
  Declaration moved = declaration("shop", "prod");
  moved.server_id = other->id;
  EXPECT_EQ(await(declare_deployment(connection_, moved)).error().kind, ErrorKind::conflict);
  Declaration renamed = declaration("shop", "prod");
  renamed.base_name = "another";
  EXPECT_EQ(await(declare_deployment(connection_, renamed)).error().kind, ErrorKind::conflict);
  EXPECT_EQ(await(find_deployment(connection_, {.project = "shop", .deployment = "prod"}))->base_name, "shop_prod");
}

TEST_F(StoreTest, SixteenSessionsDeclaringTheSameGetOneRecord) {
  std::vector<Task<Result<DeploymentRecord>>> calls;
  for (int i = 0; i < 16; ++i) calls.push_back(declare_deployment(connect(), declaration("shop", "prod")));
  std::set<std::string> stamps;
  for (const auto& record : sessions_.await_all(std::move(calls))) {
    ASSERT_TRUE(record) << record.error().to_string();
    stamps.insert(record->stamp);
  }
  EXPECT_EQ(stamps.size(), 1U);
}

TEST_F(StoreTest, ChangesAreKeptFieldByField) {
  const DeploymentRecord shop = declared("shop", "prod");
  ASSERT_TRUE(await(change_deployment(connection_, {.id = shop.id, .last_error = "no"})));
  ASSERT_TRUE(await(change_deployment(connection_, {.id = shop.id, .last_error = "still no"})));
  DeploymentRecord now = *await(find_deployment(connection_, shop.key));
  EXPECT_EQ(now.failures, 2);
  EXPECT_EQ(now.last_error, "still no");
  EXPECT_FALSE(now.ready_at);
  ASSERT_TRUE(await(change_deployment(connection_, {.id = shop.id,
                                                    .state = DeploymentState::ready,
                                                    .inputs_hash = "h1",
                                                    .secret_hash = "s1",
                                                    .last_error = "",
                                                    .looked_deep = true})));
  now = *await(find_deployment(connection_, shop.key));
  EXPECT_EQ(now.state, DeploymentState::ready);
  EXPECT_EQ(now.inputs_hash, "h1");
  EXPECT_EQ(now.secret_hash, "s1");
  EXPECT_EQ(now.failures, 0);
  EXPECT_TRUE(now.ready_at);
  EXPECT_TRUE(now.deep_look_at);
  EXPECT_EQ(now.database_name, "shop_prod");
  ASSERT_TRUE(await(change_deployment(connection_, {.id = shop.id, .database_name = "shop_prod_v1", .generation = 1})));
  now = *await(find_deployment(connection_, shop.key));
  EXPECT_EQ(now.database_name, "shop_prod_v1");
  EXPECT_EQ(now.generation, 1);
  EXPECT_EQ(now.inputs_hash, "h1");
}

TEST_F(StoreTest, ATombstoneKeepsItsFirstTimeAndARevivalClearsIt) {
  const DeploymentRecord shop = declared("shop", "prod");
  ASSERT_TRUE(await(change_deployment(connection_, {.id = shop.id, .state = DeploymentState::tombstone})));
  const auto since = await(find_deployment(connection_, shop.key))->tombstone_at;
  ASSERT_TRUE(since);
  ASSERT_TRUE(await(change_deployment(connection_, {.id = shop.id, .state = DeploymentState::tombstone})));
  EXPECT_EQ(await(find_deployment(connection_, shop.key))->tombstone_at, since);
  EXPECT_EQ(declared("shop", "prod").state, DeploymentState::tombstone);  // declaring alone revives nothing
  ASSERT_TRUE(await(change_deployment(connection_, {.id = shop.id, .state = DeploymentState::wanted})));
  EXPECT_FALSE(await(find_deployment(connection_, shop.key))->tombstone_at);
}

TEST_F(StoreTest, AChangeOfSomethingUnknownChangesNothing) {
  const DeploymentRecord shop = declared("shop", "prod");
  const auto refused = await(change_deployments(
      connection_, {{.id = shop.id, .inputs_hash = "changed"}, {.id = shop.id + 1000, .inputs_hash = "changed"}}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::not_found);
  EXPECT_EQ(await(find_deployment(connection_, shop.key))->inputs_hash, "");
}

TEST_F(StoreTest, OnlyWhatWasRemovedIsForgotten) {
  const DeploymentRecord shop = declared("shop", "prod");
  EXPECT_EQ(await(forget_deployment(connection_, shop.id)).error().kind, ErrorKind::conflict);
  ASSERT_TRUE(await(change_deployment(connection_, {.id = shop.id, .state = DeploymentState::removing})));
  ASSERT_TRUE(await(forget_deployment(connection_, shop.id)));
  EXPECT_EQ(await(find_deployment(connection_, shop.key)).error().kind, ErrorKind::not_found);
  EXPECT_NE(declared("shop", "prod").stamp, shop.stamp);  // a new one, not the old one again
}

TEST_F(StoreTest, TheWholeInventoryIsFourStatements) {
  std::vector<Declaration> declarations;
  for (int i = 0; i < 300; ++i)
    declarations.push_back(declaration("p" + std::to_string(i), i % 2 == 0 ? "prod" : "test"));
  const auto before_declaring = connection_->statements_run();
  const auto outcomes = await(declare_deployments(connection_, declarations));
  ASSERT_TRUE(outcomes) << outcomes.error().to_string();
  EXPECT_EQ(connection_->statements_run() - before_declaring, 3U);
  const DeploymentRecord& some = *(*outcomes)[7];
  const LoginRef login{.deployment_id = some.id, .stamp = some.stamp, .slot = LoginSlot::a, .login = "p7_test__a"};
  for (int generation = 0; generation < 2; ++generation) {
    const auto credential = await(begin_intent(connection_, &key_, login));
    ASSERT_TRUE(credential) << credential.error().to_string();
    ASSERT_TRUE(await(advance(connection_, credential->id, CredentialState::done)));
  }
  const LoginRef other{.deployment_id = some.id, .stamp = some.stamp, .slot = LoginSlot::b, .login = "p7_test__b"};
  ASSERT_TRUE(await(begin_intent(connection_, &key_, other)));

  const auto before = connection_->statements_run();
  const auto inventory = await(load_inventory(connection_));
  ASSERT_TRUE(inventory) << inventory.error().to_string();
  EXPECT_EQ(connection_->statements_run() - before, 4U);
  EXPECT_EQ(inventory->entries.size(), 300U);
  EXPECT_EQ(inventory->servers.size(), 1U);
  const InventoryEntry* entry = inventory->find("p7", "test");
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->deployment.id, some.id);
  ASSERT_EQ(entry->credentials.size(), 2U);
  EXPECT_EQ(entry->credentials[0].generation, 2);
  EXPECT_EQ(entry->credentials[0].state, CredentialState::done);
  EXPECT_EQ(entry->credentials[1].slot, LoginSlot::b);
  EXPECT_EQ(entry->credentials[1].state, CredentialState::intent);
  for (int i = 0; i < 300; ++i) {
    EXPECT_NE(inventory->find("p" + std::to_string(i), i % 2 == 0 ? "prod" : "test"), nullptr) << i;
  }
  EXPECT_EQ(inventory->find("p7", "prod"), nullptr);
  ASSERT_TRUE(await(advance(connection_, entry->credentials[0].id, CredentialState::retired)));
  EXPECT_EQ(await(load_inventory(connection_))->find("p7", "test")->credentials.size(), 1U);
  EXPECT_EQ(await(load_inventory(connection_, "elsewhere"))->entries.size(), 0U);
  const auto chosen = await(load_inventory(connection_, {}, {"p7", "p7", "none"}));
  ASSERT_EQ(chosen->entries.size(), 1U);
  EXPECT_EQ(chosen->entries[0].deployment.key.project, "p7");
  EXPECT_EQ(chosen->entries[0].credentials.size(), 1U);
}

TEST_F(StoreTest, AServerThatWasSwappedIsNoticedUntilAPersonAcceptsIt) {
  EXPECT_EQ(await(register_server(connection_, "main", {.system_identifier = "1", .version = 150001}))->id, server_id_);
  const auto swapped = await(register_server(connection_, "main", {.system_identifier = "7", .version = 150000}));
  ASSERT_FALSE(swapped);
  EXPECT_EQ(swapped.error().kind, ErrorKind::conflict);
  EXPECT_EQ(swapped.error().handling(), Handling::needs_person);
  ASSERT_TRUE(await(accept_server(connection_, "main", {.system_identifier = "7", .version = 150000})));
  EXPECT_EQ(await(register_server(connection_, "main", {.system_identifier = "7", .version = 150000}))->id, server_id_);
}

TEST_F(StoreTest, TwoPoolsToOneClusterAreOneServer) {
  const auto alias = await(register_server(connection_, "reporting", {.system_identifier = "1", .version = 150000}));
  ASSERT_TRUE(alias);
  EXPECT_EQ(alias->id, server_id_);
}

TEST_F(StoreTest, AServerThatMayNotBeAskedIsKnownByItsPool) {
  const auto one = await(register_server(connection_, "cloud", {.version = 150000}));
  const auto two = await(register_server(connection_, "cloud2", {.version = 150000}));
  ASSERT_TRUE(one && two);
  EXPECT_NE(one->id, two->id);
  EXPECT_EQ(await(register_server(connection_, "cloud", {.version = 150000}))->id, one->id);
  // Once it may be asked, its identity is written down.
  EXPECT_EQ(await(register_server(connection_, "cloud", {.system_identifier = "9", .version = 150000}))->id, one->id);
  EXPECT_FALSE(await(register_server(connection_, "cloud", {.system_identifier = "10", .version = 150000})));
}

TEST_F(StoreTest, SixteenSessionsRegisteringOneServerAgree) {
  std::vector<Task<Result<ServerRecord>>> calls;
  for (int i = 0; i < 16; ++i) {
    const ServerIdentity identity{.system_identifier = "77", .version = 150000};
    calls.push_back(register_server(connect(), i % 2 == 0 ? "even" : "odd", identity));
  }
  std::set<std::int64_t> ids;
  for (const auto& server : sessions_.await_all(std::move(calls))) {
    ASSERT_TRUE(server) << server.error().to_string();
    ids.insert(server->id);
  }
  EXPECT_EQ(ids.size(), 1U);
}

TEST_F(StoreTest, AServerTellsWhoItIs) {
  const auto identity = await(identify_server(connection_));
  ASSERT_TRUE(identity);
  EXPECT_EQ(identity->system_identifier, query("SELECT system_identifier FROM pg_control_system()"));
  EXPECT_EQ(identity->version, connection_->server_version());
}

}  // namespace
}  // namespace opi::store
