#include "integration/provision/provision_fixture.hpp"

namespace opi::provision {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Creation : public ProvisionTest {
 protected:
  void SetUp() override { open(); }
};

TEST_F(Creation, ADeploymentGetsEverythingAndItsLoginWorks) {
  const auto shop = unique("shop");
  declare(shop, {"prod"});
  auto manager = this->manager();
  const auto report = apply_all(*manager);
  ASSERT_EQ(report.deployments.size(), 1U);
  EXPECT_EQ(report.deployments[0].outcome, DeploymentOutcome::created);
  EXPECT_EQ(report.deployments[0].namespace_, "rig-" + shop);
  const auto base = shop + "_prod";
  EXPECT_EQ(report.deployments[0].database, base);

  const auto credentials = this->credentials(*manager, shop, "prod");
  EXPECT_EQ(credentials.user, base + "__a");
  auto tenant = log_in(credentials);
  ASSERT_TRUE(tenant) << tenant.error().to_string();
  EXPECT_EQ(ask(*tenant, "SELECT current_user || ' ' || session_user || ' ' || current_schema()"),
            base + " " + base + "__a " + base);
  ASSERT_EQ(ask(*tenant, "CREATE TABLE orders (id int)"), "");
  EXPECT_EQ(query("SELECT tableowner || ' ' || schemaname FROM pg_tables WHERE tablename = 'orders'", base),
            base + " " + base);
}

TEST_F(Creation, TheCatalogsAreAsDeclaredAndPublicHasNothing) {
  const auto shop = unique("shop");
  declare(shop, {"prod"}, "{connection-limit: 7, extensions: [citext], schemas: [{postfix: audit}]}");
  auto manager = this->manager();
  apply_all(*manager);
  const auto base = shop + "_prod";
  EXPECT_EQ(query("SELECT pg_get_userbyid(datdba) || ' ' || pg_encoding_to_char(encoding) || ' ' || datconnlimit || ' "
                  "' || datallowconn "
                  "FROM pg_database WHERE datname = '" +
                  base + "'"),
            base + " UTF8 7 true");
  EXPECT_EQ(query("SELECT count(*) FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a "
                  "WHERE d.datname = '" +
                  base + "' AND a.grantee = 0"),
            "0");
  EXPECT_EQ(
      query("SELECT count(*) FROM pg_namespace n, aclexplode(n.nspacl) a WHERE n.nspname = 'public' AND a.grantee = 0",
            base),
      "0");
  EXPECT_EQ(
      query("SELECT string_agg(nspname || ':' || pg_get_userbyid(nspowner), ' ' ORDER BY nspname) FROM pg_namespace "
            "WHERE nspname LIKE '" +
                base + "%'",
            base),
      base + ":" + base + " " + base + "_audit:" + base);
  EXPECT_EQ(query("SELECT pg_get_userbyid(extowner) || ' ' || extnamespace::regnamespace FROM pg_extension WHERE "
                  "extname = 'citext'",
                  base),
            base + " " + base);
  EXPECT_EQ(
      query("SELECT string_agg(rolname || ':' || rolcanlogin, ' ' ORDER BY rolname) FROM pg_roles WHERE rolname ~ '^" +
            base + "'"),
      base + ":false " + base + "__a:true " + base + "__b:false " + base + "_ro:false");
  EXPECT_THAT(query("SELECT left(rolpassword, 19) FROM pg_authid WHERE rolname = '" + base + "__a'"),
              "SCRAM-SHA-256$4096:");
  EXPECT_THAT(query("SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = '" + base + "'"),
              HasSubstr("managed by opi: project=" + shop + " deployment=prod id="));
}

TEST_F(Creation, AnotherTenantCannotEnter) {
  const auto shop = unique("shop");
  declare(shop, {"prod", "staging"});
  auto manager = this->manager();
  apply_all(*manager);
  const auto staging = credentials(*manager, shop, "staging");
  auto stranger = log_in(staging, shop + "_prod");
  ASSERT_FALSE(stranger);
  EXPECT_EQ(verdict_of(stranger.error()), LoginVerdict::not_permitted) << stranger.error().to_string();
  auto control = log_in(staging, control_);
  ASSERT_FALSE(control);
  EXPECT_EQ(verdict_of(control.error()), LoginVerdict::not_permitted) << control.error().to_string();
}

TEST_F(Creation, TheReadOnlyRoleReadsWhatIsMadeLaterAndChangesNothing) {
  const auto shop = unique("shop");
  declare(shop, {"prod"});
  auto manager = this->manager();
  apply_all(*manager);
  const auto base = shop + "_prod";
  auto tenant = log_in(credentials(*manager, shop, "prod"));
  ASSERT_TRUE(tenant);
  ASSERT_EQ(ask(*tenant, "CREATE TABLE orders AS SELECT 42 AS id"), "");
  const auto as_reader = [&](const std::string& what) {
    return query("SELECT has_schema_privilege('" + base + "_ro', '" + base + "', 'USAGE') AND has_table_privilege('" +
                     base + "_ro', '" + base + ".orders', '" + what + "')",
                 base);
  };
  EXPECT_EQ(as_reader("SELECT"), "t");
  EXPECT_EQ(as_reader("INSERT"), "f");
  EXPECT_EQ(query("SELECT has_database_privilege('" + base + "_ro', '" + base + "', 'CONNECT')"), "t");
  EXPECT_EQ(query("SELECT has_schema_privilege('" + base + "_ro', '" + base + "', 'CREATE')", base), "f");
}

TEST_F(Creation, NoPasswordEverReachesTheServer) {
  const auto shop = unique("shop");
  declare(shop, {"prod"});
  auto manager = this->manager();
  apply_all(*manager);
  const auto credentials = this->credentials(*manager, shop, "prod");
  const auto log = server_.log_text();
  ASSERT_THAT(log, HasSubstr("CREATE ROLE \"" + shop + "_prod__a\""))
      << "statements are not logged, so the test proves nothing";
  EXPECT_EQ(log.find(std::string(credentials.password.reveal())), std::string::npos);
  const auto control = query("SELECT coalesce(string_agg(h::text, ' '), '') FROM opi.history h", control_);
  EXPECT_THAT(control, HasSubstr("create_login"));
  EXPECT_THAT(control, Not(HasSubstr("SCRAM-SHA-256$")));
}

TEST_F(Creation, CredentialsComeInTheFormsThatApplicationsKnow) {
  const auto shop = unique("shop");
  declare(shop, {"prod"}, "{schemas: [{postfix: audit}]}");
  auto manager = this->manager();
  apply_all(*manager);
  const auto credentials = this->credentials(*manager, shop, "prod");
  const std::string password(credentials.password.reveal());
  const auto base = shop + "_prod";
  EXPECT_EQ(credentials.uri().reveal(),
            "postgresql://" + base + "__a:" + password + "@127.0.0.1:" + std::to_string(server_.port()) + "/" + base);
  const std::string env(credentials.env().reveal());
  EXPECT_THAT(env, HasSubstr("DATABASE_SERVER_HOST=127.0.0.1\n"));
  EXPECT_THAT(env, HasSubstr("APP_DATABASE_USER=" + base + "__a\n"));
  EXPECT_THAT(env, HasSubstr("DATABASE_SCHEMA_AUDIT=" + base + "_audit\n"));
  EXPECT_THAT(std::string(credentials.json().reveal()), HasSubstr("\"DATABASE_DB\":\"" + base + "\""));
}

TEST_F(Creation, OneDeploymentCanBeMadeByItself) {
  const auto shop = unique("shop");
  declare(shop, {"prod", "staging"});
  auto manager = this->manager();
  auto report = await(manager->create_resources_for_deployment(shop, "staging", cause_));
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->outcome, DeploymentOutcome::created) << (report->error ? report->error->to_string() : "");
  EXPECT_EQ(query("SELECT count(*) FROM pg_database WHERE datname LIKE '" + shop + "%'"), "1");
  auto missing = await(manager->create_resources_for_deployment(shop, "nowhere", cause_));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, ErrorKind::not_found);
  auto unborn = await(manager->credentials(shop, "prod"));
  ASSERT_FALSE(unborn);
  EXPECT_EQ(unborn.error().kind, ErrorKind::not_found);
}

TEST_F(Creation, EachDeploymentCostsTheSameFewStatementsAndOneShortConnection) {
  auto manager = this->manager();
  declare(unique("shop"), {"prod"});
  apply_all(*manager);
  const auto before = manager->stats();
  declare(unique("wiki"), {"a", "b", "c"});
  apply_all(*manager);
  constexpr std::uint64_t of_the_look = 7;
  constexpr std::uint64_t of_each = 31;
  EXPECT_LE(manager->stats().statements - before.statements, of_the_look + 3 * of_each);
  EXPECT_EQ(manager->stats().tenant_connections - before.tenant_connections, 3U);
}

TEST_F(Creation, NobodyCanEnterTheDatabaseBeforeItIsClosedToPublic) {
  const auto shop = unique("shop");
  const auto base = shop + "_prod";
  declare(shop, {"prod"});
  std::string open_before;
  auto manager = this->manager([&](std::string_view step) {
    if (step == "database created") {
      open_before = query("SELECT datallowconn FROM pg_database WHERE datname = '" + base + "'");
    }
  });
  apply_all(*manager);
  EXPECT_EQ(open_before, "f");
}

TEST_F(Creation, TheDeclarationDecidesTheConnectionLimitSchemasAndExtensionsLaterToo) {
  const auto shop = unique("shop");
  declare(shop, {"prod"});
  auto manager = this->manager();
  apply_all(*manager);
  const std::string before(credentials(*manager, shop, "prod").password.reveal());
  declare(shop, {"prod"}, "{connection-limit: 5, extensions: [hstore], schemas: [{postfix: audit}]}");
  const auto planned = plan(*manager);
  EXPECT_THAT(to_text(planned), HasSubstr("connection limit none → 5"));
  EXPECT_THAT(to_text(planned), HasSubstr("+ extension hstore"));
  const auto report = apply_all(*manager);
  EXPECT_EQ(report.deployments[0].outcome, DeploymentOutcome::changed);
  const auto base = shop + "_prod";
  EXPECT_EQ(query("SELECT datconnlimit FROM pg_database WHERE datname = '" + base + "'"), "5");
  EXPECT_EQ(query("SELECT count(*) FROM pg_extension WHERE extname = 'hstore'", base), "1");
  const auto after = credentials(*manager, shop, "prod");
  EXPECT_TRUE(after.password.equals(before)) << "a change of the declaration is no reason for a new password";
  auto tenant = log_in(after);
  ASSERT_TRUE(tenant);
  EXPECT_EQ(ask(*tenant, "SHOW search_path"), base + ", " + base + "_audit");
  EXPECT_TRUE(plan(*manager).empty());
}

TEST_F(Creation, EncodingAndLocaleAreAsDeclaredAndALaterChangeIsSaid) {
  const auto shop = unique("shop");
  declare(shop, {"prod"}, "{encoding: LATIN1, locale: C}");
  auto manager = this->manager();
  apply_all(*manager);
  EXPECT_EQ(query("SELECT pg_encoding_to_char(encoding) || ' ' || datcollate || ' ' || datctype FROM pg_database "
                  "WHERE datname = '" +
                  shop + "_prod'"),
            "LATIN1 C C");
  EXPECT_TRUE(plan(*manager).empty());
  declare(shop, {"prod"}, "{encoding: utf8, locale: POSIX}");
  const auto planned = plan(*manager);
  EXPECT_TRUE(planned.empty()) << to_text(planned);
  EXPECT_THAT(to_text(planned), HasSubstr("has encoding LATIN1, not UTF8; an encoding cannot be changed"));
  EXPECT_THAT(to_text(planned), HasSubstr("has locale C, not POSIX; a locale cannot be changed"));
}

TEST_F(Creation, TheReaderMayLogInAsLongAsThatIsDeclared) {
  const auto shop = unique("shop");
  declare(shop, {"prod"}, "{read-only-login: true}");
  auto manager = this->manager();
  apply_all(*manager);
  EXPECT_TRUE(plan(*manager).empty()) << to_text(plan(*manager));
  auto tenant = log_in(credentials(*manager, shop, "prod"));
  ASSERT_TRUE(tenant) << tenant.error().to_string();
  ASSERT_EQ(ask(*tenant, "CREATE TABLE goods AS SELECT 7 AS id"), "");
  const auto reader = await(manager->credentials(shop, "prod", LoginPurpose::read_only));
  ASSERT_TRUE(reader) << reader.error().to_string();
  EXPECT_EQ(reader->user, shop + "_prod_ro");
  auto session = log_in(*reader);
  ASSERT_TRUE(session) << session.error().to_string();
  EXPECT_EQ(ask(*session, "SELECT id FROM goods"), "7");
  EXPECT_EQ(ask(*session, "INSERT INTO goods VALUES (8)"), "error 42501");
  EXPECT_EQ(ask(*session, "CREATE TABLE mine (id int)"), "error 42501");

  declare(shop, {"prod"});
  EXPECT_THAT(to_text(plan(*manager)), HasSubstr("is not declared any more: NOLOGIN"));
  apply_all(*manager);
  EXPECT_EQ(ask(*session, "SELECT 1").substr(0, 5), "error") << "its session was ended";
  EXPECT_FALSE(log_in(*reader));
  EXPECT_FALSE(await(manager->credentials(shop, "prod", LoginPurpose::read_only)));
  EXPECT_EQ(ask(*tenant, "SELECT id FROM goods"), "7");
  EXPECT_TRUE(plan(*manager).empty()) << to_text(plan(*manager));

  declare(shop, {"prod"}, "{read-only-login: true}");
  apply_all(*manager);
  const auto again = await(manager->credentials(shop, "prod", LoginPurpose::read_only));
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_FALSE(again->password.equals(reader->password.reveal())) << "what was forgotten does not come back";
  EXPECT_TRUE(log_in(*again));
}

TEST_F(Creation, ASchemaThatIsMarkedForDeletionGoesOnlyWhenItIsEmpty) {
  const auto shop = unique("shop");
  declare(shop, {"prod"}, "{schemas: [{postfix: audit}]}");
  auto manager = this->manager();
  apply_all(*manager);
  const auto base = shop + "_prod";
  auto tenant = log_in(credentials(*manager, shop, "prod"));
  ASSERT_TRUE(tenant);
  ASSERT_EQ(ask(*tenant, "CREATE TABLE " + base + "_audit.entry (id int)"), "");
  declare(shop, {"prod"}, "{schemas: [{postfix: audit, marked-for-deletion: true}]}");
  const auto report = apply_all(*manager);
  EXPECT_THAT(report.deployments.at(0).notes, ::testing::Contains(HasSubstr("goes when it is empty")));
  const auto schema_there = [&] {
    return query("SELECT count(*) FROM pg_namespace WHERE nspname = '" + base + "_audit'", base);
  };
  EXPECT_EQ(schema_there(), "1");
  ASSERT_EQ(ask(*tenant, "DROP TABLE " + base + "_audit.entry"), "");
  auto settings = this->settings();
  settings.deep_interval = 1ms;
  DatabaseManager deep(projects_, main(), settings, tools());
  EXPECT_THAT(to_text(plan(deep)), HasSubstr("marked for deletion, and empty"));
  apply_all(deep);
  EXPECT_EQ(schema_there(), "0");
}

}  // namespace
}  // namespace opi::provision
