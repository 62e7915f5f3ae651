// The demo as a newcomer meets it: the program, a private PostgreSQL, a local repository.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/private_postgres.hpp"
#include "integration/cli/program.hpp"
#include "support/git_repository.hpp"

namespace opi::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class DemoTest : public testing::Test {
 protected:
  bool postgres_runs() const {
    std::error_code ec;
    return app::running_postgres(fs::canonical(folder_.path() / ".opi/postgres", ec) / "data").has_value();
  }
  aio::CommandResult once() const { return run_opi(folder_.path(), {"demo", "--once", "--examples", "examples"}); }

  std::string cluster_files() const {
    return run_git({"-C", folder_.path() / ".opi/cluster.git", "ls-tree", "-r", "--name-only", "main"});
  }

  OpenFolder folder_;
};

TEST_F(DemoTest, OnceProvisionsEverythingAndASecondRunHasNothingToDo) {
  const auto first = run_opi(folder_.path(), {"demo", "--once", "--examples", OPI_SOURCE_DIR "/examples/projects"});
  ASSERT_EQ(first.exit_code, 0) << first.output << first.error_output;
  EXPECT_THAT(first.output, testing::ContainsRegex("shop +prod +rig-shop +shop_prod +created"));
  EXPECT_THAT(first.output, testing::ContainsRegex("wiki +prod +rig-wiki +wiki_prod +created"));
  EXPECT_THAT(first.output, HasSubstr("psql "));
  EXPECT_THAT(first.output, HasSubstr("git -C .opi/checkout"));
  EXPECT_EQ(first.error_output, "");
  EXPECT_THAT(first.output, Not(HasSubstr("could not")));
  EXPECT_FALSE(postgres_runs());
  const auto manifests = cluster_files();
  EXPECT_THAT(manifests, HasSubstr("local/shop/_namespaces/rig-shop/namespace.yaml\n"));
  EXPECT_THAT(manifests, HasSubstr("local/shop/prod/database.sops.yaml\n"));

  const auto second = run_opi(folder_.path(), {"demo", "--once"});
  EXPECT_EQ(second.exit_code, 0) << second.error_output;
  EXPECT_THAT(second.output, Not(HasSubstr("created")));
  EXPECT_THAT(second.output, HasSubstr(" 0 failed"));
  EXPECT_EQ(run_opi(folder_.path(), {"plan"}).exit_code, 0);
  for (const char* command : {"plan", "apply"}) {
    const auto unknown = run_opi(folder_.path(), {command, "shpo"});
    EXPECT_EQ(unknown.exit_code, 1) << command;
    EXPECT_THAT(unknown.error_output, HasSubstr("shpo: is declared nowhere"));
  }

  // What it prints for connecting logs in as the owner of the database, with no password to type.
  const auto psql = run_opi(folder_.path(), {"psql", "shop", "prod", "--", "-Atc",
                                             "select current_user, current_database(), current_schema()"});
  EXPECT_EQ(psql.output, "shop_prod|shop_prod|shop_prod\n") << psql.error_output;
  EXPECT_FALSE(postgres_runs());
}

TEST_F(DemoTest, CredentialsComeAsUriEnvAndJsonAndLogIn) {
  folder_.write("examples/one.yaml", project_yaml("one"));
  ASSERT_EQ(once().exit_code, 0);
  const auto uri = run_opi(folder_.path(), {"credentials", "one", "d1"});
  EXPECT_THAT(uri.output, testing::StartsWith("postgresql://one_d1__a:"));
  EXPECT_THAT(run_opi(folder_.path(), {"credentials", "one", "d1", "--format", "env"}).output,
              HasSubstr("DATABASE_DB=one_d1\n"));
  EXPECT_THAT(run_opi(folder_.path(), {"credentials", "one", "d1", "--format", "json"}).output,
              HasSubstr("\"DATABASE_SCHEMA\":\"one_d1\""));
  const auto unknown = run_opi(folder_.path(), {"credentials", "one", "d2"});
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_THAT(unknown.error_output, HasSubstr("one/d2"));
}

TEST_F(DemoTest, ABrokenFileAmongGoodOnesIsNamedWithItsPlaceAndTheGoodOnesAreProvisioned) {
  folder_.write("examples/good.yaml", project_yaml("good"));
  folder_.write("examples/bad.yaml", "name: bad\nclusters: [local]\ndeploymnets: []\n");
  const auto result = once();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.error_output, HasSubstr("projects/bad.yaml:3:1: error: deploymnets: unknown field"));
  EXPECT_THAT(result.output, testing::ContainsRegex("good +d1 +rig-good +good_d1 +created"));
}

TEST_F(DemoTest, SigtermWhileProvisioningLeavesNoProcessAndTheNextRunConverges) {
  folder_.write("examples/many.yaml", project_yaml("many", 24));
  {
    RunningOpi opi(folder_.path(), {"demo", "--once", "--examples", "examples"});
    ASSERT_TRUE(opi.says("settings")) << opi.text();  // PostgreSQL is up, and provisioning begins
    opi.signal(SIGTERM);
    const int code = opi.wait();
    EXPECT_TRUE(code == 128 + SIGTERM || code == 0) << code << opi.text();
    EXPECT_FALSE(postgres_runs());
  }
  const auto next = run_opi(folder_.path(), {"demo", "--once"});
  EXPECT_EQ(next.exit_code, 0) << next.error_output;
  EXPECT_THAT(next.output, HasSubstr("24 deployments ready"));
  EXPECT_EQ(run_opi(folder_.path(), {"plan"}).exit_code, 0);
}

TEST_F(DemoTest, AKilledProcessTakesItsPostgresWithItAndTheNextRunConverges) {
  folder_.write("examples/many.yaml", project_yaml("many", 12));
  {
    RunningOpi opi(folder_.path(), {"demo", "--once", "--examples", "examples"});
    ASSERT_TRUE(opi.says("settings")) << opi.text();
    opi.signal(SIGKILL);
    EXPECT_EQ(opi.wait(), 128 + SIGKILL);
  }
  const auto next = run_opi(folder_.path(), {"demo", "--once"});
  EXPECT_EQ(next.exit_code, 0) << next.error_output;
  EXPECT_THAT(next.output, HasSubstr("12 deployments ready"));
}

TEST_F(DemoTest, ServesPicksUpAPushAndStopsCleanlyPostgresIncluded) {
  folder_.write("examples/one.yaml", project_yaml("one"));
  RunningOpi opi(folder_.path(), {"demo", "--examples", "examples"});
  ASSERT_TRUE(opi.says("Stop:      Ctrl-C")) << opi.text();
  EXPECT_THAT(opi.text(), HasSubstr("poll_interval: 500ms"));  // the configuration is printed
  EXPECT_THAT(opi.text(), HasSubstr("Operations Manager"));

  const std::string checkout = (folder_.path() / ".opi/checkout").string();
  folder_.write(".opi/checkout/projects/two.yaml", project_yaml("two"));
  run_git({"-C", checkout, "add", "--all"});
  run_git({"-C", checkout, "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "-m", "two"});
  run_git({"-C", checkout, "push", "--quiet"});
  EXPECT_TRUE(opi.says("created, database two_d1")) << opi.text();

  opi.signal(SIGINT);
  EXPECT_EQ(opi.wait(), 0) << opi.text();
  EXPECT_THAT(opi.text(), HasSubstr("closed, 0 leaked"));
  EXPECT_FALSE(postgres_runs());
}

}  // namespace
}  // namespace opi::test
