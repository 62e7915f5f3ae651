#include <fstream>

#include <boost/asio/this_coro.hpp>

#include "integration/provision/clone_fixture.hpp"
#include "support/temporary_directory.hpp"

namespace opi::provision {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class CloneFlow : public CloneTest {
 protected:
  void SetUp() override {
    open();
    manager_ = cloner();
  }
  void prod_with_data() {
    declare_prod();
    apply_all(*manager_);
    fill_source(*manager_);
  }
  std::string ask_as_tenant_of_prod(const std::string& sql) {
    auto tenant = log_in(credentials(*manager_, shop_, "prod"));
    return tenant ? ask(*tenant, sql) : tenant.error().to_string();
  }
  std::unique_ptr<DatabaseManager> manager_;
};

TEST_F(CloneFlow, TheCopyHasEverythingUnderItsOwnNamesAndOwner) {
  prod_with_data();
  declare_pair();
  const auto report = apply_all(*manager_);
  EXPECT_EQ(report.count(DeploymentOutcome::created), 1U);
  EXPECT_EQ(ask_copy(*manager_, "SELECT current_schema() || ' ' || count(*) FROM item"), base("copy") + " 1000");
  EXPECT_EQ(ask_copy(*manager_, "SELECT items()"), "1000");
  EXPECT_EQ(ask_copy(*manager_, "INSERT INTO item (name) VALUES ('new') RETURNING id"), "1001")
      << "sequences are copied";
  EXPECT_EQ(ask_copy(*manager_, "SELECT obj_description('item'::regclass)"), "it's kept");
  EXPECT_EQ(ask_copy(*manager_, "SELECT one FROM " + base("copy") + "_audit.entry"), "1");
  EXPECT_EQ(ask_copy(*manager_, "SELECT convert_from(lo_get(oid), 'UTF8') FROM pg_largeobject_metadata"), "large");
  const auto copy = base("copy");
  EXPECT_EQ(query("SELECT count(*) FROM pg_namespace WHERE nspname LIKE '" + base("prod") + "%'", copy), "0");
  EXPECT_EQ(query("SELECT count(*) FROM pg_shdepend s JOIN pg_database d ON d.oid = s.dbid JOIN pg_roles r ON "
                  "r.oid = s.refobjid WHERE d.datname = '" +
                  copy + "' AND r.rolname LIKE '" + base("prod") + "%'"),
            "0")
      << "nothing in it is the source's";
  EXPECT_EQ(query("SELECT has_table_privilege('" + copy + "_ro', '" + copy + ".item', 'SELECT')", copy), "t");
  EXPECT_EQ(query("SELECT count(*) FROM pg_database d, aclexplode(d.datacl) a WHERE datname = '" + copy +
                  "' AND a.grantee = 0"),
            "0");
  EXPECT_EQ(query("SELECT count(*) FROM " + base("prod") + ".item", base("prod")), "1000") << "the source is as it was";
  EXPECT_TRUE(plan(*manager_).empty()) << to_text(plan(*manager_));
}

TEST_F(CloneFlow, AFunctionThatNamesTheOldSchemaIsSaid) {
  prod_with_data();
  declare_pair();
  const auto report = apply_all(*manager_);
  std::string notes;
  for (const auto& one : report.deployments) {
    for (const auto& note : one.notes) notes += note;
  }
  EXPECT_THAT(notes, HasSubstr("1 functions name schema " + base("prod")));
}

TEST_F(CloneFlow, RemovalTakesFormerGenerationsToo) {
  prod_with_data();
  declare_pair();
  apply_all(*manager_);
  declare_pair("    clone-from: prod\n    force-clone: true\n");
  apply_all(*manager_);
  ASSERT_EQ(databases_of_copy(), base("copy") + " " + base("copy") + "_v1");
  declare_prod();
  apply_all(*manager_);
  EXPECT_EQ(databases_of_copy(), base("copy") + " " + base("copy") + "_v1") << "a tombstone keeps them";
  execute("UPDATE opi.deployments SET remove_after = now() WHERE state = 'tombstone'", control_);
  EXPECT_THAT(to_text(plan(*manager_)), HasSubstr("a former generation"));
  apply_all(*manager_);
  EXPECT_EQ(databases_of_copy(), "");
  EXPECT_EQ(query("SELECT count(*) FROM pg_roles WHERE rolname LIKE '" + base("copy") + "%'"), "0");
  EXPECT_EQ(ask_as_tenant_of_prod("SELECT count(*) FROM item"), "1000");
  EXPECT_TRUE(plan(*manager_).empty()) << to_text(plan(*manager_));
}

TEST_F(CloneFlow, SourceAndCopyAreMadeInOnePass) {
  declare_pair();
  EXPECT_THAT(to_text(plan(*manager_)), HasSubstr("pg_dump | pg_restore"));
  EXPECT_EQ(apply_all(*manager_).count(DeploymentOutcome::created), 2U);
  EXPECT_TRUE(plan(*manager_).empty()) << to_text(plan(*manager_));
}

TEST_F(CloneFlow, OnceIsOnceAndAnUnchangedPassAsksNoProgramAndNoTenant) {
  prod_with_data();
  declare_pair();
  apply_all(*manager_);
  execute("INSERT INTO " + base("prod") + ".item (name) VALUES ('later')", base("prod"));
  declare_pair();
  const auto before = manager_->stats().tenant_connections;
  EXPECT_EQ(apply_all(*manager_).count(DeploymentOutcome::unchanged), 2U);
  EXPECT_EQ(manager_->stats().tenant_connections, before);
  EXPECT_EQ(ask_copy(*manager_, "SELECT count(*) FROM item"), "1000");
}

TEST_F(CloneFlow, ForceMakesANewGenerationKeepsTheOldOneAndTheCredentialWorksInIt) {
  prod_with_data();
  declare_pair();
  apply_all(*manager_);
  EXPECT_EQ(ask_copy(*manager_, "CREATE TABLE mine AS SELECT 1 AS one"), "");
  const auto password = std::string(credentials(*manager_, shop_, "copy").password.reveal());
  declare_pair("    clone-from: prod\n    force-clone: true\n");
  const auto planned = plan(*manager_);
  EXPECT_THAT(to_text(planned), HasSubstr(base("copy") + " is kept"));
  apply_all(*manager_);
  EXPECT_EQ(databases_of_copy(), base("copy") + " " + base("copy") + "_v1");
  EXPECT_EQ(query("SELECT count(*) FROM " + base("copy") + ".mine", base("copy")), "1") << "never over existing data";
  EXPECT_EQ(credentials(*manager_, shop_, "copy").database, base("copy") + "_v1");
  EXPECT_EQ(std::string(credentials(*manager_, shop_, "copy").password.reveal()), password);
  EXPECT_EQ(ask_copy(*manager_, "SELECT current_database() || ' ' || current_user || ' ' || count(*) FROM item"),
            base("copy") + "_v1 " + base("copy") + " 1000");
  EXPECT_TRUE(plan(*manager_).empty()) << to_text(plan(*manager_));
  declare_pair("    clone-from: prod\n    force-clone: true\n");
  apply_all(*manager_);
  EXPECT_EQ(databases_of_copy(), base("copy") + " " + base("copy") + "_v1") << "force-clone that stays is one copy";
}

TEST_F(CloneFlow, ACopyThatFailsLeavesNothingAndSaysWhy) {
  prod_with_data();
  execute("CREATE TABLE " + base("prod") + ".secret (x int)",
          base("prod"));  // the superuser's: its tenant may not read it
  declare_pair();
  const auto report = apply(*manager_);
  ASSERT_EQ(report.count(DeploymentOutcome::failed), 1U);
  for (const auto& one : report.deployments) {
    if (one.error) EXPECT_THAT(one.error->to_string(), HasSubstr("permission denied for table secret"));
  }
  EXPECT_EQ(databases_of_copy(), "");
  execute("DROP TABLE " + base("prod") + ".secret", base("prod"));
  EXPECT_EQ(apply_all(*manager_).count(DeploymentOutcome::created), 1U);
  EXPECT_EQ(databases_of_copy(), base("copy"));
}

TEST_F(CloneFlow, ProgramsThatAreTooOldAreRefusedBeforeAnythingIsMade) {
  prod_with_data();
  declare_pair();
  const test::TemporaryDirectory folder;
  const auto old = folder.path() / "pg_dump";
  std::ofstream(old) << "#!/bin/sh\necho 'pg_dump (PostgreSQL) 12.1'\n";
  std::filesystem::permissions(old, std::filesystem::perms::owner_all);
  auto settings = clone_settings();
  settings.clone.pg_dump = old;
  DatabaseManager manager(projects_, main(), settings, tools());
  const auto report = apply(manager);
  EXPECT_EQ(report.count(DeploymentOutcome::refused), 1U);
  EXPECT_EQ(query("SELECT count(*) FROM pg_roles WHERE rolname LIKE '" + base("copy") + "%'"), "0");
  EXPECT_THAT(to_text(plan(manager)), HasSubstr("is of version 12, the server of 15"));
}

TEST_F(CloneFlow, NoSecretIsInAnArgumentListOrTheHistory) {
  prod_with_data();
  declare_pair();
  const test::TemporaryDirectory folder;
  const auto seen = folder.path() / "seen";
  const auto spy = folder.path() / "pg_dump";
  const auto real = clone_settings().clone.pg_dump;
  std::ofstream(spy) << "#!/bin/sh\necho \"$0 $*\" >>" << seen.string() << "\nexec " << real << " \"$@\"\n";
  std::filesystem::permissions(spy, std::filesystem::perms::owner_all);
  auto settings = clone_settings();
  settings.clone.pg_dump = spy;
  DatabaseManager manager(projects_, main(), settings, tools());
  apply_all(manager);
  std::ifstream file(seen);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT_THAT(text, HasSubstr("--format=custom"));
  const auto password = std::string(credentials(manager, shop_, "prod").password.reveal());
  EXPECT_THAT(text, Not(HasSubstr(password)));
  const auto history = query("SELECT string_agg(statement, ' ') FROM opi.history", control_);
  EXPECT_THAT(history, HasSubstr("--single-transaction"));
  EXPECT_THAT(history, Not(HasSubstr(password)));
}

TEST_F(CloneFlow, KindsThatAreNotSupportedAreAnswered) {
  const auto answer = [&](const std::string& clone_from) {
    const auto text = "name: " + shop_ +
                      "\nschema-version: 2.9\nclusters: [local]\nservices: [postgresql-database]\n"
                      "components: [{name: web, services: [postgresql-database]}]\n"
                      "remote-sources: [{name: old}]\ndeployments:\n"
                      "  - {name: prod, cluster: local, components: [{reference: web, image: x:1}]}\n"
                      "  - {name: copy, cluster: local, components: [{reference: web, image: x:1}], " +
                      clone_from + "}\n";
    for (const auto& error :
         projects_.replace("projects/" + shop_ + ".yaml", "b" + std::to_string(++blobs_), "c1", text))
      ADD_FAILURE() << error.to_string();
    apply(*manager_);
    EXPECT_EQ(databases_of_copy(), "");
    return to_text(plan(*manager_));
  };
  EXPECT_THAT(answer("clone-from: {type: backup, reference: nightly}"),
              HasSubstr("clone-from a backup (\"nightly\") is not supported"));
  EXPECT_THAT(answer("clone-from: {type: remote-source, reference: old}"),
              HasSubstr("clone-from a remote source (\"old\") is not supported"));
}

constexpr const char* by_template = "    clone-from: prod\n    clone-method: template\n";

TEST_F(CloneFlow, ByTemplateTheCopyIsWholeAndItsOwnAndTheSourcesSessionsEnd) {
  prod_with_data();
  for (const auto* sql :
       {"CREATE TABLE part (id int) PARTITION BY RANGE (id)",
        "CREATE TABLE part_one PARTITION OF part FOR VALUES FROM (1) TO (9)", "CREATE TYPE mood AS ENUM ('fine')",
        "CREATE DOMAIN \"odd name\" AS int", "CREATE TYPE span AS RANGE (subtype = int)",
        "CREATE AGGREGATE every_one (*) (SFUNC = int8inc, STYPE = int8, INITCOND = '0')",
        "CREATE COLLATION mine (LOCALE = 'C')", "CREATE STATISTICS known ON id, name FROM item",
        "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC"})
    ASSERT_EQ(ask_as_tenant_of_prod(sql), "") << sql;
  const auto reporter = unique("reporter");
  execute("CREATE ROLE " + reporter + "; GRANT SELECT (name) ON " + base("prod") + ".item TO " + base("prod") +
              "_ro; GRANT SELECT ON " + base("prod") + ".named TO " + reporter,
          base("prod"));
  auto session = log_in(credentials(*manager_, shop_, "prod"));
  ASSERT_TRUE(session);
  declare_pair(by_template);
  EXPECT_THAT(to_text(plan(*manager_)), HasSubstr("template " + base("prod") + ", whose sessions are ended"));
  auto settings = clone_settings();
  settings.clone.pg_dump = "/nowhere/pg_dump";  // which is not asked for anything
  DatabaseManager manager(projects_, main(), settings, tools());
  EXPECT_EQ(apply_all(manager).count(DeploymentOutcome::created), 1U);
  EXPECT_EQ(ask(*session, "SELECT 1").substr(0, 5), "error");
  EXPECT_EQ(ask_as_tenant_of_prod("SELECT count(*) FROM item"), "1000") << "the source is as it was, and open";
  const auto copy = base("copy");
  EXPECT_EQ(ask_copy(manager, "SELECT current_schema() || ' ' || count(*) FROM item"), copy + " 1000");
  EXPECT_EQ(ask_copy(manager, "INSERT INTO item (name) VALUES ('new') RETURNING id"), "1001");
  EXPECT_EQ(ask_copy(manager, "ALTER TABLE part_one ADD CHECK (id > 0)"), "") << "partitions too";
  EXPECT_EQ(ask_copy(manager, "SELECT convert_from(lo_get(oid), 'UTF8') FROM pg_largeobject_metadata"), "large");
  EXPECT_EQ(query("SELECT count(*) FROM pg_namespace WHERE nspname LIKE '" + base("prod") + "%'", copy), "0");
  EXPECT_EQ(
      query("SELECT coalesce(string_agg(pg_describe_object(s.classid, s.objid, 0), ', '), '') FROM pg_shdepend s JOIN "
            "pg_database d ON d.oid = s.dbid JOIN pg_roles r ON r.oid = s.refobjid WHERE d.datname = '" +
            copy + "' AND (r.rolname LIKE '" + base("prod") + "%' OR r.rolname = '" + reporter + "')"),
      "")
      << "nothing in it is the source's";
  EXPECT_EQ(query("SELECT has_table_privilege('" + copy + "_ro', '" + copy + ".item', 'SELECT')", copy), "t");
  EXPECT_EQ(query("SELECT count(*) FROM pg_database d, aclexplode(d.datacl) a WHERE datname LIKE '" + shop_ +
                  "%' AND a.grantee = 0"),
            "0");
  EXPECT_EQ(query("SELECT has_table_privilege('" + base("prod") + "_ro', '" + base("prod") + ".item', 'SELECT')",
                  base("prod")),
            "t")
      << "and nothing of the source was taken";
  EXPECT_TRUE(plan(manager).empty()) << to_text(plan(manager));
}

TEST_F(CloneFlow, ByTemplateWhatHasNoOtherOwnerIsRefusedBeforeAnythingIsMade) {
  declare(shop_, {"prod"}, "{extensions: [citext]}");
  apply_all(*manager_);
  auto session = log_in(credentials(*manager_, shop_, "prod"));
  ASSERT_TRUE(session);
  declare_pair(by_template, "{extensions: [citext]}");
  const auto report = apply(*manager_);
  ASSERT_EQ(report.count(DeploymentOutcome::refused), 1U);
  EXPECT_THAT(report.deployments[0].error->to_string(),
              HasSubstr("cannot be copied by template: extension citext belongs to " + base("prod")));
  EXPECT_EQ(databases_of_copy(), "");
  EXPECT_EQ(query("SELECT count(*) FROM pg_roles WHERE rolname LIKE '" + base("copy") + "%'"), "0");
  EXPECT_EQ(ask(*session, "SELECT 1"), "1") << "no session is ended for nothing";
}

TEST_F(CloneFlow, ByTemplateAClientThatComesBackAtOnceIsNotInTheWay) {
  prod_with_data();
  declare_pair(by_template);
  bool stop = false;
  int ended = 0;
  std::size_t logins = 0;
  const auto with = credentials(*manager_, shop_, "prod");
  const auto settings = tenant_settings(server_.server_settings(), with.user, with.password, with.database);
  auto client = [](pg::ServerSettings to, aio::BlockingPool* blocking, const bool* until,
                   std::size_t* count) -> Task<> {
    auto executor = co_await asio::this_coro::executor;
    while (!*until) {
      auto connection = co_await pg::Connection::connect(executor, to, *blocking, in(30s));
      if (!connection) continue;
      ++*count;
      while (!*until && co_await connection->ping(in(30s))) {
      }
      co_await connection->close(in(5s));
    }
  };
  for (int i = 0; i < 4; ++i)
    asio::co_spawn(io_, client(settings, &blocking_, &stop, &logins), [&](const std::exception_ptr&) { ++ended; });
  EXPECT_EQ(apply_all(*manager_).count(DeploymentOutcome::created), 1U);
  EXPECT_EQ(manager_->stats().retries, 0U);
  stop = true;
  io_.restart();
  while (ended < 4 && io_.run_one_until(in(20s)) > 0) {
  }
  EXPECT_GE(logins, 4U);
}

TEST_F(CloneFlow, AModestAdminCopiesToo) {
  const auto admin = "modest" + number_;
  execute("CREATE ROLE " + admin + " LOGIN CREATEROLE CREATEDB PASSWORD 'modest'; ALTER DATABASE " + control_ +
          " OWNER TO " + admin);
  await(pools_->close(in(10s)));
  execute("DROP SCHEMA opi CASCADE", control_);
  auto config = pool_config();
  config.server = server_.server_settings(control_, admin, "modest");
  open({config});
  manager_ = cloner();
  prod_with_data();
  declare_pair();
  apply_all(*manager_);
  declare_pair("    clone-from: prod\n    force-clone: true\n");
  apply_all(*manager_);
  EXPECT_EQ(ask_copy(*manager_, "SELECT current_database() || ' ' || count(*) FROM item"), base("copy") + "_v1 1000");
  auto session = log_in(credentials(*manager_, shop_, "prod"));
  ASSERT_TRUE(session);
  declare_pair(std::string(by_template) + "    force-clone: true\n");
  apply_all(*manager_);
  EXPECT_EQ(ask_copy(*manager_, "SELECT current_database() || ' ' || count(*) FROM item"), base("copy") + "_v2 1000");
  EXPECT_EQ(ask(*session, "SELECT 1").substr(0, 5), "error");
  EXPECT_TRUE(plan(*manager_).empty()) << to_text(plan(*manager_));
}

}  // namespace
}  // namespace opi::provision
