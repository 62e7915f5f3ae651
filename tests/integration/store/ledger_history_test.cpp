// What was acted on, and what was done: both in batches of one statement.
#include "integration/store/store_test.hpp"
#include "store/file_ledger.hpp"
#include "store/history.hpp"

namespace opi::store {
namespace {

TEST_F(StoreTest, AFileThatFailsKeepsWhatSucceededBefore) {
  const std::string repository = "/srv/projects.git";
  ASSERT_TRUE(await(record_acted(connection_, {{repository, "b.yaml", "blob-b", "wiki", "c1"},
                                               {repository, "a.yaml", "blob-a", "shop", "c1"},
                                               {"/srv/other.git", "a.yaml", "blob-x", "other", "c9"}})));
  ASSERT_TRUE(await(record_failed(connection_, {{repository, "a.yaml", "blob-a2", "line 3: no", "c2", "Eve"},
                                                {repository, "new.yaml", "blob-n", "line 1: no"}})));
  auto files = await(load_files(connection_, repository));
  ASSERT_TRUE(files) << files.error().to_string();
  ASSERT_EQ(files->size(), 3U);
  EXPECT_EQ((*files)[0].path, "a.yaml");
  EXPECT_EQ((*files)[0].blob_id, "blob-a");
  EXPECT_EQ((*files)[0].error, "line 3: no");
  EXPECT_EQ((*files)[0].error_blob_id, "blob-a2");
  EXPECT_EQ((*files)[0].error_commit_id, "c2");
  EXPECT_EQ((*files)[0].error_author, "Eve");
  EXPECT_TRUE((*files)[0].acted_at);
  EXPECT_TRUE((*files)[0].error_at);
  EXPECT_EQ((*files)[1].error, "");
  EXPECT_EQ((*files)[2].blob_id, "");
  EXPECT_FALSE((*files)[2].acted_at);

  ASSERT_TRUE(await(record_acted(connection_, {{repository, "a.yaml", "blob-a3", "shop", "c3"}})));
  ASSERT_TRUE(await(forget_files(connection_, repository, {"b.yaml", "never there"})));
  files = await(load_files(connection_, repository));
  ASSERT_EQ(files->size(), 2U);
  EXPECT_EQ((*files)[0].blob_id, "blob-a3");
  EXPECT_EQ((*files)[0].error, "");
  EXPECT_FALSE((*files)[0].error_at);
  EXPECT_EQ((*files)[0].error_commit_id, "");
  EXPECT_EQ(await(load_files(connection_, "/srv/other.git"))->size(), 1U);
}

TEST_F(StoreTest, ABatchOfFilesIsOneStatement) {
  std::vector<ActedFile> files;
  for (int i = 0; i < 500; ++i) files.push_back({"r", "p" + std::to_string(i) + ".yaml", "b", "p", "c"});
  const auto before = connection_->statements_run();
  ASSERT_TRUE(await(record_acted(connection_, files)));
  EXPECT_EQ(connection_->statements_run() - before, 1U);
  EXPECT_EQ(await(load_files(connection_, "r"))->size(), 500U);
}

HistoryEvent event(const std::string& project, const std::string& action) {
  HistoryEvent event;
  event.at = SystemClock().wall();
  event.project = project;
  event.deployment = "prod";
  event.server = "main";
  event.action = action;
  event.statement = "CREATE ROLE \"shop_prod\" NOLOGIN";
  event.cause = {.kind = "commit", .id = "9be1f02", .replica = "host/1"};
  event.duration = 1234us;
  return event;
}

TEST_F(StoreTest, HistoryIsReadBackNewestFirstAndPageByPage) {
  std::vector<HistoryEvent> events;
  for (int i = 0; i < 10; ++i) events.push_back(event(i % 2 == 0 ? "shop" : "wiki", "step " + std::to_string(i)));
  events[8].outcome = Outcome::failed;
  events[8].sqlstate = "42501";
  events[8].message = "permission denied";
  const auto before = connection_->statements_run();
  ASSERT_TRUE(await(append_history(connection_, events)));
  EXPECT_EQ(connection_->statements_run() - before, 1U);
  const auto first = await(read_history(connection_, {.project = "shop", .limit = 2}));
  ASSERT_TRUE(first) << first.error().to_string();
  ASSERT_EQ(first->size(), 2U);
  EXPECT_EQ((*first)[0].event.action, "step 8");
  EXPECT_EQ((*first)[0].event.outcome, Outcome::failed);
  EXPECT_EQ((*first)[0].event.sqlstate, "42501");
  EXPECT_EQ((*first)[0].event.message, "permission denied");
  EXPECT_EQ((*first)[0].event.cause.id, "9be1f02");
  EXPECT_EQ((*first)[0].event.duration, 1234us);
  EXPECT_EQ(to_string((*first)[0].event.outcome), "failed");
  EXPECT_LT(std::chrono::abs((*first)[0].event.at - events[8].at), 1ms);
  EXPECT_EQ((*first)[1].event.action, "step 6");
  const auto rest = await(read_history(connection_, {.project = "shop", .before_id = (*first)[1].id}));
  ASSERT_EQ(rest->size(), 3U);
  EXPECT_EQ((*rest)[0].event.action, "step 4");
  EXPECT_EQ(await(read_history(connection_, {}))->size(), 10U);
  EXPECT_EQ(await(read_history(connection_, {.project = "shop", .deployment = "none"}))->size(), 0U);
}

TEST_F(StoreTest, HistoryKeepsNoSecretAndSurvivesAnyText) {
  HistoryEvent hostile = event("shop", "odd");
  hostile.statement = std::string("ALTER ROLE x PASSWORD 'pw-1'; \0 \xff\xfe", 35) + std::string(20'000, 'x');
  hostile.message = "near PASSWORD 'pw-2'";
  ASSERT_TRUE(await(append_history(connection_, {hostile})));
  const auto records = await(read_history(connection_, {}));
  ASSERT_EQ(records->size(), 1U);
  const HistoryEvent& kept = (*records)[0].event;
  EXPECT_EQ(kept.statement.find("pw-1"), std::string::npos);
  EXPECT_EQ(kept.message, "near PASSWORD '***'");
  EXPECT_LE(kept.statement.size(), 8192U);
}

TEST_F(StoreTest, OldHistoryIsTrimmedInPortions) {
  std::vector<HistoryEvent> events;
  for (int i = 0; i < 5; ++i) {
    events.push_back(event("shop", "old"));
    events.back().at -= 48h;
  }
  events.push_back(event("shop", "new"));
  ASSERT_TRUE(await(append_history(connection_, events)));
  EXPECT_EQ(*await(trim_history(connection_, 24h, 3)), 3);
  EXPECT_EQ(*await(trim_history(connection_, 24h, 3)), 2);
  EXPECT_EQ(*await(trim_history(connection_, 24h, 3)), 0);
  const auto left = await(read_history(connection_, {}));
  ASSERT_EQ(left->size(), 1U);
  EXPECT_EQ((*left)[0].event.action, "new");
}

}  // namespace
}  // namespace opi::store
