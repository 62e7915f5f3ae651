#pragma once
/// @file
/// Certificates for tests, made on the spot.

#include <string>

namespace opi::test {

struct TlsIdentity {
  std::string certificate;  ///< PEM, self-signed: it is its own authority
  std::string key;          ///< PEM
};

/// For localhost and 127.0.0.1, valid for an hour. Of two that one client is to trust the names differ.
TlsIdentity make_identity(const std::string& name = "opi test");

}  // namespace opi::test
