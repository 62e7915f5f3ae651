#include "app/private_postgres.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <memory>

#include "aio/with_deadline.hpp"
#include "support/in_time.hpp"
#include "support/run_coroutine.hpp"

namespace opi::app {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using test::in;
using testing::HasSubstr;

class PrivatePostgresTest : public testing::Test {
 protected:
  PrivatePostgresTest() {
    std::string name = fs::temp_directory_path() / "opi-private-XXXXXX";
    folder_ = ::mkdtemp(name.data());
    fs::permissions(folder_, fs::perms(0755));
    std::ofstream(folder_ / "password") << "correct-horse";
  }
  ~PrivatePostgresTest() override {
    std::error_code ec;
    fs::remove_all(folder_, ec);
  }

  PrivatePostgresSettings settings() const {
    return {.directory = folder_ / "postgres",
            .port = free_port(0).value(),
            .superuser = "opi_admin",
            .password_file = folder_ / "password",
            .system_state = folder_ / "state"};
  }

  // Connects with the password of the file; "" or what libpq says.
  static std::string connect(std::uint16_t port, const char* password) {
    const std::string number = std::to_string(port);
    const char* names[] = {"host", "port", "user", "dbname", "password", nullptr};
    const char* values[] = {"127.0.0.1", number.c_str(), "opi_admin", "postgres", password, nullptr};
    const std::unique_ptr<PGconn, decltype(&PQfinish)> connection(PQconnectdbParams(names, values, 0), &PQfinish);
    return PQstatus(connection.get()) == CONNECTION_OK ? "" : PQerrorMessage(connection.get());
  }

  fs::path folder_;
  asio::io_context context_;
};

// True once a server other than the process `old` accepts connections on `data`.
Task<bool> another_runs(fs::path data, int old) {
  const auto last = in(30s);
  while (std::chrono::steady_clock::now() < last) {
    const auto running = running_postgres(data);
    if (running && running->ready && running->pid != old) co_return true;
    co_await aio::sleep_for(5ms);
  }
  co_return false;
}

TEST_F(PrivatePostgresTest, IsMadeStartedAndStoppedAndKeepsItsData) {
  const auto where = settings();
  for (int start = 0; start < 2; ++start) {
    PrivatePostgres server(context_.get_executor(), where, Logger{});
    const auto started = test::run_coroutine(context_, server.start(in(60s)));
    ASSERT_TRUE(started.has_value()) << started.error().to_string();
    EXPECT_EQ(server.initialised_now(), start == 0);
    EXPECT_EQ(connect(where.port, "correct-horse"), "");
    EXPECT_THAT(connect(where.port, "wrong"), HasSubstr("password authentication failed"));
    const auto running = running_postgres(server.home() / "data");
    ASSERT_TRUE(running.has_value());
    const auto stopped = test::run_coroutine(context_, server.stop(in(30s)));
    EXPECT_TRUE(stopped.has_value()) << stopped.error().to_string();
    EXPECT_NE(::kill(running->pid, 0), 0);
  }
}

TEST_F(PrivatePostgresTest, OneThatRunsAlreadyIsUsedAndReplacedWhenItGoesAway) {
  const auto where = settings();
  PrivatePostgres first(context_.get_executor(), where, Logger{});
  ASSERT_TRUE(test::run_coroutine(context_, first.start(in(60s))).has_value());
  PrivatePostgres second(context_.get_executor(), where, Logger{});
  ASSERT_TRUE(test::run_coroutine(context_, second.start(in(30s))).has_value());
  const auto before = running_postgres(first.home() / "data");
  ASSERT_TRUE(test::run_coroutine(context_, first.stop(in(30s))).has_value());

  EXPECT_TRUE(test::run_coroutine(context_, another_runs(second.home() / "data", before->pid)));
  EXPECT_EQ(connect(where.port, "correct-horse"), "");
  EXPECT_TRUE(test::run_coroutine(context_, second.stop(in(30s))).has_value());
}

TEST_F(PrivatePostgresTest, ACrashedServerIsStartedAgain) {
  const auto where = settings();
  PrivatePostgres server(context_.get_executor(), where, Logger{});
  ASSERT_TRUE(test::run_coroutine(context_, server.start(in(60s))).has_value());
  const auto before = running_postgres(server.home() / "data");
  ASSERT_EQ(::kill(before->pid, SIGQUIT), 0);
  EXPECT_TRUE(test::run_coroutine(context_, another_runs(server.home() / "data", before->pid)));
  EXPECT_TRUE(test::run_coroutine(context_, server.stop(in(30s))).has_value());
}

TEST_F(PrivatePostgresTest, DataOfAnotherVersionIsRefusedAndUntouched) {
  const auto where = settings();
  const auto account = server_account().value();
  const auto home = place_for(account, where.directory, where.system_state).value();
  fs::create_directories(home / "data");
  std::ofstream(home / "data/PG_VERSION") << "9\n";
  PrivatePostgres server(context_.get_executor(), where, Logger{});
  const auto started = test::run_coroutine(context_, server.start(in(30s)));
  ASSERT_FALSE(started.has_value());
  EXPECT_EQ(started.error().kind, ErrorKind::conflict);
  EXPECT_THAT(started.error().to_string(), HasSubstr("holds data of PostgreSQL 9"));
  EXPECT_THAT(started.error().to_string(), HasSubstr("install postgresql-9"));
  EXPECT_TRUE(fs::exists(home / "data/PG_VERSION"));
}

TEST_F(PrivatePostgresTest, APortInUseIsNamed) {
  auto where = settings();
  const int taken = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(where.port);
  ASSERT_EQ(::bind(taken, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(taken, 1), 0);
  PrivatePostgres server(context_.get_executor(), where, Logger{});
  const auto started = test::run_coroutine(context_, server.start(in(60s)));
  ::close(taken);
  ASSERT_FALSE(started.has_value());
  EXPECT_EQ(started.error().kind, ErrorKind::conflict) << started.error().to_string();
  EXPECT_THAT(started.error().to_string(), HasSubstr("is in use by another process"));
}

TEST_F(PrivatePostgresTest, AServerThatIsNotInstalledIsNamedWithItsPackage) {
  auto where = settings();
  where.binaries = folder_ / "nothing";
  PrivatePostgres server(context_.get_executor(), where, Logger{});
  const auto started = test::run_coroutine(context_, server.start(in(30s)));
  ASSERT_FALSE(started.has_value());
  EXPECT_EQ(started.error().kind, ErrorKind::not_found);
  const auto none = postgres_binaries("9");
  ASSERT_FALSE(none.has_value());
  EXPECT_THAT(none.error().to_string(), HasSubstr("install the package postgresql-9"));
}

}  // namespace
}  // namespace opi::app
