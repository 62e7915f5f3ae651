#include "http/router.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace opi::http {
namespace {

Task<Response> nothing(Request) {
  co_return Response{};
}

Route route(Method method, std::string pattern) {
  return {method, std::move(pattern), Access::anyone, "", nothing};
}

TEST(Router, LiteralsComeBeforeParameters) {
  const Router router{
      {route(Method::get, "/p/{name}"), route(Method::get, "/p/new"), route(Method::get, "/p/{name}/x")}};
  EXPECT_EQ(router.find(Method::get, "/p/new").route->pattern, "/p/new");
  const auto match = router.find(Method::get, "/p/old");
  ASSERT_NE(match.route, nullptr);
  EXPECT_EQ(match.route->pattern, "/p/{name}");
  ASSERT_EQ(match.parameters.size(), 1U);
  EXPECT_EQ(match.parameters[0], std::pair(std::string("name"), std::string("old")));
  EXPECT_EQ(router.find(Method::get, "/p/a/x").route->pattern, "/p/{name}/x");
}

TEST(Router, TheRootIsAPathOfItsOwn) {
  const Router router{{route(Method::get, "/"), route(Method::get, "/{a}")}};
  EXPECT_EQ(router.find(Method::get, "/").route->pattern, "/");
  EXPECT_EQ(router.find(Method::get, "/b").route->pattern, "/{a}");
}

TEST(Router, ParametersAreNeverEmptyAndPathsAreNotNormalised) {
  const Router router{{route(Method::get, "/p/{name}"), route(Method::get, "/q")}};
  for (const char* path : {"/p/", "/p//", "//q", "/q/", "/./q", "/p/../q", "q", "", "/p/%00", "/p/%zz"}) {
    EXPECT_EQ(router.find(Method::get, path).route, nullptr) << path;
  }
  EXPECT_NE(router.find(Method::get, "/%71").route, nullptr);
  EXPECT_EQ(router.find(Method::get, "/p/..").parameters.at(0).second, "..");
}

TEST(Router, HeadTakesTheRouteOfGetAndAllowListsEveryMethodOnce) {
  const Router router{{route(Method::get, "/a"), route(Method::post, "/a"), route(Method::delete_, "/{x}")}};
  EXPECT_EQ(router.find(Method::head, "/a").route->method, Method::get);
  EXPECT_EQ(router.find(Method::put, "/a").route, nullptr);
  EXPECT_EQ(router.find(Method::put, "/a").allow, "GET, HEAD, POST, DELETE, OPTIONS");
  EXPECT_EQ(router.find(Method::put, "/a/b").allow, "");
}

TEST(Router, MistakesOfTheProgramAreRefusedAtOnce) {
  EXPECT_THROW((Router{{route(Method::get, "/a/{x}"), route(Method::get, "/a/{y}")}}), std::logic_error);
  EXPECT_THROW((Router{{route(Method::get, "a")}}), std::logic_error);
  EXPECT_THROW((Router{{route(Method::get, "/a//b")}}), std::logic_error);
  EXPECT_THROW((Router{{route(Method::get, "/a{x}")}}), std::logic_error);
}

}  // namespace
}  // namespace opi::http
