// The same on servers of all other versions from 13 to 18, for both kinds of admin; from 16 on also one that inherits
// nothing. Debian's 15 is what all other tests run on.
#include "integration/provision/provision_fixture.hpp"

namespace opi::provision {
namespace {

struct Place {
  int version;
  bool superuser;
  bool inherit = true;
};

std::string name_of(const ::testing::TestParamInfo<Place>& info) {
  return "PostgreSQL" + std::to_string(info.param.version) + (info.param.superuser ? "Superuser" : "CreateRole") +
         (info.param.inherit ? "" : "NoInherit");
}

class Versions : public ProvisionTest, public ::testing::WithParamInterface<Place> {
 protected:
  Versions() : ProvisionTest(test::PostgresServer::shared(GetParam().version)) {}
  void SetUp() override {
    auto config = pool_config();
    if (!GetParam().superuser) {
      execute("CREATE ROLE " + admin_ + " LOGIN CREATEROLE CREATEDB PASSWORD 'modest'" +
              (GetParam().inherit ? "" : " NOINHERIT") + "; ALTER DATABASE " + control_ + " OWNER TO " + admin_);
      config.server = server_.server_settings(control_, admin_, "modest");
    }
    open({config});
    declare(shop_, {"prod"}, "{extensions: [citext], schemas: [{postfix: audit}]}");
  }
  std::string of_public() const {
    return query(
        "SELECT count(*) FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a "
        "WHERE datname = '" +
        base_ + "' AND a.grantee = 0");
  }
  const std::string admin_ = "modest" + number_;
  const std::string shop_ = unique("shop");
  const std::string base_ = shop_ + "_prod";
};

TEST_P(Versions, ADeploymentIsMadePutRightAndLeftAlone) {
  ASSERT_EQ(query("SELECT current_setting('server_version_num')::int / 10000"), std::to_string(GetParam().version));
  const auto manager = this->manager();
  ASSERT_EQ(apply_all(*manager).count(DeploymentOutcome::created), 1U);
  EXPECT_EQ(of_public(), "0");
  EXPECT_EQ(query("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = '" + base_ + "'"), base_);
  EXPECT_EQ(
      query("SELECT string_agg(nspname, ' ' ORDER BY nspname) FROM pg_namespace WHERE pg_get_userbyid(nspowner) = '" +
                base_ + "'",
            base_),
      base_ + " " + base_ + "_audit");
  auto tenant = log_in(credentials(*manager, shop_, "prod"));
  ASSERT_TRUE(tenant) << tenant.error().to_string();
  EXPECT_EQ(ask(*tenant, "CREATE TABLE t (name citext)"), "");
  EXPECT_EQ(ask(*tenant, "SELECT tableowner FROM pg_tables WHERE tablename = 't'"), base_);
  EXPECT_EQ(ask(*tenant, "SELECT has_table_privilege('" + base_ + "_ro', 't', 'SELECT')::text"), "true");
  EXPECT_TRUE(plan(*manager).empty()) << to_text(plan(*manager));

  execute("GRANT CONNECT ON DATABASE " + base_ + " TO PUBLIC; ALTER ROLE " + base_ + " LOGIN CREATEDB; REVOKE " +
          base_ + " FROM " + base_ + "__a");
  EXPECT_FALSE(plan(*manager).empty());
  apply_all(*manager);
  EXPECT_TRUE(plan(*manager).empty()) << to_text(plan(*manager));
  EXPECT_EQ(of_public(), "0");
  EXPECT_TRUE(log_in(credentials(*manager, shop_, "prod")));
}

INSTANTIATE_TEST_SUITE_P(Servers, Versions,
                         ::testing::Values(Place{13, true}, Place{13, false}, Place{14, true}, Place{14, false},
                                           Place{16, true}, Place{16, false}, Place{16, false, false}, Place{17, true},
                                           Place{17, false}, Place{18, true}, Place{18, false},
                                           Place{18, false, false}),
                         name_of);

}  // namespace
}  // namespace opi::provision
