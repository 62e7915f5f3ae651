#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <array>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/this_coro.hpp>
#include <limits>
#include <optional>
#include <vector>

#include "aio/io_error.hpp"
#include "aio/tls.hpp"
#include "aio/tls_context.hpp"
#include "aio/with_deadline.hpp"

namespace opi::aio {

namespace {

constexpr std::size_t record_max = 16U << 10U;  ///< plaintext bytes of one TLS record

struct FreeSsl {
  void operator()(SSL* ssl) const noexcept { SSL_free(ssl); }
};

/// One TLS session: OpenSSL works on two memory buffers, and the coroutines carry bytes between these and the stream
/// below. Shared by the stream and its pending operations, so that a stream may go while one is pending.
struct Session {
  StreamPtr below;
  TlsContextPtr context;  ///< outlives `ssl`
  std::unique_ptr<SSL, FreeSsl> ssl;
  BIO* incoming = nullptr;  ///< owned by ssl
  BIO* outgoing = nullptr;  ///< owned by ssl
  std::string peer;
  bool flushing = false;
  bool ended = false;  ///< the peer sent close_notify
};
using SessionPtr = std::shared_ptr<Session>;

/// Sends what OpenSSL has written. One flush at a time: a second caller leaves its bytes to the first.
Task<Result<>> flush(SessionPtr session) {
  if (session->flushing) co_return Result<>{};
  session->flushing = true;
  Result<> sent;
  while (sent && BIO_ctrl_pending(session->outgoing) > 0) {
    std::vector<std::byte> bytes(BIO_ctrl_pending(session->outgoing));
    const int size = BIO_read(session->outgoing, bytes.data(), static_cast<int>(bytes.size()));
    if (size <= 0) break;
    bytes.resize(static_cast<std::size_t>(size));
    sent = co_await session->below->write_all(bytes);
  }
  session->flushing = false;
  co_return sent;
}

/// Receives at least one byte for OpenSSL; false when the stream below ended.
Task<Result<bool>> receive(SessionPtr session) {
  std::array<std::byte, record_max + 512> buffer;
  const auto size = co_await session->below->read_some(buffer);
  if (!size) co_return failure(size.error());
  if (*size == 0) co_return false;
  BIO_write(session->incoming, buffer.data(), static_cast<int>(*size));
  co_return true;
}

Error tls_failure(const Session& session, std::string what) {
  const long verified = SSL_get_verify_result(session.ssl.get());
  if (verified != X509_V_OK) {
    ERR_clear_error();
    return Error(ErrorKind::denied, std::move(what)).because(X509_verify_cert_error_string(verified));
  }
  const unsigned long code = ERR_peek_last_error();
  // Alerts of the peer (reason above 1000) are refusals; everything else is a broken or foreign protocol.
  const bool alert = ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) > SSL_AD_REASON_OFFSET;
  return Error(alert ? ErrorKind::denied : ErrorKind::unavailable, std::move(what)).because(take_openssl_error());
}

/// What an operation of OpenSSL wants next.
enum class Step { done, again, ended, failed };

/// Sends what is to be sent and, when OpenSSL wants input, receives some.
Task<Result<Step>> advance(SessionPtr session, int returned, std::string what) {
  const int wants = SSL_get_error(session->ssl.get(), returned);
  const bool broken =
      returned <= 0 && wants != SSL_ERROR_ZERO_RETURN && wants != SSL_ERROR_WANT_READ && wants != SSL_ERROR_WANT_WRITE;
  // The reason is in a queue that every other session of this thread uses too: take it before anything else runs.
  std::optional<Error> error;
  if (broken) error = tls_failure(*session, what);
  auto sent = co_await flush(session);  // also the alert that tells the peer why
  if (error) co_return failure(*std::move(error));
  if (wants == SSL_ERROR_ZERO_RETURN) {
    session->ended = true;
    co_return Step::ended;
  }
  if (!sent) co_return failure(std::move(sent).error());
  if (returned > 0) co_return Step::done;
  auto received = co_await receive(session);
  if (!received) co_return failure(std::move(received).error());
  if (!*received)
    co_return failure(Error(ErrorKind::unavailable, std::move(what)).because("the connection was cut without notice"));
  co_return Step::again;
}

class TlsStream final : public ByteStream {
 public:
  explicit TlsStream(SessionPtr session) : session_(std::move(session)) {}
  ~TlsStream() override { TlsStream::close(); }
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  Task<Result<std::size_t>> read_some(std::span<std::byte> into) override { return read(session_, into); }
  Task<Result<>> write_all(std::span<const std::byte> bytes) override { return write(session_, bytes); }
  Task<Result<>> shutdown() override { return finish(session_); }
  void close() noexcept override { session_->below->close(); }
  std::string peer() const override { return session_->peer; }

 private:
  static Task<Result<std::size_t>> read(SessionPtr session, std::span<std::byte> into) {
    const std::size_t most = std::min(into.size(), static_cast<std::size_t>(std::numeric_limits<int>::max()));
    for (;;) {
      if (session->ended) co_return std::size_t{0};
      ERR_clear_error();
      const int size = SSL_read(session->ssl.get(), into.data(), static_cast<int>(most));
      auto step = co_await advance(session, size, "reading from " + session->peer);
      if (!step) co_return failure(std::move(step).error());
      if (*step == Step::ended) co_return std::size_t{0};
      if (*step == Step::done) co_return static_cast<std::size_t>(size);
    }
  }

  static Task<Result<>> write(SessionPtr session, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const std::size_t size = std::min(bytes.size(), record_max);
      ERR_clear_error();
      const int written = SSL_write(session->ssl.get(), bytes.data(), static_cast<int>(size));
      auto step = co_await advance(session, written, "writing to " + session->peer);
      if (!step) co_return failure(std::move(step).error());
      if (*step == Step::ended) co_return failure(ErrorKind::unavailable, session->peer + " ended the TLS session");
      if (*step == Step::done) bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
    co_return Result<>{};
  }

  static Task<Result<>> finish(SessionPtr session) {
    ERR_clear_error();
    SSL_shutdown(session->ssl.get());  // queues our close_notify; the peer's is not waited for
    ERR_clear_error();
    if (auto sent = co_await flush(session); !sent) co_return sent;
    co_return co_await session->below->shutdown();
  }

  SessionPtr session_;
};

Task<Result<StreamPtr>> shake_hands(SessionPtr session) {
  for (;;) {
    ERR_clear_error();
    const int done = SSL_do_handshake(session->ssl.get());
    auto step = co_await advance(session, done, "TLS handshake with " + session->peer);
    if (!step) co_return failure(std::move(step).error());
    if (*step == Step::ended) co_return failure(ErrorKind::unavailable, session->peer + " ended the TLS session");
    if (*step == Step::done) co_return std::make_unique<TlsStream>(session);
  }
}

Result<SessionPtr> make_session(StreamPtr stream, TlsContextPtr context) {
  auto session = std::make_shared<Session>();
  session->peer = stream->peer();
  session->below = std::move(stream);
  session->context = std::move(context);
  session->ssl.reset(SSL_new(session->context->inside().ssl.get()));
  session->incoming = BIO_new(BIO_s_mem());
  session->outgoing = BIO_new(BIO_s_mem());
  if (!session->ssl || session->incoming == nullptr || session->outgoing == nullptr) {
    BIO_free(session->incoming);
    BIO_free(session->outgoing);
    return failure(ErrorKind::exhausted, "no memory for a TLS session");
  }
  BIO_set_mem_eof_return(session->incoming, -1);  // "empty" means "later", not "end"
  SSL_set_bio(session->ssl.get(), session->incoming, session->outgoing);
  return session;
}

/// The name the certificate must carry; SNI only for names, as RFC 6066 says.
Result<> expect_host(SSL* ssl, const std::string& host) {
  boost::system::error_code not_literal;
  asio::ip::make_address(host, not_literal);
  if (!not_literal) {
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host.c_str()) == 1) return {};
  } else if (!host.empty() && SSL_set1_host(ssl, host.c_str()) == 1 &&
             SSL_set_tlsext_host_name(ssl, host.c_str()) == 1) {
    return {};
  }
  return failure(ErrorKind::invalid, fmt::format("\"{}\" cannot be the name of a TLS server", host));
}

}  // namespace

Task<Result<StreamPtr>> tls_connect(StreamPtr stream, TlsContextPtr context, std::string host, SteadyTime deadline) {
  auto session = make_session(std::move(stream), std::move(context));
  if (!session) co_return failure(std::move(session).error());
  if (auto expected = expect_host((*session)->ssl.get(), host); !expected)
    co_return failure(std::move(expected).error());
  SSL_set_connect_state((*session)->ssl.get());
  auto what = fmt::format("TLS handshake with {} did not end in time", (*session)->peer);
  co_return co_await with_deadline(shake_hands(*session), deadline, std::move(what));
}

Task<Result<StreamPtr>> tls_accept(StreamPtr stream, TlsContextPtr context, SteadyTime deadline) {
  auto session = make_session(std::move(stream), std::move(context));
  if (!session) co_return failure(std::move(session).error());
  SSL_set_accept_state((*session)->ssl.get());
  auto what = fmt::format("TLS handshake with {} did not end in time", (*session)->peer);
  co_return co_await with_deadline(shake_hands(*session), deadline, std::move(what));
}

}  // namespace opi::aio
