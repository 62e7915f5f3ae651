#include "aio/byte_stream.hpp"

#include <gtest/gtest.h>

#include "aio/blocking_pool.hpp"
#include "aio/task_scope.hpp"
#include "aio/tcp_listener.hpp"
#include "aio/with_deadline.hpp"
#include "support/in_time.hpp"
#include "support/run_coroutine.hpp"

namespace opi::aio {
namespace {

using namespace std::chrono_literals;
using test::in;
using test::run_coroutine;

Task<> write_text(ByteStream* stream, std::string text, Result<>* outcome) {
  *outcome = co_await stream->write_all(bytes_of(text));
  if (*outcome) *outcome = co_await stream->shutdown();
}

Task<Result<std::string>> read_to_end(ByteStream* stream) {
  std::string text;
  std::array<std::byte, 1000> buffer{};
  for (;;) {
    const auto size = co_await stream->read_some(buffer);
    if (!size) co_return failure(size.error());
    if (*size == 0) co_return text;
    text.append(reinterpret_cast<const char*>(buffer.data()), *size);
  }
}

std::string long_text() {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += std::to_string(i);
  return text;
}

TEST(MemoryStream, carries_more_than_its_buffer_and_then_the_end) {
  asio::io_context context;
  auto [left, right] = make_memory_streams(context.get_executor(), 100);
  TaskScope scope(context.get_executor(), Logger(), "test");
  Result<> written;
  const std::string text = long_text().substr(0, 20'000);
  scope.spawn("write", write_text(left.get(), text, &written));
  EXPECT_EQ(run_coroutine(context, read_to_end(right.get())).value(), text);
  run_coroutine(context, scope.join());
  EXPECT_TRUE(written);
}

TEST(MemoryStream, writing_to_an_end_that_is_gone_is_unavailable) {
  asio::io_context context;
  auto [left, right] = make_memory_streams(context.get_executor(), 10);
  right.reset();
  const auto written = run_coroutine(context, left->write_all(bytes_of("x")));
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().kind, ErrorKind::unavailable);
}

TEST(MemoryStream, close_ends_a_pending_read_with_cancelled) {
  asio::io_context context;
  auto [left, right] = make_memory_streams(context.get_executor(), 10);
  asio::steady_timer timer(context, 5ms);
  timer.async_wait([&](auto) { right->close(); });
  const auto text = run_coroutine(context, read_to_end(right.get()));
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().kind, ErrorKind::cancelled);
}

TEST(MemoryStream, a_deadline_ends_a_pending_write) {
  asio::io_context context;
  auto [left, right] = make_memory_streams(context.get_executor(), 10);
  const std::string text(100, 'x');
  const auto written = run_coroutine(context, with_deadline(left->write_all(bytes_of(text)), in(5ms), "nobody reads"));
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().kind, ErrorKind::timed_out);
}

/// Accepts one connection and sends back what it reads.
Task<> echo_once(TcpListener* listener) {
  auto stream = co_await listener->accept();
  if (!stream) co_return;
  auto text = co_await read_to_end(stream->get());
  if (!text) co_return;
  Result<> written;
  co_await write_text(stream->get(), *std::move(text), &written);
}

Task<Result<std::string>> ask(StreamPtr* stream, std::string text) {
  Result<> written;
  co_await write_text(stream->get(), std::move(text), &written);
  if (!written) co_return failure(written.error());
  co_return co_await read_to_end(stream->get());
}

TEST(TcpStream, goes_round_trip_on_loopback) {
  asio::io_context context;
  auto listener = TcpListener::open(context.get_executor(), "127.0.0.1", 0);
  ASSERT_TRUE(listener) << listener.error().to_string();
  EXPECT_EQ(listener->address(), "127.0.0.1:" + std::to_string(listener->port()));
  TaskScope scope(context.get_executor(), Logger(), "test");
  scope.spawn("echo", echo_once(&*listener));
  auto stream = run_coroutine(context, connect_tcp(nullptr, "127.0.0.1", listener->port(), in(10s)));
  ASSERT_TRUE(stream) << stream.error().to_string();
  EXPECT_EQ((*stream)->peer(), listener->address());
  const std::string text = long_text();
  EXPECT_EQ(run_coroutine(context, ask(&*stream, text)).value(), text);
  run_coroutine(context, scope.join());
}

TEST(TcpStream, a_name_is_looked_up_on_the_blocking_pool) {
  asio::io_context context;
  BlockingPool names(1);
  auto listener = TcpListener::open(context.get_executor(), "127.0.0.1", 0);
  ASSERT_TRUE(listener);
  auto stream = run_coroutine(context, connect_tcp(&names, "localhost", listener->port(), in(10s)));
  EXPECT_TRUE(stream) << stream.error().to_string();
}

TEST(TcpStream, a_refused_connection_is_unavailable_and_names_the_peer) {
  asio::io_context context;
  std::uint16_t port = 0;
  {
    auto listener = TcpListener::open(context.get_executor(), "127.0.0.1", 0);
    port = listener->port();
  }
  const auto stream = run_coroutine(context, connect_tcp(nullptr, "127.0.0.1", port, in(10s)));
  ASSERT_FALSE(stream);
  EXPECT_EQ(stream.error().kind, ErrorKind::unavailable);
  EXPECT_EQ(stream.error().code, "ECONNREFUSED");
  EXPECT_THAT(stream.error().message, testing::HasSubstr("127.0.0.1:" + std::to_string(port)));
}

TEST(TcpListener, a_port_in_use_is_a_conflict) {
  asio::io_context context;
  auto first = TcpListener::open(context.get_executor(), "127.0.0.1", 0);
  ASSERT_TRUE(first);
  const auto second = TcpListener::open(context.get_executor(), "127.0.0.1", first->port());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::conflict);
  EXPECT_EQ(second.error().code, "EADDRINUSE");
}

TEST(TcpListener, close_ends_a_pending_accept) {
  asio::io_context context;
  auto listener = TcpListener::open(context.get_executor(), "127.0.0.1", 0);
  ASSERT_TRUE(listener);
  asio::steady_timer timer(context, 5ms);
  timer.async_wait([&](auto) { listener->close(); });
  const auto accepted = run_coroutine(context, listener->accept());
  ASSERT_FALSE(accepted);
  EXPECT_EQ(accepted.error().kind, ErrorKind::cancelled);
  EXPECT_EQ(run_coroutine(context, listener->accept()).error().kind, ErrorKind::cancelled);
}

TEST(TcpStream, a_read_that_passes_its_deadline_leaves_the_stream_usable) {
  asio::io_context context;
  auto listener = TcpListener::open(context.get_executor(), "127.0.0.1", 0);
  ASSERT_TRUE(listener);
  TaskScope scope(context.get_executor(), Logger(), "test");
  scope.spawn("echo", echo_once(&*listener));
  auto stream = run_coroutine(context, connect_tcp(nullptr, "127.0.0.1", listener->port(), in(10s)));
  ASSERT_TRUE(stream);
  std::array<std::byte, 10> buffer{};
  const auto size = run_coroutine(context, with_deadline((*stream)->read_some(buffer), in(5ms), "silence"));
  EXPECT_EQ(size.error().kind, ErrorKind::timed_out);
  EXPECT_EQ(run_coroutine(context, ask(&*stream, "still there")).value(), "still there");
  run_coroutine(context, scope.join());
}

TEST(UnixStream, a_missing_socket_is_not_found) {
  const auto stream = run_coroutine(connect_unix("/nonexistent/socket", in(10s)));
  ASSERT_FALSE(stream);
  EXPECT_EQ(stream.error().kind, ErrorKind::not_found);
}

TEST(UnixStream, a_path_that_is_too_long_is_refused) {
  const auto stream = run_coroutine(connect_unix(std::string(200, 'x'), in(10s)));
  ASSERT_FALSE(stream);
  EXPECT_EQ(stream.error().kind, ErrorKind::invalid);
}

}  // namespace
}  // namespace opi::aio
