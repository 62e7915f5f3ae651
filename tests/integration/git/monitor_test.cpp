#include "git/monitor.hpp"

#include <gtest/gtest.h>

#include "aio/tcp_listener.hpp"
#include "aio/with_deadline.hpp"
#include "support/git_repository.hpp"
#include "support/run_coroutine.hpp"
#include "support/temporary_directory.hpp"

namespace opi::git {
namespace {

using namespace std::chrono_literals;
using test::GitRepository;
using test::run_coroutine;
using testing::ElementsAre;
using testing::IsEmpty;

/// Remembers log lines of the monitor.
class Lines final : public LogSink {
 public:
  bool wants(LogLevel) const noexcept override { return true; }
  void write(const LogRecord& record) noexcept override {
    if (record.level == LogLevel::warn || std::string_view(record.message).contains("reachable again"))
      lines.emplace_back(record.message);
  }
  void flush() noexcept override {}
  std::vector<std::string> lines;
};

/// What the handler saw, as "+path", "~path", "-path", and what it shall refuse.
struct Handler {
  std::vector<std::string> seen;
  std::map<std::string, std::string> contents;
  std::vector<RejectedFile> rejected;
  std::set<std::string> refuse;
  std::string commit;
  std::size_t sets = 0;
  std::size_t files_total = 0;
  bool throws = false;
  bool hold = false;  ///< takes a set, and does not return before this is false again

  Task<Result<std::vector<std::string>>> act(ChangeSet set) {
    co_await aio::sleep_for(1ms);
    ++sets;
    commit = set.commit;
    files_total = set.files_total;
    if (hold) seen.push_back("~" + set.changes.at(0).path);
    const bool held = hold;
    while (hold) co_await aio::sleep_for(1ms);
    if (held) {
      for (auto& change : set.changes) contents[change.path] = change.content;
      co_return std::vector<std::string>{set.changes.at(0).path};
    }
    if (throws) throw std::runtime_error("handler broke");
    std::vector<std::string> succeeded;
    for (auto& change : set.changes) {
      constexpr std::string_view signs = "+~-";
      seen.push_back(signs[static_cast<std::size_t>(change.kind)] + change.path);
      if (refuse.contains(change.path)) continue;
      if (change.kind == ChangeKind::removed)
        contents.erase(change.path);
      else
        contents[change.path] = change.content;
      succeeded.push_back(change.path);
    }
    for (auto& file : set.rejected) rejected.push_back(file);
    co_return succeeded;
  }
};

class MonitorTest : public testing::Test {
 protected:
  MonitorSettings settings(std::string url) const {
    MonitorSettings settings;
    settings.mirror.url = std::move(url);
    settings.mirror.directory = directory.path() / "mirror";
    settings.mirror.limits.file_bytes_max = 1'000;
    settings.interval = 20ms;
    settings.check_deadline = 30s;
    settings.unreachable = {.first = 10ms, .most = 40ms};
    settings.failed_file = {.first = 10ms, .most = 40ms};
    return settings;
  }

  void begin(MonitorSettings with, ActedOn acted_on = {}) {
    monitor.emplace(
        context.get_executor(), std::move(with), ActedOnBranches{{"main", std::move(acted_on)}},
        [this](ChangeSet set) { return handler.act(std::move(set)); }, Logger(log, "git"));
    const auto started = run_coroutine(context, monitor->start());
    ASSERT_TRUE(started) << started.error().to_string();
  }
  void begin() { begin(settings(source.url())); }
  void TearDown() override { end(); }
  void end() {
    if (!monitor) return;
    EXPECT_TRUE(run_coroutine(context, monitor->stop()));
    EXPECT_EQ(monitor->status().state, MonitorState::stopped);
    monitor.reset();
  }

  static Task<bool> holds(std::function<bool()> condition) {
    const auto deadline = std::chrono::steady_clock::now() + 30s;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) co_return false;
      co_await aio::sleep_for(2ms);
    }
    co_return true;
  }
  bool until(std::function<bool()> condition) { return run_coroutine(context, holds(std::move(condition))); }
  /// Until `commit` was followed and nothing waits.
  bool settled(const std::string& commit) {
    return until([this, commit] {
      const auto status = monitor->status();
      return status.state == MonitorState::following && status.last_head == commit && status.waiting.empty();
    });
  }
  /// Until `count` more checks have ended.
  bool checks(std::uint64_t count) {
    const auto goal = monitor->status().checks + count;
    return until([this, goal] { return monitor->status().checks >= goal; });
  }

  test::TemporaryDirectory directory;
  GitRepository source{directory.path() / "source.git"};
  asio::io_context context;
  Lines log;
  Handler handler;
  std::optional<GitMonitor> monitor;
};

TEST_F(MonitorTest, acts_on_the_first_snapshot_and_then_on_each_addition_change_and_removal) {
  begin();
  ASSERT_TRUE(settled(source.commit({{"projects/a.yaml", "1"}, {"projects/b.yaml", "1"}})));
  EXPECT_THAT(handler.seen, ElementsAre("+projects/a.yaml", "+projects/b.yaml"));
  handler.seen.clear();
  ASSERT_TRUE(settled(source.commit({{"projects/a.yaml", "2"}, {"projects/c.yaml", "1"}, {"README.md", "x"}})));
  EXPECT_THAT(handler.seen, ElementsAre("~projects/a.yaml", "+projects/c.yaml"));
  EXPECT_EQ(handler.contents["projects/a.yaml"], "2");
  handler.seen.clear();
  const auto last = source.commit({{.path = "projects/b.yaml", .remove = true}});
  ASSERT_TRUE(settled(last));
  EXPECT_THAT(handler.seen, ElementsAre("-projects/b.yaml"));
  EXPECT_EQ(handler.commit, last);
  EXPECT_EQ(handler.files_total, 2U);
}

TEST_F(MonitorTest, what_was_acted_on_in_the_last_run_is_not_offered_again) {
  const auto commit = source.commit({{"projects/a.yaml", "1"}, {"projects/b.yaml", "1"}});
  begin(settings(source.url()), {{"projects/a.yaml", source.blob("projects/a.yaml")}, {"projects/gone.yaml", "x"}});
  ASSERT_TRUE(settled(commit));
  EXPECT_THAT(handler.seen, ElementsAre("+projects/b.yaml", "-projects/gone.yaml"));
}

TEST_F(MonitorTest, an_unchanged_repository_costs_exactly_one_ls_remote_a_check) {
  begin();
  ASSERT_TRUE(settled(source.commit({{"projects/a.yaml", "1"}})));
  ASSERT_TRUE(checks(1));
  const auto before = monitor->status();
  ASSERT_TRUE(checks(5));
  const auto after = monitor->status();
  EXPECT_EQ(after.children.ls_remote - before.children.ls_remote, after.checks - before.checks);
  EXPECT_EQ(after.children.fetch, before.children.fetch);
  EXPECT_EQ(after.children.local, before.children.local);
  EXPECT_EQ(after.change_sets, before.change_sets);
}

TEST_F(MonitorTest, a_force_push_is_a_difference_of_files_like_any_other) {
  begin();
  source.commit({{"projects/a.yaml", "1"}});
  ASSERT_TRUE(settled(source.commit({{"projects/b.yaml", "1"}})));
  handler.seen.clear();
  ASSERT_TRUE(settled(source.commit({{"projects/b.yaml", "1"}, {"projects/c.yaml", "1"}}, {.orphan = true})));
  EXPECT_THAT(handler.seen, ElementsAre("+projects/c.yaml", "-projects/a.yaml"));
}

TEST_F(MonitorTest, a_deleted_branch_removes_nothing_and_a_new_one_is_followed) {
  begin();
  const auto first = source.commit({{"projects/a.yaml", "1"}});
  ASSERT_TRUE(settled(first));
  handler.seen.clear();
  source.commit({{"README.md", "x"}}, {.branch = "other"});
  source.delete_branch("main");
  ASSERT_TRUE(until([this] { return monitor->status().state == MonitorState::empty; }));
  ASSERT_TRUE(checks(3));
  EXPECT_THAT(handler.seen, IsEmpty());
  EXPECT_EQ(log.lines.size(), 1U) << "one line per transition";
  ASSERT_TRUE(settled(source.commit({{"projects/b.yaml", "1"}})));
  EXPECT_THAT(handler.seen, ElementsAre("+projects/b.yaml", "-projects/a.yaml"));
}

TEST_F(MonitorTest, an_empty_repository_is_followed_once_it_has_a_commit) {
  begin();
  ASSERT_TRUE(until([this] { return monitor->status().state == MonitorState::empty; }));
  EXPECT_EQ(handler.sets, 0U);
  ASSERT_TRUE(settled(source.commit({{"projects/a.yaml", "1"}})));
  EXPECT_THAT(handler.seen, ElementsAre("+projects/a.yaml"));
}

TEST_F(MonitorTest, deleting_every_file_is_told_with_nothing_left) {
  begin();
  ASSERT_TRUE(settled(source.commit({{"projects/a.yaml", "1"}, {"README.md", "x"}})));
  ASSERT_TRUE(settled(source.commit({{.path = "projects/a.yaml", .remove = true}})));
  EXPECT_THAT(handler.seen, ElementsAre("+projects/a.yaml", "-projects/a.yaml"));
  EXPECT_EQ(handler.files_total, 0U);
}

TEST_F(MonitorTest, an_unreachable_repository_is_one_line_each_way_and_what_was_good_stays) {
  std::uint16_t port = 0;
  std::optional<test::GitDaemon> daemon(std::in_place, directory.path());
  port = daemon->port();
  const auto first = source.commit({{"projects/a.yaml", "1"}});
  begin(settings(daemon->url("source.git")));
  ASSERT_TRUE(settled(first));
  daemon.reset();
  ASSERT_TRUE(until([this] { return monitor->status().errors_in_a_row >= 3; }));
  auto status = monitor->status();
  EXPECT_EQ(status.state, MonitorState::unreachable);
  EXPECT_EQ(status.last_head, first);
  EXPECT_FALSE(status.last_error.empty());
  EXPECT_TRUE(status.failing_since.has_value());
  EXPECT_EQ(log.lines.size(), 1U);
  const auto second = source.commit({{"projects/a.yaml", "2"}});
  daemon.emplace(directory.path(), port);
  ASSERT_TRUE(settled(second));
  EXPECT_THAT(handler.seen, ElementsAre("+projects/a.yaml", "~projects/a.yaml"));
  ASSERT_EQ(log.lines.size(), 2U);
  EXPECT_THAT(log.lines[0], testing::HasSubstr("the last good state stays"));
  EXPECT_THAT(log.lines[1], testing::HasSubstr("reachable again"));
  status = monitor->status();
  EXPECT_EQ(status.errors_in_a_row, 0U);
  EXPECT_TRUE(status.last_error.empty());
  EXPECT_FALSE(status.failing_since.has_value());
}

TEST_F(MonitorTest, a_failed_file_is_offered_again_and_does_not_hold_the_others) {
  begin();
  handler.refuse = {"projects/a.yaml"};
  source.commit({{"projects/a.yaml", "1"}, {"projects/b.yaml", "1"}});
  ASSERT_TRUE(until([this] { return handler.seen.size() >= 4; }));
  EXPECT_EQ(handler.contents.count("projects/b.yaml"), 1U);
  EXPECT_EQ(std::ranges::count(handler.seen, "+projects/b.yaml"), 1);
  const auto status = monitor->status();
  ASSERT_EQ(status.waiting.size(), 1U);
  EXPECT_EQ(status.waiting[0].path, "projects/a.yaml");
  EXPECT_EQ(status.state, MonitorState::following);
  handler.refuse.clear();
  ASSERT_TRUE(settled(source.head()));
  EXPECT_EQ(handler.contents.count("projects/a.yaml"), 1U);
}

TEST_F(MonitorTest, a_handler_that_throws_has_succeeded_with_nothing_and_is_asked_again) {
  begin();
  handler.throws = true;
  source.commit({{"projects/a.yaml", "1"}});
  ASSERT_TRUE(until([this] { return handler.sets >= 2; }));
  handler.throws = false;
  ASSERT_TRUE(settled(source.head()));
  EXPECT_THAT(handler.contents, testing::Contains(testing::Pair("projects/a.yaml", "1")));
}

TEST_F(MonitorTest, unusable_files_are_told_once_and_the_others_go_on) {
  begin();
  source.commit({{"projects/a.yaml", "1"},
                 {"projects/large.yaml", std::string(1'001, 'x')},
                 {"projects/lfs.yaml", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"},
                 {.path = "projects/link.yaml", .content = "a.yaml", .mode = "120000"}});
  ASSERT_TRUE(until([this] { return monitor->status().waiting.size() == 3; }));
  ASSERT_TRUE(checks(3));
  EXPECT_THAT(handler.seen, ElementsAre("+projects/a.yaml"));
  ASSERT_EQ(handler.rejected.size(), 3U);
  for (const auto& file : monitor->status().waiting) EXPECT_EQ(file.seen_at_commit, source.head());
  ASSERT_TRUE(settled(source.commit(
      {{"projects/large.yaml", "small"}, {"projects/lfs.yaml", "x"}, {.path = "projects/link.yaml", .remove = true}})));
  EXPECT_THAT(handler.seen, ElementsAre("+projects/a.yaml", "+projects/large.yaml", "+projects/lfs.yaml"));
}

TEST_F(MonitorTest, a_file_that_becomes_unusable_keeps_what_was_acted_on) {
  begin();
  ASSERT_TRUE(settled(source.commit({{"projects/a.yaml", "1"}})));
  source.commit({{"projects/a.yaml", std::string(1'001, 'x')}});
  ASSERT_TRUE(until([this] { return handler.rejected.size() == 1; }));
  EXPECT_THAT(handler.seen, ElementsAre("+projects/a.yaml"));
}

TEST_F(MonitorTest, a_large_change_comes_in_several_sets_of_the_same_commit) {
  auto small = settings(source.url());
  small.batch_bytes_max = 1'000;
  begin(small);
  std::vector<test::FileChange> files;
  for (int i = 10; i < 30; ++i) files.push_back({"projects/" + std::to_string(i) + ".yaml", std::string(400, 'x')});
  ASSERT_TRUE(settled(source.commit(files)));
  EXPECT_EQ(handler.sets, 10U);
  EXPECT_EQ(handler.contents.size(), 20U);
}

TEST_F(MonitorTest, a_poke_checks_now_and_a_burst_is_not_many_checks) {
  auto slow = settings(source.url());
  slow.interval = 1h;
  begin(slow);
  ASSERT_TRUE(until([this] { return monitor->status().state == MonitorState::empty; }));
  const auto commit = source.commit({{"projects/a.yaml", "1"}});
  std::thread other([this] {
    for (int i = 0; i < 1'000; ++i) monitor->poke();
  });
  other.join();
  ASSERT_TRUE(settled(commit));
  EXPECT_LE(monitor->status().checks, 4U);
  EXPECT_GT(*monitor->status().next_check, std::chrono::system_clock::now() + 30min);
}

TEST_F(MonitorTest, stop_returns_in_the_middle_of_a_fetch_from_a_silent_server) {
  auto silent = aio::TcpListener::open(context.get_executor(), "127.0.0.1", 0);
  ASSERT_TRUE(silent);
  begin(settings("git://127.0.0.1:" + std::to_string(silent->port()) + "/x"));
  auto accepted = run_coroutine(context, silent->accept());
  ASSERT_TRUE(accepted) << "git is connected and waits for an answer that will not come";
  const auto began = std::chrono::steady_clock::now();
  end();
  EXPECT_LT(std::chrono::steady_clock::now() - began, 5s);
}

TEST_F(MonitorTest, what_was_acted_on_is_asked_for_again_until_it_is_known) {
  const auto commit = source.commit({{"projects/a.yaml", "1"}});
  struct Store {
    int asked = 0;
    Task<Result<ActedOnBranches>> load(std::string blob) {
      if (++asked < 3) co_return failure(ErrorKind::unavailable, "no database yet");
      co_return ActedOnBranches{{"main", {{"projects/a.yaml", blob}}}};
    }
  } store;
  monitor.emplace(
      context.get_executor(), settings(source.url()),
      LoadActedOn([this, &store] { return store.load(source.blob("projects/a.yaml")); }),
      [this](ChangeSet set) { return handler.act(std::move(set)); }, Logger(log, "git"));
  ASSERT_TRUE(run_coroutine(context, monitor->start()));
  ASSERT_TRUE(settled(commit));
  EXPECT_EQ(store.asked, 3);
  EXPECT_THAT(handler.seen, IsEmpty());
}

TEST_F(MonitorTest, a_mirror_that_loses_its_objects_is_made_anew_and_nothing_is_missed) {
  begin();
  handler.refuse = {"projects/a.yaml"};
  source.commit({{"projects/a.yaml", "1"}});
  ASSERT_TRUE(until([this] { return handler.seen.size() >= 2; }));
  std::filesystem::remove_all(directory.path() / "mirror" / "mirror.git" / "objects");
  handler.refuse.clear();
  ASSERT_TRUE(until([this] { return handler.contents.contains("projects/a.yaml"); }));
  EXPECT_EQ(handler.contents["projects/a.yaml"], "1");
  ASSERT_TRUE(settled(source.commit({{"projects/a.yaml", "2"}})));
  EXPECT_EQ(handler.contents["projects/a.yaml"], "2");
}

TEST_F(MonitorTest, several_branches_are_one_question_and_each_keeps_its_own_state) {
  auto two = settings(source.url());
  two.mirror.branches = {"main", "next/1"};
  begin(two);
  source.commit({{"projects/a.yaml", "1"}});
  const auto next = source.commit({{"projects/a.yaml", "other"}, {"projects/b.yaml", "1"}}, {.branch = "next/1"});
  ASSERT_TRUE(until([&] {
    const auto status = monitor->status();
    return status.branches.size() == 2 && status.branches[1].head == next && !status.branches[1].behind_since;
  }));
  ASSERT_TRUE(settled(source.head()));
  EXPECT_THAT(handler.seen, testing::UnorderedElementsAre("+projects/a.yaml", "+projects/a.yaml", "+projects/b.yaml"));
  ASSERT_TRUE(checks(1));
  const auto before = monitor->status();
  ASSERT_TRUE(checks(3));
  EXPECT_EQ(monitor->status().children.ls_remote - before.children.ls_remote, monitor->status().checks - before.checks);
  handler.seen.clear();
  source.delete_branch("next/1");
  ASSERT_TRUE(settled(source.commit({{"projects/c.yaml", "1"}})));
  EXPECT_THAT(handler.seen, ElementsAre("+projects/c.yaml")) << "a branch that is gone removes nothing";
  EXPECT_EQ(monitor->status().state, MonitorState::following);
}

TEST_F(MonitorTest, while_suspended_nothing_is_asked_and_resuming_catches_up) {
  begin();
  ASSERT_TRUE(settled(source.commit({{"projects/a.yaml", "1"}})));
  monitor->suspend();
  ASSERT_TRUE(until([this] { return monitor->status().state == MonitorState::suspended; }));
  const auto checks_before = monitor->status().checks;
  EXPECT_FALSE(monitor->status().next_check);
  monitor->poke();
  const auto commit = source.commit({{"projects/a.yaml", "2"}});
  EXPECT_EQ(monitor->status().checks, checks_before);
  monitor->resume();
  ASSERT_TRUE(settled(commit));
  EXPECT_EQ(handler.contents["projects/a.yaml"], "2");
}

TEST_F(MonitorTest, what_waits_is_offered_again_without_asking_the_remote) {
  auto slow = settings(source.url());
  slow.interval = 1h;
  handler.refuse = {"projects/a.yaml"};
  source.commit({{"projects/a.yaml", "1"}});
  begin(slow);
  ASSERT_TRUE(until([this] { return handler.seen.size() >= 4; }));
  EXPECT_EQ(monitor->status().children.ls_remote, 1U);
  EXPECT_TRUE(monitor->status().branches.at(0).behind_since);
}

TEST_F(MonitorTest, several_pushes_while_the_handler_works_are_one_change) {
  begin();
  ASSERT_TRUE(settled(source.commit({{"projects/a.yaml", "0"}})));
  handler.seen.clear();
  handler.hold = true;
  source.commit({{"projects/a.yaml", "1"}});
  ASSERT_TRUE(until([this] { return handler.seen.size() == 1; }));
  for (int i = 2; i <= 5; ++i) source.commit({{"projects/a.yaml", std::to_string(i)}});
  handler.hold = false;
  ASSERT_TRUE(settled(source.head()));
  EXPECT_THAT(handler.seen, ElementsAre("~projects/a.yaml", "~projects/a.yaml"));
  EXPECT_EQ(handler.contents["projects/a.yaml"], "5");
}

TEST_F(MonitorTest, what_is_in_force_of_a_broken_file_survives_the_packing_of_the_mirror) {
  auto eager = settings(source.url());
  eager.mirror.pack_after = 1;
  begin(eager);
  ASSERT_TRUE(settled(source.commit({{"projects/a.yaml", "good"}})));
  const auto good = source.blob("projects/a.yaml");
  handler.refuse = {"projects/a.yaml"};
  source.commit({{"projects/a.yaml", "broken"}});
  ASSERT_TRUE(until([this] { return monitor->status().waiting.size() == 1; }));
  for (int i = 0; i < 2; ++i) {
    source.commit({{"README.md", std::to_string(i)}});
    ASSERT_TRUE(until([this] { return monitor->status().last_head == source.head(); }));
  }
  end();
  Mirror mirror(eager.mirror, Logger());
  const auto held =
      run_coroutine(context, mirror.held({good, std::string(40, 'e')}, std::chrono::steady_clock::now() + 30s));
  ASSERT_TRUE(held) << held.error().to_string();
  EXPECT_THAT(*held, ElementsAre(good));
  run_coroutine(context, mirror.close());
}

TEST_F(MonitorTest, ten_thousand_files_and_a_large_one_are_taken_as_they_are) {
  std::vector<test::FileChange> files;
  for (int i = 0; i < 9'999; ++i) files.push_back({"projects/" + std::to_string(i) + ".yaml", std::to_string(i)});
  files.push_back({"projects/huge.yaml", std::string(100U << 20U, 'x')});
  source.commit(files);
  begin();
  ASSERT_TRUE(until([this] { return monitor->status().waiting.size() == 1 && handler.contents.size() == 9'999; }));
  EXPECT_EQ(handler.rejected.at(0).path, "projects/huge.yaml");
  EXPECT_EQ(handler.rejected.at(0).error.kind, ErrorKind::exhausted);
  handler.seen.clear();
  source.commit({{"projects/77.yaml", "changed"}});
  ASSERT_TRUE(until([this] { return !handler.seen.empty(); }));
  EXPECT_THAT(handler.seen, ElementsAre("~projects/77.yaml"));
}

TEST_F(MonitorTest, impossible_settings_are_refused_at_the_start) {
  auto bad = settings("https://user:secret@example.org/x");
  GitMonitor refused(
      context.get_executor(), bad, ActedOnBranches{}, [this](ChangeSet set) { return handler.act(std::move(set)); },
      Logger());
  const auto started = run_coroutine(context, refused.start());
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().kind, ErrorKind::invalid);
  EXPECT_FALSE(started.error().to_string().contains("secret"));
}

}  // namespace
}  // namespace opi::git
