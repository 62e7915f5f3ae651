// A password is written down before it is used, and whoever continues gets the same bytes.
#include "store/credential_journal.hpp"

#include "integration/store/store_test.hpp"
#include "secrets/scram.hpp"
#include "store/history.hpp"

namespace opi::store {
namespace {

class Journal : public StoreTest {
 protected:
  LoginRef login(LoginSlot slot = LoginSlot::a) const {
    return {.deployment_id = shop_.id,
            .stamp = shop_.stamp,
            .slot = slot,
            .login = "shop_prod__" + std::string(to_string(slot))};
  }
  Credential begun(LoginSlot slot = LoginSlot::a) {
    auto credential = await(begin_intent(connection_, &key_, login(slot)));
    if (!credential) throw std::runtime_error(credential.error().to_string());
    return *credential;
  }
  std::string password_of(const Credential& credential) const {
    return std::string(open_password(key_, credential).value().reveal());
  }

  const DeploymentRecord shop_ = declared("shop", "prod");
};

TEST_F(Journal, ReplayAfterEachStepReturnsTheSameBytes) {
  const Credential first = begun();
  const std::string password = password_of(first);
  EXPECT_EQ(first.generation, 1);
  EXPECT_EQ(first.state, CredentialState::intent);
  EXPECT_TRUE(secrets::scram_matches(first.verifier, SecretString(password)));
  for (const CredentialState state :
       {CredentialState::intent, CredentialState::applied, CredentialState::verified, CredentialState::published}) {
    ASSERT_TRUE(await(advance(connection_, first.id, state))) << to_string(state);
    // As another process does after this one died: a session of its own, and only what the database holds.
    const auto again = await(begin_intent(connect(), &key_, login()));
    ASSERT_TRUE(again) << again.error().to_string();
    EXPECT_EQ(again->id, first.id);
    EXPECT_EQ(again->state, state);
    EXPECT_EQ(again->sealed, first.sealed);
    EXPECT_EQ(again->verifier, first.verifier);
    EXPECT_EQ(password_of(*again), password);
  }
  EXPECT_EQ(await(open_intents(connection_))->size(), 1U);
  ASSERT_TRUE(await(advance(connection_, first.id, CredentialState::done)));
  EXPECT_EQ(await(open_intents(connection_))->size(), 0U);
  const auto current = await(current_credential(connection_, shop_.id, LoginSlot::a));
  ASSERT_TRUE(current && *current);
  EXPECT_EQ(password_of(**current), password);
}

TEST_F(Journal, StepsGoForwardOnly) {
  const Credential credential = begun();
  ASSERT_TRUE(await(advance(connection_, credential.id, CredentialState::verified)));
  ASSERT_TRUE(await(advance(connection_, credential.id, CredentialState::applied)));  // there already, and further
  EXPECT_EQ(begun().state, CredentialState::verified);
  ASSERT_TRUE(await(advance(connection_, credential.id, CredentialState::retired)));
  EXPECT_EQ(await(advance(connection_, credential.id, CredentialState::done)).error().kind, ErrorKind::conflict);
  ASSERT_TRUE(await(advance(connection_, credential.id, CredentialState::retired)));
  EXPECT_EQ(await(advance(connection_, credential.id + 1000, CredentialState::applied)).error().kind,
            ErrorKind::not_found);
}

TEST_F(Journal, SeveralAdvanceTogetherOrNotAtAll) {
  const Credential a = begun(LoginSlot::a);
  const Credential b = begun(LoginSlot::b);
  ASSERT_TRUE(await(advance(connection_, {a.id, b.id}, CredentialState::applied)));
  EXPECT_FALSE(await(advance(connection_, {a.id, b.id + 1000}, CredentialState::verified)));
  EXPECT_EQ(begun(LoginSlot::a).state, CredentialState::applied);
  EXPECT_EQ(begun(LoginSlot::b).state, CredentialState::applied);
}

TEST_F(Journal, ANewGenerationReplacesTheOldOneWhenItIsDone) {
  const Credential first = begun();
  ASSERT_TRUE(await(advance(connection_, first.id, CredentialState::done)));
  const Credential second = begun();
  EXPECT_EQ(second.generation, 2);
  EXPECT_NE(password_of(second), password_of(first));
  // Until then the old one is what works.
  EXPECT_EQ((*await(published_credential(connection_, shop_.id)))->id, first.id);
  ASSERT_TRUE(await(advance(connection_, second.id, CredentialState::done)));
  EXPECT_EQ(query("SELECT string_agg(generation || ' ' || state || ' ' || length(sealed)::bool || ' ' || "
                  "length(verifier)::bool, ', ' ORDER BY generation) FROM opi.credentials"),
            "1 retired false false, 2 done true true");
}

TEST_F(Journal, ThePublishedCredentialIsTheLastOneOfEitherSlot) {
  EXPECT_FALSE(*await(published_credential(connection_, shop_.id)));
  const Credential a = begun(LoginSlot::a);
  const Credential reader = begun(LoginSlot::read_only);
  ASSERT_TRUE(await(advance(connection_, a.id, CredentialState::done)));
  ASSERT_TRUE(await(advance(connection_, reader.id, CredentialState::done)));
  EXPECT_EQ((*await(published_credential(connection_, shop_.id)))->id, a.id);
  const Credential b = begun(LoginSlot::b);
  ASSERT_TRUE(await(advance(connection_, b.id, CredentialState::verified)));
  EXPECT_EQ((*await(published_credential(connection_, shop_.id)))->id, a.id);
  ASSERT_TRUE(await(advance(connection_, b.id, CredentialState::published)));
  EXPECT_EQ((*await(published_credential(connection_, shop_.id)))->id, b.id);
  ASSERT_TRUE(await(advance(connection_, b.id, CredentialState::retired)));
  EXPECT_EQ((*await(published_credential(connection_, shop_.id)))->id, a.id);
}

TEST_F(Journal, SixteenCallersGetOneIntent) {
  std::vector<Task<Result<Credential>>> calls;
  for (int i = 0; i < 16; ++i) calls.push_back(begin_intent(connect(), &key_, login()));
  std::set<std::string> passwords;
  for (const auto& credential : sessions_.await_all(std::move(calls))) {
    ASSERT_TRUE(credential) << credential.error().to_string();
    passwords.insert(password_of(*credential));
  }
  EXPECT_EQ(passwords.size(), 1U);
  EXPECT_EQ(query("SELECT count(*) FROM opi.credentials"), "1");
}

TEST_F(Journal, AnEntryMovedToAnotherLoginDoesNotOpen) {
  begun(LoginSlot::a);
  const Credential b = begun(LoginSlot::b);
  server_.execute_as_superuser(
      "UPDATE opi.credentials SET sealed = (SELECT sealed FROM opi.credentials WHERE slot = 'a') WHERE slot = 'b'",
      name_);
  const auto moved = await(current_credential(connection_, shop_.id, LoginSlot::b));
  ASSERT_TRUE(moved && *moved);
  const auto opened = open_password(key_, **moved);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, ErrorKind::invalid);
}

TEST_F(Journal, AnotherKeyDoesNotOpenAPassword) {
  const Credential credential = begun();
  EXPECT_EQ(open_password(secrets::PlatformKey::generate(), credential).error().kind, ErrorKind::denied);
}

TEST_F(Journal, AnAdoptedPasswordIsKept) {
  const auto credential = await(begin_intent(connection_, &key_, login(), SecretString("made by hand, long ago")));
  ASSERT_TRUE(credential) << credential.error().to_string();
  EXPECT_EQ(password_of(*credential), "made by hand, long ago");
  EXPECT_TRUE(secrets::scram_matches(credential->verifier, SecretString("made by hand, long ago")));
  const auto beyond_ascii = await(begin_intent(connection_, &key_, login(LoginSlot::b), SecretString("h\xc3\xa9")));
  ASSERT_TRUE(beyond_ascii) << beyond_ascii.error().to_string();
  EXPECT_EQ(password_of(*beyond_ascii), "h\xc3\xa9");
}

TEST_F(Journal, AnotherDeploymentOrLoginThanRecordedIsRefused) {
  LoginRef stranger = login();
  stranger.deployment_id += 1000;
  EXPECT_EQ(await(begin_intent(connection_, &key_, stranger)).error().kind, ErrorKind::not_found);
  LoginRef restamped = login();
  restamped.stamp = std::string(32, '0');
  EXPECT_EQ(await(begin_intent(connection_, &key_, restamped)).error().kind, ErrorKind::conflict);
  begun();
  LoginRef renamed = login();
  renamed.login = "someone_else__a";
  EXPECT_EQ(await(begin_intent(connection_, &key_, renamed)).error().kind, ErrorKind::conflict);
}

TEST_F(Journal, CredentialsGoWithTheirDeployment) {
  begun();
  ASSERT_TRUE(await(change_deployment(connection_, {.id = shop_.id, .state = DeploymentState::removing})));
  ASSERT_TRUE(await(forget_deployment(connection_, shop_.id)));
  EXPECT_EQ(query("SELECT count(*) FROM opi.credentials"), "0");
}

TEST_F(Journal, NoSecretReachesTheServersLog) {
  const Credential first = begun();
  std::vector<std::string> secrets{password_of(first)};
  ASSERT_TRUE(await(advance(connection_, first.id, CredentialState::done)));
  const auto adopted = await(begin_intent(connection_, &key_, login(LoginSlot::b), SecretString("adopted-by-hand-7")));
  ASSERT_TRUE(adopted);
  secrets.push_back(password_of(*adopted));
  ASSERT_TRUE(await(check_platform_key(connection_, &key_)));
  const HistoryEvent event{.project = "shop", .statement = "ALTER ROLE x PASSWORD '" + secrets[0] + "'"};
  ASSERT_TRUE(await(append_history(connection_, {event})));
  ASSERT_TRUE(await(connection_->query("SELECT $1::text", {"the last word"})));
  const std::string log = server_.log_text();
  // The log is complete and does show statements; or this test would prove nothing.
  ASSERT_NE(log.find("the last word"), std::string::npos);
  ASSERT_NE(log.find("INSERT INTO opi.credentials"), std::string::npos);
  for (const std::string& secret : secrets) EXPECT_EQ(log.find(secret), std::string::npos);
  EXPECT_EQ(log.find("AGE-SECRET-KEY-"), std::string::npos);
}

/// A server of its own, which is told not to wait for its disk, and which crashes.
TEST(JournalAfterACrash, AnIntentThatWasHandedOutIsThere) {
  test::PostgresServer server(
      {.settings = {{"synchronous_commit", "off"}, {"wal_writer_delay", "10s"}, {"autovacuum", "off"}}});
  const std::string database = server.create_database();
  const auto key = secrets::PlatformKey::generate();
  std::string password;
  std::int64_t deployment = 0;
  {
    Sessions sessions;
    pg::Connection* connection = sessions.connect(server.server_settings(database));
    ASSERT_TRUE(sessions.await(prepare_control_store(connection, &key, in(20s))));
    const auto main = sessions.await(register_server(connection, "main", {.version = 150000}));
    ASSERT_TRUE(main);
    const auto shop = sessions.await(declare_deployment(
        connection,
        {.key = {.project = "shop", .deployment = "prod"}, .server_id = main->id, .base_name = "shop_prod"}));
    ASSERT_TRUE(shop) << shop.error().to_string();
    deployment = shop->id;
    const auto credential = sessions.await(
        begin_intent(connection, &key,
                     {.deployment_id = shop->id, .stamp = shop->stamp, .slot = LoginSlot::a, .login = "shop_prod__a"}));
    ASSERT_TRUE(credential) << credential.error().to_string();
    password = open_password(key, *credential)->reveal();
    ASSERT_TRUE(sessions.await(advance(connection, credential->id, CredentialState::applied)));  // may be forgotten
    ASSERT_TRUE(sessions.await(advance(connection, credential->id, CredentialState::published)));
    server.stop(test::PostgresStop::immediate);
  }
  server.start();
  Sessions sessions;
  const auto credential =
      sessions.await(current_credential(sessions.connect(server.server_settings(database)), deployment, LoginSlot::a));
  ASSERT_TRUE(credential && *credential) << (credential ? "none" : credential.error().to_string());
  EXPECT_EQ((*credential)->state, CredentialState::published);
  EXPECT_TRUE(open_password(key, **credential)->equals(password));
}

}  // namespace
}  // namespace opi::store
