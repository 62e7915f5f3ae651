// Connection against a real server.
#include "aio/with_deadline.hpp"
#include "integration/pg/connection_fixture.hpp"
#include "pg/quote.hpp"
#include "pg/transaction.hpp"

namespace opi::pg {
namespace {

using test::PostgresServer;

TEST_F(ConnectionTest, LogsInWithScramAndKnowsItsServer) {
  Connection connection = connect();
  EXPECT_EQ(connection.transaction_status(), TransactionStatus::idle);
  EXPECT_GE(connection.server_version(), 130'000);
  EXPECT_TRUE(connection.server_version_text().starts_with(std::to_string(connection.server_version() / 10'000)));
  EXPECT_EQ(connection.peer(), "127.0.0.1:" + std::to_string(server_.port()));
  EXPECT_EQ(scalar(connection, "SELECT pg_backend_pid()"), std::to_string(connection.backend_pid()));
}

TEST_F(ConnectionTest, PoolScenario98_NamesAndOptionsThatAreNotAsciiArriveUnchanged) {
  const std::string name = "rôle 'of' \"all\" \\ 日";
  const std::string quoted = quote_identifier(name);
  const std::string password = "pässwörd \\ '";
  server_.execute_as_superuser("DROP DATABASE IF EXISTS " + quoted);
  server_.execute_as_superuser("DROP ROLE IF EXISTS " + quoted);
  server_.execute_as_superuser("CREATE ROLE " + quoted + " LOGIN PASSWORD " + quote_literal(password));
  server_.execute_as_superuser("CREATE DATABASE " + quoted);
  ServerSettings settings = server_.server_settings(name, name, password);
  settings.options = {{"custom.text", " \\ ' ü\t-c x "}};
  Connection connection = connect(settings);
  EXPECT_EQ(scalar(connection, "SELECT current_user"), name);
  EXPECT_EQ(scalar(connection, "SELECT current_database()"), name);
  EXPECT_EQ(scalar(connection, "SELECT current_setting('custom.text')"), settings.options[0].second);
  run(connection.close(in(5s)));
  server_.execute_as_superuser("DROP DATABASE " + quoted);
  server_.execute_as_superuser("DROP ROLE " + quoted);
}

TEST_F(ConnectionTest, LogsInOverAUnixSocket) {
  ServerSettings settings = server_.server_settings();
  settings.hosts = {{.host = server_.socket_directory(), .port = server_.port()}};
  Connection connection = connect(settings);
  EXPECT_EQ(connection.peer(), server_.socket_directory());
  EXPECT_EQ(scalar(connection, "SELECT 1"), "1");
}

TEST_F(ConnectionTest, LooksUpNamesOffTheEventLoop) {
  ServerSettings settings = server_.server_settings();
  settings.hosts = {{.host = "localhost", .port = server_.port()}};
  Connection connection = connect(settings);
  EXPECT_EQ(scalar(connection, "SELECT 1"), "1");
}

TEST_F(ConnectionTest, ParametersAndRowsKeepTheirValues) {
  Connection connection = connect();
  const std::vector<std::byte> bytes = {std::byte{0}, std::byte{1}, std::byte{0xFF}, std::byte{'\\'}};
  const std::vector<std::string> array = {"plain", "with \"quote\"", "back\\slash", "a,b", "", "NULL", "{}"};
  Params params = {std::string("text'\n"),
                   42,
                   std::int64_t{1} << 40,
                   true,
                   0.1,
                   std::span<const std::byte>(bytes),
                   array,
                   std::nullopt,
                   std::optional<int>{},
                   std::optional<std::string>("there")};
  const ResultSet result =
      query(connection,
            "SELECT $1::text AS a, $2::int AS b, $3::bigint AS c, $4::bool AS d, $5::float8 AS e, $6::bytea AS f, "
            "$7::text[] AS g, $8::text AS h, $9::int AS i, $10::text AS j",
            std::move(params));
  ASSERT_EQ(result.size(), 1);
  ASSERT_EQ(result.columns(), 10);
  const Row row = result[0];
  EXPECT_EQ(row.get<std::string>("a"), "text'\n");
  EXPECT_EQ(row.get<int>("b"), 42);
  EXPECT_EQ(row.get<std::int64_t>("c"), std::int64_t{1} << 40);
  EXPECT_TRUE(row.get<bool>("d"));
  EXPECT_DOUBLE_EQ(row.get<double>("e"), 0.1);
  EXPECT_EQ(row.get<std::vector<std::byte>>("f"), bytes);
  EXPECT_EQ(row.get<std::vector<std::string>>("g"), array);
  EXPECT_EQ(row.get<std::optional<std::string>>("h"), std::nullopt);
  EXPECT_EQ(row.get<std::optional<int>>("i"), std::nullopt);
  EXPECT_EQ(row.get<std::optional<std::string>>("j"), "there");
  EXPECT_THROW(row.get<int>("a"), std::logic_error);
  EXPECT_THROW(row.get<int>("i"), std::logic_error);
  EXPECT_THROW(row.get<int>("nope"), std::logic_error);
  EXPECT_EQ(result.command_tag(), "SELECT 1");
}

TEST_F(ConnectionTest, AnErrorHasItsSqlstateAndLeavesTheConnectionUsable) {
  Connection connection = connect();
  const auto result = run(connection.query("SELECT * FROM nothing_here"));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, "42P01");
  EXPECT_EQ(result.error().kind, ErrorKind::not_found);
  EXPECT_FALSE(connection.broken());
  EXPECT_EQ(scalar(connection, "SELECT 1"), "1");
}

TEST_F(ConnectionTest, AnErrorNeverShowsParameters) {
  Connection connection = connect();
  query(connection, "CREATE TEMP TABLE t (secret text UNIQUE)");
  query(connection, "INSERT INTO t VALUES ($1)", {"hush-hush"});
  const auto result = run(connection.query("INSERT INTO t VALUES ($1)", Params{"hush-hush"}));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, "23505");
  EXPECT_EQ(result.error().kind, ErrorKind::conflict);
  EXPECT_EQ(result.error().to_string().find("hush-hush"), std::string::npos);
}

TEST_F(ConnectionTest, ExecuteRunsSeveralStatementsAsOneTransaction) {
  Connection connection = connect();
  const ResultSet last = value(
      run(connection.execute("CREATE TEMP TABLE t (i int); INSERT INTO t VALUES (1), (2); SELECT sum(i) FROM t")));
  EXPECT_EQ(last[0].get<int>(0), 3);
  EXPECT_FALSE(run(connection.execute("INSERT INTO t VALUES (3); SELECT 1/0")));
  EXPECT_EQ(scalar(connection, "SELECT count(*) FROM t"), "2");
}

TEST_F(ConnectionTest, AffectedCountsRowsThatWereTouched) {
  Connection connection = connect();
  query(connection, "CREATE TEMP TABLE t (i int)");
  EXPECT_EQ(query(connection, "INSERT INTO t VALUES (1), (2), (3)").affected(), 3);
  EXPECT_EQ(query(connection, "UPDATE t SET i = 0 WHERE i > 1").affected(), 2);
  EXPECT_EQ(query(connection, "SELECT * FROM t").affected(), 0);
}

TEST_F(ConnectionTest, PreparedStatementsArePreparedOnce) {
  Connection connection = connect();
  for (int round = 0; round < 3; ++round) {
    const ResultSet result = value(run(connection.query_prepared("SELECT $1::int + 1", {round})));
    EXPECT_EQ(result[0].get<int>(0), round + 1);
  }
  EXPECT_EQ(scalar(connection, "SELECT count(*) FROM pg_prepared_statements"), "1");
}

TEST_F(ConnectionTest, PreparedStatementsBeyondTheCacheAreDeallocated) {
  Connection connection = connect();
  for (int number = 0; number < 140; ++number) {
    const ResultSet result = value(run(connection.query_prepared("SELECT " + std::to_string(number))));
    ASSERT_EQ(result[0].get<int>(0), number);
  }
  EXPECT_EQ(scalar(connection, "SELECT count(*) FROM pg_prepared_statements"), "128");
}

TEST_F(ConnectionTest, APreparedStatementHealsWhenItsTableChanges) {
  Connection connection = connect();
  query(connection, "CREATE TEMP TABLE t (a int)");
  query(connection, "INSERT INTO t VALUES (1)");
  EXPECT_EQ(value(run(connection.query_prepared("SELECT * FROM t"))).columns(), 1);
  query(connection, "ALTER TABLE t ADD COLUMN b text");
  EXPECT_EQ(value(run(connection.query_prepared("SELECT * FROM t"))).columns(), 2);
  query(connection, "DEALLOCATE ALL");
  EXPECT_EQ(value(run(connection.query_prepared("SELECT * FROM t"))).columns(), 2);
  EXPECT_FALSE(connection.broken());
}

TEST_F(ConnectionTest, AFailedPrepareIsNotRemembered) {
  Connection connection = connect();
  EXPECT_EQ(run(connection.query_prepared("SELECT * FROM later")).error().code, "42P01");
  query(connection, "CREATE TEMP TABLE later (a int)");
  EXPECT_TRUE(run(connection.query_prepared("SELECT * FROM later")));
}

TEST_F(ConnectionTest, LargeParametersAndResultsDoNotDeadlock) {
  Connection connection = connect();
  const std::string large(20'000'000, 'x');
  const ResultSet result = query(connection, "SELECT $1::text", {large});
  EXPECT_EQ(result[0].text(0), large);
}

TEST_F(ConnectionTest, StatementsAndParametersWithNulBytesAreRefused) {
  Connection connection = connect();
  EXPECT_EQ(run(connection.query(std::string("SELECT 1\0; DROP", 15))).error().kind, ErrorKind::invalid);
  EXPECT_EQ(run(connection.query("SELECT $1::text", Params{std::string("a\0b", 3)})).error().kind, ErrorKind::invalid);
  EXPECT_EQ(scalar(connection, "SELECT 1"), "1");
}

TEST_F(ConnectionTest, CopyIsRefusedAndBreaksTheConnection) {
  Connection connection = connect();
  const auto result = run(connection.execute("COPY (SELECT 1) TO STDOUT"));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::unsupported);
  EXPECT_TRUE(connection.broken());
}

TEST_F(ConnectionTest, NoticesReachTheirHandler) {
  Connection connection = connect();
  std::vector<Notice> notices;
  connection.on_notice([&](const Notice& notice) { notices.push_back(notice); });
  value(run(connection.execute("DO $$BEGIN RAISE WARNING 'look out' USING ERRCODE = '01007'; END$$")));
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_EQ(notices[0].sqlstate, "01007");
  EXPECT_EQ(notices[0].severity, "WARNING");
  EXPECT_EQ(notices[0].message, "look out");
}

TEST_F(ConnectionTest, TheStartupPacketPinsTheSessionAgainstPlantedSettings) {
  PostgresServer server;
  server.execute_as_superuser("CREATE DATABASE planted");
  server.execute_as_superuser("CREATE ROLE evil; CREATE ROLE admin LOGIN SUPERUSER PASSWORD 'pin-test'");
  for (const char* setting :
       {"role = evil", "search_path = public", "standard_conforming_strings = off", "statement_timeout = 1",
        "lock_timeout = 1", "idle_in_transaction_session_timeout = 1", "default_transaction_read_only = on",
        "row_security = off", "DateStyle = 'German'", "client_encoding = 'LATIN1'", "bytea_output = 'escape'"}) {
    server.execute_as_superuser(std::string("ALTER DATABASE planted SET ") + setting);
    server.execute_as_superuser(std::string("ALTER ROLE admin SET ") + setting);
    server.execute_as_superuser(std::string("ALTER ROLE admin IN DATABASE planted SET ") + setting);
  }
  const ServerSettings settings = server.server_settings("planted", "admin", "pin-test");
  Connection connection = connect(settings);
  const auto check = [&] {
    for (const auto& [name, expected] : startup_pins(settings)) {
      std::string actual = scalar(connection, "SELECT setting FROM pg_catalog.pg_settings WHERE name = $1", {name});
      if (name == "role") actual = scalar(connection, "SELECT current_setting('role')");
      if (name == "DateStyle") actual = actual.substr(0, 3);
      if (name == "search_path") std::erase(actual, ' ');
      EXPECT_EQ(actual, expected) << name;
    }
    EXPECT_EQ(scalar(connection, "SELECT current_user"), "admin");
  };
  check();
  value(run(connection.execute("SET search_path = public; SET ROLE evil; SET statement_timeout = 7")));
  ASSERT_TRUE(connection.needs_reset(ResetProfile::smart));
  ASSERT_TRUE(run(connection.reset(ResetProfile::smart, in(5s))));
  check();
}

TEST_F(ConnectionTest, OptionsReachTheServerUnchangedAndMayNotRepeatAPin) {
  ServerSettings settings = server_.server_settings();
  settings.options = {{"application_name", "with \\ and space"}, {"work_mem", "8MB"}};
  settings.application_name = "opi test";
  Connection connection = connect(settings);
  EXPECT_EQ(scalar(connection, "SHOW work_mem"), "8MB");
  settings.options = {{"Search_Path", "public"}};
  EXPECT_EQ(try_connect(settings).error().kind, ErrorKind::invalid);
}

TEST_F(ConnectionTest, RefusalsAreToldApart) {
  const auto failing = [&](const ServerSettings& settings) {
    auto connection = try_connect(settings);
    return connection ? Error(ErrorKind::internal, "it connected") : connection.error();
  };
  Error error = failing(server_.server_settings("postgres", "postgres", "wrong"));
  EXPECT_EQ(error.kind, ErrorKind::denied);
  EXPECT_EQ(error.code, "28P01");
  EXPECT_EQ(error.message.find("wrong"), std::string::npos);

  error = failing(server_.server_settings("no_such_database"));
  EXPECT_EQ(error.kind, ErrorKind::not_found);
  EXPECT_EQ(error.code, "3D000");

  server_.execute_as_superuser("CREATE ROLE no_login PASSWORD 'x'");
  error = failing(server_.server_settings("postgres", "no_login", "x"));
  EXPECT_EQ(error.kind, ErrorKind::denied);
  EXPECT_EQ(error.code, "28000");

  server_.execute_as_superuser("CREATE DATABASE full_up CONNECTION LIMIT 0; ");
  server_.execute_as_superuser("CREATE ROLE ordinary LOGIN PASSWORD 'x'");
  error = failing(server_.server_settings("full_up", "ordinary", "x"));
  EXPECT_EQ(error.kind, ErrorKind::exhausted);
  EXPECT_EQ(error.code, "53300");

  ServerSettings refused = server_.server_settings();
  refused.hosts = {{.host = "127.0.0.1", .port = 1}};
  error = failing(refused);
  EXPECT_EQ(error.kind, ErrorKind::unavailable);
  EXPECT_EQ(error.message, "connection refused by 127.0.0.1:1");

  ServerSettings no_socket = server_.server_settings();
  no_socket.hosts = {{.host = "/nonexistent", .port = 5432}};
  error = failing(no_socket);
  EXPECT_EQ(error.kind, ErrorKind::unavailable);
  EXPECT_NE(error.message.find("/nonexistent"), std::string::npos);

  ServerSettings no_name = server_.server_settings();
  no_name.hosts = {{.host = "no-such-host.invalid", .port = 5432}};
  EXPECT_EQ(failing(no_name).kind, ErrorKind::unavailable);

  ServerSettings tls = server_.server_settings();
  tls.tls = TlsMode::require;
  EXPECT_EQ(failing(tls).kind, ErrorKind::unavailable);
}

TEST_F(ConnectionTest, ThePasswordProviderIsAskedAtEachDialAndItsFailureIsNotADenial) {
  ServerSettings settings = server_.server_settings();
  settings.password = []() -> Result<SecretString> { return failure(ErrorKind::not_found, "no such file"); };
  const auto connection = try_connect(settings);
  ASSERT_FALSE(connection);
  EXPECT_EQ(connection.error().kind, ErrorKind::unavailable);
}

TEST_F(ConnectionTest, TheSecondHostServesWhenTheFirstRefuses) {
  ServerSettings settings = server_.server_settings();
  settings.hosts.insert(settings.hosts.begin(), {.host = "127.0.0.1", .port = 1});
  Connection connection = connect(settings);
  EXPECT_EQ(connection.peer(), "127.0.0.1:" + std::to_string(server_.port()));
}

TEST_F(ConnectionTest, ACancelledStatementBreaksTheConnectionAndStopsOnTheServer) {
  Connection connection = connect();
  const std::string pid = std::to_string(connection.backend_pid());
  const auto result = run(aio::with_deadline(connection.query("SELECT pg_sleep(600)"), in(200ms), "sleeping"));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::timed_out);
  EXPECT_TRUE(connection.broken());
  EXPECT_EQ(run(connection.query("SELECT 1")).error().kind, ErrorKind::closed);
  run(connection.close(in(5s)));
  Connection witness = connect();
  const SteadyTime deadline = in(10s);
  while (scalar(witness, "SELECT count(*) FROM pg_stat_activity WHERE pid = $1::int", {pid}) != "0") {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "the server still runs the statement";
  }
}

TEST_F(ConnectionTest, CloseReturnsWhenTheBackendIsGone) {
  for (int round = 0; round < 20; ++round) {
    Connection connection = connect();
    const std::string pid = std::to_string(connection.backend_pid());
    run(connection.close(in(5s)));
    EXPECT_TRUE(connection.broken());
    ASSERT_EQ(server_.query_as_superuser("SELECT count(*) FROM pg_stat_activity WHERE pid = " + pid), "0");
  }
}

TEST_F(ConnectionTest, ATerminatedSessionIsReportedWithItsSqlstate) {
  Connection connection = connect();
  const auto result = run(connection.query("SELECT pg_terminate_backend(pg_backend_pid())"));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, "57P01");
  EXPECT_EQ(result.error().kind, ErrorKind::unavailable);
  EXPECT_TRUE(connection.broken());
  EXPECT_TRUE(connection.ended_by_server());
}

TEST_F(ConnectionTest, AnIdleSessionThatTheServerEndsIsNoticed) {
  Connection connection = connect();
  EXPECT_TRUE(connection.check_idle());
  asio::steady_timer noticed(io_, 10s);
  bool told = false;
  connection.on_idle_event(std::make_shared<const std::function<void()>>([&] {
    told = told || !connection.check_idle();
    if (told) noticed.cancel();
  }));
  server_.execute_as_superuser("SELECT pg_terminate_backend(" + std::to_string(connection.backend_pid()) + ")");
  run([](asio::steady_timer* timer) -> Task<> { co_await timer->async_wait(as_result); }(&noticed));
  EXPECT_TRUE(told);
  EXPECT_TRUE(connection.broken());
}

TEST_F(ConnectionTest, APingProvesTheSessionAndHasItsOwnDeadline) {
  Connection connection = connect();
  EXPECT_TRUE(run(connection.ping(in(5s))));
  const auto late = run(connection.ping(in(-1s)));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind, ErrorKind::timed_out);
  EXPECT_TRUE(run(connection.ping(in(5s)))) << "it was never sent";
}

TEST_F(ConnectionTest, ATransactionCommitsRollsBackAndAdmitsThatItFailed) {
  Connection connection = connect();
  query(connection, "CREATE TEMP TABLE t (i int)");
  {
    Transaction transaction = value(run(Transaction::begin(connection, Isolation::serializable)));
    value(run(transaction.query("INSERT INTO t VALUES (1)")));
    EXPECT_EQ(connection.transaction_status(), TransactionStatus::in_transaction);
    EXPECT_EQ(run(Transaction::begin(connection)).error().kind, ErrorKind::internal);
    EXPECT_TRUE(run(transaction.commit()));
  }
  {
    Transaction transaction = value(run(Transaction::begin(connection)));
    value(run(transaction.query("INSERT INTO t VALUES (2)")));
    EXPECT_TRUE(run(transaction.rollback()));
  }
  {
    Transaction transaction = value(run(Transaction::begin(connection)));
    EXPECT_FALSE(run(transaction.query("SELECT 1/0")));
    EXPECT_EQ(connection.transaction_status(), TransactionStatus::failed);
    EXPECT_EQ(run(transaction.commit()).error().kind, ErrorKind::conflict);
  }
  EXPECT_EQ(scalar(connection, "SELECT count(*) FROM t"), "1");
}

TEST_F(ConnectionTest, ResetLeavesNothingOfTheSessionBehind) {
  Connection connection = connect();
  EXPECT_FALSE(connection.needs_reset(ResetProfile::smart));
  query(connection, "SELECT 1");
  EXPECT_FALSE(connection.needs_reset(ResetProfile::smart));
  EXPECT_TRUE(connection.needs_reset(ResetProfile::always));
  value(run(connection.query_prepared("SELECT 7")));
  value(run(connection.execute(
      "SET work_mem = '9MB'; CREATE TEMP TABLE mine (i int); LISTEN news; PREPARE byhand AS SELECT 1; "
      "SELECT pg_advisory_lock(4711)")));
  value(run(connection.execute("BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT 1")));
  value(run(connection.execute("COMMIT")));
  value(run(connection.execute("BEGIN")));
  EXPECT_TRUE(connection.needs_reset(ResetProfile::never));
  ASSERT_TRUE(run(connection.reset(ResetProfile::smart, in(5s))));
  EXPECT_FALSE(connection.needs_reset(ResetProfile::smart));
  EXPECT_EQ(connection.transaction_status(), TransactionStatus::idle);
  EXPECT_NE(scalar(connection, "SHOW work_mem"), "9MB");
  EXPECT_EQ(scalar(connection, "SELECT to_regclass('pg_temp.mine') IS NULL"), "t");
  EXPECT_EQ(scalar(connection, "SELECT count(*) FROM pg_listening_channels()"), "0");
  EXPECT_EQ(scalar(connection, "SELECT count(*) FROM pg_prepared_statements WHERE name = 'byhand'"), "0");
  EXPECT_EQ(scalar(connection, "SELECT count(*) FROM pg_cursors WHERE is_holdable"), "0");
  EXPECT_EQ(scalar(connection, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"),
            "0");
  EXPECT_TRUE(run(connection.query_prepared("SELECT 7")));
}

TEST_F(ConnectionTest, QuotedNamesAndLiteralsMeanThemselves) {
  Connection connection = connect();
  const std::string odd = "we\"ird; DROP TABLE x; --\\ 'é";
  EXPECT_EQ(query(connection, "SELECT 1 AS " + quote_identifier(odd)).column_name(0), odd);
  EXPECT_EQ(scalar(connection, "SELECT " + quote_literal(odd)), odd);
  value(run(connection.execute("SET standard_conforming_strings = off")));
  EXPECT_EQ(scalar(connection, "SELECT" + quote_literal("a\\'b")), "a\\'b");
}

TEST_F(ConnectionTest, PasswordsAreNeitherInErrorsNorInTheServersLog) {
  const std::string password = "p4ss-" + std::to_string(::getpid()) + "-word";
  server_.execute_as_superuser("CREATE ROLE keeper LOGIN PASSWORD '" + password + "'");
  {
    Connection connection = connect(server_.server_settings("postgres", "keeper", password));
    EXPECT_EQ(scalar(connection, "SELECT current_user"), "keeper");
    EXPECT_FALSE(run(connection.query("SELECT 1/0")));
    ServerSettings other = server_.server_settings("no_such_database", "keeper", password);
    const Error error = try_connect(other).error();
    EXPECT_EQ(error.to_string().find(password), std::string::npos);
  }
  EXPECT_EQ(server_.log_text().find(password), std::string::npos);
  EXPECT_NE(server_.log_text().find("SELECT 1/0"), std::string::npos) << "the log is not the one that was meant";
}

}  // namespace
}  // namespace opi::pg
