#include "integration/provision/provision_fixture.hpp"

namespace opi::provision {
namespace {

using ::testing::HasSubstr;

/// `main` as an admin with CREATEROLE and CREATEDB and nothing else.
class ModestAdmin : public ProvisionTest {
 protected:
  void SetUp() override {
    execute("CREATE ROLE " + admin_ + " LOGIN CREATEROLE CREATEDB PASSWORD 'modest'; ALTER DATABASE " + control_ +
            " OWNER TO " + admin_);
    auto config = pool_config();
    config.server = server_.server_settings(control_, admin_, "modest");
    open({config});
    manager_ = manager();
    declare(shop_, {"prod"}, "{extensions: [citext], schemas: [{postfix: audit}]}");
  }
  const std::string admin_ = "modest" + number_;
  const std::string shop_ = unique("shop");
  const std::string base_ = shop_ + "_prod";
  std::unique_ptr<DatabaseManager> manager_;
};

TEST_F(ModestAdmin, CreatesTheSameAsASuperuser) {
  apply_all(*manager_);
  auto tenant = log_in(credentials(*manager_, shop_, "prod"));
  ASSERT_TRUE(tenant) << tenant.error().to_string();
  EXPECT_EQ(ask(*tenant, "CREATE TABLE t (name citext)"), "") << "the extension is in the first schema of search_path";
  EXPECT_EQ(query("SELECT count(*) FROM pg_database d, aclexplode(d.datacl) a WHERE datname = '" + base_ +
                  "' AND a.grantee = 0"),
            "0");
  EXPECT_EQ(
      query("SELECT count(*) FROM pg_namespace n, aclexplode(n.nspacl) a WHERE nspname = 'public' AND a.grantee = 0",
            base_),
      "0");
  EXPECT_EQ(query("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = '" + base_ + "'"), base_);
}

TEST_F(ModestAdmin, ASecondPassPlansNothing) {
  apply_all(*manager_);
  EXPECT_TRUE(plan(*manager_).empty()) << to_text(plan(*manager_));
}

TEST_F(ModestAdmin, PutsDriftRight) {
  apply_all(*manager_);
  execute("GRANT CONNECT ON DATABASE " + base_ + " TO PUBLIC; ALTER ROLE " + base_ + " LOGIN; REVOKE " + base_ +
          " FROM " + admin_);
  apply_all(*manager_);
  EXPECT_TRUE(plan(*manager_).empty()) << to_text(plan(*manager_));
}

TEST_F(ModestAdmin, WithoutInheritanceIsEnoughToo) {
  execute("ALTER ROLE " + admin_ + " NOINHERIT");
  apply_all(*manager_);
  EXPECT_EQ(query("SELECT count(*) FROM pg_database d, aclexplode(d.datacl) a WHERE datname = '" + base_ +
                  "' AND a.grantee = 0"),
            "0");
  EXPECT_TRUE(log_in(credentials(*manager_, shop_, "prod")));
  EXPECT_TRUE(plan(*manager_).empty()) << to_text(plan(*manager_));
}

TEST_F(ModestAdmin, ReportsWhatOnlyASuperuserCanTakeAway) {
  apply_all(*manager_);
  execute("ALTER ROLE " + base_ + " REPLICATION");
  const auto planned = plan(*manager_);
  EXPECT_TRUE(planned.empty());
  EXPECT_THAT(to_text(planned), HasSubstr("only a superuser can take that away"));
}

}  // namespace
}  // namespace opi::provision
