#include "http/git_routes.hpp"

#include <gmock/gmock.h>

#include <stdexcept>

#include "support/run_coroutine.hpp"

namespace opi::http {
namespace {

using ::testing::ElementsAre;

class Control final : public GitControl {
 public:
  Task<Result<>> suspend(Kind kind, std::string name, std::string reason) override {
    said.push_back(word(kind) + " suspend " + name + " " + reason);
    co_return answer;
  }
  Task<Result<>> resume(Kind kind, std::string name) override {
    said.push_back(word(kind) + " resume " + name);
    co_return answer;
  }
  Task<Result<>> reconcile(Kind kind, std::string name) override {
    said.push_back(word(kind) + " reconcile " + name);
    co_return answer;
  }
  static std::string word(Kind kind) { return kind == Kind::repository ? "repository" : "project"; }

  std::vector<std::string> said;
  Result<> answer;
};

class Source final : public StatusSource {
 public:
  StatusSnapshot status() const override {
    StatusSnapshot status;
    status.repositories = {{.name = "team-a", .state = "following"}};
    return status;
  }
};

class GitRoutesTest : public ::testing::Test {
 protected:
  Response ask(Method method, std::string path, std::string body = {}, std::string type = "application/json") {
    const auto match = router.find(method, path);
    if (match.route == nullptr) throw std::logic_error("no route " + path);
    EXPECT_EQ(match.route->access, Access::loopback) << path;
    Request request;
    request.method = method;
    request.parameters = match.parameters;
    request.body = std::move(body);
    request.headers = {{"content-type", std::move(type)}};
    return test::run_coroutine(match.route->handler(std::move(request)));
  }
  Source source;
  Control control;
  Router router{git_control_routes(&source, &control)};
};

TEST_F(GitRoutesTest, EachVerbReachesWhatItNames) {
  EXPECT_EQ(ask(Method::post, "/api/v1/repositories/team-a/suspend", "{\"reason\": \"moving\"}").status, 200);
  EXPECT_EQ(ask(Method::post, "/api/v1/projects/shop/resume").status, 200);
  EXPECT_EQ(ask(Method::post, "/api/v1/projects/shop/reconcile").status, 202);
  EXPECT_THAT(control.said,
              ElementsAre("repository suspend team-a moving", "project resume shop", "project reconcile shop"));
  EXPECT_THAT(ask(Method::get, "/api/v1/repositories").body, ::testing::HasSubstr("\"team-a\""));
}

TEST_F(GitRoutesTest, WhatAnotherSitesPageCouldSendAndOddBodiesChangeNothing) {
  EXPECT_EQ(ask(Method::post, "/api/v1/projects/shop/suspend", "", "text/plain").status, 415);
  for (const char* odd : {"[]", "{", "{\"reason\": 7}", "{\"force\": \"yes\"}"})
    EXPECT_EQ(ask(Method::post, "/api/v1/projects/shop/suspend", odd).status, 400) << odd;
  EXPECT_EQ(
      ask(Method::post, "/api/v1/projects/shop/suspend", "{\"reason\": \"" + std::string(2'000, 'x') + "\"}").status,
      400);
  EXPECT_TRUE(control.said.empty());
}

TEST_F(GitRoutesTest, FailuresHaveTheirStatus) {
  control.answer = failure(ErrorKind::not_found, "no");
  EXPECT_EQ(ask(Method::post, "/api/v1/projects/shop/suspend").status, 404);
  control.answer = failure(ErrorKind::conflict, "no");
  EXPECT_EQ(ask(Method::post, "/api/v1/projects/shop/reconcile").status, 409);
  control.answer = failure(ErrorKind::unavailable, "no");
  EXPECT_EQ(ask(Method::post, "/api/v1/projects/shop/resume").status, 503);
}

TEST(WebhookRoutes, AnswerAtOnceAndSayWhetherItWasGenuine) {
  int woken = 0;
  git::WebhookReceiver receiver({{.name = "a",
                                  .url = "https://example.org/team/a",
                                  .branches = {"main"},
                                  .secret = []() -> Result<SecretString> { return SecretString("token"); },
                                  .wake = [&woken] { ++woken; }}});
  const Router router(webhook_routes(&receiver));
  const auto post = [&](const std::string& path, Headers headers, std::string body) {
    const auto match = router.find(Method::post, path);
    EXPECT_EQ(match.route->access, Access::anyone);
    Request request;
    request.method = Method::post;
    request.parameters = match.parameters;
    request.headers = std::move(headers);
    request.body = std::move(body);
    return test::run_coroutine(match.route->handler(std::move(request))).status;
  };
  EXPECT_EQ(post("/hooks/git", {{"x-gitlab-token", "token"}, {"x-gitlab-event", "Push Hook"}}, "{}"), 202);
  EXPECT_EQ(post("/hooks/git/a", {{"x-gitlab-token", "token"}}, ""), 202);
  EXPECT_EQ(woken, 2);
  EXPECT_EQ(post("/hooks/git/b", {{"x-gitlab-token", "token"}}, ""), 401);
  EXPECT_EQ(post("/hooks/git", {{"x-gitlab-token", "nekot"}}, ""), 401);
  EXPECT_EQ(post("/hooks/git", {}, ""), 401);
  EXPECT_EQ(post("/hooks/git", {{"x-gitlab-token", "token"}}, "{"), 400);
  EXPECT_EQ(woken, 2);
}

}  // namespace
}  // namespace opi::http
