#include "cli/history.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace opi::cli {
namespace {

using ::testing::HasSubstr;

store::HistoryRecord record() {
  store::HistoryRecord one{.id = 42};
  one.event.at = WallTime(std::chrono::seconds{1'795'000'000});
  one.event.project = "shop";
  one.event.deployment = "prod";
  one.event.server = "main";
  one.event.action = "create_database";
  one.event.statement = "CREATE DATABASE \"shop_prod\"";
  one.event.cause = {.kind = "commit", .id = "9be1f02aa9be1f02aa9be1f02aa9be1f02aa9be1", .replica = "host/1"};
  one.event.outcome = store::Outcome::failed;
  one.event.sqlstate = "42P04";
  one.event.message = "it exists";
  one.event.duration = std::chrono::milliseconds{44};
  return one;
}

TEST(History, AnEntryIsALineAndItsStatementAndItsFailureBelow) {
  const auto text = history_text({record()});
  EXPECT_THAT(text, HasSubstr("TIME                  DEPLOYMENT  ACTION           OUTCOME  TOOK   CAUSE\n"));
  EXPECT_THAT(text, HasSubstr("2026-11-18T11:06:40Z  shop/prod   create_database  failed   44 ms  commit 9be1f02aa9be\n"
                              "    CREATE DATABASE \"shop_prod\"\n    42P04 it exists\n"));
}

TEST(History, NothingIsSaid) {
  EXPECT_EQ(history_text({}), "nothing is recorded\n");
  EXPECT_EQ(history_json({}), "{\"history\":[]}\n");
}

TEST(History, SeveralEntriesEndWithWhereToGoOn) {
  EXPECT_THAT(history_text({record(), record()}), HasSubstr("2 entries; older ones: --before 42\n"));
}

TEST(History, JsonHasEverything) {
  EXPECT_THAT(history_json({record()}),
              HasSubstr("\"cause\":{\"kind\":\"commit\",\"id\":\"9be1f02aa9be1f02aa9be1f02aa9be1f02aa9be1\","
                        "\"replica\":\"host/1\"},\"outcome\":\"failed\",\"sqlstate\":\"42P04\""));
}

}  // namespace
}  // namespace opi::cli
