#include "kube/watch.hpp"

#include "kube/api_server_fixture.hpp"

namespace opi::kube {
namespace {

using testing::in;
using testing::long_enough;

class WatchTest : public testing::ApiClientTest {
 protected:
  WatchEvent next() {
    auto event = run(watch().next(in(long_enough)));
    if (!event) throw std::runtime_error(event.error().to_string());
    return std::move(*event);
  }
  Watch& watch() {
    if (!watch_) watch_.emplace(client(), namespaces, WatchOptions{});
    return *watch_;
  }
  /// What happened to which, "added a".
  std::string change() {
    const WatchEvent event = next();
    const auto* changed = std::get_if<Changed>(&event);
    if (changed == nullptr) return "listed " + std::to_string(std::get<Listed>(event).objects.size());
    static constexpr std::array<const char*, 3> names{"added", "modified", "deleted"};
    return std::string(names.at(static_cast<std::size_t>(changed->kind))) + " " +
           std::string(metadata_text(changed->object, "name"));
  }

  std::optional<Watch> watch_;
};

TEST_F(WatchTest, BeginsWithWhatIsThereAndGoesOnWithEachChange) {
  make_namespace("a");
  EXPECT_EQ(change(), "listed 1");
  make_namespace("b");
  EXPECT_EQ(change(), "added b");
  const auto b = run(client().get({namespaces, "", "b"}, in(long_enough)));
  ASSERT_TRUE(run(client().remove({namespaces, "", "b"}, std::string(metadata_text(*b, "uid")), in(long_enough))));
  EXPECT_EQ(change(), "deleted b");
}

TEST_F(WatchTest, GoesOnAfterTheStreamEndedOrBrokeWithoutLosingOrRepeatingAnything) {
  EXPECT_EQ(change(), "listed 0");
  int number = 0;
  for (const bool cut : {false, true, false, true}) {
    const std::string before = "before-" + std::to_string(++number);
    const std::string after = "after-" + std::to_string(number);
    make_namespace(before);
    EXPECT_EQ(change(), "added " + before);
    server_.end_watches(cut);
    make_namespace(after);
    EXPECT_EQ(change(), "added " + after);
  }
}

TEST_F(WatchTest, AVersionThatIsForgottenIsAGapAndANewList) {
  EXPECT_EQ(change(), "listed 0");
  make_namespace("a");
  EXPECT_EQ(change(), "added a");
  server_.end_watches(true);
  make_namespace("b");
  server_.store().forget_history();
  EXPECT_EQ(change(), "listed 2");
}

TEST_F(WatchTest, BookmarksKeepTheVersionYoung) {
  EXPECT_EQ(change(), "listed 0");
  make_namespace("a");
  EXPECT_EQ(change(), "added a");
  // Changes elsewhere move the collection's version without an event of ours.
  applied(secrets, secret("a", "b", "c"));
  EXPECT_FALSE(run(watch().next(in(std::chrono::milliseconds(200)))));
  make_namespace("z");
  EXPECT_EQ(change(), "added z");
}

TEST_F(WatchTest, ATimeWithoutEventsIsATimeoutAndNothingIsLost) {
  EXPECT_EQ(change(), "listed 0");
  const auto quiet = run(watch().next(in(std::chrono::milliseconds(20))));
  ASSERT_FALSE(quiet);
  EXPECT_EQ(quiet.error().kind, ErrorKind::timed_out);
  make_namespace("a");
  EXPECT_EQ(change(), "added a");
}

TEST_F(WatchTest, AServerThatIsGoneIsAnErrorAndItGoesOnWhenItIsBack) {
  EXPECT_EQ(change(), "listed 0");
  server_.end_watches(true);
  options_.attempts_max = 2;
  for (int i = 0; i < 8; ++i) server_.faults().push_back({.kind = test::ApiFault::Kind::cut_before});
  const auto lost = run(watch().next(in(long_enough)));
  EXPECT_TRUE(!lost || std::holds_alternative<Changed>(*lost));
  server_.faults().clear();
  make_namespace("a");
  EXPECT_EQ(change(), "added a");
}

TEST(WatchLineTest, WhatIsNoEventIsAnErrorAndNeverThrows) {
  for (const std::string_view line :
       {"", "[]", "{}", "null", "{\"type\":1}", "{\"type\":\"ADDED\"}", "{\"type\":\"ADDED\",\"object\":{}}",
        "{\"type\":\"MOVED\",\"object\":{\"metadata\":{\"resourceVersion\":\"1\"}}}",
        "{\"type\":\"ERROR\",\"object\":{\"code\":500,\"kind\":\"Status\",\"message\":\"x\"}}"})
    EXPECT_EQ(parse_watch_line(line).kind, WatchLine::Kind::failed) << line;
  EXPECT_EQ(parse_watch_line("{\"type\":\"ERROR\",\"object\":{\"code\":410}}").kind, WatchLine::Kind::gone);
  const auto bookmark = parse_watch_line(R"({"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7"}}})");
  EXPECT_EQ(bookmark.kind, WatchLine::Kind::bookmark);
  EXPECT_EQ(bookmark.resource_version, "7");
}

}  // namespace
}  // namespace opi::kube
