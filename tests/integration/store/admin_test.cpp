// An admin with CREATEROLE and CREATEDB is all that the control database needs.
#include "integration/store/store_test.hpp"
#include "store/catalogue_locks.hpp"
#include "store/control_database.hpp"
#include "store/credential_journal.hpp"
#include "store/history.hpp"

namespace opi::store {
namespace {

TEST_F(StoreDatabase, AnAdminThatIsNoSuperuserNeedsNothingMore) {
  const std::string admin = name_ + "_admin";
  server_.execute_as_superuser("CREATE ROLE " + admin + " LOGIN CREATEROLE CREATEDB PASSWORD 'for tests only'");
  const pg::ServerSettings settings = server_.server_settings(name_ + "_control", admin, "for tests only");
  Sessions sessions;
  ASSERT_TRUE(sessions.await(
      ensure_control_database(sessions.context().get_executor(), settings, sessions.blocking(), in(20s))));
  pg::Connection* connection = sessions.connect(settings);
  const auto key = secrets::PlatformKey::generate();
  const auto prepared = sessions.await(prepare_control_store(connection, &key, in(20s)));
  ASSERT_TRUE(prepared) << prepared.error().to_string();
  const auto identity = sessions.await(identify_server(connection));
  ASSERT_TRUE(identity) << identity.error().to_string();
  const auto server = sessions.await(register_server(connection, "main", *identity));
  ASSERT_TRUE(server) << server.error().to_string();
  auto locks = sessions.await(
      CatalogueLocks::acquire(connection, {{.server_id = server->id, .kind = RowKind::role, .name = "r"}}, in(20s)));
  ASSERT_TRUE(locks) << locks.error().to_string();
  const auto shop = sessions.await(declare_deployment(
      connection,
      {.key = {.project = "shop", .deployment = "prod"}, .server_id = server->id, .base_name = "shop_prod"}));
  ASSERT_TRUE(shop) << shop.error().to_string();
  const auto credential = sessions.await(
      begin_intent(connection, &key,
                   {.deployment_id = shop->id, .stamp = shop->stamp, .slot = LoginSlot::a, .login = "shop_prod__a"}));
  ASSERT_TRUE(credential) << credential.error().to_string();
  EXPECT_TRUE(sessions.await(advance(connection, credential->id, CredentialState::done)));
  EXPECT_TRUE(sessions.await(append_history(connection, {{.project = "shop", .action = "create role"}})));
  EXPECT_TRUE(sessions.await(locks->release()));
  EXPECT_EQ(sessions.await(load_inventory(connection))->entries.size(), 1U);
}

TEST_F(StoreDatabase, AServerThatDoesNotTellItsIdentityIsNoFailure) {
  const std::string admin = name_ + "_admin";
  server_.execute_as_superuser("CREATE ROLE " + admin + " LOGIN PASSWORD 'for tests only'");
  server_.execute_as_superuser("REVOKE EXECUTE ON FUNCTION pg_catalog.pg_control_system() FROM PUBLIC", name_);
  Sessions sessions;
  pg::Connection* connection = sessions.connect(server_.server_settings(name_, admin, "for tests only"));
  const auto identity = sessions.await(identify_server(connection));
  ASSERT_TRUE(identity) << identity.error().to_string();
  EXPECT_FALSE(identity->system_identifier);
  EXPECT_EQ(identity->version, connection->server_version());
}

}  // namespace
}  // namespace opi::store
