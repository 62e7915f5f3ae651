#include "git/mirror.hpp"

#include <gtest/gtest.h>

#include <boost/asio/cancellation_signal.hpp>
#include <fstream>

#include "aio/task_scope.hpp"
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

SteadyTime in(std::chrono::milliseconds duration) {
  return std::chrono::steady_clock::now() + duration;
}

/// The first branch of `mirror`, fetched; and its head as the remote says.
Task<Result<Snapshot>> fetch_first(Mirror* mirror, SteadyTime deadline) {
  auto snapshots = co_await mirror->fetch({mirror->settings().branches.front()}, deadline);
  if (!snapshots) co_return failure(std::move(snapshots).error());
  co_return std::move(snapshots->front());
}
Task<Result<std::string>> head_of_first(Mirror* mirror, SteadyTime deadline) {
  auto heads = co_await mirror->remote_heads(deadline);
  if (!heads) co_return failure(std::move(heads).error());
  co_return (*heads)[mirror->settings().branches.front()];
}
Task<Result<std::vector<Result<std::string>>>> read_all(Mirror* mirror, std::vector<FileBlob> files,
                                                        SteadyTime deadline) {
  auto measured = co_await mirror->measure(std::move(files), deadline);
  if (!measured) co_return failure(std::move(measured).error());
  co_return co_await mirror->read(*std::move(measured), deadline);
}

/// A source repository and settings that mirror it.
class MirrorTest : public testing::Test {
 protected:
  MirrorSettings settings(std::string url) const {
    MirrorSettings settings;
    settings.url = std::move(url);
    settings.directory = directory.path() / "mirror";
    settings.limits.file_bytes_max = 1'000;
    return settings;
  }
  MirrorSettings settings() const { return settings(source.url()); }

  test::TemporaryDirectory directory;
  asio::io_context context;
  GitRepository source{directory.path() / "source.git"};
};

TEST_F(MirrorTest, the_head_is_one_ls_remote_and_nothing_else) {
  const auto commit = source.commit({{"projects/a.yaml", "a"}});
  Mirror mirror(settings(), Logger());
  EXPECT_EQ(run_coroutine(context, head_of_first(&mirror, in(30s))), commit);
  EXPECT_EQ(run_coroutine(context, head_of_first(&mirror, in(30s))), commit);
  EXPECT_EQ(mirror.statistics().ls_remote, 2U);
  EXPECT_EQ(mirror.statistics().fetch, 0U);
  EXPECT_EQ(mirror.statistics().local, 1U) << "making the mirror, once";
}

TEST_F(MirrorTest, a_snapshot_names_the_files_and_their_contents_can_be_read) {
  source.commit({{"projects/old.yaml", "old"}});
  const auto commit = source.commit({{"projects/a.yaml", "name: a\n"},
                                     {"projects/b.yml", ""},
                                     {"projects/sub/c.yaml", "no"},
                                     {"README.md", "no"},
                                     {.path = "projects/old.yaml", .remove = true}},
                                    {.author = "Eve Example <eve@example.org>"});
  Mirror mirror(settings(), Logger());
  const auto snapshot = run_coroutine(context, fetch_first(&mirror, in(30s)));
  ASSERT_TRUE(snapshot) << snapshot.error().to_string();
  EXPECT_FALSE(snapshot->empty);
  EXPECT_EQ(snapshot->commit, commit);
  EXPECT_EQ(snapshot->author, "Eve Example <eve@example.org>");
  EXPECT_LT(std::chrono::system_clock::now() - snapshot->committed, 10min);
  ASSERT_EQ(snapshot->files.size(), 2U);
  EXPECT_EQ(snapshot->files[0].path, "projects/a.yaml");
  EXPECT_EQ(snapshot->files[0].blob, source.blob("projects/a.yaml"));
  const auto measured = run_coroutine(context, mirror.measure(snapshot->files, in(30s)));
  ASSERT_TRUE(measured) << measured.error().to_string();
  EXPECT_EQ((*measured)[0].size, 8U);
  const auto contents = run_coroutine(context, mirror.read(*measured, in(30s)));
  ASSERT_TRUE(contents) << contents.error().to_string();
  EXPECT_EQ((*contents)[0], "name: a\n");
  EXPECT_EQ((*contents)[1], "");
}

TEST_F(MirrorTest, an_empty_repository_and_a_missing_branch_are_empty_not_failed) {
  Mirror mirror(settings(), Logger());
  EXPECT_EQ(run_coroutine(context, head_of_first(&mirror, in(30s))), "");
  EXPECT_TRUE(run_coroutine(context, fetch_first(&mirror, in(30s)))->empty);
  source.commit({{"projects/a.yaml", "a"}}, {.branch = "other"});
  EXPECT_EQ(run_coroutine(context, head_of_first(&mirror, in(30s))), "");
  EXPECT_TRUE(run_coroutine(context, fetch_first(&mirror, in(30s)))->empty);
  source.commit({{"projects/a.yaml", "a"}});
  const auto snapshot = run_coroutine(context, fetch_first(&mirror, in(30s)));
  ASSERT_TRUE(snapshot);
  EXPECT_FALSE(snapshot->empty);
}

TEST_F(MirrorTest, a_commit_without_matching_files_is_not_empty) {
  source.commit({{"README.md", "x"}});
  Mirror mirror(settings(), Logger());
  const auto snapshot = run_coroutine(context, fetch_first(&mirror, in(30s)));
  ASSERT_TRUE(snapshot);
  EXPECT_FALSE(snapshot->empty);
  EXPECT_TRUE(snapshot->files.empty());
}

TEST_F(MirrorTest, a_rewritten_history_is_just_another_head) {
  for (int i = 0; i < 5; ++i) source.commit({{"projects/a.yaml", std::to_string(i)}});
  Mirror mirror(settings(), Logger());
  ASSERT_TRUE(run_coroutine(context, fetch_first(&mirror, in(30s))));
  const auto rewritten = source.commit({{"projects/b.yaml", "b"}}, {.orphan = true});
  const auto snapshot = run_coroutine(context, fetch_first(&mirror, in(30s)));
  ASSERT_TRUE(snapshot) << snapshot.error().to_string();
  EXPECT_EQ(snapshot->commit, rewritten);
  ASSERT_EQ(snapshot->files.size(), 1U);
  EXPECT_EQ(snapshot->files[0].path, "projects/b.yaml");
}

TEST_F(MirrorTest, links_submodules_and_large_files_are_rejected_one_by_one) {
  const auto commit = source.commit({{"projects/a.yaml", "a"}});
  source.commit({{"projects/large.yaml", std::string(1'001, 'x')},
                 {.path = "projects/link.yaml", .content = "/etc/passwd", .mode = "120000"},
                 {.path = "projects/module.yaml", .content = commit, .mode = "160000"}});
  Mirror mirror(settings(), Logger());
  const auto snapshot = run_coroutine(context, fetch_first(&mirror, in(30s)));
  ASSERT_TRUE(snapshot) << snapshot.error().to_string();
  ASSERT_EQ(snapshot->rejected.size(), 2U);
  EXPECT_EQ(snapshot->rejected[0].error.kind, ErrorKind::unsupported);
  EXPECT_EQ(snapshot->rejected[1].error.kind, ErrorKind::unsupported);
  ASSERT_EQ(snapshot->files.size(), 2U);
  const auto contents = run_coroutine(context, read_all(&mirror, snapshot->files, in(30s)));
  ASSERT_TRUE(contents) << contents.error().to_string();
  EXPECT_EQ((*contents)[0], "a");
  ASSERT_FALSE((*contents)[1]);
  EXPECT_EQ((*contents)[1].error().kind, ErrorKind::exhausted);
}

TEST_F(MirrorTest, works_over_the_git_protocol_and_says_what_is_missing) {
  const auto commit = source.commit({{"projects/a.yaml", "a"}});
  test::GitDaemon daemon(directory.path());
  Mirror mirror(settings(daemon.url("source.git")), Logger());
  const auto snapshot = run_coroutine(context, fetch_first(&mirror, in(30s)));
  ASSERT_TRUE(snapshot) << snapshot.error().to_string();
  EXPECT_EQ(snapshot->commit, commit);
  auto elsewhere = settings(daemon.url("nothing.git"));
  elsewhere.directory = directory.path() / "other";
  Mirror missing(elsewhere, Logger());
  const auto head = run_coroutine(context, head_of_first(&missing, in(30s)));
  ASSERT_FALSE(head);
  EXPECT_EQ(head.error().kind, ErrorKind::not_found) << head.error().to_string();
}

TEST_F(MirrorTest, a_missing_repository_and_a_refused_connection_are_told_apart) {
  Mirror missing(settings("file:///nonexistent/repository.git"), Logger());
  EXPECT_EQ(run_coroutine(context, head_of_first(&missing, in(30s))).error().kind, ErrorKind::not_found);
  auto closed = settings("git://127.0.0.1:1/x");
  closed.directory = directory.path() / "other";
  Mirror refused(closed, Logger());
  const auto head = run_coroutine(context, head_of_first(&refused, in(30s)));
  ASSERT_FALSE(head);
  EXPECT_EQ(head.error().kind, ErrorKind::unavailable) << head.error().to_string();
}

TEST_F(MirrorTest, a_silent_server_costs_the_deadline_and_the_mirror_stays_usable) {
  auto silent = aio::TcpListener::open(context.get_executor(), "127.0.0.1", 0);
  ASSERT_TRUE(silent);
  Mirror mirror(settings("git://127.0.0.1:" + std::to_string(silent->port()) + "/x"), Logger());
  const auto began = std::chrono::steady_clock::now();
  const auto fetched = run_coroutine(context, fetch_first(&mirror, in(300ms)));
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().kind, ErrorKind::timed_out);
  EXPECT_LT(std::chrono::steady_clock::now() - began, 10s);
  source.commit({{"projects/a.yaml", "a"}});
  Mirror again(settings(), Logger());
  EXPECT_TRUE(run_coroutine(context, fetch_first(&again, in(30s)))) << "the same directory";
}

TEST_F(MirrorTest, locks_left_by_a_killed_git_do_not_stop_the_next_fetch) {
  source.commit({{"projects/a.yaml", "a"}});
  {
    Mirror mirror(settings(), Logger());
    ASSERT_TRUE(run_coroutine(context, fetch_first(&mirror, in(30s))));
  }
  source.commit({{"projects/a.yaml", "b"}});
  for (const char* lock : {"shallow.lock", "packed-refs.lock", "refs/opi/head.lock"})
    std::ofstream(directory.path() / "mirror" / "mirror.git" / lock).put('x');
  Mirror mirror(settings(), Logger());
  const auto snapshot = run_coroutine(context, fetch_first(&mirror, in(30s)));
  EXPECT_TRUE(snapshot) << snapshot.error().to_string();
}

TEST_F(MirrorTest, a_mirror_that_was_damaged_is_made_anew) {
  source.commit({{"projects/a.yaml", "a"}});
  {
    Mirror mirror(settings(), Logger());
    ASSERT_TRUE(run_coroutine(context, fetch_first(&mirror, in(30s))));
  }
  const auto repository = directory.path() / "mirror" / "mirror.git";
  std::filesystem::remove_all(repository / "objects");
  std::ofstream(repository / "HEAD") << "nonsense";
  Mirror mirror(settings(), Logger());
  const auto snapshot = run_coroutine(context, fetch_first(&mirror, in(30s)));
  ASSERT_TRUE(snapshot) << snapshot.error().to_string();
  EXPECT_EQ(run_coroutine(context, read_all(&mirror, snapshot->files, in(30s)))->at(0), "a");
}

TEST_F(MirrorTest, hooks_in_the_mirror_are_never_run) {
  source.commit({{"projects/a.yaml", "a"}});
  Mirror mirror(settings(), Logger());
  ASSERT_TRUE(run_coroutine(context, fetch_first(&mirror, in(30s))));
  const auto hooks = directory.path() / "mirror" / "mirror.git" / "hooks";
  const auto witness = directory.path() / "witness";
  std::filesystem::create_directories(hooks);
  for (const char* name : {"reference-transaction", "post-fetch", "post-update"}) {
    std::ofstream(hooks / name) << "#!/bin/sh\ntouch " << witness.string() << "\n";
    std::filesystem::permissions(hooks / name, std::filesystem::perms::owner_all);
  }
  source.commit({{"projects/a.yaml", "b"}});
  ASSERT_TRUE(run_coroutine(context, fetch_first(&mirror, in(30s))));
  EXPECT_FALSE(std::filesystem::exists(witness));
}

TEST_F(MirrorTest, many_fetches_do_not_make_the_mirror_grow_for_ever) {
  source.commit({{"projects/a.yaml", "0"}});
  auto eager = settings();
  eager.pack_after = 10;
  Mirror mirror(eager, Logger());
  for (int i = 1; i <= 10; ++i) {
    source.commit({{"projects/a.yaml", std::to_string(i)}});
    ASSERT_TRUE(run_coroutine(context, fetch_first(&mirror, in(30s))));
    run_coroutine(context, mirror.tidy_when_due(in(30s)));
  }
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory.path() / "mirror"))
    files += entry.is_regular_file() ? 1 : 0;
  EXPECT_LT(files, 20U) << "packed and pruned at the tenth";
}

/// What a real git client sends: the head of each request that a connection makes, answered as a dumb repository.
struct HttpServer {
  static Task<> serve(aio::TcpListener* listener, std::string commit, std::vector<std::string>* requests) {
    for (;;) {
      auto stream = co_await listener->accept();
      if (!stream) co_return;
      std::string request;
      std::array<std::byte, 4'096> buffer{};
      while (!request.contains("\r\n\r\n")) {
        const auto size = co_await (*stream)->read_some(buffer);
        if (!size || *size == 0) break;
        request.append(reinterpret_cast<const char*>(buffer.data()), *size);
      }
      requests->push_back(request);
      const bool known = request.contains("Authorization: Basic Ym90Omh1c2g=");
      const std::string body = known ? commit + "\trefs/heads/main\n" : "who are you";
      const std::string head = std::string("HTTP/1.1 ") + (known ? "200 OK" : "401 Unauthorized") +
                               "\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Type: text/plain\r\n"
                               "Connection: close\r\nContent-Length: " +
                               std::to_string(body.size()) + "\r\n\r\n";
      (void)co_await (*stream)->write_all(aio::bytes_of(head));
      (void)co_await (*stream)->write_all(aio::bytes_of(body));
      (void)co_await (*stream)->shutdown();
    }
  }
};

TEST_F(MirrorTest, a_password_is_sent_to_the_server_and_a_wrong_one_is_denied_without_being_shown) {
  auto listener = aio::TcpListener::open(context.get_executor(), "127.0.0.1", 0);
  ASSERT_TRUE(listener);
  std::vector<std::string> requests;
  aio::TaskScope scope(context.get_executor(), Logger(), "test");
  const std::string commit(40, 'a');
  scope.spawn("http", HttpServer::serve(&*listener, commit, &requests));
  auto with = settings("http://" + listener->address() + "/repository.git");
  with.http = HttpCredentials{.username = "bot", .password = [] { return SecretString("hush"); }};
  Mirror mirror(with, Logger());
  const auto head = run_coroutine(context, head_of_first(&mirror, in(30s)));
  EXPECT_EQ(*head, commit) << head.error().to_string();
  ASSERT_FALSE(requests.empty());
  EXPECT_THAT(requests[0], testing::HasSubstr("GET /repository.git/info/refs"));
  for (const auto& entry : std::filesystem::recursive_directory_iterator(with.directory)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream file(entry.path());
    const std::string text(std::istreambuf_iterator<char>(file), {});
    EXPECT_FALSE(text.contains("hush") || text.contains("Ym90Omh1c2g")) << entry.path();
  }
  with.http->password = [] { return SecretString("wrong-secret"); };
  with.directory = directory.path() / "other";
  Mirror refused(with, Logger());
  const auto denied = run_coroutine(context, head_of_first(&refused, in(30s)));
  ASSERT_FALSE(denied);
  EXPECT_EQ(denied.error().kind, ErrorKind::denied) << denied.error().to_string();
  EXPECT_FALSE(denied.error().to_string().contains("secret"));
  scope.cancel();
  run_coroutine(context, scope.join());
}

TEST_F(MirrorTest, more_files_than_the_limit_fail_as_a_whole) {
  source.commit({{"projects/a.yaml", "a"}, {"projects/b.yaml", "b"}, {"projects/c.yaml", "c"}});
  auto few = settings();
  few.limits.files_max = 2;
  Mirror mirror(few, Logger());
  const auto snapshot = run_coroutine(context, fetch_first(&mirror, in(30s)));
  ASSERT_FALSE(snapshot);
  EXPECT_EQ(snapshot.error().kind, ErrorKind::exhausted);
}

}  // namespace
}  // namespace opi::git
