// The transports as people use them: https behind nginx, ssh, a server that misbehaves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <random>

#include "aio/byte_stream.hpp"
#include "aio/task_scope.hpp"
#include "aio/tcp_listener.hpp"
#include "aio/with_deadline.hpp"
#include "git/monitor.hpp"
#include "integration/git/git_fixture.hpp"
#include "support/git_servers.hpp"

namespace opi::git {
namespace {

using testing::HasSubstr;

class TransportTest : public GitFixture {
 protected:
  TransportTest() : GitFixture("repositories/source.git") {
    commit = source.commit({{"projects/a.yaml", "name: a\n"}});
  }

  /// Settings with a mirror directory of their own.
  MirrorSettings settings(std::string url) { return mirror_of(std::move(url), "mirror" + std::to_string(++mirrors)); }
  /// The commit that a fetch finds, or how it fails.
  std::string outcome(MirrorSettings with) {
    Mirror mirror(std::move(with), Logger());
    auto heads = run_coroutine(context, mirror.remote_heads(in(30s)));
    if (!heads) {
      last = heads.error();
      return std::string(to_string(last.kind));
    }
    auto snapshots = run_coroutine(context, mirror.fetch({"main"}, in(30s)));
    run_coroutine(context, mirror.close());
    if (!snapshots) {
      last = snapshots.error();
      return std::string(to_string(last.kind));
    }
    return snapshots->front().files.size() == 1 ? snapshots->front().commit : "no files";
  }

  std::string commit;
  Error last;
  int mirrors = 0;
};

TEST_F(TransportTest, https_takes_user_and_token_and_trusts_only_the_given_authority) {
  test::HttpsGitServer server(directory.path() / "repositories", directory.path() / "https");
  auto good = settings(server.url("source.git"));
  good.ca_file = server.ca_file().string();
  good.http = HttpCredentials{.username = "bot", .password = [] { return SecretString("hush"); }};
  EXPECT_EQ(outcome(good), commit) << last.to_string();

  auto untrusted = settings(server.url("source.git"));
  untrusted.http = good.http;
  EXPECT_EQ(outcome(untrusted), "denied") << last.to_string();

  auto wrong = settings(server.url("source.git"));
  wrong.ca_file = good.ca_file;
  wrong.http = HttpCredentials{.username = "bot", .password = [] { return SecretString("wrong-secret"); }};
  EXPECT_EQ(outcome(wrong), "denied") << last.to_string();
  EXPECT_THAT(last.to_string(), testing::Not(HasSubstr("wrong-secret")));

  auto anonymous = settings(server.url("source.git"));
  anonymous.ca_file = good.ca_file;
  EXPECT_EQ(outcome(anonymous), "denied") << last.to_string();

  auto missing = settings(server.url("nothing.git"));
  missing.ca_file = good.ca_file;
  missing.http = good.http;
  EXPECT_EQ(outcome(missing), "not found") << last.to_string();
}

TEST_F(TransportTest, credentials_do_not_follow_a_redirect) {
  test::HttpsGitServer server(directory.path() / "repositories", directory.path() / "https");
  auto moved = settings(server.moved_url("source.git"));
  moved.ca_file = server.ca_file().string();
  moved.http = HttpCredentials{.username = "bot", .password = [] { return SecretString("hush"); }};
  EXPECT_NE(outcome(moved), commit);
  EXPECT_THAT(server.log(), HasSubstr("/moved/source.git"));
  EXPECT_THAT(server.log(), testing::Not(HasSubstr(" 404\n"))) << "the other port was never asked";
}

TEST_F(TransportTest, a_proxy_is_asked_for_every_connection) {
  auto proxy = aio::TcpListener::open(context.get_executor(), "127.0.0.1", 0);
  ASSERT_TRUE(proxy);
  struct Proxy {
    static Task<> refuse(aio::TcpListener* listener, std::string* seen) {
      auto stream = co_await listener->accept();
      if (!stream) co_return;
      std::array<std::byte, 4'096> buffer{};
      const auto size = co_await (*stream)->read_some(buffer);
      if (size) seen->assign(reinterpret_cast<const char*>(buffer.data()), *size);
      (void)co_await (*stream)->write_all(aio::bytes_of("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"));
    }
  };
  std::string seen;
  aio::TaskScope scope(context.get_executor(), Logger(), "proxy");
  scope.spawn("proxy", Proxy::refuse(&*proxy, &seen));
  auto through = settings("https://git.example.org/team/projects.git");
  through.proxy = "http://" + proxy->address();
  EXPECT_EQ(outcome(through), "unavailable") << last.to_string();
  EXPECT_THAT(seen, HasSubstr("CONNECT git.example.org:443"));
  scope.cancel();
  run_coroutine(context, scope.join());
}

TEST_F(TransportTest, ssh_takes_the_key_and_only_a_host_that_is_known) {
  test::SshGitServer server(directory.path() / "ssh");
  auto good = settings(server.url(source.path()));
  good.ssh =
      SshCredentials{.key_file = server.key_file().string(), .known_hosts_file = server.known_hosts_file().string()};
  EXPECT_EQ(outcome(good), commit) << last.to_string();

  auto unknown_host = settings(server.url(source.path()));
  unknown_host.ssh = SshCredentials{.key_file = server.key_file().string(), .known_hosts_file = ""};
  EXPECT_EQ(outcome(unknown_host), "denied") << last.to_string();

  auto other_host = settings(server.url(source.path()));
  other_host.ssh = SshCredentials{.key_file = server.key_file().string(),
                                  .known_hosts_file = server.wrong_known_hosts_file().string()};
  EXPECT_EQ(outcome(other_host), "denied") << last.to_string();

  auto other_key = settings(server.url(source.path()));
  other_key.ssh = SshCredentials{.key_file = server.other_key_file().string(),
                                 .known_hosts_file = server.known_hosts_file().string()};
  EXPECT_EQ(outcome(other_key), "denied") << last.to_string();

  auto none = settings(server.url(source.path()));
  EXPECT_EQ(outcome(none), "denied") << last.to_string();
}

/// Passes on what a real server says, up to a number of bytes, and then stalls or cuts.
class FaultyServer {
 public:
  enum class Then { stall, cut };
  FaultyServer(asio::io_context& context, std::uint16_t real_port, std::size_t bytes, Then then)
      : listener_(aio::TcpListener::open(context.get_executor(), "127.0.0.1", 0).value()),
        scope_(context.get_executor(), Logger(), "faulty server"),
        port_(real_port),
        bytes_(bytes),
        then_(then) {
    scope_.spawn("accept", serve(this));
  }
  std::string url(const std::string& name) const { return "git://" + listener_.address() + "/" + name; }
  /// Connections that were stalled or cut.
  std::size_t cut_off() const { return cut_off_; }
  void end(asio::io_context& context) {
    scope_.cancel();
    run_coroutine(context, scope_.join());
  }

 private:
  struct Pair {
    std::unique_ptr<aio::ByteStream> client, server;
    std::size_t passed = 0;
  };
  static Task<> serve(FaultyServer* self) {
    for (;;) {
      auto client = co_await self->listener_.accept();
      if (!client) co_return;
      auto server = co_await aio::connect_tcp(nullptr, "127.0.0.1", self->port_, in(10s));
      if (!server) co_return;
      auto pair = std::make_shared<Pair>(Pair{std::move(*client), std::move(*server)});
      self->scope_.spawn("up", up(pair));
      self->scope_.spawn("down", down(self, pair));
    }
  }
  static Task<> up(std::shared_ptr<Pair> pair) {
    std::array<std::byte, 4'096> buffer{};
    for (;;) {
      const auto size = co_await pair->client->read_some(buffer);
      if (!size || *size == 0) co_return;
      if (!co_await pair->server->write_all(std::span(buffer).first(*size))) co_return;
    }
  }
  static Task<> down(FaultyServer* self, std::shared_ptr<Pair> pair) {
    std::array<std::byte, 512> buffer{};
    for (;;) {
      const auto size = co_await pair->server->read_some(buffer);
      if (!size || *size == 0) break;
      const auto room = std::min(*size, self->bytes_ - pair->passed);
      if (room > 0 && !co_await pair->client->write_all(std::span(buffer).first(room))) break;
      pair->passed += room;
      if (pair->passed < self->bytes_) continue;
      ++self->cut_off_;
      if (self->then_ == Then::stall) (void)co_await aio::sleep_for(1h);
      break;
    }
    (void)co_await pair->client->shutdown();
  }

  aio::TcpListener listener_;
  aio::TaskScope scope_;
  std::uint16_t port_;
  std::size_t bytes_;
  Then then_;
  std::size_t cut_off_ = 0;
};

TEST_F(TransportTest, a_server_that_stalls_or_cuts_at_any_byte_costs_the_deadline_and_the_mirror_stays_usable) {
  test::GitDaemon daemon(directory.path() / "repositories");
  const auto place = settings(daemon.url("source.git"));
  {
    Mirror mirror(place, Logger());
    ASSERT_TRUE(run_coroutine(context, mirror.fetch({"main"}, in(30s))));
    run_coroutine(context, mirror.close());
  }
  for (const std::size_t bytes : {0U, 10U, 100U, 300U, 700U}) {
    for (const auto then : {FaultyServer::Then::cut, FaultyServer::Then::stall}) {
      source.commit({{"projects/a.yaml", std::to_string(bytes) + (then == FaultyServer::Then::cut ? "c" : "s")}});
      FaultyServer server(context, daemon.port(), bytes, then);
      auto faulty = place;
      faulty.url = server.url("source.git");
      Mirror mirror(faulty, Logger());
      const auto began = std::chrono::steady_clock::now();
      const auto fetched = run_coroutine(context, mirror.fetch({"main"}, in(1s)));
      EXPECT_LT(std::chrono::steady_clock::now() - began, 20s);
      // With 700 bytes all may have come through; then it is whole.
      if (fetched) EXPECT_EQ(fetched->front().commit, source.head());
      if (bytes < 300) EXPECT_FALSE(fetched) << bytes;
      run_coroutine(context, mirror.close());
      server.end(context);
    }
  }
  Mirror mirror(place, Logger());
  const auto snapshots = run_coroutine(context, mirror.fetch({"main"}, in(30s)));
  ASSERT_TRUE(snapshots) << snapshots.error().to_string();
  EXPECT_EQ(snapshots->front().commit, source.head());
  run_coroutine(context, mirror.close());
}

TEST_F(TransportTest, stop_returns_within_its_deadline_in_the_middle_of_a_fetch) {
  std::mt19937_64 random(1);
  std::string noise(200'000, '\0');  // a pack cannot make it smaller
  for (char& c : noise) c = static_cast<char>('0' + random() % 64);
  source.commit({{"projects/a.yaml", noise}});
  test::GitDaemon daemon(directory.path() / "repositories");
  FaultyServer server(context, daemon.port(), 50'000, FaultyServer::Then::stall);  // heads pass, a pack does not
  MonitorSettings following;
  following.mirror = settings(server.url("source.git"));
  struct Nobody {
    static Task<Result<std::vector<std::string>>> act(ChangeSet) { co_return std::vector<std::string>(); }
  };
  GitMonitor monitor(context.get_executor(), following, ActedOnBranches{}, Nobody::act, Logger());
  ASSERT_TRUE(run_coroutine(context, monitor.start()));
  const auto last_moment = std::chrono::steady_clock::now() + 30s;
  while (server.cut_off() == 0 && std::chrono::steady_clock::now() < last_moment) {
    context.restart();
    context.run_one_for(50ms);
  }
  ASSERT_EQ(server.cut_off(), 1U) << "half a pack has come";
  const auto began = std::chrono::steady_clock::now();
  const auto stopped = run_coroutine(context, monitor.stop());
  EXPECT_TRUE(stopped) << stopped.error().to_string();
  EXPECT_LT(std::chrono::steady_clock::now() - began, following.stop_deadline);
  server.end(context);
}

/// Answers every request with the same text.
Task<> lie(aio::TcpListener* listener, std::string text, bool for_ever) {
  for (;;) {
    auto stream = co_await listener->accept();
    if (!stream) co_return;
    std::array<std::byte, 4'096> buffer{};
    (void)co_await (*stream)->read_some(buffer);
    std::string head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n";
    if (!co_await (*stream)->write_all(aio::bytes_of(head))) continue;
    while (co_await (*stream)->write_all(aio::bytes_of(text)) && for_ever) {
    }
    (void)co_await (*stream)->shutdown();
  }
}

TEST_F(TransportTest, a_server_that_lies_is_found_out) {
  const std::string ghost(40, 'e');
  struct Lie {
    std::string text;
    bool for_ever;
  };
  for (const auto& [text, for_ever] :
       {Lie{ghost + "\trefs/heads/main\n", false},                             // a head that it does not have
        Lie{"<html>please log in</html>", false},                              // no repository at all
        Lie{std::string("\0\xff\xfe\t\n", 5), false},                          // nonsense
        Lie{ghost + "\trefs/heads/" + std::string(900, 'x') + "\n", true}}) {  // without an end
    auto listener = aio::TcpListener::open(context.get_executor(), "127.0.0.1", 0);
    ASSERT_TRUE(listener);
    aio::TaskScope scope(context.get_executor(), Logger(), "liar");
    scope.spawn("liar", lie(&*listener, text, for_ever));
    Mirror mirror(settings("http://" + listener->address() + "/x.git"), Logger());
    const auto snapshots = run_coroutine(context, mirror.fetch({"main"}, in(2s)));
    EXPECT_TRUE(!snapshots || snapshots->front().empty);
    scope.cancel();
    run_coroutine(context, scope.join());
  }
}

}  // namespace
}  // namespace opi::git
