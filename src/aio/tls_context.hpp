#pragma once
/// @file
/// The inside of TlsContext; for tls_context.cpp and tls_stream.cpp only.

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "aio/tls.hpp"

namespace opi::aio {

struct TlsContext::Inside {
  struct Free {
    void operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); }
  };
  std::unique_ptr<SSL_CTX, Free> ssl;
};

/// The newest entry of this thread's OpenSSL error queue as text; empties the queue.
std::string take_openssl_error();

}  // namespace opi::aio
