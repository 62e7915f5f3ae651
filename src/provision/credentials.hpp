#pragma once
/// @file
/// What an application needs to log in, and the forms in which it is handed over.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "base/secret_string.hpp"
#include "pg/settings.hpp"

namespace opi::provision {

/// Whose way: the application's, or the reader's, where one is declared (`read-only-login`).
enum class LoginPurpose { application, read_only };

/// One deployment's way into its database. Move-only, as the password is.
struct Credentials {
  std::string project;
  std::string deployment;
  std::vector<pg::HostPort> hosts;  ///< never empty; the first one for whoever takes only one
  std::string database;
  std::string schema;                     ///< the default one
  std::vector<std::string> schemas = {};  ///< all of search_path, the default one first
  std::string user;
  SecretString password;

  const std::string& host() const { return hosts.front().host; }
  std::uint16_t port() const { return hosts.front().port; }

  /// "postgresql://user:password@host:port/database", every part percent-encoded; a socket's directory as parameter
  /// `host`.
  SecretString uri() const;
  /// Lines of NAME=value, as a shell or an .env file takes them. Keys as `values()`.
  SecretString env() const;
  /// One JSON object with the keys of `values()`.
  SecretString json() const;
  /// The keys that applications of this platform know, each value under its aliases.
  std::vector<std::pair<std::string, SecretString>> values() const;
};

/// RFC 3986: everything but unreserved characters becomes %XX. Wipe the result when it holds a secret.
std::string percent_encoded(std::string_view text);

}  // namespace opi::provision
