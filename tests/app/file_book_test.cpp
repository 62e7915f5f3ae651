#include "app/file_book.hpp"

#include <gtest/gtest.h>

namespace opi::app {
namespace {

FileSeen version(std::string blob, std::string commit = "c1", std::string author = "Eve") {
  return {.name = "a.yaml",
          .ledger = "repo",
          .path = "a.yaml",
          .blob = std::move(blob),
          .commit = std::move(commit),
          .author = std::move(author)};
}

provision::ApplyReport report(provision::DeploymentOutcome outcome) {
  provision::DeploymentReport row;
  row.project = "a";
  row.deployment = "d";
  row.outcome = outcome;
  row.file = "a.yaml";
  provision::ApplyReport report;
  report.deployments.push_back(std::move(row));
  return report;
}

class FileBookTest : public testing::Test {
 protected:
  void pass(provision::DeploymentOutcome outcome) {
    book.begin_pass({});
    book.judge(report(outcome), projects);
  }
  FileBook book;
  provision::ProjectManager projects;
};

TEST_F(FileBookTest, AVersionIsActedOnOnceAPassOverItWentWellAndIsWrittenOnce) {
  EXPECT_TRUE(book.saw(version("b1")));
  EXPECT_FALSE(book.succeeded("a.yaml"));
  EXPECT_TRUE(book.to_record(projects).empty());
  pass(provision::DeploymentOutcome::created);
  EXPECT_TRUE(book.succeeded("a.yaml"));
  const auto writes = book.to_record(projects);
  ASSERT_EQ(writes.acted.size(), 1U);
  EXPECT_EQ(writes.acted[0].blob_id, "b1");
  book.recorded(writes);
  EXPECT_TRUE(book.to_record(projects).empty());
  EXPECT_EQ(book.acted_on("repo").at("a.yaml"), "b1");
}

TEST_F(FileBookTest, AVersionThatComesWhileAPassRunsIsNotTakenForActedOn) {
  book.saw(version("b1"));
  book.begin_pass({});
  book.saw(version("b2"));
  book.judge(report(provision::DeploymentOutcome::changed), projects);
  EXPECT_FALSE(book.succeeded("a.yaml"));
  EXPECT_TRUE(book.to_record(projects).empty());
  pass(provision::DeploymentOutcome::changed);
  EXPECT_EQ(book.to_record(projects).acted.at(0).blob_id, "b2");
}

TEST_F(FileBookTest, APassOverOtherFilesSaysNothingOfThisOne) {
  book.saw(version("b1"));
  book.begin_pass({"other.yaml"});
  book.judge({}, projects);
  EXPECT_FALSE(book.succeeded("a.yaml"));
}

TEST_F(FileBookTest, AnErrorNamesTheHeadAtWhichItsVersionWasFirstSeenAlsoFromBefore) {
  book.saw(version("b1", "c1", "Eve"));
  book.saw(version("b1", "c2", "Bob"));
  pass(provision::DeploymentOutcome::refused);
  EXPECT_EQ(book.problem("a.yaml").commit, "c1");
  EXPECT_EQ(book.problem("a.yaml").author, "Eve");
  const auto writes = book.to_record(projects);
  ASSERT_EQ(writes.failed.size(), 1U);
  EXPECT_EQ(writes.failed[0].commit_id, "c1");

  FileBook after_a_restart;
  store::FileRecord record;
  record.repository = "repo";
  record.path = "a.yaml";
  record.blob_id = "b0";
  record.error = "x";
  record.error_blob_id = "b1";
  record.error_commit_id = "c1";
  record.error_author = "Eve";
  after_a_restart.load({record}, "");
  after_a_restart.saw(version("b1", "c9", "Bob"));
  after_a_restart.begin_pass({});
  after_a_restart.judge(report(provision::DeploymentOutcome::refused), projects);
  EXPECT_EQ(after_a_restart.problem("a.yaml").commit, "c1");
  EXPECT_EQ(after_a_restart.acted_on("repo").at("a.yaml"), "b0") << "what was good is what is in force";
  EXPECT_EQ(after_a_restart.recorded("repo").at("a.yaml"), "b0");
}

TEST_F(FileBookTest, WhatWasActedOnBeforeOurTimeAndNotReadSinceIsOfferedAgain) {
  store::FileRecord record;
  record.repository = "repo";
  record.path = "a.yaml";
  record.blob_id = "b0";
  book.load({record}, "");
  EXPECT_EQ(book.acted_on("repo").at("a.yaml"), "") << "known, so that its removal is seen";
  EXPECT_EQ(book.recorded("repo").at("a.yaml"), "b0");
}

TEST_F(FileBookTest, AnUnusableVersionIsAnErrorThatNoPassTakesAway) {
  book.saw(version("b1"));
  book.unusable("a.yaml", "is a symbolic link");
  pass(provision::DeploymentOutcome::created);
  EXPECT_FALSE(book.succeeded("a.yaml"));
  EXPECT_EQ(book.problem("a.yaml").error, "is a symbolic link");
  book.saw(version("b2"));
  pass(provision::DeploymentOutcome::created);
  EXPECT_TRUE(book.succeeded("a.yaml"));
}

}  // namespace
}  // namespace opi::app
