// TLS to a real server; what verifies and what must not.
#include "integration/pg/pool_fixture.hpp"

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
