// What is suspended stays so until somebody resumes it.
#include "store/suspensions.hpp"

#include "integration/store/store_test.hpp"

namespace opi::store {
namespace {

TEST_F(StoreTest, WhatIsSuspendedIsListedUntilItIsResumed) {
  ASSERT_TRUE(await(suspend(connection_, SuspendedKind::project, "shop", "migration")));
  ASSERT_TRUE(await(suspend(connection_, SuspendedKind::repository, "shop", "")));
  ASSERT_TRUE(await(suspend(connection_, SuspendedKind::project, "shop", "still")));
  auto all = await(load_suspensions(connection_));
  ASSERT_TRUE(all) << all.error().to_string();
  ASSERT_EQ(all->size(), 2U);
  EXPECT_EQ((*all)[0].kind, SuspendedKind::project);
  EXPECT_EQ((*all)[0].name, "shop");
  EXPECT_EQ((*all)[0].reason, "still");
  EXPECT_TRUE((*all)[0].since);
  EXPECT_EQ((*all)[1].kind, SuspendedKind::repository);
  ASSERT_TRUE(await(resume(connection_, SuspendedKind::project, "shop")));
  ASSERT_TRUE(await(resume(connection_, SuspendedKind::project, "never suspended")));
  all = await(load_suspensions(connection_));
  ASSERT_EQ(all->size(), 1U);
  EXPECT_EQ((*all)[0].kind, SuspendedKind::repository);
}

}  // namespace
}  // namespace opi::store
