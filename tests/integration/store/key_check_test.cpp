// Only the platform key that made a control database opens it.
#include "store/key_check.hpp"

#include "integration/store/store_test.hpp"
#include "secrets/age.hpp"
#include "store/credential_journal.hpp"

namespace opi::store {
namespace {

TEST_F(StoreTest, TheRightKeyGivesTheSameHashesForEver) {
  EXPECT_TRUE(keys_->first_use);
  const auto again = await(check_platform_key(connection_, &key_));
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_FALSE(again->first_use);
  EXPECT_EQ(again->hash.hex("plaintext"), keys_->hash.hex("plaintext"));
  EXPECT_NE(again->hash.hex("plaintext"), again->hash.hex("plaintexu"));
}

TEST_F(StoreTest, AnotherKeyIsRefusedByName) {
  const auto stranger = secrets::PlatformKey::generate();
  const auto refused = await(check_platform_key(connection_, &stranger));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::denied);
  EXPECT_EQ(refused.error().handling(), Handling::needs_person);
  const std::string text = refused.error().to_string();
  EXPECT_NE(text.find("the platform key does not open this control database"), std::string::npos);
  EXPECT_NE(text.find(key_.recipient().to_string()), std::string::npos);
  EXPECT_NE(text.find(stranger.recipient().to_string()), std::string::npos);
}

TEST_F(StoreTest, ARotatedKeyOpensWhatTheOldOneSealed) {
  const auto fresh = secrets::PlatformKey::generate();
  const std::string text =
      std::string(fresh.to_key_file("now").reveal()) + std::string(key_.to_key_file("then").reveal());
  const auto both = secrets::PlatformKey::parse(text);
  ASSERT_TRUE(both) << both.error().to_string();
  const auto opened = await(check_platform_key(connection_, &*both));
  ASSERT_TRUE(opened) << opened.error().to_string();
  EXPECT_EQ(opened->hash.hex("x"), keys_->hash.hex("x"));
}

TEST_F(StoreTest, CredentialsWithoutACheckValueAreNoFirstUse) {
  const DeploymentRecord shop = declared("shop", "prod");
  ASSERT_TRUE(await(
      begin_intent(connection_, &key_,
                   {.deployment_id = shop.id, .stamp = shop.stamp, .slot = LoginSlot::a, .login = "shop_prod__a"})));
  server_.execute_as_superuser("DELETE FROM opi.control_keys", name_);
  const auto refused = await(check_platform_key(connection_, &key_));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::conflict);
  EXPECT_EQ(query("SELECT count(*) FROM opi.control_keys"), "0");
}

TEST_F(StoreDatabase, TwoKeysAtFirstUseEndWithOneThatFits) {
  Sessions sessions;
  ASSERT_TRUE(sessions.await(migrate(sessions.connect(settings()), in(20s))));
  std::vector<secrets::PlatformKey> keys;
  for (int i = 0; i < 8; ++i) keys.push_back(secrets::PlatformKey::generate());
  std::vector<Task<Result<ControlKeys>>> calls;
  for (const auto& key : keys) calls.push_back(check_platform_key(sessions.connect(settings()), &key));
  int accepted = 0;
  int first = 0;
  for (const auto& answer : sessions.await_all(std::move(calls))) {
    accepted += answer ? 1 : 0;
    first += answer && answer->first_use ? 1 : 0;
    if (!answer) EXPECT_EQ(answer.error().kind, ErrorKind::denied) << answer.error().to_string();
  }
  EXPECT_EQ(accepted, 1);
  EXPECT_EQ(first, 1);
}

TEST_F(StoreTest, PreparingAgainChangesNothing) {
  const auto before = connection_->statements_run();
  const auto again = await(prepare_control_store(connection_, &key_, in(20s)));
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(again->migrations.applied, 0);
  EXPECT_FALSE(again->public_revoked);
  EXPECT_FALSE(again->keys.first_use);
  EXPECT_LE(connection_->statements_run() - before, 4U);
}

}  // namespace
}  // namespace opi::store
