// Which statements a session keeps prepared.
#include "pg/statement_cache.hpp"

#include <gtest/gtest.h>

namespace opi::pg {
namespace {

void fill(StatementCache& cache, int count) {
  for (int number = 0; number < count; ++number) {
    cache.make_room();
    cache.add(cache.make(Statement(std::to_string(number)), {}));
  }
}

TEST(StatementCache, TheLeastRecentlyUsedIsDoomedForANewOne) {
  StatementCache cache;
  cache.limit(3);
  fill(cache, 3);
  ASSERT_NE(cache.find(Statement("0"), {}), nullptr);
  cache.make_room();
  EXPECT_EQ(cache.find(Statement("1"), {}), nullptr);
  EXPECT_NE(cache.find(Statement("0"), {}), nullptr);
  EXPECT_EQ(cache.size(), 2U);
  EXPECT_EQ(cache.take_doomed(), std::vector<std::string>{"opi_2"});
  EXPECT_TRUE(cache.doomed().empty());
}

TEST(StatementCache, OneTextHasAnEntryForEachListOfTypes) {
  StatementCache cache;
  const Statement statement("SELECT $1");
  cache.add(cache.make(statement, {Param(1)}));
  EXPECT_NE(cache.find(statement, {Param(2)}), nullptr);
  EXPECT_NE(cache.find(Statement("SELECT $1"), {Param(2)}), nullptr) << "the text counts, not the object";
  EXPECT_NE(cache.find(statement, {Param(std::nullopt)}), nullptr) << "NULL goes with any type";
  EXPECT_NE(cache.find(statement, {Param(std::optional<int>())}), nullptr);
  EXPECT_EQ(cache.find(statement, {Param(std::int64_t{2})}), nullptr);
  EXPECT_EQ(cache.find(statement, {Param("2")}), nullptr);
  EXPECT_EQ(cache.find(statement, {}), nullptr);
  cache.add(cache.make(statement, {Param("2")}));
  EXPECT_EQ(cache.find(statement, {Param("3")})->name, "opi_2");
  EXPECT_EQ(cache.find(statement, {Param(3)})->name, "opi_1");
}

TEST(StatementCache, WhatIsForgottenIsDeallocatedAndItsNameNeverUsedAgain) {
  StatementCache cache;
  fill(cache, 2);
  cache.doom_all();
  EXPECT_EQ(cache.find(Statement("0"), {}), nullptr);
  EXPECT_EQ(cache.size(), 0U);
  EXPECT_EQ(cache.take_doomed().size(), 2U);
  EXPECT_EQ(cache.add(cache.make(Statement("0"), {}))->name, "opi_3");
}

TEST(StatementCache, RemovedDoomedAndClearedDiffer) {
  StatementCache cache;
  fill(cache, 3);
  cache.remove("opi_1");
  EXPECT_TRUE(cache.doomed().empty());
  cache.doom("opi_2");
  EXPECT_EQ(cache.doomed(), std::vector<std::string>{"opi_2"});
  cache.clear();
  EXPECT_TRUE(cache.doomed().empty());
  EXPECT_EQ(cache.size(), 0U);
}

TEST(StatementCache, ALimitOfZeroKeepsNone) {
  StatementCache cache;
  fill(cache, 2);
  cache.limit(0);
  EXPECT_EQ(cache.take_doomed().size(), 2U);
  EXPECT_EQ(cache.add(cache.make(Statement("x"), {})), nullptr);
  EXPECT_EQ(cache.take_doomed(), std::vector<std::string>{"opi_3"});
}

TEST(StatementCache, AKnownTextIsShared) {
  StatementCache cache;
  fill(cache, 1);
  EXPECT_EQ(&cache.statement_of("0").sql(), &cache.find(Statement("0"), {})->statement.sql());
  EXPECT_EQ(cache.statement_of("new").sql(), "new");
}

}  // namespace
}  // namespace opi::pg
