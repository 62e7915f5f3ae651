#include "secrets/self_test.hpp"

#include <gtest/gtest.h>

namespace opi::secrets {
namespace {

TEST(SelfTest, Passes) {
  const auto passed = self_test();
  EXPECT_TRUE(passed) << passed.error().to_string();
}

}  // namespace
}  // namespace opi::secrets
