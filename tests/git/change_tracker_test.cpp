#include "git/change_tracker.hpp"

#include <gtest/gtest.h>

namespace opi::git {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr BackoffLimits limits{.first = 1'000ms, .most = 10'000ms, .factor = 2.0, .jitter = 0.0};
const SteadyTime now{1h};

Snapshot snapshot(std::vector<FileBlob> files, std::vector<RejectedFile> rejected = {}) {
  return {.commit = "c1", .author = "Eve", .files = std::move(files), .rejected = std::move(rejected)};
}

std::vector<std::string> paths(const std::vector<FileBlob>& files) {
  std::vector<std::string> out;
  for (const auto& file : files) out.push_back(file.path);
  return out;
}

TEST(ChangeTracker, everything_is_new_at_first_and_nothing_after_success) {
  ChangeTracker tracker(limits, 1);
  const auto head = snapshot({{"a", "1"}, {"b", "2"}});
  EXPECT_THAT(paths(tracker.wanted(head, now, false).present), ElementsAre("a", "b"));
  EXPECT_EQ(tracker.kind_of({"a", "1"}), ChangeKind::added);
  tracker.succeeded("a", "1");
  tracker.succeeded("b", "2");
  EXPECT_THAT(tracker.wanted(head, now, false).present, IsEmpty());
  EXPECT_EQ(tracker.kind_of({"a", "3"}), ChangeKind::changed);
}

TEST(ChangeTracker, a_file_that_is_gone_is_removed_with_the_blob_that_was_acted_on) {
  ChangeTracker tracker(limits, 1);
  tracker.load({{"a", "1"}, {"b", "2"}});
  const auto wanted = tracker.wanted(snapshot({{"b", "2"}}), now, false);
  EXPECT_THAT(wanted.removed, ElementsAre(FileBlob{"a", "1"}));
  EXPECT_THAT(wanted.present, IsEmpty());
  tracker.removed("a");
  EXPECT_THAT(tracker.wanted(snapshot({{"b", "2"}}), now, false).removed, IsEmpty());
}

TEST(ChangeTracker, an_empty_repository_removes_nothing_but_an_empty_commit_does) {
  ChangeTracker tracker(limits, 1);
  tracker.load({{"a", "1"}});
  EXPECT_THAT(tracker.wanted(Snapshot{.empty = true}, now, false).removed, IsEmpty());
  EXPECT_THAT(tracker.wanted(snapshot({}), now, false).removed, ElementsAre(FileBlob{"a", "1"}));
}

TEST(ChangeTracker, a_failed_file_waits_longer_each_time_and_does_not_hold_the_others) {
  ChangeTracker tracker(limits, 1);
  const auto head = snapshot({{"a", "1"}, {"b", "2"}});
  tracker.failed({"a", "1"}, head, now);
  EXPECT_THAT(paths(tracker.wanted(head, now, false).present), ElementsAre("b"));
  tracker.succeeded("b", "2");
  EXPECT_EQ(tracker.next_offer(), now + 1s);
  EXPECT_THAT(paths(tracker.wanted(head, now + 1s, false).present), ElementsAre("a"));
  tracker.failed({"a", "1"}, head, now + 1s);
  EXPECT_EQ(tracker.next_offer(), now + 3s);
  EXPECT_THAT(tracker.wanted(head, now + 2s, false).present, IsEmpty());
  EXPECT_THAT(paths(tracker.wanted(head, now + 2s, true).present), ElementsAre("a")) << "poked";
  ASSERT_EQ(tracker.waiting().size(), 1U);
  EXPECT_EQ(tracker.waiting()[0].attempts, 2U);
  EXPECT_EQ(tracker.waiting()[0].seen_at_commit, "c1");
  tracker.succeeded("a", "1");
  EXPECT_EQ(tracker.next_offer(), std::nullopt);
  EXPECT_THAT(tracker.waiting(), IsEmpty());
}

TEST(ChangeTracker, new_content_of_a_waiting_file_is_offered_at_once) {
  ChangeTracker tracker(limits, 1);
  tracker.failed({"a", "1"}, snapshot({{"a", "1"}}), now);
  EXPECT_THAT(paths(tracker.wanted(snapshot({{"a", "2"}}), now, false).present), ElementsAre("a"));
}

TEST(ChangeTracker, a_waiting_file_that_returns_to_what_was_acted_on_waits_no_more) {
  ChangeTracker tracker(limits, 1);
  tracker.load({{"a", "1"}});
  tracker.failed({"a", "2"}, snapshot({{"a", "2"}}), now);
  EXPECT_THAT(tracker.wanted(snapshot({{"a", "1"}}), now, false).present, IsEmpty());
  EXPECT_THAT(tracker.waiting(), IsEmpty());
}

TEST(ChangeTracker, a_failed_removal_waits_and_is_offered_again) {
  ChangeTracker tracker(limits, 1);
  tracker.load({{"a", "1"}});
  const auto head = snapshot({});
  tracker.failed({"a", "1"}, head, now);
  EXPECT_THAT(tracker.wanted(head, now, false).removed, IsEmpty());
  EXPECT_THAT(tracker.wanted(head, now + 1s, false).removed, ElementsAre(FileBlob{"a", "1"}));
}

TEST(ChangeTracker, a_rejected_file_is_told_once_and_what_was_acted_on_stays) {
  ChangeTracker tracker(limits, 1);
  tracker.load({{"a", "1"}});
  const auto head = snapshot({}, {{.path = "a", .blob = "2", .error = Error(ErrorKind::exhausted, "too large")}});
  const auto first = tracker.wanted(head, now, false);
  EXPECT_THAT(first.removed, IsEmpty());
  ASSERT_EQ(first.rejected.size(), 1U);
  EXPECT_THAT(tracker.wanted(head, now, true).rejected, IsEmpty());
  ASSERT_EQ(tracker.waiting().size(), 1U);
  EXPECT_EQ(tracker.waiting()[0].error, "too large");
  EXPECT_THAT(tracker.wanted(snapshot({{"a", "1"}}), now, false).present, IsEmpty());
  EXPECT_THAT(tracker.waiting(), IsEmpty()) << "mended";
}

TEST(ChangeTracker, a_rejected_file_that_is_deleted_later_is_a_removal) {
  ChangeTracker tracker(limits, 1);
  tracker.load({{"a", "1"}});
  const auto bad = snapshot({}, {{.path = "a", .blob = "2", .error = Error(ErrorKind::exhausted, "too large")}});
  tracker.wanted(bad, now, false);
  EXPECT_THAT(tracker.wanted(snapshot({}), now, false).removed, ElementsAre(FileBlob{"a", "1"}));
}

}  // namespace
}  // namespace opi::git
