// TLS to a real server; what verifies and what must not.
#include <filesystem>

#include "integration/pg/pool_fixture.hpp"
#include "support/fake_postgres.hpp"

namespace opi::pg {
namespace {

class TlsTest : public PoolTest {
 protected:
  ServerSettings settings(TlsMode mode, std::string host) const {
    ServerSettings settings = tls_server_.server_settings();
    settings.tls = mode;
    settings.hosts = {{.host = std::move(host), .port = tls_server_.port()}};
    settings.tls_ca_file = tls_server_.certificate_path();
    settings.application_name = application_;
    return settings;
  }
  Result<Connection> connect(const ServerSettings& settings) {
    return run(Connection::connect(io_.get_executor(), settings, blocking_, in(10s)));
  }
  std::string encryption(Connection& connection) {
    auto result =
        run(connection.query("SELECT coalesce(version, 'none') FROM pg_stat_ssl WHERE pid = pg_backend_pid()"));
    return result ? std::string((*result)[0].text(0)) : result.error().to_string();
  }
  test::PostgresServer tls_server_{{.tls = true}};
};

TEST_F(TlsTest, PoolScenario96_ModesVerifyWhatTheySay) {
  for (const TlsMode mode : {TlsMode::prefer, TlsMode::require, TlsMode::verify_ca, TlsMode::verify_full}) {
    auto connection = connect(settings(mode, "localhost"));
    ASSERT_TRUE(connection) << connection.error().to_string();
    EXPECT_TRUE(encryption(*connection).starts_with("TLSv1.")) << encryption(*connection);
    run(connection->close(in(5s)));
  }
  auto plain = connect(settings(TlsMode::disable, "localhost"));
  ASSERT_TRUE(plain);
  EXPECT_EQ(encryption(*plain), "none");

  // The certificate is for "localhost".
  EXPECT_TRUE(connect(settings(TlsMode::verify_ca, "127.0.0.1")));
  const auto other_name = connect(settings(TlsMode::verify_full, "127.0.0.1"));
  ASSERT_FALSE(other_name);
  EXPECT_EQ(other_name.error().kind, ErrorKind::unavailable);

  // The system's authorities have not signed it.
  ServerSettings system = settings(TlsMode::verify_full, "localhost");
  system.tls_ca_file.clear();
  EXPECT_FALSE(connect(system));

  ServerSettings missing = settings(TlsMode::verify_full, "localhost");
  missing.tls_ca_file = "/nonexistent/ca.pem";
  EXPECT_FALSE(connect(missing));
}

TEST_F(TlsTest, PoolScenario96_AnAuthorityThatWasReplacedIsUsedByTheNextDial) {
  const std::filesystem::path file = std::filesystem::path(testing::TempDir()) / (application_ + ".pem");
  const auto write = [&](const std::filesystem::path& from) {
    std::filesystem::copy_file(from, file, std::filesystem::copy_options::overwrite_existing);
  };
  const test::PostgresServer stranger({.tls = true});
  write(tls_server_.certificate_path());
  PoolConfig trusting{.name = "main", .server = settings(TlsMode::verify_full, "localhost"), .pool = {}};
  trusting.server.tls_ca_file = file;
  trusting.pool.min = 1;
  DatabasePool& pool = open(trusting);
  Lease old = take(pool);
  write(stranger.certificate_path());
  pool.recycle();
  const auto refused = run(pool.acquire({.deadline = in(2s), .task = {}}));
  ASSERT_FALSE(refused) << "the new authority has not signed this server";
  EXPECT_EQ(scalar(old, "SELECT 1"), "1") << "a session that was verified lives on";
  write(tls_server_.certificate_path());
  EXPECT_TRUE(eventually([&] { return run(pool.recover(in(5s))); }));
  Lease lease = take(pool);
  EXPECT_TRUE(encryption(*lease).starts_with("TLSv1."));
  lease.release();
  old.release();
  run(pool.close(in(5s)));
  std::filesystem::remove(file);
}

TEST_F(TlsTest, PoolScenario96_EveryHostOfAListIsVerifiedByItsOwnName) {
  ServerSettings both = settings(TlsMode::verify_full, "127.0.0.1");  // not in the certificate
  both.hosts.push_back({.host = "localhost", .port = tls_server_.port()});
  auto connection = connect(both);
  ASSERT_TRUE(connection) << connection.error().to_string();
  EXPECT_TRUE(connection->peer().starts_with("localhost:")) << connection->peer();
  std::swap(both.hosts[0], both.hosts[1]);
  EXPECT_TRUE(connect(both)->peer().starts_with("localhost:"));
  both.hosts.erase(both.hosts.begin());
  EXPECT_FALSE(connect(both));
}

TEST_F(TlsTest, PoolScenario97_TheProofOfThePasswordIsBoundToTheTlsSessionAsAsked) {
  const auto with = [&](TlsMode mode, ChannelBinding binding) {
    ServerSettings bound = settings(mode, "localhost");
    bound.channel_binding = binding;
    return bound;
  };
  for (const ChannelBinding binding : {ChannelBinding::disable, ChannelBinding::prefer, ChannelBinding::require}) {
    auto connection = connect(with(TlsMode::verify_full, binding));
    EXPECT_TRUE(connection) << connection.error().to_string();
  }
  EXPECT_TRUE(connect(with(TlsMode::disable, ChannelBinding::prefer)));
  EXPECT_EQ(connect(with(TlsMode::disable, ChannelBinding::require)).error().kind, ErrorKind::invalid);

  // Not encrypted, nothing can be bound: a server that says no to TLS is not told of the password.
  ServerSettings downgraded = server_.server_settings();
  downgraded.tls = TlsMode::prefer;
  downgraded.channel_binding = ChannelBinding::require;
  const auto refused = connect(downgraded);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().to_string().contains("channel binding")) << refused.error().to_string();
  // And one that asks for no proof at all has not shown that it knows the password.
  test::FakePostgres trusting(test::friendly_server());
  downgraded.hosts = {{.host = "127.0.0.1", .port = trusting.port()}};
  EXPECT_FALSE(connect(downgraded));
}

TEST_F(TlsTest, APoolServesCancelsAndClosesOverTls) {
  PoolConfig encrypted{.name = "main", .server = settings(TlsMode::verify_full, "localhost"), .pool = {}};
  encrypted.pool.min = 2;
  DatabasePool& pool = open(encrypted);
  for (int round = 0; round < 5; ++round) {
    Lease lease = take(pool);
    const std::string large(3'000'000, 'x');
    const auto result = run(lease->query("SELECT $1::text", Params{large}));
    ASSERT_TRUE(result) << result.error().to_string();
    EXPECT_EQ((*result)[0].text(0).size(), large.size());
  }
  Lease lease = take(pool);
  EXPECT_FALSE(run(aio::with_deadline(lease->query("SELECT pg_sleep(2)"), in(20ms), "sleeping")));
  lease.release();
  EXPECT_TRUE(eventually([&] { return pool.stats().idle == 2; }));
  EXPECT_TRUE(run(pool.close(in(5s))));
  EXPECT_EQ(pool.stats().closing, 0U);
}

TEST_F(TlsTest, AnEncryptedIdleSessionThatTheServerEndsIsNoticed) {
  PoolConfig encrypted{.name = "main", .server = settings(TlsMode::require, "localhost"), .pool = {}};
  encrypted.pool.min = 1;
  encrypted.pool.max = 1;
  DatabasePool& pool = open(encrypted);
  tls_server_.execute_as_superuser("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '" +
                                   application_ + "'");
  EXPECT_TRUE(eventually([&] { return pool.stats().closed_broken == 1 && pool.stats().idle == 1; }));
  Lease lease = take(pool);
  EXPECT_EQ(scalar(lease, "SELECT 1"), "1");
  lease.release();
  run(pool.close(in(5s)));
}

}  // namespace
}  // namespace opi::pg
