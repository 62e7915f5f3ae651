#pragma once
/// @file
/// TLS over any byte stream, as client or server. No OpenSSL type shows here.

#include <memory>
#include <string>

#include "aio/byte_stream.hpp"
#include "base/secret_string.hpp"

namespace opi::aio {

/// How we check the server.
struct TlsClientSettings {
  std::string ca_pem = {};           ///< certificates that are trusted; empty: the system's
  std::string certificate_pem = {};  ///< ours, when the server asks for one; with `key_pem`
  SecretString key_pem = {};
  bool verify = true;  ///< false: whoever answers is believed; only for who asked for it in so many words
  std::string application_protocol = {};  ///< ALPN, one name such as "http/1.1"; empty: none
};

/// What we show to clients.
struct TlsServerSettings {
  std::string certificate_pem;  ///< ours first, then the chain
  SecretString key_pem;
  std::string client_ca_pem = {};  ///< when set, clients must show a certificate of this authority
};

/// Immutable configuration that many streams share; TLS 1.2 at least.
/// Ownership: shared with every stream made from it. Threading: any thread.
class TlsContext {
 public:
  /// Errors: invalid (a certificate or key that cannot be read, or that do not belong together).
  static Result<std::shared_ptr<const TlsContext>> client(TlsClientSettings settings);
  static Result<std::shared_ptr<const TlsContext>> server(TlsServerSettings settings);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  struct Inside;
  const Inside& inside() const noexcept { return *inside_; }

 private:
  explicit TlsContext(std::unique_ptr<Inside> inside);
  std::unique_ptr<Inside> inside_;
};

using TlsContextPtr = std::shared_ptr<const TlsContext>;

/// Shakes hands over `stream` (taken over) as client. `host` is the name or address the certificate must be for; a name
/// is sent as SNI as well. Errors: denied (the certificate is not trusted or not for `host`, or the server refused
/// ours), unavailable, timed_out, cancelled.
Task<Result<StreamPtr>> tls_connect(StreamPtr stream, TlsContextPtr context, std::string host, SteadyTime deadline);
/// Shakes hands over `stream` (taken over) as server. Errors as above.
Task<Result<StreamPtr>> tls_accept(StreamPtr stream, TlsContextPtr context, SteadyTime deadline);

}  // namespace opi::aio
