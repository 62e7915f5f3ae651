#include "http/status_routes.hpp"

#include <gmock/gmock.h>

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include "support/run_coroutine.hpp"

namespace opi::http {
namespace {

using ::testing::HasSubstr;

class Source final : public StatusSource {
 public:
  StatusSnapshot status() const override { return snapshot; }
  StatusSnapshot snapshot;
};

StatusSnapshot example() {
  StatusSnapshot status;
  status.build = {"0.1.0", "4f2c1e9"};
  status.environment = "test";
  status.cluster = "local";
  status.booted = WallTime{std::chrono::seconds{1'700'000'000}};
  status.lifespan = {aio::LifespanState::serving, {{.name = "probes", .state = aio::PhaseState::ready}}};
  status.git = {.enabled = true,
                .running = true,
                .repository = "/srv/p.git",
                .branch = "main",
                .head = "9be1f02",
                .polls = 5,
                .last_success = WallTime{std::chrono::seconds{1'700'000'100}}};
  status.provision.passes = 2;
  status.provision.last_pass = std::chrono::milliseconds{420};
  status.projects = {
      {.name = "shop", .file = "projects/shop.yaml"},
      {.name = "wiki", .file = "projects/wiki.yaml", .error = "projects/wiki.yaml:3:1: name: is required"}};
  status.deployments = {{.project = "shop",
                         .deployment = "prod",
                         .namespace_name = "rig-shop",
                         .database = "shop_prod",
                         .state = "ready",
                         .since = WallTime{std::chrono::seconds{1'700'000'050}}},
                        {.project = "gone",
                         .deployment = "prod",
                         .namespace_name = "rig-gone",
                         .state = "failed",
                         .last_error = "refused"}};
  return status;
}

TEST(StatusRoutes, TheStatusIsEverythingThatIsKnownAsJson) {
  Source source;
  source.snapshot = example();
  const Route route = status_route(&source);
  EXPECT_EQ(route.pattern, "/api/v1/status");
  EXPECT_EQ(route.access, Access::loopback);
  const Response response = test::run_coroutine(route.handler({}));
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.content_type, "application/json");
  const auto json = boost::json::parse(response.body).as_object();
  EXPECT_EQ(json.at("version").as_string(), "0.1.0");
  EXPECT_EQ(json.at("commit").as_string(), "4f2c1e9");
  EXPECT_EQ(json.at("environment").as_string(), "test");
  EXPECT_EQ(json.at("booted").as_string(), "2023-11-14T22:13:20Z");
  EXPECT_EQ(json.at("state").as_string(), "serving");
  EXPECT_EQ(json.at("phases").at(0).at("name").as_string(), "probes");
  EXPECT_EQ(json.at("git").at("head").as_string(), "9be1f02");
  EXPECT_EQ(json.at("git").at("last_success").as_string(), "2023-11-14T22:15:00Z");
  EXPECT_FALSE(json.at("git").as_object().contains("error"));
  EXPECT_EQ(json.at("provision").at("passes").as_int64(), 2);
  EXPECT_EQ(json.at("provision").at("last_pass_ms").as_int64(), 420);
}

TEST(StatusRoutes, DeploymentsStandBelowTheirProjectAndNoneIsLost) {
  const auto json = status_json(example());
  const auto& projects = json.at("projects").as_array();
  ASSERT_EQ(projects.size(), 3U);
  const auto& prod = projects.at(0).at("deployments").at(0).as_object();
  EXPECT_EQ(prod.at("deployment").as_string(), "prod");
  EXPECT_EQ(prod.at("namespace").as_string(), "rig-shop");
  EXPECT_EQ(prod.at("database").as_string(), "shop_prod");
  EXPECT_EQ(prod.at("state").as_string(), "ready");
  EXPECT_EQ(prod.at("since").as_string(), "2023-11-14T22:14:10Z");
  EXPECT_FALSE(prod.contains("error"));
  EXPECT_EQ(projects.at(1).at("error").as_string(), "projects/wiki.yaml:3:1: name: is required");
  EXPECT_TRUE(projects.at(1).at("deployments").as_array().empty());
  EXPECT_EQ(projects.at(2).at("name").as_string(), "gone");
  EXPECT_EQ(projects.at(2).at("deployments").at(0).at("error").as_string(), "refused");
  EXPECT_FALSE(projects.at(2).at("deployments").at(0).as_object().contains("database"));
}

TEST(StatusRoutes, WithoutARepositoryGitSaysOnlyThat) {
  StatusSnapshot status = example();
  status.git = {};
  EXPECT_EQ(status_json(status).at("git").as_object().size(), 1U);
}

TEST(StatusRoutes, TheLandingPageNamesEveryRoute) {
  const Source source;
  std::vector<Route> routes;
  routes.push_back(status_route(&source));
  routes = with_landing(std::move(routes));
  ASSERT_EQ(routes.size(), 2U);
  const Response response = test::run_coroutine(routes[1].handler({}));
  EXPECT_THAT(response.body,
              HasSubstr("  GET /api/v1/status  everything that is known, as JSON (from this machine)\n"));
  EXPECT_EQ(routes[1].pattern, "/");
}

}  // namespace
}  // namespace opi::http
