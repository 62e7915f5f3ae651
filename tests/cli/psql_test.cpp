#include "cli/psql.hpp"

#include <gtest/gtest.h>

namespace opi::cli {
namespace {

TEST(Passfile, HasFiveFieldsAndEscapesColonsAndBackslashes) {
  const PsqlTarget target{
      .host = "::1", .port = 5433, .database = "shop_prod", .user = "shop_prod__a", .password = SecretString("a:b\\c")};
  EXPECT_EQ(passfile_line(target).reveal(), "\\:\\:1:5433:shop_prod:shop_prod__a:a\\:b\\\\c\n");
}

}  // namespace
}  // namespace opi::cli
