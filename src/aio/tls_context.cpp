#include "aio/tls_context.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <limits>
#include <utility>

namespace opi::aio {

namespace {

struct FreeBio {
  void operator()(BIO* bio) const noexcept { BIO_free_all(bio); }
};
struct FreeCertificate {
  void operator()(X509* certificate) const noexcept { X509_free(certificate); }
};
struct FreeKey {
  void operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }
};
using BioPtr = std::unique_ptr<BIO, FreeBio>;
using CertificatePtr = std::unique_ptr<X509, FreeCertificate>;
using KeyPtr = std::unique_ptr<EVP_PKEY, FreeKey>;

BioPtr reading(std::string_view text) {
  if (text.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) return nullptr;
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

/// Never ask a terminal for a passphrase.
int no_passphrase(char*, int, int, void*) {
  return -1;
}

std::unexpected<Error> openssl_failure(std::string what) {
  return failure(Error(ErrorKind::invalid, std::move(what)).because(take_openssl_error()));
}

/// Adds every certificate of `pem` to what is trusted.
Result<> trust(SSL_CTX* ssl, const std::string& pem) {
  const auto bio = reading(pem);
  X509_STORE* store = SSL_CTX_get_cert_store(ssl);
  std::size_t count = 0;
  while (bio) {
    const CertificatePtr certificate(PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr));
    if (!certificate) break;
    if (X509_STORE_add_cert(store, certificate.get()) != 1) return openssl_failure("a trusted certificate is refused");
    ++count;
  }
  if (count == 0) return openssl_failure("no certificate in the trusted authorities");
  ERR_clear_error();  // "no start line" is how the end of the file looks
  return {};
}

/// Our certificate, its chain and its key.
Result<> present(SSL_CTX* ssl, const std::string& certificate_pem, const SecretString& key_pem) {
  const auto bio = reading(certificate_pem);
  const CertificatePtr own(bio ? PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr) : nullptr);
  if (!own || SSL_CTX_use_certificate(ssl, own.get()) != 1) return openssl_failure("the certificate cannot be read");
  for (;;) {
    CertificatePtr next(PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr));
    if (!next) break;
    if (SSL_CTX_add1_chain_cert(ssl, next.get()) != 1) return openssl_failure("the certificate chain is refused");
  }
  ERR_clear_error();
  const auto key_bio = reading(key_pem.reveal());
  const KeyPtr key(key_bio ? PEM_read_bio_PrivateKey(key_bio.get(), nullptr, no_passphrase, nullptr) : nullptr);
  if (!key || SSL_CTX_use_PrivateKey(ssl, key.get()) != 1) return openssl_failure("the private key cannot be used");
  if (SSL_CTX_check_private_key(ssl) != 1) return openssl_failure("the private key is not the certificate's");
  return {};
}

Result<std::unique_ptr<TlsContext::Inside>> make_inside(const SSL_METHOD* method) {
  auto inside = std::make_unique<TlsContext::Inside>();
  ERR_clear_error();
  inside->ssl.reset(SSL_CTX_new(method));
  if (!inside->ssl) return openssl_failure("no TLS context");
  SSL_CTX_set_min_proto_version(inside->ssl.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(inside->ssl.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(inside->ssl.get(), SSL_MODE_RELEASE_BUFFERS);
  return inside;
}

/// ALPN's wire form: a length byte and the name.
std::basic_string<unsigned char> alpn_of(const std::string& name) {
  std::basic_string<unsigned char> wire;
  wire.push_back(static_cast<unsigned char>(name.size()));
  for (const char c : name) wire.push_back(static_cast<unsigned char>(c));
  return wire;
}

}  // namespace

std::string take_openssl_error() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  if (code == 0) return "no reason given";
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "OpenSSL error " + std::to_string(code);
}

TlsContext::TlsContext(std::unique_ptr<Inside> inside) : inside_(std::move(inside)) {}
TlsContext::~TlsContext() = default;

Result<TlsContextPtr> TlsContext::client(TlsClientSettings settings) {
  auto inside = make_inside(TLS_client_method());
  if (!inside) return failure(std::move(inside).error());
  SSL_CTX* ssl = (*inside)->ssl.get();
  SSL_CTX_set_verify(ssl, settings.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  if (settings.ca_pem.empty()) {
    if (SSL_CTX_set_default_verify_paths(ssl) != 1) return openssl_failure("the system's authorities cannot be read");
  } else if (auto trusted = trust(ssl, settings.ca_pem); !trusted) {
    return failure(std::move(trusted).error());
  }
  if (!settings.certificate_pem.empty())
    if (auto shown = present(ssl, settings.certificate_pem, settings.key_pem); !shown)
      return failure(std::move(shown).error());
  if (settings.application_protocol.size() > 255) return failure(ErrorKind::invalid, "the ALPN name is too long");
  if (!settings.application_protocol.empty()) {
    const auto wire = alpn_of(settings.application_protocol);
    if (SSL_CTX_set_alpn_protos(ssl, wire.data(), static_cast<unsigned>(wire.size())) != 0)
      return openssl_failure("the ALPN name is refused");
  }
  return TlsContextPtr(new TlsContext(*std::move(inside)));
}

Result<TlsContextPtr> TlsContext::server(TlsServerSettings settings) {
  auto inside = make_inside(TLS_server_method());
  if (!inside) return failure(std::move(inside).error());
  SSL_CTX* ssl = (*inside)->ssl.get();
  if (auto shown = present(ssl, settings.certificate_pem, settings.key_pem); !shown)
    return failure(std::move(shown).error());
  if (!settings.client_ca_pem.empty()) {
    if (auto trusted = trust(ssl, settings.client_ca_pem); !trusted) return failure(std::move(trusted).error());
    SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  // Sessions of servers that check clients must name their application; tickets need nothing kept.
  static constexpr unsigned char session_id[] = {'o', 'p', 'i'};
  SSL_CTX_set_session_id_context(ssl, session_id, sizeof session_id);
  SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
  return TlsContextPtr(new TlsContext(*std::move(inside)));
}

}  // namespace opi::aio
