#pragma once
/// @file
/// Where an API server is and how we prove who we are.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/secret_string.hpp"

namespace opi::kube {

/// The whole of a small file, for whoever may block. The room does no file I/O of its own.
using ReadFile = std::function<Result<std::string>(const std::string& path)>;

struct ApiServer {
  std::string host;  ///< name or address
  std::uint16_t port = 443;
  bool tls = true;
  std::string path = {};      ///< in front of every request's path; empty or "/prefix"
  std::string ca_pem = {};    ///< empty: the system's authorities
  std::string tls_name = {};  ///< what the certificate must be for; empty: `host`
  bool verify = true;         ///< false only where the settings asked for it
};

/// "https://host:port/path" as an ApiServer. ErrorKind::invalid says what is wrong with it; http is for loopback only.
Result<ApiServer> parse_server(std::string_view url);

/// What is shown to the API server. Either part may be empty.
struct Credential {
  SecretString token = {};  ///< sent as "Bearer …"
  std::string certificate_pem = {};
  SecretString key_pem = {};
  std::optional<WallTime> expires = {};  ///< asked for anew before that; none: only when it was refused

  Credential copy() const;
};

/// Gives credentials, again when they expired or were refused with 401.
/// Threading: the client's executor. Errors: denied, not_found, timed_out, unavailable; never the secret.
class CredentialSource {
 public:
  virtual ~CredentialSource() = default;
  virtual Task<Result<Credential>> get(SteadyTime deadline) = 0;
};

/// Everything a client needs.
struct ClusterAccess {
  ApiServer server;
  std::shared_ptr<CredentialSource> credentials;  ///< shared by the clients of one access
  std::string name = {};                          ///< of the context, or "in-cluster": for people
};

/// A credential that never changes; empty: anonymous.
std::shared_ptr<CredentialSource> fixed_credential(Credential credential);

}  // namespace opi::kube
