// Servers that go away, come back, say nothing, or refuse; the numbers are those of the pool's test catalogue.
#include <netinet/in.h>
#include <sys/socket.h>

#include <boost/asio/ip/tcp.hpp>

#include "integration/pg/pool_fixture.hpp"
#include "support/recorded_log.hpp"

namespace opi::pg {
namespace {

class PoolOutageTest : public PoolTest {
 protected:
  PoolConfig of(const test::PostgresServer& server, std::uint32_t min, std::uint32_t max) const {
    PoolConfig pool = config(min, max);
    pool.server = server.server_settings();
    pool.server.application_name = application_;
    return pool;
  }
};

TEST_F(PoolOutageTest, ThePoolDegradesFailsTypedAndHealsWithoutARestart) {
  test::PostgresServer server;
  DatabasePool& pool = open(of(server, 2, 4));
  std::vector<bool> availability;
  pool.on_availability([&](bool available) { availability.push_back(available); });
  Lease held = take(pool);

  server.stop();
  EXPECT_TRUE(eventually([&] { return !pool.stats().available || pool.stats().idle == 0; }));
  EXPECT_FALSE(run(held->query("SELECT 1")));
  held.release();
  ASSERT_TRUE(eventually([&] { return !pool.stats().available; }));
  const auto refused = run(pool.acquire());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, AcquireErrorKind::unavailable);
  EXPECT_NE(refused.error().last_error.find("connection refused by 127.0.0.1:"), std::string::npos)
      << refused.error().last_error;
  EXPECT_GE(refused.error().attempt, 1U);
  EXPECT_NE(pool.describe().find("unavailable"), std::string::npos);

  server.start();
  ASSERT_TRUE(eventually([&] { return pool.stats().idle == 2; }));
  EXPECT_TRUE(pool.stats().available);
  Lease lease = take(pool);
  EXPECT_EQ(scalar(lease, "SELECT 1"), "1");
  lease.release();
  EXPECT_EQ(availability, (std::vector<bool>{false, true}));
  run(pool.close(in(5s)));
}

TEST_F(PoolOutageTest, PoolScenario29_DialsDuringAnOutageFollowTheBackoff) {
  test::PostgresServer server;
  DatabasePool& pool = open(of(server, 4, 4));
  server.stop(test::PostgresStop::immediate);
  ASSERT_TRUE(eventually([&] { return pool.stats().dials_failed > 0; }));
  const auto before = pool.stats().dials;
  EXPECT_FALSE(eventually([&] { return false; }, 1s));
  // After 0.1, 0.2, 0.4 s (each up to a fifth shorter): a few dials, not thousands.
  EXPECT_LE(pool.stats().dials - before, 6U);
  server.start();
  EXPECT_TRUE(eventually([&] { return pool.stats().idle == 4; }));
  run(pool.close(in(5s)));
}

TEST_F(PoolOutageTest, PoolScenario33_APoolThatStartedBeforeItsServerComesUpByItself) {
  test::PostgresServer server;
  server.stop();
  DatabasePool& pool = make(of(server, 2, 4));
  const auto started = run(pool.start(in(10s)));
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().kind, ErrorKind::unavailable);
  EXPECT_FALSE(pool.stats().available);
  server.start();
  EXPECT_TRUE(eventually([&] { return pool.stats().idle == 2; }));
  run(pool.close(in(5s)));
}

TEST_F(PoolOutageTest, ACrashedServerIsLeftAndFoundAgain) {
  test::PostgresServer server;
  DatabasePool& pool = open(of(server, 3, 3));
  for (int round = 0; round < 3; ++round) {
    server.restart(test::PostgresStop::immediate);
    ASSERT_TRUE(eventually([&] {
      const auto lease = run(pool.acquire({.deadline = in(200ms), .task = {}}));
      return lease && run((**lease).query("SELECT 1")).has_value();
    })) << round;
  }
  EXPECT_TRUE(eventually([&] { return pool.stats().idle == 3; }));
  run(pool.close(in(5s)));
}

TEST_F(PoolOutageTest, PoolScenario31_TooManyClientsIsWaitedFor) {
  test::PostgresServer server({.max_connections = 6, .settings = {{"superuser_reserved_connections", "0"}}});
  PoolConfig crowd = of(server, 0, 10);
  std::vector<Lease> leases;
  DatabasePool& first = make(of(server, 6, 6));
  (void)run(first.start(in(10s)));  // the session that found the server ready may not have left yet
  ASSERT_TRUE(eventually([&] { return first.stats().idle == 6; }));
  DatabasePool& second = make(crowd);
  const auto started = run(second.start(in(10s)));
  ASSERT_FALSE(started);
  EXPECT_EQ(second.stats().last_sqlstate, "53300");
  const auto waiter = begin_acquire(second);
  EXPECT_FALSE(eventually([&] { return waiter->done(); }, 300ms)) << "the server asks to be tried again";
  run(first.close(in(5s)));
  ASSERT_TRUE(eventually([&] { return waiter->done(); }));
  EXPECT_TRUE(waiter->result->has_value());
  waiter->result.reset();
  run(second.close(in(5s)));
}

TEST_F(PoolOutageTest, PoolScenario70_ARotatedPasswordIsUsedByTheNextDialAndOldSessionsLiveOn) {
  server_.execute_as_superuser("DROP ROLE IF EXISTS rotated; CREATE ROLE rotated LOGIN PASSWORD 'first'");
  auto current = std::make_shared<std::string>("first");
  PoolConfig rotating = config(1, 2);
  rotating.server.user = "rotated";
  rotating.server.password = [current]() -> Result<SecretString> { return SecretString(*current); };
  DatabasePool& pool = open(rotating);
  Lease old = take(pool);
  server_.execute_as_superuser("ALTER ROLE rotated PASSWORD 'second'");
  const auto refused = begin_acquire(pool, {.deadline = in(500ms), .task = {}});
  ASSERT_TRUE(eventually([&] { return refused->done(); }));
  EXPECT_EQ(refused->result->error().kind, AcquireErrorKind::timed_out) << "an old session is alive and may come back";
  EXPECT_EQ(refused->result->error().sqlstate, "28P01");
  EXPECT_EQ(scalar(old, "SELECT 1"), "1");
  *current = "second";
  const auto served = begin_acquire(pool);
  (void)run(pool.recover(in(5s)));
  ASSERT_TRUE(eventually([&] { return served->done(); }));
  EXPECT_TRUE(served->result->has_value());
  served->result.reset();
  old.release();
  run(pool.close(in(5s)));
  server_.execute_as_superuser("DROP ROLE rotated");
}

// ---- a server that accepts and says nothing ------------------------------------------------------------------------

class SilentServer {
 public:
  explicit SilentServer(asio::io_context& io) : acceptor_(io, {asio::ip::address_v4::loopback(), 0}) { accept(); }
  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  std::size_t accepted() const { return sockets_.size(); }
  void stop() {
    acceptor_.close();
    sockets_.clear();
  }

 private:
  void accept() {
    acceptor_.async_accept([this](const boost::system::error_code& error, asio::ip::tcp::socket socket) {
      if (error) return;
      sockets_.push_back(std::move(socket));
      accept();
    });
  }
  asio::ip::tcp::acceptor acceptor_;
  std::vector<asio::ip::tcp::socket> sockets_;
};

TEST_F(PoolOutageTest, PoolScenario28_ASilentServerRunsIntoTheDialTimeout) {
  SilentServer silent(io_);
  PoolConfig mute = config(1, 1);
  mute.server.hosts = {{.host = "127.0.0.1", .port = silent.port()}};
  mute.server.connect_timeout = 100ms;
  DatabasePool& pool = make(mute);
  const SteadyTime begun = std::chrono::steady_clock::now();
  const auto started = run(pool.start(in(10s)));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 3s);
  ASSERT_FALSE(started);
  EXPECT_NE(started.error().to_string().find("no answer from 127.0.0.1:"), std::string::npos)
      << started.error().to_string();
  EXPECT_EQ(silent.accepted(), 1U);
  EXPECT_TRUE(run(pool.close(in(2s))));
  silent.stop();
}

TEST_F(PoolOutageTest, StartAndCloseAreBoundedWhileTheServerIsSilent) {
  SilentServer silent(io_);
  PoolConfig mute = config(3, 3);
  mute.server.hosts = {{.host = "127.0.0.1", .port = silent.port()}};
  mute.server.connect_timeout = 60s;
  DatabasePool& pool = make(mute);
  const auto started = run(pool.start(in(50ms)));
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().kind, ErrorKind::timed_out);
  const auto waiting = run(pool.acquire({.deadline = in(50ms), .task = {}}));
  ASSERT_FALSE(waiting);
  EXPECT_EQ(waiting.error().kind, AcquireErrorKind::timed_out);
  const SteadyTime begun = std::chrono::steady_clock::now();
  EXPECT_TRUE(run(pool.close(in(5s))));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 2s) << "dials are given up at once";
  silent.stop();
}

// ---- a server that freezes ------------------------------------------------------------------------------------------

TEST_F(PoolOutageTest, PoolScenario38_AFrozenBackendIsFoundByTheBorrowPing) {
  PoolConfig careful = config(2, 2);
  careful.pool.ping_after_idle = 1ms;
  careful.pool.ping_timeout = 100ms;
  DatabasePool& pool = open(careful);
  Lease first = take(pool);
  const pid_t frozen = first->backend_pid();
  first.release();
  ::kill(frozen, SIGSTOP);
  const SteadyTime later = in(5ms);
  EXPECT_TRUE(eventually([&] { return std::chrono::steady_clock::now() > later; }));
  Lease lease = take(pool, {.deadline = in(5s), .task = {}});
  EXPECT_NE(lease->backend_pid(), frozen);
  EXPECT_EQ(scalar(lease, "SELECT 1"), "1");
  EXPECT_EQ(pool.stats().closed_broken, 1U);
  ::kill(frozen, SIGCONT);
  lease.release();
  EXPECT_TRUE(eventually([&] { return pool.stats().idle == 2; }));
}

TEST_F(PoolOutageTest, PoolScenario39_AFrozenBackendOnReturnCostsNoCapacityForLong) {
  DatabasePool& pool = open(config(1, 1));
  Lease lease = take(pool);
  const pid_t frozen = lease->backend_pid();
  ASSERT_TRUE(run(lease->execute("BEGIN")));
  ::kill(frozen, SIGSTOP);
  lease.release();  // the rollback gets no answer; bounded by the pool's own limits
  Lease next = take(pool, {.deadline = in(15s), .task = {}});
  EXPECT_NE(next->backend_pid(), frozen);
  ::kill(frozen, SIGCONT);
  EXPECT_EQ(scalar(next, "SELECT 1"), "1");
}

TEST_F(PoolOutageTest, PoolScenario98_NoErrorOrLogShowsThePassword) {
  const std::string password = "hidden-" + std::to_string(::getpid()) + "-word";
  test::PostgresServer server;
  server.execute_as_superuser("CREATE ROLE keeper LOGIN PASSWORD '" + password + "'");
  test::RecordedLog sink;
  PoolConfig secret = of(server, 1, 2);
  secret.server = server.server_settings("postgres", "keeper", password);
  DatabasePool& pool = open(secret, Logger(sink, "pool"));
  server.execute_as_superuser("ALTER ROLE keeper PASSWORD 'another'");
  take(pool).discard();
  EXPECT_TRUE(eventually([&] { return pool.stats().last_sqlstate == "28P01"; }));
  const auto refused = run(pool.acquire());
  ASSERT_FALSE(refused);
  sink.lines.push_back(refused.error().to_error().to_string());
  sink.lines.push_back(pool.describe());
  sink.lines.push_back(pool.stats().last_error);
  sink.lines.push_back(server.log_text());
  run(pool.close(in(5s)));
  EXPECT_GT(sink.lines.size(), 5U);
  for (const std::string& line : sink.lines) EXPECT_EQ(line.find(password), std::string::npos) << line;
}

}  // namespace
}  // namespace opi::pg
