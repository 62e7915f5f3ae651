// A Listener on a real server: what it hears, and what it says when it may have missed something.
#include "pg/listener.hpp"

#include "integration/pg/connection_fixture.hpp"
#include "pg/dial_governor.hpp"

namespace opi::pg {
namespace {

class ListenerTest : public ConnectionTest {
 protected:
  void TearDown() override {
    if (listener_) run(listener_->close(in(5s)));
  }

  ListenerSettings settings() const {
    ListenerSettings settings{.server = server_.server_settings()};
    settings.server.application_name = application_;
    return settings;
  }
  Listener& make(ListenerSettings with) {
    listener_ = std::make_unique<Listener>(io_.get_executor(), std::move(with), blocking_, Logger());
    return *listener_;
  }
  Listener& open(std::vector<std::string> channels) {
    Listener& listener = make(settings());
    const auto started = run(listener.start(std::move(channels), in(10s)));
    if (!started) throw std::runtime_error(started.error().to_string());
    return listener;
  }
  void notify(const std::string& channel, const std::string& payload) const {
    server_.execute_as_superuser("SELECT pg_notify('" + channel + "', '" + payload + "')");
  }
  ListenerEvent next(Listener& listener) { return value(run(listener.next())); }
  std::string payload(Listener& listener) {
    const ListenerEvent event = next(listener);
    const auto* const notification = std::get_if<Notification>(&event);
    return notification != nullptr ? notification->payload : "(gap)";
  }
  void end_backend() const {
    ASSERT_EQ(server_.query_as_superuser("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                                         "WHERE application_name = '" +
                                         application_ + "'"),
              "1");
  }

  std::string application_ = std::string(testing::UnitTest::GetInstance()->current_test_info()->name()).substr(0, 63);
  std::unique_ptr<Listener> listener_;
};

TEST_F(ListenerTest, HearsWhatIsSentToItsChannelsInOrder) {
  Listener& listener = open({"orders", "Odd \"name\""});
  notify("orders", "1");
  notify("Odd \"name\"", "2");
  notify("orders", "3");
  EXPECT_EQ(payload(listener), "1");
  EXPECT_EQ(payload(listener), "2");
  EXPECT_EQ(payload(listener), "3");
  EXPECT_EQ(listener.stats().notifications, 3U);
  EXPECT_EQ(listener.stats().gaps, 0U);
}

TEST_F(ListenerTest, ChannelsComeAndGoWhileItRuns) {
  Listener& listener = open({"first"});
  ASSERT_TRUE(run(listener.listen("second", in(10s))));
  notify("second", "a");
  EXPECT_EQ(payload(listener), "a");
  listener.unlisten("second");
  ASSERT_TRUE(run(listener.listen("third", in(10s)))) << "which follows the UNLISTEN";
  notify("second", "b");
  notify("third", "c");
  EXPECT_EQ(payload(listener), "c");
}

TEST_F(ListenerTest, PoolScenario95_ATerminatedBackendIsReplacedTheChannelsAreBackAndTheGapIsSaid) {
  Listener& listener = open({"orders"});
  notify("orders", "before");
  EXPECT_EQ(payload(listener), "before");
  end_backend();
  const ListenerEvent event = next(listener);
  const auto* const gap = std::get_if<NotificationGap>(&event);
  ASSERT_NE(gap, nullptr);
  EXPECT_EQ(gap->reason, NotificationGap::Reason::reconnected);
  ASSERT_TRUE(run(listener.listen("orders", in(10s)))) << "it listens again";
  notify("orders", "after");
  EXPECT_EQ(payload(listener), "after");
  EXPECT_EQ(listener.stats().connects, 2U);
}

TEST_F(ListenerTest, TheQueueIsBoundedAndSaysHowManyWereDropped) {
  ListenerSettings small = settings();
  small.queue_max = 3;
  Listener& listener = make(small);
  ASSERT_TRUE(run(listener.start({"flood"}, in(10s))));
  server_.execute_as_superuser("SELECT pg_notify('flood', i::text) FROM generate_series(1, 10) i");
  ASSERT_TRUE(eventually([&] { return listener.stats().notifications == 10; }));
  EXPECT_EQ(payload(listener), "1");
  EXPECT_EQ(payload(listener), "2");
  EXPECT_EQ(payload(listener), "3");
  const ListenerEvent event = next(listener);
  const auto* const gap = std::get_if<NotificationGap>(&event);
  ASSERT_NE(gap, nullptr);
  EXPECT_EQ(gap->reason, NotificationGap::Reason::overflow);
  EXPECT_EQ(gap->dropped, 7U);
  notify("flood", "11");
  EXPECT_EQ(payload(listener), "11");
}

TEST_F(ListenerTest, ACancelledWaitLosesNothing) {
  Listener& listener = open({"orders"});
  asio::cancellation_signal stop;
  std::optional<Result<ListenerEvent>> waited;
  asio::co_spawn(io_, listener.next(),
                 asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr, Result<ListenerEvent> result) {
                   waited.emplace(std::move(result));
                 }));
  io_.restart();
  io_.poll();
  asio::post(io_, [&] { stop.emit(asio::cancellation_type::terminal); });
  ASSERT_TRUE(eventually([&] { return waited.has_value(); }));
  EXPECT_EQ(waited->error().kind, ErrorKind::cancelled);
  notify("orders", "kept");
  EXPECT_EQ(payload(listener), "kept");
}

TEST_F(ListenerTest, WhoWaitsIsToldThatItCloses) {
  Listener& listener = open({"orders"});
  std::optional<Result<ListenerEvent>> waited;
  asio::co_spawn(io_, listener.next(),
                 [&](std::exception_ptr, Result<ListenerEvent> result) { waited.emplace(std::move(result)); });
  io_.restart();
  io_.poll();
  run(listener.close(in(5s)));
  ASSERT_TRUE(eventually([&] { return waited.has_value(); }));
  EXPECT_EQ(waited->error().kind, ErrorKind::closed);
  EXPECT_EQ(run(listener.next()).error().kind, ErrorKind::closed);
  EXPECT_TRUE(eventually([&] {
    return server_.query_as_superuser("SELECT count(*) FROM pg_stat_activity WHERE application_name = '" +
                                      application_ + "'") == "0";
  }));
  run(listener.close(in(5s)));
}

TEST_F(ListenerTest, AServerThatIsAwayIsWaitedForAndTheChannelsStayWanted) {
  test::PostgresServer server;
  server.stop();
  ListenerSettings away{.server = server.server_settings()};
  Listener& listener = make(away);
  const auto started = run(listener.start({"orders"}, in(200ms)));
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().kind, ErrorKind::timed_out);
  EXPECT_NE(started.error().to_string().find("connection refused by"), std::string::npos)
      << started.error().to_string();
  server.start();
  ASSERT_TRUE(eventually([&] { return listener.stats().connected; }));
  server.execute_as_superuser("SELECT pg_notify('orders', 'there')");
  EXPECT_EQ(payload(listener), "there");
  run(listener.close(in(5s)));
}

TEST_F(ListenerTest, BadChannelsAreRefused) {
  Listener& listener = open({});
  for (const std::string& bad : {std::string(), std::string(64, 'x'), std::string("a\0b", 3)}) {
    EXPECT_EQ(run(listener.listen(bad, in(1s))).error().kind, ErrorKind::invalid);
  }
}

}  // namespace
}  // namespace opi::pg
