// Quoting, SQLSTATEs, settings, messages and the small values.
#include <gtest/gtest.h>

#include <stdexcept>

#include "pg/database_pool.hpp"
#include "pg/dial.hpp"
#include "pg/quote.hpp"
#include "pg/server_error.hpp"
#include "pg/sqlstate.hpp"
#include "pg/value.hpp"

namespace opi::pg {
namespace {

using namespace std::chrono_literals;

TEST(Quote, IdentifiersAreAlwaysQuoted) {
  EXPECT_EQ(quote_identifier("shop_prod"), "\"shop_prod\"");
  EXPECT_EQ(quote_identifier("a\"b"), "\"a\"\"b\"");
  EXPECT_EQ(quote_identifier(std::string(63, 'x')).size(), 65U);
  EXPECT_THROW(quote_identifier(""), std::invalid_argument);
  EXPECT_THROW(quote_identifier(std::string(64, 'x')), std::invalid_argument);
  EXPECT_THROW(quote_identifier(std::string_view("a\0b", 3)), std::invalid_argument);
}

TEST(Quote, LiteralsAreSafeWhateverTheirBackslashesMean) {
  EXPECT_EQ(quote_literal(""), "''");
  EXPECT_EQ(quote_literal("it's"), "'it''s'");
  EXPECT_EQ(quote_literal("a\\'b"), " E'a\\\\''b'");
  EXPECT_THROW(quote_literal(std::string_view("a\0b", 3)), std::invalid_argument);
}

TEST(Sqlstate, KindsFollowCodesThenClasses) {
  EXPECT_EQ(sqlstate::kind_of("28P01"), ErrorKind::denied);
  EXPECT_EQ(sqlstate::kind_of("28000"), ErrorKind::denied);
  EXPECT_EQ(sqlstate::kind_of("3D000"), ErrorKind::not_found);
  EXPECT_EQ(sqlstate::kind_of("53300"), ErrorKind::exhausted);
  EXPECT_EQ(sqlstate::kind_of("57P03"), ErrorKind::unavailable);
  EXPECT_EQ(sqlstate::kind_of("57014"), ErrorKind::timed_out);
  EXPECT_EQ(sqlstate::kind_of("42P04"), ErrorKind::conflict);
  EXPECT_EQ(sqlstate::kind_of("42710"), ErrorKind::conflict);
  EXPECT_EQ(sqlstate::kind_of("23505"), ErrorKind::conflict);
  EXPECT_EQ(sqlstate::kind_of("42501"), ErrorKind::denied);
  EXPECT_EQ(sqlstate::kind_of("42601"), ErrorKind::invalid);
  EXPECT_EQ(sqlstate::kind_of("40001"), ErrorKind::conflict);
  EXPECT_EQ(sqlstate::kind_of("XX000"), ErrorKind::internal);
  EXPECT_EQ(sqlstate::kind_of(""), ErrorKind::internal);
  EXPECT_TRUE(sqlstate::ends_session("57P01"));
  EXPECT_FALSE(sqlstate::ends_session("57014"));
  EXPECT_FALSE(sqlstate::ends_session("42601"));
}

TEST(ServerError, VerboseMessagesGiveTheirLastSqlstate) {
  const VerboseMessage denied = parse_verbose_message(
      "connection to server at \"127.0.0.1\", port 5432 failed: FATAL:  28P01: password authentication failed for user "
      "\"x\"\n"
      "LOCATION:  auth_failed, auth.c:329\n");
  EXPECT_EQ(denied.sqlstate, "28P01");
  EXPECT_EQ(denied.text, "password authentication failed for user \"x\"");
  const VerboseMessage twice =
      parse_verbose_message("failed: FATAL:  28000: no pg_hba.conf entry, SSL on\nfailed: FATAL:  53300: too many\n");
  EXPECT_EQ(twice.sqlstate, "53300");
  const VerboseMessage foreign = parse_verbose_message("failed: FATALE :  3D000: la base « x » n'existe pas\n");
  EXPECT_EQ(foreign.sqlstate, "3D000");
  const VerboseMessage none =
      parse_verbose_message("connection to server at \"::1\", port 5 failed: Connection refused\n\tIs it?\n");
  EXPECT_EQ(none.sqlstate, "");
  EXPECT_EQ(none.text, "Connection refused");
  EXPECT_EQ(parse_verbose_message("").text, "");
}

ServerSettings some_server() {
  ServerSettings server;
  server.hosts = {{.host = "db", .port = 5432}};
  server.user = "me";
  server.database = "mine";
  return server;
}

std::string keyword(const ServerSettings& server, std::string_view wanted) {
  for (const auto& [name, value] : connection_keywords(server, server.hosts.front())) {
    if (name == wanted) return value;
  }
  return "(none)";
}

TEST(Settings, PinsAreSentInTheStartupPacketEscaped) {
  ServerSettings server = some_server();
  server.options = {{"search.note", "a b\\c"}};
  const std::string options = keyword(server, "options");
  EXPECT_NE(options.find("-c role=none"), std::string::npos);
  EXPECT_NE(options.find("-c search_path=pg_catalog,pg_temp"), std::string::npos);
  EXPECT_NE(options.find("-c statement_timeout=60000"), std::string::npos);
  EXPECT_NE(options.find("-c search.note=a\\ b\\\\c"), std::string::npos);
  EXPECT_EQ(keyword(server, "client_encoding"), "UTF8");
  EXPECT_EQ(keyword(server, "password"), "(none)");
}

TEST(Settings, VerifyingTlsUsesTheSystemsAuthorities) {
  ServerSettings server = some_server();
  EXPECT_EQ(keyword(server, "sslrootcert"), "(none)");
  server.tls = TlsMode::verify_full;
  EXPECT_EQ(keyword(server, "sslmode"), "verify-full");
  EXPECT_EQ(keyword(server, "sslrootcert"), "/etc/ssl/certs/ca-certificates.crt");
  server.tls_ca_file = "/my/ca.pem";
  EXPECT_EQ(keyword(server, "sslrootcert"), "/my/ca.pem");
}

TEST(Settings, ImpossibleOnesAreRefusedByName) {
  const auto refused = [](const PoolConfig& config) {
    const auto result = validate(config);
    return result ? std::string("accepted") : result.error().message;
  };
  const PoolConfig good{.name = "main", .server = some_server(), .pool = {}};
  EXPECT_EQ(refused(good), "accepted");
  PoolConfig bad = good;
  bad.pool.max = 0;
  EXPECT_TRUE(refused(bad).starts_with("pool.max"));
  bad = good;
  bad.pool.min = 11;
  EXPECT_TRUE(refused(bad).starts_with("pool.min"));
  bad = good;
  bad.pool.lifetime_jitter = 1.5;
  EXPECT_TRUE(refused(bad).starts_with("pool.lifetime_jitter"));
  bad = good;
  bad.server.hosts.clear();
  EXPECT_TRUE(refused(bad).starts_with("hosts"));
  bad = good;
  bad.server.user = std::string("a\0b", 3);  // scenario 98
  EXPECT_TRUE(refused(bad).starts_with("user"));
  bad = good;
  bad.server.database = std::string(5'000, 'x');
  EXPECT_TRUE(refused(bad).starts_with("database"));
  bad = good;
  bad.server.options = {{"ROLE", "x"}};
  EXPECT_TRUE(refused(bad).starts_with("options.ROLE"));
  bad = good;
  bad.server.options = {{"a -c b", "x"}};
  EXPECT_TRUE(refused(bad).starts_with("options"));
  bad = good;
  bad.server.tls = TlsMode::disable;
  bad.server.channel_binding = ChannelBinding::require;
  EXPECT_TRUE(refused(bad).starts_with("channel_binding"));
}

TEST(Settings, PoolScenario98_TextsThatTheStartupPacketCannotCarryAreRefused) {
  const std::string nul("a\0b", 3);
  using Spoil = void (*)(ServerSettings&, std::string);
  const std::vector<std::pair<std::string_view, Spoil>> fields = {
      {"host", [](ServerSettings& server, std::string text) { server.hosts.front().host = std::move(text); }},
      {"user", [](ServerSettings& server, std::string text) { server.user = std::move(text); }},
      {"database", [](ServerSettings& server, std::string text) { server.database = std::move(text); }},
      {"application_name", [](ServerSettings& server, std::string text) { server.application_name = std::move(text); }},
      {"tls_ca_file", [](ServerSettings& server, std::string text) { server.tls_ca_file = std::move(text); }},
      {"options.geqo", [](ServerSettings& server, std::string text) { server.options = {{"geqo", std::move(text)}}; }},
  };
  for (const auto& [field, spoil] : fields) {
    for (const std::string& text : {nul, std::string(5'000, 'x')}) {
      ServerSettings server = some_server();
      spoil(server, text);
      const auto result = validate(server);
      ASSERT_FALSE(result) << field;
      EXPECT_EQ(result.error().kind, ErrorKind::invalid);
      EXPECT_TRUE(result.error().message.starts_with(field)) << result.error().message;
    }
  }
  // The server would cut a longer name in silence, and let in somebody else.
  ServerSettings server = some_server();
  server.user = std::string(64, 'u');
  EXPECT_FALSE(validate(server));
  server.user = std::string(63, 'u');
  EXPECT_TRUE(validate(server));
}

TEST(Settings, HostsAreShownAsPeopleWriteThem) {
  EXPECT_EQ(to_string(HostPort{.host = "db", .port = 1}), "db:1");
  EXPECT_EQ(to_string(HostPort{.host = "::1", .port = 1}), "[::1]:1");
  EXPECT_EQ(to_string(HostPort{.host = "/run/postgresql", .port = 1}), "/run/postgresql");
}

TEST(Value, AnEmptyResultIsSafeToLookAt) {
  const ResultSet nothing;
  EXPECT_EQ(nothing.size(), 0);
  EXPECT_EQ(nothing.columns(), 0);
  EXPECT_EQ(nothing.affected(), 0);
  EXPECT_EQ(nothing.command_tag(), "");
  EXPECT_EQ(nothing.column_name(0), "");
}

TEST(AcquireErrorText, UnavailableNamesTheServerTheAttemptAndTheNextOne) {
  AcquireError error;
  error.kind = AcquireErrorKind::unavailable;
  error.pool = "main";
  error.last_error = "connection refused by 10.0.4.7:5432";
  error.attempt = 4;
  error.next_attempt_in = 7'600ms;
  EXPECT_EQ(error.to_error().to_string(),
            "pool main: unavailable: connection refused by 10.0.4.7:5432 (attempt 4, next in 7.6 s)");
  EXPECT_EQ(error.to_error().kind, ErrorKind::unavailable);
}

TEST(AcquireErrorText, HoldersAreGroupedByPlaceAndTask) {
  AcquireError error;
  error.kind = AcquireErrorKind::timed_out;
  error.pool = "main";
  error.waited = 30s;
  error.holders = {{.since = 28'400ms, .place = "a.cpp:1", .task = "one"},
                   {.since = 200ms, .place = "b.cpp:2", .task = {}},
                   {.since = 100ms, .place = "b.cpp:2", .task = {}}};
  const Error text = error.to_error();
  EXPECT_EQ(text.message, "pool main: acquire timed out after 30.0 s: 3 in use");
  EXPECT_EQ(text.causes,
            (std::vector<std::string>{"1 held since 28.4 s, a.cpp:1, one", "2 held since 200.0 ms, b.cpp:2"}));
}

}  // namespace
}  // namespace opi::pg
