// Rotating the platform key loses nothing: everything opens with the new key alone afterwards, or nothing has changed.
#include "store/reseal.hpp"

#include "integration/store/store_test.hpp"
#include "store/credential_journal.hpp"

namespace opi::store {
namespace {

class Reseal : public StoreTest {
 protected:
  static secrets::PlatformKey together(const secrets::PlatformKey& first, const secrets::PlatformKey& second) {
    return secrets::PlatformKey::parse(std::string(first.to_key_file("new").reveal()) +
                                       std::string(second.to_key_file("old").reveal()))
        .value();
  }
  Credential begun(const DeploymentRecord& deployment, LoginSlot slot) {
    auto credential = await(begin_intent(connection_, &key_,
                                         {.deployment_id = deployment.id,
                                          .stamp = deployment.stamp,
                                          .slot = slot,
                                          .login = deployment.key.project + "__" + std::string(to_string(slot))}));
    if (!credential) throw std::runtime_error(credential.error().to_string());
    return *credential;
  }
  Credential now(const Credential& credential) {
    return await(current_credential(connection_, credential.login.deployment_id, credential.login.slot))
        .value()
        .value();
  }
  std::string password(const secrets::PlatformKey& key, const Credential& credential) {
    const auto opened = open_password(key, credential);
    return opened ? std::string(opened->reveal()) : opened.error().to_string();
  }

  const DeploymentRecord shop_ = declared("shop", "prod");
  const secrets::PlatformKey fresh_ = secrets::PlatformKey::generate();
};

TEST_F(Reseal, EverythingOpensWithTheNewKeyAlone) {
  const std::vector<Credential> before{begun(shop_, LoginSlot::a), begun(shop_, LoginSlot::b)};
  const std::string hash = keys_->hash.hex("x");
  const auto both = together(fresh_, key_);
  const auto report = await(reseal(connection_, &both, false));
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->total(), 4U);  // two control keys, two passwords
  EXPECT_EQ(report->current, 0U);
  EXPECT_EQ(report->resealed.at(key_.recipient().to_string()), 4U);
  for (const Credential& old : before) {
    const Credential sealed = now(old);
    EXPECT_EQ(sealed.sealed_to, fresh_.recipient().to_string());
    EXPECT_EQ(sealed.verifier, old.verifier);
    EXPECT_EQ(password(fresh_, sealed), password(key_, old));
    EXPECT_FALSE(open_password(key_, sealed));
  }
  const auto keys = await(check_platform_key(connection_, &fresh_));
  ASSERT_TRUE(keys) << keys.error().to_string();
  EXPECT_EQ(keys->hash.hex("x"), hash);

  const auto again = await(reseal(connection_, &both, false));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->total(), 0U);
  EXPECT_EQ(again->current, 4U);
}

TEST_F(Reseal, ADryRunWritesNothing) {
  const Credential before = begun(shop_, LoginSlot::a);
  const auto both = together(fresh_, key_);
  const auto report = await(reseal(connection_, &both, true));
  ASSERT_TRUE(report);
  EXPECT_EQ(report->total(), 3U);
  EXPECT_EQ(now(before).sealed, before.sealed);
  EXPECT_TRUE(await(check_platform_key(connection_, &key_)));
}

TEST_F(Reseal, OneValueThatDoesNotOpenStopsItAll) {
  const Credential ours = begun(shop_, LoginSlot::a);
  const auto stranger = secrets::PlatformKey::generate();
  const std::string sealed = stranger.seal("something").value();
  std::string hex;
  for (const char c : sealed) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
  ASSERT_TRUE(await(connection_->query("INSERT INTO opi.control_keys (name, sealed, sealed_to) VALUES ('zz', decode('" +
                                       hex + "', 'hex'), '" + stranger.recipient().to_string() + "')")));
  const auto both = together(fresh_, key_);
  const auto refused = await(reseal(connection_, &both, false));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::denied);
  EXPECT_NE(refused.error().to_string().find(stranger.recipient().to_string()), std::string::npos);
  connection_ = connect();  // the transaction was left open; its session ends with it
  EXPECT_EQ(now(ours).sealed, ours.sealed);
}

TEST_F(Reseal, ManyRowsTakeSeveralBatches) {
  ASSERT_TRUE(await(connection_->query(
      "INSERT INTO opi.control_keys (name, sealed, sealed_to) SELECT 'copy ' || n, k.sealed, k.sealed_to FROM "
      "generate_series(1, 600) n, opi.control_keys k WHERE k.name = 'check'")));
  const auto both = together(fresh_, key_);
  const auto report = await(reseal(connection_, &both, false));
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->total(), 602U);
  const auto left = await(connection_->query("SELECT count(*) FROM opi.control_keys WHERE sealed_to <> $1",
                                             {fresh_.recipient().to_string()}));
  ASSERT_TRUE(left);
  EXPECT_EQ((*left)[0].get<std::int64_t>(0), 0);
}

}  // namespace
}  // namespace opi::store
