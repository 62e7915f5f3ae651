#include "aio/tls.hpp"

#include <gtest/gtest.h>
#include "aio/task_scope.hpp"
#include "aio/tcp_listener.hpp"
#include "aio/with_deadline.hpp"
#include "support/in_time.hpp"
#include "support/run_coroutine.hpp"
#include "support/tls_identity.hpp"

namespace opi::aio {
namespace {

using namespace std::chrono_literals;
using test::in;
using test::make_identity;
using test::run_coroutine;
using Identity = test::TlsIdentity;

TlsContextPtr server_of(const Identity& identity) {
  return TlsContext::server({.certificate_pem = identity.certificate, .key_pem = SecretString(identity.key)}).value();
}

TlsContextPtr client_trusting(const Identity& identity) {
  return TlsContext::client({.ca_pem = identity.certificate}).value();
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

/// The server's side: shakes hands, reads to the end, sends it back, ends.
Task<> echo(StreamPtr stream, TlsContextPtr context, std::optional<Error>* error) {
  auto session = co_await tls_accept(std::move(stream), std::move(context), in(10s));
  if (!session) {
    *error = session.error();
    co_return;
  }
  auto text = co_await read_to_end(session->get());
  if (!text) {
    *error = text.error();
    co_return;
  }
  (void)co_await (*session)->write_all(bytes_of(*text));
  (void)co_await (*session)->shutdown();
}

Task<> echo_next(TcpListener* listener, TlsContextPtr context, std::optional<Error>* error) {
  auto stream = co_await listener->accept();
  if (stream) co_await echo(*std::move(stream), std::move(context), error);
}

Task<Result<std::string>> ask(StreamPtr stream, TlsContextPtr context, std::string host, std::string text) {
  auto session = co_await tls_connect(std::move(stream), std::move(context), std::move(host), in(10s));
  if (!session) co_return failure(session.error());
  if (auto sent = co_await (*session)->write_all(bytes_of(text)); !sent) co_return failure(sent.error());
  if (auto ended = co_await (*session)->shutdown(); !ended) co_return failure(ended.error());
  co_return co_await read_to_end(session->get());
}

/// One conversation over memory.
Result<std::string> talk(TlsContextPtr server, TlsContextPtr client, std::string host, std::string text,
                         std::optional<Error>* server_error) {
  asio::io_context context;
  auto [left, right] = make_memory_streams(context.get_executor(), 4096);
  TaskScope scope(context.get_executor(), Logger(), "test");
  scope.spawn("server", echo(std::move(left), std::move(server), server_error));
  auto answer = run_coroutine(context, ask(std::move(right), std::move(client), std::move(host), std::move(text)));
  run_coroutine(context, scope.join());
  return answer;
}

TEST(TlsStream, goes_round_trip_over_tcp) {
  const auto identity = make_identity();
  asio::io_context context;
  auto listener = TcpListener::open(context.get_executor(), "127.0.0.1", 0);
  ASSERT_TRUE(listener);
  TaskScope scope(context.get_executor(), Logger(), "test");
  std::optional<Error> error;
  scope.spawn("server", echo_next(&*listener, server_of(identity), &error));
  auto stream = run_coroutine(context, connect_tcp(nullptr, "127.0.0.1", listener->port(), in(10s)));
  ASSERT_TRUE(stream);
  std::string text;
  while (text.size() < 300'000) text += std::to_string(text.size());
  const auto answer = run_coroutine(context, ask(*std::move(stream), client_trusting(identity), "127.0.0.1", text));
  run_coroutine(context, scope.join());
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(*answer, text);
  EXPECT_FALSE(error) << error->to_string();
}

TEST(TlsStream, goes_round_trip_over_memory_with_a_host_name) {
  const auto identity = make_identity();
  std::optional<Error> error;
  const auto answer = talk(server_of(identity), client_trusting(identity), "localhost", "hello", &error);
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(*answer, "hello");
}

TEST(TlsStream, a_certificate_for_another_host_is_denied) {
  const auto identity = make_identity();
  std::optional<Error> error;
  const auto answer = talk(server_of(identity), client_trusting(identity), "example.org", "hello", &error);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::denied);
  EXPECT_THAT(answer.error().to_string(), testing::HasSubstr("mismatch"));
}

TEST(TlsStream, a_certificate_of_an_unknown_authority_is_denied) {
  std::optional<Error> error;
  const auto answer = talk(server_of(make_identity()), client_trusting(make_identity()), "localhost", "hello", &error);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::denied);
  ASSERT_TRUE(error.has_value()) << "the server hears of it, too";
}

TEST(TlsStream, a_server_may_ask_for_the_clients_certificate) {
  const auto server = make_identity();
  const auto client = make_identity();
  auto context = TlsContext::server({.certificate_pem = server.certificate,
                                     .key_pem = SecretString(server.key),
                                     .client_ca_pem = client.certificate})
                     .value();
  std::optional<Error> error;
  auto known =
      TlsContext::client(
          {.ca_pem = server.certificate, .certificate_pem = client.certificate, .key_pem = SecretString(client.key)})
          .value();
  EXPECT_EQ(talk(context, known, "localhost", "hello", &error).value(), "hello");
  const auto refused = talk(context, client_trusting(server), "localhost", "hello", &error);
  EXPECT_FALSE(refused);
  EXPECT_TRUE(error.has_value());
}

TEST(TlsStream, a_cut_connection_is_not_taken_for_the_end) {
  const auto identity = make_identity();
  asio::io_context context;
  auto [left, right] = make_memory_streams(context.get_executor(), 4096);
  TaskScope scope(context.get_executor(), Logger(), "test");
  struct Cutter {
    static Task<> run(StreamPtr stream, TlsContextPtr tls) {
      auto session = co_await tls_accept(std::move(stream), std::move(tls), in(10s));
      if (session) (*session)->close();  // no close_notify
    }
    static Task<Result<std::string>> read(StreamPtr stream, TlsContextPtr tls) {
      auto session = co_await tls_connect(std::move(stream), std::move(tls), "localhost", in(10s));
      if (!session) co_return failure(session.error());
      co_return co_await read_to_end(session->get());
    }
  };
  scope.spawn("server", Cutter::run(std::move(left), server_of(identity)));
  const auto text = run_coroutine(context, Cutter::read(std::move(right), client_trusting(identity)));
  run_coroutine(context, scope.join());
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().kind, ErrorKind::unavailable);
}

TEST(TlsStream, a_peer_that_speaks_no_tls_is_refused_and_a_silent_one_times_out) {
  const auto identity = make_identity();
  asio::io_context context;
  auto [left, right] = make_memory_streams(context.get_executor(), 4096);
  (void)run_coroutine(context, left->write_all(bytes_of("HTTP/1.1 400 Bad Request\r\n\r\n")));
  const auto refused =
      run_coroutine(context, tls_connect(std::move(right), client_trusting(identity), "localhost", in(10s)));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::unavailable);
  auto [here, there] = make_memory_streams(context.get_executor(), 4096);
  const auto silent =
      run_coroutine(context, tls_connect(std::move(there), client_trusting(identity), "localhost", in(20ms)));
  ASSERT_FALSE(silent);
  EXPECT_EQ(silent.error().kind, ErrorKind::timed_out);
}

TEST(TlsContext, a_key_that_is_not_the_certificates_is_refused) {
  const auto one = make_identity();
  const auto other = make_identity();
  const auto context = TlsContext::server({.certificate_pem = one.certificate, .key_pem = SecretString(other.key)});
  ASSERT_FALSE(context);
  EXPECT_EQ(context.error().kind, ErrorKind::invalid);
  EXPECT_FALSE(TlsContext::client({.ca_pem = "not a certificate"}));
}

}  // namespace
}  // namespace opi::aio
